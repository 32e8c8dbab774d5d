"""Answers that come in several parts, as one. Pure; runs in the client."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tessenger.wire.messages import AnyAnswer, Error

MAX_BYTES = 16_777_216
"""Bytes of all parts of an answer on the wire: more than any list or page of a server that means well."""

NONSENSE = "The server's answer has no end, or parts that do not belong together."


def whole(on_answer: Callable[[AnyAnswer], None]) -> Callable[[AnyAnswer], None]:
    """Return what takes the parts of an answer, all but the last marked with `more`, and hands them on as one.

    It has the lists of all parts, and what else the last one says. Parts of different kinds, or of more than
    `MAX_BYTES`, become an `Error`.
    """
    parts: list[AnyAnswer] = []
    size = 0
    is_answered = False

    def answered(part: AnyAnswer) -> None:
        nonlocal size, is_answered
        if is_answered:
            return
        more = getattr(part, "more", False)
        if more or parts:
            size += len(msgspec.json.encode(part))
        parts.append(part)
        is_odd = size > MAX_BYTES or (type(part) is not type(parts[0]) and not isinstance(part, Error))
        if is_odd or not more:
            is_answered = True
            on_answer(Error("unknown_outcome", NONSENSE) if is_odd else _together(parts))
            parts.clear()

    return answered


def _together(parts: list[AnyAnswer]) -> AnyAnswer:
    last = parts[-1]
    if len(parts) == 1 or isinstance(last, Error):
        return last
    lists = {
        name: [item for part in parts for item in getattr(part, name)]
        for name in last.__struct_fields__
        if isinstance(getattr(last, name), list)
    }
    return msgspec.structs.replace(last, **lists)
