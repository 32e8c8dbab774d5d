"""Whom a committed entry concerns: every worker, or a few. Pure; runs in the logger, on the hot path.

What moves the present state concerns all. A private message concerns the worker that appended it, which owes its
sender an answer, and the one that serves the recipient; a question only the one that appended it. Where a recipient
is attached elsewhere a moment later, catching up with the journal brings what the earlier worker was passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tessenger.chat import entries
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Present
from tessenger.wire import names

_TO_SOMEONE = frozenset({entries.Message, entries.Signal})
_TO_ITS_WORKER = frozenset({entries.Command, entries.Mark, entries.Seen})
_NO_STATE = frozenset({entries.Message, entries.GroupMessage, entries.Signal, *_TO_ITS_WORKER})
"""Kinds that one who only follows the present state does not need."""


def for_state(batch: Sequence[AnyEntry]) -> list[AnyEntry]:
    """Return what moves the present state, or settles a claim."""
    return [entry for entry in batch if type(entry) not in _NO_STATE]


def for_workers(batch: Sequence[AnyEntry], slots: Iterable[int], present: Present) -> dict[int, Sequence[AnyEntry]]:
    """Return what of a batch concerns the worker of each slot, in order; the batch itself where it is all of it.

    `present` is the state as of the end of the batch.
    """
    if all(type(entry) not in _TO_SOMEONE and type(entry) not in _TO_ITS_WORKER for entry in batch):
        return dict.fromkeys(slots, batch)
    due: dict[int, list[AnyEntry]] = {slot: [] for slot in slots}
    everybody = list(due.values())
    online = present.online
    nowhere: list[AnyEntry] = []
    for entry in batch:
        kind = type(entry)
        if kind in _TO_SOMEONE:
            session = online.get(names.key(entry.to))  # type: ignore[union-attr]  # by kind
            if session is None:  # left within this batch: whoever served them still owes them what came before that
                for each in everybody:
                    each.append(entry)
                continue
            due.get(entry.slot, nowhere).append(entry)
            if session.slot != entry.slot:
                due.get(session.slot, nowhere).append(entry)
        elif kind in _TO_ITS_WORKER:
            due.get(entry.slot, nowhere).append(entry)
        else:
            for each in everybody:
                each.append(entry)
    return dict(due)
