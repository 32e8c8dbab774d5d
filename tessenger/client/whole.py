"""Answers that come in several parts, as one. Pure; runs in the client."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tessenger.wire.messages import AnyAnswer


def whole(on_answer: Callable[[AnyAnswer], None]) -> Callable[[AnyAnswer], None]:
    """Return what takes the parts of an answer, all but the last marked with `more`, and hands them on as one.

    It has the lists of all parts, and what else the last one says.
    """
    parts: list[AnyAnswer] = []

    def answered(part: AnyAnswer) -> None:
        parts.append(part)
        if not getattr(part, "more", False):
            on_answer(_together(parts))

    return answered


def _together(parts: list[AnyAnswer]) -> AnyAnswer:
    last = parts[-1]
    if len(parts) == 1:
        return last
    lists = {
        name: [item for part in parts for item in getattr(part, name)]
        for name in last.__struct_fields__
        if isinstance(getattr(last, name), list)
    }
    return msgspec.structs.replace(last, **lists)
