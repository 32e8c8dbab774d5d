"""What a client's number of the log means to this server: runs, and where two logs part. Pure; lives in workers.

Each start of a server on a journal begins a *run*, which has a name of its own. Where a backup is put back, the log
goes on from an earlier number and gives numbers again that people have seen with something else behind them. So a
number means something only together with the runs that led to it: a client keeps those that its last welcome named, and
two logs are the same up to where the newest run that both have ended for the one or for the other. PostgreSQL tells its
timelines apart in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from tessenger.wire.messages import MAX_RUNS, EndedRun, Login, Resume


class Run(Struct, frozen=True):
    """A run of the server: its entries begin behind number `after`."""

    name: str
    after: int


class Runs:
    """The runs that the journal has seen."""

    def __init__(self, runs: Sequence[Run] = ()) -> None:
        """`runs`: in order, the last of them is the present one."""
        self.current = runs[-1].name if runs else ""
        """The name of the present one, "" for none."""
        self._ends = {run.name: following.after for run, following in pairwise(runs)}
        self.ended: list[EndedRun] = list(self._ends.items())[-MAX_RUNS:]
        """Those before it that clients are told of, in order: each with the number that it ended at."""

    def common(self, client: Login | Resume, last: int) -> int | None:
        """Return the number up to which this log, which has come to `last`, is the one that the client knows.

        That is its own number where nothing was lost. None: it has none, or nothing tells what it means here.
        """
        if client.after is None:
            return None
        if not client.run:  # of an older program, or kept by one
            return client.after if client.after <= last else None
        for run, upto in ((client.run, client.after), *reversed(client.runs)):
            if run == self.current:
                return min(client.after, upto, last)
            if run in self._ends:
                return min(client.after, upto, self._ends[run])
        return None
