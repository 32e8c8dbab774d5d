"""What is only counted at first, and comes into its tables a few rows at a time: counters and targets. For the logger.

There are many rows for each thousand messages, at places all over the file. Written at once they would stall the logger
for two milliseconds, twice a second at 2,000 messages a second, and all messages that come meanwhile. So what has been
counted up to one entry is *taken*, and written in steps, each with a transaction that there is anyhow. The last step
moves `meta.counted_seq` there. Until then nobody relies on the rows: readers take no run behind that number, and what
rows of `requests` say is true, whichever of them are there. A logger that dies meanwhile counts anew from that
number; where it finds runs that are left behind it, it writes its own in their place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Self

from tessenger.chat.entries import AnyEntry
from tessenger.journal import targets
from tessenger.journal.counters import Counters, Statement, uncounted
from tessenger.journal.rows import Row
from tessenger.journal.targets import Run, Runs


class Counting:
    """What was counted, as of the last commit, and how much of it the tables have."""

    def __init__(self, counters: Counters, *, may_find_runs: bool = False) -> None:
        """Begin where `counters` began. `may_find_runs`: another process may have been in the middle of its steps."""
        self.upto = counters.seq
        """Up to which entry all of it is in the tables, or taken."""
        self.span = 0
        """Of how many entries that is which was taken last."""
        self._counters = counters
        self._runs = Runs()
        self._counted = counters.seq
        self._may_find_runs = may_find_runs
        self._taken: list[Statement | Run] = []
        self._end: list[Statement] = []
        self._done = self._doing = 0

    @classmethod
    def read(cls, db: sqlite3.Connection, behind: Sequence[Row]) -> Self:
        """Count what the tables do not have yet; `behind`: rows that go on behind those in the tables."""
        counting = cls(Counters.kept(db), may_find_runs=True)
        counting.count(*uncounted(db, counting.upto, behind))
        return counting

    def count(self, new: Sequence[Row], changing: Iterable[AnyEntry]) -> None:
        """Go on by committed rows; `changing`: the entries among them that change the present state."""
        self._counters.count(new, changing)
        self._runs.count(new)

    def seat(self, slot: int, generation: int) -> bool:
        """See `Counters.seat`."""
        return self._counters.seat(slot, generation)

    @property
    def taken(self) -> int:
        """How many rows were taken, those included that the tables have already."""
        return len(self._taken)

    @property
    def is_writing(self) -> bool:
        """Whether there is more of what was taken than the tables have."""
        return bool(self._end)

    def take(self, seq: int) -> None:
        """Take what was counted, which is up to `seq`, and begin anew behind it. What is taken already comes before."""
        if self._may_find_runs:
            self._taken += [(targets.FORGET_BEHIND, (target, self._counted)) for target in self._runs.targets]
            self._may_find_runs = False
        self._taken += self._runs.take()
        apart, self._end = self._counters.take(seq)
        self._taken += apart
        self.span = seq - self.upto
        self.upto = seq

    def write(self, db: sqlite3.Connection, most: int | None) -> bool:
        """Write some of what was taken, or all; tell whether that is the end of it. Call `written` after the commit.

        With a transaction that fails, all is as before.
        """
        end = len(self._taken) if most is None else min(self._done + most, len(self._taken))
        for each in self._taken[self._done : end]:
            db.execute(*((targets.INSERT, each.packed()) if type(each) is Run else each))
        if end == len(self._taken):
            for statement in self._end:
                db.execute(*statement)
        self._doing = end
        return end == len(self._taken)

    def written(self) -> None:
        """What the last call of `write` wrote is committed."""
        self._done = self._doing
        if self._done == len(self._taken):
            self._taken, self._end = [], []
            self._done = self._doing = 0
            self._counted = self.upto
