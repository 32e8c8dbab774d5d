"""The lines of an activity log by the numbers that they begin with: which entry each one is of. Used by the logger."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 65_536
"""Bytes read at a time from the end of a log."""

_NUMBER = re.compile(rb"(\d{1,18}); ")


def whole_end(descriptor: int, size: int) -> int:
    """Return where the last whole line of a file of `size` bytes ends: a torn one may follow."""
    end = size
    while end:
        step = min(end, _CHUNK)
        newline = os.pread(descriptor, step, end - step).rfind(b"\n")
        if newline >= 0:
            return end - step + newline + 1
        end -= step
    return 0


def backward(descriptor: int, end: int) -> Iterator[tuple[int, int | None]]:
    """Yield where each line below `end`, the end of a whole one, begins, and its number; the last line first.

    The number is None on a line that makes no sense.
    """
    begin = end
    cut = b""  # the line whose beginning is not read yet, as far as it is
    while begin:
        step = min(begin, _CHUNK)
        begin -= step
        data = os.pread(descriptor, step, begin) + cut
        known = data.find(b"\n") + 1 if begin else 0
        cut = data[:known] if known or not begin else data
        found: list[tuple[int, int | None]] = []
        at = begin + known
        for line in data[len(cut) :].split(b"\n")[:-1]:
            found.append((at, _number(line)))
            at += len(line) + 1
        yield from reversed(found)


def first_number(path: Path) -> int | None:
    """Return the number of a log's first line, None where that makes no sense, or there is none."""
    try:
        with path.open("rb") as file:
            return _number(file.read(24))
    except FileNotFoundError:
        return None


def last_number(path: Path) -> int | None:
    """Return the number of a log's last line that makes sense, None where none does."""
    with path.open("rb") as file:
        end = whole_end(file.fileno(), os.fstat(file.fileno()).st_size)
        return next((number for _, number in backward(file.fileno(), end) if number is not None), None)


def _number(line: bytes) -> int | None:
    match = _NUMBER.match(line)
    return int(match[1]) if match is not None else None
