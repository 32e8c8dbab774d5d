"""Files that someone wants to send: where they are, and why one cannot be read. Runs in the client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tessenger.client.source_file import printable
from tessenger.wire.text import clean_line


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


def files_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """Return every plain file below `folder`, with the name to offer it by: its path from the folder's own name on.

    Symbolic links are left out: what they lead to may be anywhere.
    """
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path, printable(path.relative_to(folder.parent).as_posix())
