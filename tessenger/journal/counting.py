"""What is only counted at first, and comes into its tables a few rows at a time: counters and targets. For the logger.

There are many rows for each thousand messages. Made and written at once, and what they were made of let go, they would
stall the logger for some milliseconds, and all messages that come meanwhile. So what has been counted up to one entry
is *taken*, and made and written in steps, each in a small transaction, or in one that there is anyhow. The last step
moves `meta.counted_seq` there. Until then nobody relies on the rows: readers take no run behind that number, and what
rows of `requests` say is true, whichever of them are there. A logger that dies meanwhile counts anew from that
number; where it finds runs that are left behind it, it writes its own in their place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Self

from tessenger.chat.entries import AnyEntry
from tessenger.journal import targets
from tessenger.journal.counters import Counters, Statement, uncounted
from tessenger.journal.rows import Row
from tessenger.journal.targets import Runs


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
        self.taken = 0
        """How many rows were taken, those included that the tables have already."""
        self._left: Iterator[Statement] = iter(())  # of what was taken
        self._step: list[Statement] = []  # what came from there, and is not committed yet
        self._end: list[Statement] = []
        self._done = 0

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
    def is_writing(self) -> bool:
        """Whether there is more of what was taken than the tables have."""
        return bool(self._end)

    def take(self, seq: int) -> None:
        """Take what was counted, which is up to `seq`, and begin anew behind it. What is taken already comes before."""
        runs, self._runs = self._runs, Runs()
        forgetting: list[Statement] = []
        if self._may_find_runs:
            forgetting = [(targets.FORGET_BEHIND, (target, self._counted)) for target in runs.targets]
            self._may_find_runs = False
        count, counters, self._end = self._counters.take(seq)
        self.taken += len(forgetting) + len(runs) + count
        inserting = ((targets.INSERT, row) for row in runs.rows())
        self._left = chain(self._left, forgetting, inserting, counters)
        self.span = seq - self.upto
        self.upto = seq

    def write(self, db: sqlite3.Connection, most: int | None) -> bool:
        """Write some of what was taken, or all; tell whether that is the end of it. Call `written` after the commit.

        With a transaction that fails, all is as before.
        """
        self._step += islice(self._left, None if most is None else max(0, most - len(self._step)))
        for statement in self._step:
            db.execute(*statement)
        is_end = self._done + len(self._step) == self.taken
        if is_end:
            for statement in self._end:
                db.execute(*statement)
        return is_end

    def written(self) -> None:
        """What the last call of `write` wrote is committed."""
        self._done += len(self._step)
        self._step.clear()
        if self._done == self.taken:
            self._left, self._end = iter(()), []
            self._done = self.taken = 0
            self._counted = self.upto
