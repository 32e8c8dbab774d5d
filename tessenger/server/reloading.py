"""How what was read on SIGHUP comes to all processes: in two steps. Runs in the supervisor.

The workers, who check passwords, are told first. When none of them goes by the earlier credentials any more, the logger
is told, which has it in the log who has an account. So when a name is somebody else's there, the password of the one
before is good nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from tessenger.server import control
from tessenger.server.child import Child

WORKERS_SECONDS = 5.0
"""How long the logger waits for the workers. One that is stopped for longer does not keep an account there."""


class Reloading:
    """One after the other: `begin` when nothing is under way."""

    def __init__(self, accounts: control.Accounts, logger: Child) -> None:
        """`accounts`: of the start."""
        self.accounts = accounts
        """Those that the logger has been told of, and a next one begins with."""
        self._logger = logger
        self._message: control.Reload | None = None
        self._waits_for: set[Child] = set()
        self._deadline = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether the last one has not ended yet."""
        return self._message is not None

    def begin(self, message: control.Reload, workers: Iterable[Child], others: Iterable[Child], now: float) -> None:
        """Tell everybody but the logger. `now` is by a monotonic clock, in seconds."""
        self._message = message
        self._waits_for = {worker for worker in workers if worker.pipe is not None}
        self._deadline = now + WORKERS_SECONDS
        for child in (*self._waits_for, *others):
            child.tell(message)

    def worker_has(self, worker: Child) -> None:
        """A worker goes by what was read, or has died: its successor begins with that."""
        self._waits_for.discard(worker)

    def go_on(self, now: float) -> None:
        """Tell the logger, if it is time."""
        message = self._message
        is_told = message is None or message.accounts.number == self.accounts.number
        if message is not None and not is_told and (not self._waits_for or now >= self._deadline):
            self.accounts = message.accounts
            self._logger.tell(message)

    def logger_has(self, number: int) -> bool:
        """The log has the accounts of this number; tell whether that ends what is under way."""
        if self._message is None or number != self._message.accounts.number:
            return False
        self._message = None
        return True
