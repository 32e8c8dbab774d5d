"""The README's picture can be drawn again, from a real session."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import picture


@pytest.mark.slow
def test_the_picture_can_be_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a server, two clients and a file on its way; as large as the one that is there."""
    monkeypatch.setattr(picture, "TARGET", tmp_path / "screens.svg")
    monkeypatch.setattr(picture, "USUAL_PORT", 0)
    picture.main()
    drawn = (tmp_path / "screens.svg").read_text("utf-8")
    there = (Path(picture.__file__).parent / "screens.svg").read_text("utf-8")
    assert drawn.splitlines()[1] == there.splitlines()[1]
    assert "film.mp4 to ben" in drawn
    assert "film.mp4 from anna" in drawn
