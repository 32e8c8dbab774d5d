"""The shared state in a process of its own behind `multiprocessing.managers`, and claimants that race for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.managers import BaseManager
from typing import Any

from tessenger.chat.entries import AnyEntry
from tessenger.chat.ports import MayTry, SharedState, TryLater, Worker
from tessenger.chat.present import Snapshot
from tessenger.server.manager import OPERATIONS
from tessenger.state.memory import MemoryState, StateLimits

DEADLINE = 20.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        """Return Unix milliseconds."""
        return self.now

    def pass_time(self, ms: int) -> None:
        """Move on."""
        self.now += ms


class _Served(BaseManager):
    """Serves one `MemoryState`, its log and its clock, or finds them."""


class Keeper:
    """A keeper of the shared state as a test sees it: the port, and what the keeper learns beside it."""

    def __init__(self, port: SharedState, apply: Callable[[list[AnyEntry]], None], clock: Any) -> None:
        self.port = port
        self.apply = apply
        self.clock = clock


@contextmanager
def in_process(epoch: int, limits: StateLimits, snapshot: Snapshot | None, reporters: list[Worker]) -> Iterator[Keeper]:
    """Keep the state in this process."""
    clock = Clock()
    state = MemoryState(epoch, limits, snapshot, clock, reporters)
    yield Keeper(state, state.apply, clock)


@contextmanager
def in_own_process(
    epoch: int, limits: StateLimits, snapshot: Snapshot | None, reporters: list[Worker]
) -> Iterator[Keeper]:
    """Keep the state in a spawned process, with the operations that the server's manager exposes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_keep, args=(theirs, epoch, limits, snapshot, reporters))
    process.start()
    try:
        assert ours.poll(DEADLINE), "the keeper does not start"
        found = find(ours.recv())
        yield Keeper(found.state(), found.log().apply, found.clock())
    finally:
        ours.close()
        process.join(DEADLINE)
        if process.is_alive():
            process.kill()
            process.join()
        theirs.close()


class _Log:
    """What a keeper hears from the log: an object of its own, for a manager exposes each object once."""

    def __init__(self, state: MemoryState) -> None:
        self.apply = state.apply


def find(address: Any) -> Any:
    """Connect to a keeper in another process."""
    _Served.register("state", exposed=OPERATIONS)
    _Served.register("log", exposed=("apply",))
    _Served.register("clock", exposed=("pass_time", "__call__"))
    served = _Served(address, b"contract")
    served.connect()
    return served


def _keep(
    pipe: Connection, epoch: int, limits: StateLimits, snapshot: Snapshot | None, reporters: list[Worker]
) -> None:
    """Keep the state until the test's end of the pipe is closed; the entry point of the keeper's process."""
    import threading  # noqa: PLC0415  the test's own process needs none

    clock = Clock()
    state = MemoryState(epoch, limits, snapshot, clock, reporters)
    _Served.register("state", callable=lambda: state, exposed=OPERATIONS)
    log = _Log(state)
    _Served.register("log", callable=lambda: log, exposed=("apply",))
    _Served.register("clock", callable=lambda: clock, exposed=("pass_time", "__call__"))
    server: Any = _Served(("127.0.0.1", 0), b"contract").get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.address)
    pipe.poll(None)


def race(address: Any, slot: int, count: int, pipe: Connection) -> None:
    """Claim everything that others claim too, `count` times; the entry point of a claimant's process."""
    state: SharedState = find(address).state()
    worker = Worker(slot, 1)
    pipe.send("ready")
    pipe.recv()
    numbers: list[int] = []
    created: list[str] = []
    joined: list[str] = []
    looked_at = 0
    for n in range(count):
        numbers.append(state.attach())
        claim = state.create_group(worker, f"g{n}", "aaa")
        if isinstance(claim, int):
            numbers.append(claim)
            created.append(f"g{n}")
        claim = state.join_group(worker, "small", f"user-{slot}-{n}")
        if isinstance(claim, int):
            numbers.append(claim)
            joined.append(f"user-{slot}-{n}")
        begun = state.begin_attempt(worker, "victim", "127.0.0.1")
        if isinstance(begun, MayTry):
            looked_at += 1
            numbers.append(begun.attempt)
            state.attempt_failed(begun.attempt, "victim")
        else:
            assert isinstance(begun, TryLater) or begun.until
    pipe.send((numbers, created, joined, looked_at))
