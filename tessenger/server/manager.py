"""The manager process: keeps the shared state behind `multiprocessing.managers`, one object of whole operations.

It follows the log, to learn what came of the claims that it granted. Each caller's connection is served by a thread of
its own, so a call that waits holds nobody else up.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing import current_process
from multiprocessing.connection import Connection
from multiprocessing.managers import BaseManager
from typing import Any

from tessenger.chat.ports import AttemptFailed, ClaimRefused, IsBlocked, MayTry, SharedState, TryLater, Worker
from tessenger.config import Config
from tessenger.errors import WireError
from tessenger.journal.reader import SqliteReader
from tessenger.server import control, faults, frames, roles
from tessenger.state.memory import MemoryState, StateLimits

AGAIN_SECONDS = 0.02
"""Pause between two attempts to reach the logger."""

_log = logging.getLogger("tessenger")

OPERATIONS = (
    "begin_attempt", "attempt_failed", "attempt_succeeded", "begin_attempts", "end_attempts",
    "attach", "create_group", "join_group", "report",
)  # fmt: skip
"""What of the shared state can be called from other processes."""


class StateManager(BaseManager):
    """Serves the shared state, and finds it: `connect()`, then `state()`."""


class KeptState(MemoryState):
    """The shared state as this process keeps it; a test can strike between a decision and its answer."""

    def begin_attempt(self, worker: Worker, user: str, address: str) -> MayTry | TryLater | IsBlocked:
        """See `SharedState`."""
        begun = super().begin_attempt(worker, user, address)
        faults.reach("manager.attempt_begun")
        return begun

    def attempt_failed(self, attempt: int, user: str) -> AttemptFailed:
        """See `SharedState`."""
        failed = super().attempt_failed(attempt, user)
        faults.reach("manager.attempt_failed")
        return failed

    def create_group(self, worker: Worker, group: str, user: str) -> int | ClaimRefused:
        """See `SharedState`."""
        result = super().create_group(worker, group, user)
        faults.reach("manager.granted")
        return result


def connect(epoch: int) -> SharedState:
    """Return the shared state of the keeper of this `epoch`. Raises `OSError` while it is not there."""

    class Finder(BaseManager):
        """A manager that only connects."""

    Finder.register("state", exposed=OPERATIONS)
    finder = Finder(roles.manager_socket(epoch), current_process().authkey)
    finder.connect()
    state: SharedState = finder.state()  # type: ignore[attr-defined]  # made by `register`
    return state


def limits_of(config: Config) -> StateLimits:
    """Return what of the configuration the shared state needs."""
    return StateLimits(
        max_attempts=config.auth.max_attempts,
        block_ms=round(config.auth.block_seconds * 1000),
        logins_per_second=config.limits.logins_per_second,
        group_members=config.limits.group_members,
        groups_per_user=config.limits.groups_per_user,
        groups_per_minute=config.limits.groups_per_minute,
    )


def follow(epoch: int, state: MemoryState) -> None:
    """Apply to `state` what the logger commits, for ever. Runs on a thread."""
    while True:
        reader = frames.from_logger()
        try:
            with socket.socket(socket.AF_UNIX) as feed:
                feed.connect(roles.LOGGER_SOCKET)
                feed.sendall(frames.encode(frames.Follow(0, epoch, state.seq)))
                while data := feed.recv(1 << 18):
                    for frame in reader.feed(data):
                        if isinstance(frame, frames.Feed):
                            state.apply(frame.batch)  # type: ignore[arg-type]  # slot 0 is fed entries alone
        except WireError:
            _log.exception("the logger sent what is no frame")
            time.sleep(AGAIN_SECONDS)
        except OSError:  # the logger is being replaced
            time.sleep(AGAIN_SECONDS)


def obey(pipe: Connection, state: MemoryState, stop: Callable[[], None]) -> None:
    """Do what the supervisor says. Runs on a thread."""
    while True:
        message = roles.heard(pipe)
        if isinstance(message, control.Stop | roles.Gone):
            stop()
            return
        if isinstance(message, control.Reload):
            state.reload(limits_of(message.config))


def _for_ever(work: Callable[..., None], *arguments: object) -> None:
    """Do what the process cannot do without: where that fails, it ends, and is replaced."""
    try:
        work(*arguments)
    except Exception:  # noqa: BLE001 kept in the error log
        _log.exception("the manager failed")
        logging.shutdown()
        os._exit(1)


def main(context: roles.RoleContext, pipe: Connection, epoch: int, reporters: list[Worker]) -> None:
    """Keep the shared state; the entry point of its process."""

    def work() -> None:
        with closing(SqliteReader(context.journal)) as reader:
            snapshot = reader.snapshot()
        state = KeptState(epoch, limits_of(context.config), snapshot, context.steady_ms, reporters)
        StateManager.register("state", callable=lambda: state, exposed=OPERATIONS)
        server: Any = StateManager(roles.manager_socket(epoch), current_process().authkey).get_server()
        stop = threading.Event()
        for target, arguments in (
            (follow, (epoch, state)),
            (obey, (pipe, state, stop.set)),
            (server.serve_forever, ()),
        ):
            threading.Thread(target=_for_ever, args=(target, *arguments), daemon=True).start()
        pipe.send(control.Ready())
        stop.wait()

    roles.run_role("manager", context, pipe, work)
