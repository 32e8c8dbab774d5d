"""How far a session has come: what was received, what was shown, and what the numbers belong to. Runs in the client.

A server whose journal was put back to an earlier state gives numbers again. Its welcome says how far the client's own
hold there; from then on what was received or shown above that says nothing. What has come is shown later than it comes:
so it is noted as of the *branch* that it came in, and of an earlier one nothing is noted any more.
"""

from __future__ import annotations

from collections.abc import Callable

from tessenger.client.position import Lineage, Position
from tessenger.client.seen import SeenReports
from tessenger.wire.messages import EndedRun, Welcome


class Progress:
    """That of one channel. `tell` tells the server what was shown, once in a while."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.received = 0
        """The number of the last event that has come in this run of the program."""
        self.branch = 0
        """Of which branch of the server's log numbers are: rises when it has gone back."""
        self._lineage = Lineage()
        self._position: Position | None = None
        self._seen = SeenReports(tell)
        self._is_over = False

    def keep(self, position: Position) -> None:
        """From here on keep in `position` what was shown; what it knows already counts."""
        self._position = position
        self._lineage = position.lineage

    @property
    def reached(self) -> int:
        """The number of the last event that was received, by this run of the program or an earlier one."""
        return max(self.received, self._position.seq if self._position is not None else 0)

    @property
    def run(self) -> str:
        """The name of the server's run, "" where it has none."""
        return self._lineage.run

    def fields(self) -> dict[str, str | list[EndedRun]]:
        """Return what `reached` belongs to, as the server is told of it."""
        return self._lineage.fields()

    def welcomed(self, welcome: Welcome) -> bool:
        """Go on from where the server does; tell whether that is behind what was reached."""
        reached = self.reached
        holds = min(reached, welcome.after)
        if not welcome.run:  # an older server: one that is behind has lost its past, and counts from there
            holds = reached if reached <= welcome.seq else 0
        self.received = min(self.received, holds)
        self._lineage = Lineage.of(welcome)
        if self._position is not None:
            self._position.go_on(self._lineage, holds)
        if holds == reached:
            return False
        self.branch += 1
        self._seen.go_back(holds)
        return True

    def came(self, seq: int) -> bool:
        """Note that this event has come; False for one that had come before: a resumed session may bring it again."""
        if seq <= self.received:
            return False
        self.received = seq
        return True

    def shown(self, seq: int, branch: int) -> None:
        """Everything up to `seq`, which came in this branch, was shown: the server and the file hear of it."""
        if branch != self.branch:
            return
        if self._position is not None:
            self._position.shown(seq)
        if not self._is_over:
            self._seen.shown(seq)

    def tell(self) -> None:
        """Tell the server, and the file, now."""
        self.save()
        self._seen.now()

    def save(self) -> None:
        """Tell the file now."""
        if self._position is not None:
            self._position.save()

    def end(self) -> None:
        """The session is over: the server hears no more."""
        self._is_over = True
        self._seen.stop()
        self.save()
