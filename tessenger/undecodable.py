"""What it means that something cannot be decoded: one answer for every wire, pipe and file. Pure.

Decoders raise more than their own errors: msgspec a `RecursionError` for what is nested deeper than the interpreter
goes and a `UnicodeDecodeError` for text that is none, `int` a `ValueError` for a number of more digits than it takes
(their own errors are of that kind too), SQLite and `time` an `OverflowError` for one that no 64 bits hold, `struct` its
own. Whoever decodes what another process, another person or an earlier run has written catches `UNDECODABLE`, and
nothing narrower: what it means to them is for them to say, but it is never an accident of whoever else is at work.
"""

from __future__ import annotations

import struct
from typing import Final

UNDECODABLE: Final = (ValueError, RecursionError, OverflowError, MemoryError, struct.error)
"""What decoding may raise."""

_REASON_LENGTH = 200
"""Characters of a reason: it may repeat what was sent."""


def reason(problem: BaseException) -> str:
    """Return, for people, why something could not be decoded: a few words, however long the text of `problem` is."""
    match problem:
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return f"it is not UTF-8 text: {problem.reason} at byte {problem.start}"
        case MemoryError():
            return "it needs too much memory"
    text = str(problem)
    return text if len(text) <= _REASON_LENGTH else f"{text[: _REASON_LENGTH - 1]}…"
