"""Who else may change what the server relies on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tessenger.errors import CannotStart
from tessenger.server import permissions


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o750, 0o400])
def test_what_others_can_only_read_is_not_spoken_of(tmp_path: Path, mode: int) -> None:
    """Nor what is not there."""
    path = tmp_path / "credentials.txt"
    assert list(permissions.check(path)) == []
    path.touch()
    path.chmod(mode)
    assert list(permissions.check(path)) == []


def test_what_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """A file or a directory, with the command that mends it."""
    for path, mode in ((tmp_path / "file", 0o602), (tmp_path / "folder", 0o777)):
        path.mkdir() if "folder" in path.name else path.touch()
        path.chmod(mode)
        with pytest.raises(CannotStart, match=f"chmod o-w {path}"):
            list(permissions.check(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give files away")
def test_a_group_or_an_owner_that_may_write_is_warned_of(tmp_path: Path) -> None:
    """But for the group that is its owner's alone."""
    path = tmp_path / "credentials.txt"
    path.touch()
    path.chmod(0o660)
    os.chown(path, 0, 0)
    assert list(permissions.check(path)) == []
    os.chown(path, 0, 54_321)
    assert list(permissions.check(path)) == [f"warning: the group 54321 may write to {path}: chmod g-w {path}"]
    path.chmod(0o600)
    os.chown(path, 54_321, 0)
    assert list(permissions.check(path)) == [f"warning: {path} belongs to user 54321, who may change it"]


def test_links_are_refused(tmp_path: Path) -> None:
    """Wherever they lead, and whatever they are called; it is said which."""
    (tmp_path / "userlog.txt").touch()
    permissions.refuse_links(tmp_path)
    (tmp_path / "g_messagelog.txt").symlink_to("/etc/passwd")
    with pytest.raises(CannotStart, match=r"g_messagelog\.txt is a symbolic link"):
        permissions.refuse_links(tmp_path)
