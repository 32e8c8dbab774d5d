"""Whom a committed entry concerns, and how much of it: what each worker is fed. Pure; runs in the logger, the hot path.

What moves the present state concerns all. A private message concerns the worker that appended it, which owes its
sender an answer, and the one that serves the recipient; a question only the one that appended it. Where a recipient
is attached elsewhere a moment later, catching up with the journal brings what the earlier worker was passed.

Messages are most of it, so a worker is fed no more of them than it needs: of its own, which it keeps until they have
come back, the place in the log (`Placed`); of others', what their recipients are sent (`Told`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from tessenger.chat import entries
from tessenger.chat.acknowledgements import FEW
from tessenger.chat.entries import AnyEntry, GroupMessage, Message, Signal
from tessenger.chat.present import Present
from tessenger.wire import names


class Placed(Struct, array_like=True, tag="at", gc=False):
    """Your entries `n` up to `n + count - 1` are committed, unchanged; their numbers begin with `seq`."""

    n: int
    count: int
    seq: int
    at: int


class Told(Struct, array_like=True, tag="to", gc=False):
    """A private message of another worker's client: `body` as in `entries.Message`."""

    to: str
    body: bytes
    seq: int
    at: int


Fed = AnyEntry | Placed | Told
"""What a worker is fed."""


class Own(NamedTuple):
    """What a worker makes of a `Placed`: its own messages that have come back, the `n`th and those behind it.

    They are as they were appended: their numbers, which rise from `n` and `seq` on, are not noted in them.
    """

    n: int
    seq: int
    at: int
    messages: Sequence[Message]

    @property
    def last_seq(self) -> int:
        """The number of the last one."""
        return self.seq + len(self.messages) - 1


Committed = AnyEntry | Own | Told
"""What a worker acts on."""

_TO_ITS_WORKER = frozenset({entries.Command, entries.Mark, entries.Seen})
_TO_SOME = frozenset({Message, Signal, *_TO_ITS_WORKER})
_NO_STATE = frozenset({GroupMessage, *_TO_SOME})
"""Kinds that one who only follows the present state does not need."""


def may_wait(fed: Sequence[Fed]) -> bool:
    """Tell whether a worker is fed nothing but places, of so many messages that acknowledgements wait for company."""
    places = [item for item in fed if type(item) is Placed]
    return len(places) == len(fed) and sum(place.count for place in places) >= FEW


def for_state(batch: Sequence[AnyEntry]) -> list[AnyEntry]:
    """Return what moves the present state, or settles a claim."""
    return [entry for entry in batch if type(entry) not in _NO_STATE]


def for_everybody(batch: Sequence[AnyEntry]) -> list[Fed]:
    """Return what any worker needs of a batch: messages without their texts, which the bodies have already."""
    return [_TEXTLESS[type(entry)](entry) if type(entry) in _TEXTLESS else entry for entry in batch]


def for_workers(batch: Sequence[AnyEntry], slots: Iterable[int], present: Present) -> dict[int, list[Fed]]:
    """Return what the worker of each slot is fed of a batch, in order; one list for all where all are fed the same.

    `present` is the state as of the end of the batch.
    """
    if _TO_SOME.isdisjoint(map(type, batch)):
        return dict.fromkeys(slots, for_everybody(batch))
    due: dict[int, list[Fed]] = {slot: [] for slot in slots}
    online = present.online
    run = Placed(0, 0, 0, 0)
    run_slot = -1
    run_at = next_n = 0
    for entry in batch:
        kind = type(entry)
        slot, seq = entry.slot, entry.seq
        if kind is Message:
            n = entry.n
            if slot != run_slot or n != next_n or entry.at != run_at:
                run.count = next_n - run.n
                run, run_slot, run_at = Placed(n, 1, seq, entry.at), slot, entry.at
                if slot in due:
                    due[slot].append(run)
            next_n = n + 1
            to: str = entry.to  # type: ignore[union-attr]  # by kind
            session = online.get(to) or online.get(names.key(to))
            if session is None:
                _tell_all_others(due, entry, Told(to, entry.body, seq, run_at))  # type: ignore[union-attr]  # by kind
            elif (to_slot := session.slot) != slot and to_slot in due:
                due[to_slot].append(Told(to, entry.body, seq, run_at))  # type: ignore[union-attr]  # by kind
            continue
        run_slot = -1  # whatever comes in between ends a run, whose numbers rise one by one
        if kind in _TO_ITS_WORKER:
            due.get(slot, []).append(entry)
        elif kind is Signal:
            due.get(slot, []).append(entry)
            session = online.get(names.key(entry.to))  # type: ignore[union-attr]  # by kind
            if session is None:
                _tell_all_others(due, entry, entry)
            elif session.slot != slot:
                due.get(session.slot, []).append(entry)
        else:
            everybodys = for_everybody([entry])
            for each in due:
                due[each] += everybodys
    run.count = next_n - run.n
    return due


def _tell_all_others(due: Mapping[int, list[Fed]], entry: AnyEntry, told: Fed) -> None:
    """Let all but its own worker know of an entry to someone who left within its batch.

    Whoever served them still owes them what came before they left.
    """
    for slot, each in due.items():
        if slot != entry.slot:
            each.append(told)


def _message_without_text(e: Message) -> Message:
    return Message(0, 0, 0, "", e.to, "", e.body, seq=e.seq, at=e.at, slot=e.slot, n=e.n)


def _group_message_without_text(e: GroupMessage) -> GroupMessage:
    return GroupMessage(0, 0, 0, "", e.group, "", e.body, seq=e.seq, at=e.at, slot=e.slot, n=e.n)


_TEXTLESS: dict[type, Callable[[Any], Fed]] = {
    Message: _message_without_text,
    GroupMessage: _group_message_without_text,
}
