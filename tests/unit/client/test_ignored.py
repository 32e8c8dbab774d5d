"""Whom one ignores, and that it is kept."""

from __future__ import annotations

from pathlib import Path

from tessenger.client.commands import Mistake
from tessenger.client.ignored import Ignored


def test_it_is_kept_for_one_server_and_user(tmp_path: Path) -> None:
    """In whatever case the name is written; the file is for its owner alone."""
    ignored = Ignored(tmp_path, "Host:12000", "aaa")
    assert ignored.command() == "You ignore nobody."
    assert ignored.command("Bbb") == "You ignore Bbb from now on; /ignore Bbb again ends that."
    assert ignored.command("ccc") == "You ignore ccc from now on; /ignore ccc again ends that."
    assert "bbb" in ignored
    again = Ignored(tmp_path, "host:12000", "AAA")
    assert again.command() == "You ignore Bbb, ccc."
    assert "BBB" in again
    assert "bbb" not in Ignored(tmp_path, "host:12001", "aaa")
    assert "bbb" not in Ignored(tmp_path, "host:12000", "ddd")
    assert again.command("BBB") == "You do not ignore BBB any more."
    assert "bbb" not in Ignored(tmp_path, "host:12000", "aaa")
    (file,) = (tmp_path / "ignored").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_mistakes_are_said_and_damage_is_survived(tmp_path: Path) -> None:
    """Not oneself, and nothing that is no name; a folder that cannot be written is no reason to see them."""
    ignored = Ignored(tmp_path, "h:1", "aaa")
    assert ignored.command("AAA") == Mistake("You cannot ignore yourself.")
    assert ignored.command("b b") == Mistake("b b is no name of a user.")
    ignored.command("bbb")
    (file,) = (tmp_path / "ignored").iterdir()
    file.write_bytes(b"\xff\n;;;\nbbb\n")
    assert Ignored(tmp_path, "h:1", "aaa").command() == "You ignore bbb."
    (tmp_path / "file").touch()
    unkept = Ignored(tmp_path / "file", "h:1", "aaa")
    assert "until you leave" in str(unkept.command("ccc"))
    assert "ccc" in unkept
