"""Blanks one line's text in an activity log, in place: no line moves, and no size changes. Runs in the logger.

Lines begin with their entries' numbers, and these rise: halving finds a line in a file of any size with a few reads.
"""

from __future__ import annotations

import os
from pathlib import Path

from tessenger.chat.entries import REDACTED

_STEP = 4_096
"""Bytes read at a time in search of a line's end."""


def blank(path: Path, seq: int, fields: int) -> bool:
    """Overwrite the text of line `seq`, which follows `fields` other fields; tell whether there is such a line.

    It becomes `[redacted]`, filled up with blanks; a text that is shorter than that becomes as many asterisks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        start = _find(descriptor, seq)
        if start is None:
            return False
        line = os.pread(descriptor, _next_line(descriptor, start + 1) - start, start).removesuffix(b"\n")
        text = line.split(b"; ", fields)[fields]
        mark = REDACTED.encode()
        blanked = mark.ljust(len(text)) if len(text) >= len(mark) else b"*" * len(text)
        os.pwrite(descriptor, blanked, start + len(line) - len(text))
    finally:
        os.close(descriptor)
    return True


def _find(descriptor: int, seq: int) -> int | None:
    """Return where the line begins whose number is `seq`."""
    low, high = 0, os.fstat(descriptor).st_size
    while low < high:
        middle = (low + high) // 2
        start = _next_line(descriptor, middle)
        number = os.pread(descriptor, 24, start).partition(b";")[0] if start < high else b""
        if not number.isdigit() or int(number) > seq:
            high = middle
        elif int(number) < seq:
            low = start + 1
        else:
            return start
    return None


def _next_line(descriptor: int, offset: int) -> int:
    """Return where the first line begins at or behind `offset`; the end of the file where none does."""
    if not offset:
        return 0
    offset -= 1
    while piece := os.pread(descriptor, _STEP, offset):
        end = piece.find(b"\n")
        if end >= 0:
            return offset + end + 1
        offset += len(piece)
    return offset
