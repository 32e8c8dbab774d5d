"""The lines that someone typed, from session to session."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.client.history import BoundedHistory, decode, encode, history_path


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"])))
def test_an_entry_comes_back_as_it_was(entry: str) -> None:
    """Backslashes and several lines too."""
    entry = f"{entry}\n\\n{entry}\\"
    assert "\n" not in encode(entry)
    assert decode(encode(entry)) == entry.replace("\u2028", "\n").replace("\u2029", "\n")


@given(st.text())
def test_any_line_is_an_entry(line: str) -> None:
    """Damage is taken as it is, and made harmless."""
    assert "\x1b" not in decode(line)


def test_the_latest_come_first(tmp_path: Path) -> None:
    """As prompt_toolkit wants them; the file is private."""
    path = tmp_path / "state" / "history"
    history = BoundedHistory(path, 3)
    assert list(history.load_history_strings()) == []
    for number in range(5):
        history.append_string(f"line {number}")
    assert list(BoundedHistory(path, 3).load_history_strings()) == ["line 4", "line 3", "line 2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_is_bounded(tmp_path: Path) -> None:
    """At twice its bound it is cut to it; until then it only grows at its end."""
    path = tmp_path / "history"
    path.write_text("".join(f"line {number}\n" for number in range(7)))
    assert list(BoundedHistory(path, 3).load_history_strings()) == ["line 6", "line 5", "line 4"]
    assert path.read_text() == "line 4\nline 5\nline 6\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_none_is_kept_with_a_limit_of_zero(tmp_path: Path) -> None:
    """0 switches the file off."""
    path = tmp_path / "history"
    history = BoundedHistory(path, 0)
    history.append_string("line")
    assert not path.exists()
    assert list(history.load_history_strings()) == []


def test_a_directory_in_its_place_does_no_harm(tmp_path: Path) -> None:
    """Typing works without a history."""
    history = BoundedHistory(tmp_path, 3)
    assert list(history.load_history_strings()) == []
    history.append_string("line")
    assert history.get_strings() == ["line"]


@pytest.mark.parametrize("user", ["../../etc/passwd", "..", ".bashrc", "", "a b", "a" * 33])
def test_a_strange_name_has_no_file(tmp_path: Path, user: str) -> None:
    """The name comes from the server: it never leads elsewhere."""
    assert history_path(tmp_path, user) is None


def test_names_compare_without_case(tmp_path: Path) -> None:
    """As everywhere."""
    assert history_path(tmp_path, "Aaa") == history_path(tmp_path, "aaa") == tmp_path / "history-aaa"
