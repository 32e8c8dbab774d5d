"""What every process of the server does first and last, and how the supervisor talks to it.

A role runs in a spawned process, in the run directory (where the sockets between the processes are). It names itself,
leaves signals to the supervisor, and ends when the supervisor's end of its control pipe is gone, however that happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from msgspec import Struct
from setproctitle import setproctitle

from tessenger import error_log
from tessenger.config import Config
from tessenger.errors import TessengerError
from tessenger.server.control import Failed, FromRole, Ready, ToRole

LOGGER_SOCKET = "logger.sock"
"""Where the logger listens, in the run directory."""

ADMIN_SOCKET = "admin.sock"
"""Where it listens for administrators, there too."""

ERROR_LOG = "error.log"

MORE_FILES = "allow it more open files (ulimit -n, LimitNOFILE)"
"""What helps where a process has no descriptors left."""

SELDOM_SECONDS = 60.0
"""Where unexpected failures are kept, in the data directory, for whoever reports them."""

_log = logging.getLogger("tessenger")


def worker_socket(slot: int) -> str:
    """Where the worker of this slot takes accepted sockets."""
    return f"worker-{slot}.sock"


def manager_socket(epoch: int) -> str:
    """Where the keeper of the shared state listens."""
    return f"manager-{epoch}.sock"


class RoleContext(Struct, frozen=True):
    """What every role gets: the configuration, and the directory of the sockets between the processes.

    `steady_offset` (ms) makes of the monotonic clock, which all processes share, the server's steady one.
    """

    config: Config
    run_dir: str
    steady_offset: int = 0

    def steady_ms(self) -> int:
        """The time by which things end: Unix ms as of the server's start, and from there on by the monotonic clock.

        So nobody who sets the system's clock makes anything last longer or shorter.
        """
        return time.monotonic_ns() // 1_000_000 + self.steady_offset

    @property
    def data_dir(self) -> Path:
        """Where journal and logs are."""
        return Path(self.config.server.data_dir)

    @property
    def journal(self) -> Path:
        """Where the journal is."""
        return self.data_dir / "journal.db"


def unix_ms() -> int:
    """The time as it is stamped on entries: the wall clock, which may be set, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def steady_offset() -> int:
    """Return what makes the steady clock of a server that starts now show the time of day."""
    return unix_ms() - time.monotonic_ns() // 1_000_000


class Seldom:
    """Says whether something is to be said (again): once a minute at most."""

    def __init__(self) -> None:
        self._due = 0.0

    def is_due(self) -> bool:
        """Tell whether it is to be said now, and take it as said."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + SELDOM_SECONDS
        return True


def clear(path: str) -> None:
    """Take the socket of a process that died out of the way."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


def keep_errors(config: Config) -> None:
    """Write unexpected failures, with their tracebacks, to the error log and nowhere else."""
    error_log.keep(Path(config.server.data_dir) / ERROR_LOG, config.journal.error_log_bytes)


def run_role(title: str, context: RoleContext, control: Connection, work: Callable[[], None]) -> None:
    """Run `work` as a process of the server, and end the process with its outcome."""
    # A terminal and systemd send these to all processes at once; what they mean is the supervisor's to say.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.chdir(context.run_dir)
    setproctitle(f"tessenger: {title}")
    _let_others_finish()
    keep_errors(context.config)
    status = 0
    try:
        work()
    except TessengerError as problem:
        status = problem.exit_status
        _tell(control, Failed(f"{title}: {problem}", status))
    except Exception:  # noqa: BLE001 the last resort of a process: kept for the administrator, and the supervisor replaces it
        _log.exception("%s failed", title)
        status = 1
    sys.stdout.flush()
    logging.shutdown()
    # Threads that wait for a process that is gone must not keep this one: everything worth keeping is kept by now.
    os._exit(status)


def _let_others_finish() -> None:
    """Take no processor from a role that is at work when this one is woken, where the system knows of that (Linux).

    Where roles share a processor, each is woken by what another one writes. It would interrupt that one for a single
    message, which costs two changes of processes; a moment later there are more, and one change is enough.
    """
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(PermissionError):  # a container may forbid it; then each is interrupted, as usual
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Gone(Struct, frozen=True):
    """In the place of a message: nobody is at the other end any more."""


def heard(control: Connection) -> Any:  # noqa: ANN401 which messages can come is known where this is called
    """Return the next message of a control pipe, `Gone`, or None for one that cannot be decoded: it is passed over."""
    try:
        data = control.recv_bytes()
    except (EOFError, OSError):
        return Gone()
    try:
        return ForkingPickler.loads(data)
    except Exception:  # noqa: BLE001 what makes no sense to pickle raises whatever its bytes lead to
        _log.exception("a message on a control pipe cannot be decoded")
        return None


def _tell(control: Connection, message: FromRole) -> None:
    try:
        control.send(message)
    except OSError:
        _log.warning("the supervisor is gone; it does not hear %r", message)


class ControlPipe:
    """A role's end of its control pipe, on its event loop."""

    def __init__(self, control: Connection, heard: Callable[[ToRole], None], orphaned: Callable[[], None]) -> None:
        """Call `heard` with each message, and `orphaned` once when the supervisor is gone."""
        self._control = control
        self._heard = heard
        self._orphaned = orphaned
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control.fileno(), self._readable)

    def tell(self, message: FromRole) -> None:
        """Say something to the supervisor."""
        _tell(self._control, message)

    def ready(self) -> None:
        """Say that the work goes on from here."""
        self.tell(Ready())

    def _readable(self) -> None:
        message = heard(self._control)
        if isinstance(message, Gone):
            self._loop.remove_reader(self._control.fileno())
            self._orphaned()
        elif message is not None:
            self._heard(message)
