"""Files that someone wants to send: where they are, and why one cannot be read. Runs in the client."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from msgspec import Struct

from tessenger.client.source_file import printable
from tessenger.wire.text import clean_line

LINK, SPECIAL, UNREADABLE = "symbolic link", "special file", "unreadable item"
NAMED = 3
"""Names of what is left out of a folder that are said."""


def absolute(path: str) -> Path:
    """Return the path that someone typed, from the working directory, with ~ for a home."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # no such user
        return Path(path).absolute()


def unreadable(path: Path, typed: str) -> str:
    """Return why the file at `path` cannot be sent, in words for the person who typed it, or nothing."""
    if not typed:
        return "There is no file named by an empty path."
    shown = clean_line(typed)
    try:
        if path.is_dir():
            return f"{shown} is a directory, not a file."
        if not path.exists():
            return f"There is no file {shown}."
        if not path.is_file():
            return f"{shown} is not a regular file."
    except (OSError, ValueError) as error:
        return f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}."
    if not os.access(path, os.R_OK):
        return f"{shown} cannot be read: permission denied."
    return ""


def is_folder(path: Path, typed: str) -> bool:
    """Tell whether `typed` names a folder that can be walked, and no link to one."""
    try:
        return bool(typed) and path.is_dir() and not path.is_symlink()
    except (OSError, ValueError):  # no path at all, which `unreadable` explains
        return False


class Contents(Struct, frozen=True):
    """What a folder is sent as: files and empty folders, each with the name to offer it by, `size` bytes together.

    `left_out`: the names of what is no plain file, by what it is.
    """

    parts: list[tuple[Path, str]]
    size: int
    left_out: dict[str, list[str]]


def look_into(folder: Path) -> Contents:
    """Return what is in `folder`; names go from its own on, those of empty folders end with a slash.

    Symbolic links are left out, since what they lead to may be anywhere, and so is what is no file at all.
    """
    parts: list[tuple[Path, str]] = []
    left_out: dict[str, list[str]] = {}
    size = 0

    def offered_as(path: Path) -> str:
        return printable(path.relative_to(folder.parent).as_posix())

    def leave_out(what: str, name: str) -> None:
        left_out.setdefault(what, []).append(printable(name))

    def unreadable_item(error: OSError) -> None:
        leave_out(UNREADABLE, os.path.relpath(error.filename, folder))

    for place, folders, names in os.walk(folder, onerror=unreadable_item):
        here, is_empty = Path(place), True
        folders.sort()
        for name in [*folders, *sorted(names)]:
            path = here / name
            try:
                status = path.lstat()
            except OSError as error:
                unreadable_item(error)
                continue
            if stat.S_ISREG(status.st_mode):
                parts.append((path, offered_as(path)))
                size += status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                leave_out(LINK if stat.S_ISLNK(status.st_mode) else SPECIAL, str(path.relative_to(folder)))
                continue
            is_empty = False
        if is_empty:
            parts.append((here, offered_as(here) + "/"))
    return Contents(parts, size, left_out)


def said_left_out(left_out: dict[str, list[str]]) -> str:
    """Return what is said about what is left out of a folder: how much of what, and the first names."""
    kinds = [f"{len(names)} {kind}{'s' * (len(names) > 1)}" for kind, names in left_out.items()]
    names = [clean_line(name) for names in left_out.values() for name in names]
    more = f", and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{' and '.join(kinds)} ({', '.join(names[:NAMED])}{more})"
