"""An entry as a row of the journal, and back; many rows as MessagePack, and back.

What a read asks for has a place of its own in the row; what else a kind has goes into `data`, a MessagePack map by
field name, so that a field with a default can be added to a kind without making old rows unreadable. A message has
its text exactly once, so that redaction blanks one place. Its `body` is made again when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast, get_args

import msgspec

from tessenger.chat import entries, events
from tessenger.errors import JournalError
from tessenger.undecodable import UNDECODABLE, reason

Row = tuple[Any, ...]
"""The values of `COLUMNS`."""

COLUMNS = ("seq", "at", "kind", "session", "number", "request", "slot", "n", "user", "target", "text", "data")
SEQ, AT, KIND, SESSION, REQUEST, SLOT, N, USER, TARGET, TEXT = map(
    COLUMNS.index, ("seq", "at", "kind", "session", "request", "slot", "n", "user", "target", "text")
)
"""Where a row has these."""

_NUMBERS = ("session", "number", "request", "slot", "n")
_TARGETS = ("to", "group", "target")
"""The first of these fields goes to `target`: what readers look entries up by, a user or a group."""

_KINDS: dict[str, type[Any]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(entries.AnyEntry) if kind not in entries.UNJOURNALED
}

ISSUED = frozenset(tag for tag, kind in _KINDS.items() if issubclass(kind, entries.Issued))
"""The `kind` of entries that a person's request led to."""


class _Plan(NamedTuple):
    """Where the fields of one kind are kept."""

    tag: str
    columns: list[tuple[str, int]]
    rest: list[str]


def _plan(kind: type[entries.Entry]) -> _Plan:
    columns, rest = [], []
    target = next((name for name in _TARGETS if name in kind.__struct_fields__), "")
    for name in kind.__struct_fields__:
        column = "target" if name == target else name
        if column in COLUMNS:
            columns.append((name, COLUMNS.index(column)))
        else:
            rest.append(name)
    return _Plan(str(kind.__struct_config__.tag), columns, rest)


_PLANS = {kind: _plan(kind) for kind in _KINDS.values()}
_unpack = msgspec.msgpack.Decoder(dict[str, Any]).decode

_TYPES = tuple[int, int, str, int, int, int, int, int, str | None, str | None, str | None, bytes | None]

pack = msgspec.msgpack.Encoder().encode
"""Encode rows, or what is in one."""

unpack: Callable[[bytes], list[Row]] = msgspec.msgpack.Decoder(list[_TYPES]).decode
"""Decode rows. Raises one of `UNDECODABLE`."""


def _group_message_row(e: entries.GroupMessage) -> Row:
    return (e.seq, e.at, "g", e.session, e.number, e.request, e.slot, e.n, e.user, e.group, e.text, None)


def _any_row(entry: entries.AnyEntry) -> Row:
    plan = _PLANS[type(entry)]
    row: list[Any] = [0 if column in _NUMBERS else None for column in COLUMNS]
    row[2] = plan.tag
    for name, index in plan.columns:
        value = getattr(entry, name)
        row[index] = None if value == "" else value
    if plan.rest:
        row[-1] = pack({name: getattr(entry, name) for name in plan.rest})
    return tuple(row)


_ENCODERS: dict[type[entries.Entry], Callable[[Any], Row]] = {
    **dict.fromkeys(_PLANS, _any_row),
    entries.GroupMessage: _group_message_row,
}


def to_rows(batch: Sequence[entries.AnyEntry]) -> list[Row]:
    """Return those entries that have a number, each in the order of `COLUMNS`."""
    return [
        (e.seq, e.at, "m", e.session, e.number, e.request, e.slot, e.n, e.user, e.to, e.text, None)
        if type(e) is entries.Message  # most of all, and so without a call for each
        else _ENCODERS[type(e)](e)
        for e in batch
        if e.seq
    ]


def from_row(row: Row) -> entries.AnyEntry:
    """Return the entry of a row. Raises `JournalError` for one that makes no sense."""
    seq, at, kind, session, number, request, slot, n, user, target, text, data = row
    try:
        if kind == "m":
            body = events.message_body(user, text)
            return entries.Message(session, number, request, user, target, text, body, seq=seq, at=at, slot=slot, n=n)
        if kind == "g":
            body = events.group_body(target, user, text)
            return entries.GroupMessage(
                session, number, request, user, target, text, body, seq=seq, at=at, slot=slot, n=n
            )
        found = _KINDS[kind]
        fields = {name: "" if row[index] is None else row[index] for name, index in _PLANS[found].columns}
        if data is not None:
            fields |= _unpack(data)
        return cast(entries.AnyEntry, found(**fields))
    except (KeyError, TypeError, *UNDECODABLE) as error:
        raise JournalError(f"The journal is damaged: entry {seq} cannot be read ({reason(error)}).") from error
