"""Who else may change what the server relies on: its credentials and its data directory. Supervisor."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from tessenger.errors import CannotStart


def check(path: Path) -> Iterator[str]:
    """Yield what an administrator is warned of; nothing for a path that is not there.

    Raises `CannotStart` where anybody at all may write: then anybody may sign in, or read what was said.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if status.st_mode & stat.S_IWOTH:
        raise CannotStart(f"everybody may write to {path}, which the server relies on: chmod o-w {path}")
    if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        yield f"warning: the group {_group(status.st_gid)} may write to {path}: chmod g-w {path}"
    if status.st_uid not in (os.geteuid(), 0):
        yield f"warning: {path} belongs to {_user(status.st_uid)}, who may change it"


def refuse_links(folder: Path) -> None:
    """Raise `CannotStart` where a directory has a symbolic link: what is written there must not land elsewhere."""
    for path in folder.iterdir():
        if path.is_symlink():
            raise CannotStart(
                f"{path} is a symbolic link, and links in the data directory are not followed: move what it leads"
                " to here, or remove it"
            )


def _is_private(group: int, owner: int) -> bool:
    """Tell whether a group is its owner's alone, as many systems give to everyone."""
    try:
        entry, user = grp.getgrgid(group), pwd.getpwuid(owner)
    except KeyError:
        return False
    return user.pw_gid == group and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
