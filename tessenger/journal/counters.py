"""Request ids of sessions and places of slots: what every message moves on, kept apart. For the logger, and for starts.

Writing them with each message would touch more pages than the message itself. So they are written now and then, as of
`meta.counted_seq`, and whoever needs them counts the entries behind that.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Self

from tessenger.chat import entries
from tessenger.journal import chunks, rows

REPEATABLE = 4_096
"""Ids below a session's highest for which a repeat finds its answer: a client has at most 1,024 requests unanswered,
and may send pings, which take ids too, in between."""

_PRUNE_EVERY = 8
"""How many takings to one that also forgets what the sessions in it have below `REPEATABLE`."""

_KEEP_REQUEST = "INSERT OR REPLACE INTO requests SELECT id, ?2, ?3, ?4 FROM sessions WHERE id = ?1"
_PRUNE_REQUESTS = "DELETE FROM requests WHERE session = ? AND request < ?"

Statement = tuple[str, tuple[Any, ...]]
"""SQL and its values."""

_TURNING = (entries.Online, entries.Resumed, entries.Released)
"""Kinds that say of which generation what a slot appends is."""


def uncounted(
    db: sqlite3.Connection, counted: int, behind: Sequence[rows.Row]
) -> tuple[list[rows.Row], list[entries.AnyEntry]]:
    """Return what there is behind entry `counted`, `behind` included, as rows and as entries."""
    found = [*chunks.forward(db, counted), *behind]
    return found, [rows.from_row(row) for row in found]


class Counters:
    """The highest request id of each session, and for each slot its generation and the last `n` of it."""

    def __init__(self, seq: int) -> None:
        """Begin behind entry `seq` with nothing known."""
        self.seq = seq
        """Up to which entry all of this is kept, or taken."""
        self._highest: dict[int, int] = {}  # of the sessions that moved since
        self._generations: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._takings = 0

    @classmethod
    def kept(cls, db: sqlite3.Connection) -> Self:
        """Return the counters as of `meta.counted_seq`."""
        (counted,) = db.execute("SELECT counted_seq FROM meta").fetchone()
        counters = cls(counted)
        for slot, generation, n in db.execute("SELECT slot, generation, n FROM slots"):
            counters._generations[slot], counters._last[slot] = generation, n
        return counters

    @classmethod
    def read(cls, db: sqlite3.Connection, behind: Sequence[rows.Row] = ()) -> Self:
        """Return the counters as of the last entry; `behind`: rows that go on behind those in the tables."""
        counters = cls.kept(db)
        counters.count(*uncounted(db, counters.seq, behind))
        return counters

    def slots(self) -> dict[int, tuple[int, int]]:
        """Return for each slot its generation and the last `n` of it. The logger's own entries have slot 0."""
        return {slot: (self._generations.get(slot, 0), n) for slot, n in self._last.items() if slot}

    def highest_of_all(self, db: sqlite3.Connection) -> dict[int, int]:
        """Return the highest request id of every session that made a request."""
        kept = dict(db.execute("SELECT session, max(request) FROM requests GROUP BY session").fetchall())
        return kept | self._highest

    def seat(self, slot: int, generation: int) -> bool:
        """Let the slot's entries be of this generation, `n` from 1; tell whether that is new."""
        if self._generations.get(slot) == generation and slot in self._last:
            return False
        self._generations[slot], self._last[slot] = generation, 0
        return True

    def count(self, new: Sequence[rows.Row], changing: Iterable[entries.AnyEntry]) -> None:
        """Move on by committed rows; `changing`: the entries among them that change the present state.

        A session's ids rise, and so do the places of a slot: the last ones are the highest.
        """
        turning = [entry for entry in changing if isinstance(entry, _TURNING)]
        start = 0
        for entry in turning:
            end = bisect_right(new, entry.seq, key=itemgetter(rows.SEQ))
            self._count(new[start:end])
            if not isinstance(entry, entries.Released):
                self._generations[entry.slot] = entry.generation
            elif entry.dead_slot in self._last:
                self._generations[entry.dead_slot], self._last[entry.dead_slot] = entry.generation, 0
            start = end
        self._count(new[start:] if start else new)

    def _count(self, new: Sequence[rows.Row]) -> None:
        highest, last, issued = self._highest, self._last, rows.ISSUED
        for _, _, kind, session, _, request, slot, n, _, _, _, _ in new:  # `rows.COLUMNS`
            last[slot] = n
            if kind in issued:
                highest[session] = request

    def take(self, seq: int) -> tuple[int, Iterator[Statement], list[Statement]]:
        """Return what keeps the counters as of `seq`, the last entry counted, and begin anew behind it.

        First how many statements, and which, that may be executed one by one, some earlier than others; then those that
        belong together.
        """
        highest, self._highest = self._highest, {}
        is_pruning = self._takings % _PRUNE_EVERY == 0
        count = len(highest) * (2 if is_pruning else 1)
        together: list[Statement] = [("DELETE FROM slots", ())]
        together += [("INSERT INTO slots VALUES (?, ?, ?)", (slot, *known)) for slot, known in self.slots().items()]
        together.append(("UPDATE meta SET counted_seq = ?", (seq,)))
        apart = _kept(highest, self.seq, seq, is_pruning=is_pruning)
        self.seq = seq
        self._takings += 1
        return count, apart, together


def _kept(highest: Mapping[int, int], after: int, upto: int, *, is_pruning: bool) -> Iterator[Statement]:
    """Yield the statements that keep how far sessions came between two entries, made as they are needed."""
    for session, request in highest.items():
        yield _KEEP_REQUEST, (session, request, after, upto)
        if is_pruning:
            yield _PRUNE_REQUESTS, (session, request - REPEATABLE)
