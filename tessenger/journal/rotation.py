"""Activity logs that were rotated: NAME.1 is the newest, NAME.2 the one before. Used by the logger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tessenger.journal.numbered_lines import last_number

_ROTATED = re.compile(r".+log\.txt\.([1-9]\d{0,8})")


def shift(folder: Path, name: str, keep: int) -> None:
    """Make room for a new file of that name: it becomes NAME.1, and so on.

    Of more than `keep` the oldest go; 0 keeps all. Begins with the oldest, so that whatever is cut short loses none.
    """
    files = [path for path in of_log(folder, name) if path.name != name]
    for number, path in reversed(list(enumerate(files, 1))):
        if keep and number >= keep:
            path.unlink()
        else:
            path.rename(folder / f"{name}.{number + 1}")
    (folder / name).rename(folder / f"{name}.1")


def of_log(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of one log, the newest first."""
    path, number = folder / name, 0
    if path.exists():
        yield path
    while True:
        number += 1
        path = folder / f"{name}.{number}"
        if not path.exists():
            return
        yield path


class Rotated(Struct, frozen=True):
    """A rotated file: its bytes, the number of its last line, and when it was written, which tells it from another."""

    path: Path
    written: float
    size: int
    last: int


def rotated(folder: Path) -> list[Rotated]:
    """Return the rotated files of all logs, the oldest first: by the numbers of their lines, whatever clocks said."""
    found = []
    for path in folder.iterdir():
        if _ROTATED.fullmatch(path.name):
            status = path.stat()
            found.append(Rotated(path, status.st_mtime, status.st_size, last_number(path) or 0))
    # Of one log the higher number is the older, whatever is in it.
    return sorted(found, key=lambda file: (file.last, -int(file.path.suffix[1:])))
