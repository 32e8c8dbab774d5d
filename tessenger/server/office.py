"""Everything that a worker must wait for, done on threads: claims, passwords, reads of the journal. Runs in workers.

Claims go to the manager over `multiprocessing.managers`, one connection for each thread. When the manager is replaced,
the worker first reports its open claims to the new one; a claim that fell between the two is made again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tessenger.chat.entries import AnyEntry
from tessenger.chat.ports import (
    ClaimRefused,
    ClaimResult,
    OpenClaim,
    Page,
    Question,
    SharedState,
    SignInResult,
    Unavailable,
    Worker,
)
from tessenger.errors import StateUnavailable
from tessenger.server import faults, manager
from tessenger.server.reading import ReadingThread
from tessenger.server.sign_ins import SignIns, WaitingLimits
from tessenger.state.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAIM_SECONDS = 4.0
"""How long a claim waits for a manager that is being replaced."""

AGAIN_SECONDS = 0.02
"""Pause between two attempts to reach the manager."""

MAX_ASKING = 256
"""Questions about the past that may wait for the thread that reads it; above it a worker answers that it is busy."""

_log = logging.getLogger("tessenger")
_Result = TypeVar("_Result")
_LOST = (OSError, EOFError, StateUnavailable)
"""What a call to a manager that dies, or is not there yet, raises."""


class SharedStateLink:
    """The way to the keeper of the shared state, whoever that is at the moment. Used from threads."""

    def __init__(self, worker: Worker, epoch: int) -> None:
        """Begin with the keeper of this epoch."""
        self._worker = worker
        self._changed = threading.Condition()
        self._epoch = self._newest = epoch
        self._state: SharedState | None = None
        self._calls = 0
        self._open: dict[int, OpenClaim] = {}

    def call(self, operation: Callable[[SharedState], _Result]) -> _Result | Unavailable:
        """Call an operation, on the next keeper where one dies under it."""
        return self._try(operation, None)

    def claim(
        self, operation: Callable[[SharedState], int | ClaimRefused], group: str, user: str
    ) -> int | ClaimRefused | Unavailable:
        """Make a claim and remember it until `settle`."""
        return self._try(operation, (group, user))

    def settle(self, number: int) -> None:
        """The claim's entry is committed, or was refused."""
        with self._changed:
            self._open.pop(number, None)

    def expect(self, epoch: int) -> None:
        """There is a keeper of this epoch, to be followed in a moment: reporting to an earlier one is of no use."""
        self._newest = epoch

    def follow(self, epoch: int) -> None:
        """Go over to the keeper of this epoch, and report to it. Blocks until that is done, or it is gone again."""
        with self._changed:
            self._state = None
            self._epoch = epoch
            # A claim that the last keeper granted may still be on its way to us: wait for what is under way.
            self._changed.wait_for(lambda: not self._calls, CLAIM_SECONDS)
            claims = list(self._open.values())
        deadline = time.monotonic() + CLAIM_SECONDS
        while self._newest == epoch and time.monotonic() < deadline:
            try:
                state = manager.connect(epoch)
                state.report(self._worker, claims)
            except _LOST:
                time.sleep(AGAIN_SECONDS)
            else:
                with self._changed:
                    if self._epoch == epoch:
                        self._state = state
                return

    def _try(
        self, operation: Callable[[SharedState], _Result], claimed: tuple[str, str] | None
    ) -> _Result | Unavailable:
        deadline = time.monotonic() + CLAIM_SECONDS
        while time.monotonic() < deadline:
            try:
                with self._call() as state:
                    result = operation(state)
                    if claimed is not None and isinstance(result, int):
                        with self._changed:
                            self._open[result] = OpenClaim(result, *claimed)
            except _LOST:
                time.sleep(AGAIN_SECONDS)
            else:
                return result
        return Unavailable()

    @contextmanager
    def _call(self) -> Iterator[SharedState]:
        """Count a call as under way, on the keeper of the moment."""
        with self._changed:
            self._calls += 1
            state, epoch = self._state, self._epoch
        try:
            if state is None:
                state = manager.connect(epoch)
                with self._changed:
                    if self._epoch == epoch:
                        self._state = state
            yield state
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()


class Office:
    """An implementation of `chat.ports.Office`: `then` is called on the worker's loop."""

    def __init__(
        self, worker: Worker, epoch: int, credentials: Credentials, journal: Path, block_seconds: float,
        waiting: WaitingLimits,
    ) -> None:  # fmt: skip
        """`epoch` is the manager's."""
        self._worker = worker
        self._state = SharedStateLink(worker, epoch)
        self.sign_ins = SignIns(worker, self._state, credentials, block_seconds, waiting)
        self._loop = asyncio.get_running_loop()
        self._claiming = ThreadPoolExecutor(1, "claims")
        self._reading = ReadingThread(journal, "journal")
        self._looking_back = ReadingThread(journal, "history")
        self._asking = 0
        self.applied: Callable[[], int] = lambda: 0
        """Tells up to which entry the worker knows the log."""
        self._following = ThreadPoolExecutor(1, "report")

    # ---- the port ----

    def sign_in(
        self, user: str, password: str, address: str, then: Callable[[SignInResult], None], is_gone: Callable[[], bool]
    ) -> None:
        """See `chat.ports.Office`."""
        self.sign_ins.sign_in(user, password, address, then, is_gone)

    def attach(self, then: Callable[[ClaimResult], None]) -> None:
        """See `chat.ports.Office`."""
        self._do(self._claiming, lambda: self._state.call(lambda state: state.attach()), then)

    def create_group(self, group: str, user: str, then: Callable[[ClaimResult], None]) -> None:
        """See `chat.ports.Office`."""

        def claim() -> ClaimResult:
            result = self._state.claim(lambda state: state.create_group(self._worker, group, user), group, "")
            faults.reach("worker.claimed")
            return result

        self._do(self._claiming, claim, then)

    def join_group(self, group: str, user: str, then: Callable[[ClaimResult], None]) -> None:
        """See `chat.ports.Office`."""

        def claim() -> ClaimResult:
            return self._state.claim(lambda state: state.join_group(self._worker, group, user), group, user)

        self._do(self._claiming, claim, then)

    def missed(self, user: str, after: int, upto: int, then: Callable[[list[int] | Unavailable], None]) -> None:
        """See `chat.ports.Office`."""
        self._reading.ask(lambda reader: reader.missed(user, after, upto), then, upto)

    def unread(
        self,
        user: str,
        after: int | None,
        upto: int,
        then: Callable[[list[int] | Unavailable], None],
        *,
        away: bool,
    ) -> None:
        """See `chat.ports.Office`."""
        self._reading.ask(lambda reader: reader.unread(user, after, upto, away=away), then, upto)

    def entries(
        self, numbers: Sequence[int], max_bytes: int, then: Callable[[list[AnyEntry] | Unavailable], None]
    ) -> None:
        """See `chat.ports.Office`."""
        self._reading.ask(lambda reader: reader.entries(numbers, max_bytes), then)

    def history(self, question: Question, then: Callable[[Page | Unavailable], None]) -> None:
        """See `chat.ports.Office`."""
        if self._asking >= MAX_ASKING:
            self._loop.call_soon(then, Unavailable())
            return
        self._asking += 1

        def done(page: Page | Unavailable) -> None:
            self._asking -= 1
            then(page)

        self._looking_back.ask(lambda reader: reader.history(question), done, self.applied())

    def answer(self, session: int, request: int, then: Callable[[AnyEntry | Unavailable | None], None]) -> None:
        """See `chat.ports.Office`."""
        self._reading.ask(lambda reader: reader.answer(session, request), then, self.applied())

    # ---- for the worker ----

    def settle(self, claim: int) -> None:
        """The entry of a claim is committed, or was refused."""
        self._state.settle(claim)

    def new_manager(self, epoch: int) -> None:
        """Report to the process that keeps the shared state from here on."""
        self._state.expect(epoch)
        self._following.submit(self._state.follow, epoch)

    # ---- on the threads ----

    def _do(
        self, threads: ThreadPoolExecutor, job: Callable[[], _Result], then: Callable[[_Result | Unavailable], None]
    ) -> None:
        """Run `job` on a thread, and `then` with its result on the loop."""

        def run() -> None:
            result: _Result | Unavailable
            try:
                result = job()
            except Exception:  # noqa: BLE001 kept in the error log; whoever asked must not wait for ever
                _log.exception("a job failed")
                result = Unavailable()
            self._loop.call_soon_threadsafe(then, result)

        threads.submit(run)
