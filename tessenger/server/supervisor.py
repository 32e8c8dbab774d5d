"""The main process: starts every other one, watches them, replaces those that die, and stops them in good order.

Signal handlers do nothing but wake the one loop, which acts. It waits for the death of a child (its sentinel), for what
children say (their control pipes), and for signals.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, TextIO

from msgspec import structs
from setproctitle import setproctitle

from tessenger import early_signals
from tessenger.chat.lines import console_lines
from tessenger.chat.ports import Worker
from tessenger.config import Config
from tessenger.errors import CannotStart, TessengerError
from tessenger.server import acceptor, control, faults, logger, manager, roles, worker
from tessenger.server.child import Child, Entry
from tessenger.server.premises import Premises, wrong_credentials
from tessenger.server.reloading import Reloading
from tessenger.standard_streams import Writer
from tessenger.state.credentials import Credentials

START_SECONDS = 30.0
"""How long all processes may take to be ready."""

STOP_SECONDS = 4.0
"""How long the whole server may take to stop; what is left then is killed."""

WORKERS_STOP_SECONDS = 2.5
"""How much of that the workers may take."""

MAX_FALSE_STARTS = 5
"""How often in a row a process may die before it is ready; then the server gives up."""

EPOCHS_PER_START = 4_096
"""Managers of one run of the server; numbers claimed from them rise over all runs."""

GENERATIONS_PER_START = 1_000_000
"""Worker processes of one run of the server."""

_log = logging.getLogger("tessenger")


class Supervisor:
    """The server as a whole."""

    def __init__(self, config: Config, reload: Callable[[], Config], premises: Premises) -> None:
        """`premises`: data directory, lock, socket. `reload` reads the configuration again."""
        self._config = config
        self._read_config = reload
        self._premises = premises
        self._credentials = premises.credentials
        self._context = multiprocessing.get_context("spawn")
        self._epoch = premises.epoch * EPOCHS_PER_START
        self._generation = premises.epoch * GENERATIONS_PER_START
        self._logger = Child("logger", logger.main)
        self._manager = Child("manager", manager.main)
        self._acceptor = Child("acceptor", acceptor.main)
        self._workers = {slot: Child(f"worker {slot}", worker.main) for slot in range(1, config.server.workers + 1)}
        self._reloading = Reloading(control.Accounts(0, premises.credentials.accounts), self._logger)
        self._reload_again = False
        self._when_reloaded = ""
        self._without_account: list[str] = []
        self._seats: dict[int, Worker] = {}
        self._unreleased: list[Worker] = []
        self._signals: list[int] = []
        self._problem: TessengerError | None = None
        self._announced = False

    def run(self) -> int:
        """Serve until a signal says stop, or something cannot be mended. Returns the exit status."""
        setproctitle(f"tessenger: server {self._premises.address}")
        wake, self._wake = socket.socketpair()
        with wake, self._wake:
            self._wake.setblocking(False)
            signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
            for number in early_signals.SIGNALS:
                signal.signal(number, lambda number, _: self._signals.append(number))
            self._signals += early_signals.hangups
            for warning in self._premises.warnings:
                _say(warning)
            self._show_accounts_changed()
            for child in self._children:
                self._start(child)
            deadline = time.monotonic() + START_SECONDS
            while self._goes_on():
                self._turn(wake)
                if not self._announced and time.monotonic() > deadline:
                    self._problem = CannotStart(f"not ready after {START_SECONDS:.0f} seconds: {self._unready}")
            self._stop()
            signal.set_wakeup_fd(-1)
        if self._problem is not None:
            raise self._problem
        return 0

    @property
    def _children(self) -> list[Child]:
        return [self._logger, self._manager, *self._workers.values(), self._acceptor]

    @property
    def _unready(self) -> str:
        return ", ".join(child.name for child in self._children if not child.ready)

    # ---- the loop ----

    def _goes_on(self) -> bool:
        while self._signals:
            if self._signals.pop(0) != signal.SIGHUP:
                return False
            self._reload_again = True
        self._reloading.go_on(time.monotonic())
        if self._reload_again and not self._reloading.is_under_way:
            self._reload_again = False
            self._reload()
        return self._problem is None

    def _turn(self, wake: socket.socket) -> None:
        """Wait for something to happen, and act on it."""
        pipes = {child.pipe: child for child in self._children if child.pipe is not None}
        sentinels = {child.process.sentinel: child for child in self._children if child.process is not None}
        late = [child for child in self._children if child.process is None]
        timeout = max(0.0, min(child.due for child in late) - time.monotonic()) if late else 1.0
        for happened in wait([*pipes, *sentinels, wake], timeout):
            if happened is wake:
                wake.recv(4096)
            elif isinstance(happened, Connection):
                self._hear(pipes[happened])
            elif isinstance(happened, int):
                self._died(sentinels[happened])
        for child in late:
            if child.due <= time.monotonic() and self._problem is None:
                self._start(child)

    def _hear(self, child: Child) -> None:
        """Take what a child says."""
        assert child.pipe is not None  # it is what became readable
        match roles.heard(child.pipe):
            case roles.Gone():  # it is dying, which its sentinel will tell
                child.pipe.close()
                child.pipe = None
            case control.Ready():
                self._is_ready(child)
            case control.Failed(reason, status):
                self._problem = CannotStart(reason)
                self._problem.exit_status = status
            case control.Notice(text):
                _say(f"{child.name}: {text}")
            case control.ReleasedWorker(released):
                if released in self._unreleased:
                    self._unreleased.remove(released)
            case control.Reloaded(number, without):
                if child is self._logger:
                    self._accounts_kept(number, without)
                elif number > self._reloading.accounts.number:
                    self._reloading.worker_has(child)

    # ---- starting and replacing ----

    def _start(self, child: Child) -> None:
        """Start a process for a role."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_begin,
            args=(child.entry, DupFd(self._premises.lock), self._role_context(), theirs, *self._arguments(child)),
            name=child.name,
            daemon=True,
        )
        # Its mask is inherited: what a signal to all processes means is the supervisor's to say.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, early_signals.SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        child.process, child.pipe, child.ready = process, ours, False

    def _role_context(self) -> roles.RoleContext:
        return roles.RoleContext(self._config, str(self._premises.run_dir), self._premises.steady_offset)

    def _arguments(self, child: Child) -> tuple[Any, ...]:
        """Return what this role is told beyond what all are."""
        if child is self._logger:
            return (self._reloading.accounts,)
        if child is self._manager:
            self._epoch += 1
            return self._epoch, [self._seats[slot] for slot, seat in self._workers.items() if seat.ready]
        if child is self._acceptor:
            return (self._premises.listening,)
        for slot, seat in self._workers.items():
            if child is seat:
                self._generation += 1
                self._seats[slot] = Worker(slot, self._generation)
                return self._seats[slot], self._epoch
        return ()

    def _is_ready(self, child: Child) -> None:
        child.ready = True
        child.false_starts = 0
        if child is self._logger:
            for dead in self._unreleased:
                child.tell(control.DeadWorker(dead))
        elif child is self._manager:
            for seat in self._workers.values():
                seat.tell(control.NewManager(self._epoch))
        if not self._announced and not self._unready:
            self._announced = True
            count = len(self._workers)
            _print(f"Listening on {self._premises.address} with {count} worker{'s' * (count != 1)}", sys.stdout)

    def _died(self, child: Child) -> None:
        """Replace a process that died, at once or, if it never was ready, after a while."""
        assert child.process is not None  # it is what died
        while child.pipe is not None and child.pipe.poll():
            self._hear(child)
        child.process.join()
        how = _ending(child.process.exitcode)
        child.process.close()
        child.process = None
        if child.pipe is not None:
            child.pipe.close()
            child.pipe = None
        self._reloading.worker_has(child)
        for slot, seat in self._workers.items():
            if seat is child and slot in self._seats:
                self._unreleased.append(self._seats[slot])
                self._logger.tell(control.DeadWorker(self._seats[slot]))
        if self._problem is not None:
            return
        if not child.ready:
            child.false_starts += 1
            if child.false_starts >= MAX_FALSE_STARTS:
                errors = Path(self._config.server.data_dir) / roles.ERROR_LOG
                self._problem = CannotStart(f"{child.name} cannot start ({how}); details may be in {errors}")
                return
        child.ready = False
        child.due = time.monotonic() + 0.1 * child.false_starts
        _say(f"{child.name} {how} and is replaced")
        faults.reach("supervisor.replacing")

    # ---- SIGHUP ----

    def _reload(self) -> None:
        """Read credentials and limits again; what is wrong with them is said, and changes nothing."""
        try:
            config = self._read_config()
            credentials = Credentials.load(Path(self._config.server.credentials))
        except TessengerError as problem:
            _say(f"nothing was reloaded: {problem}")
            return
        if credentials.has_demonstration_users() and not self._premises.on_loopback:
            _say("nothing was reloaded: the credentials have demonstration users, which are for loopback only")
            return
        if not credentials.has_some_of(self._credentials.names):
            _say(f"nothing was reloaded: {wrong_credentials(self._config, self._credentials.names.values())}")
            return
        changed = credentials.passwords_changed(self._credentials)
        self._credentials = credentials
        # Where it listens and what it keeps stays as it is until a restart; limits and the like change now.
        waiting = list(waiting_for_restart(self._config, config))
        self._config = _reloaded(self._config, config)
        self._when_reloaded = f"reloaded; a restart is needed for {', '.join(waiting)}" if waiting else "reloaded"
        accounts = control.Accounts(self._reloading.accounts.number + 1, credentials.accounts)
        message = control.Reload(self._config, accounts, changed)
        self._reloading.begin(message, self._workers.values(), (self._manager, self._acceptor), time.monotonic())

    def _accounts_kept(self, number: int, without: list[str]) -> None:
        """The log has the accounts that were read: from now on everybody signs in, or does not, as the file says."""
        if without != self._without_account:
            self._without_account = without
            for user in without:
                _say(f"the user {user} has no account: a group has that name")
        if self._reloading.logger_has(number):
            _say(self._when_reloaded)

    def _show_accounts_changed(self) -> None:
        """Show what the logger would have shown, had it run when the credentials were read."""
        for entry in self._premises.accounts_changed:
            for line in console_lines(entry, self._config.console.level):
                _print(line, sys.stdout)

    # ---- the end ----

    def _stop(self) -> None:
        """Stop accepting, let workers finish, then those they need, within `STOP_SECONDS`."""
        end = time.monotonic() + STOP_SECONDS
        self._premises.stop_listening()
        for children, seconds in (
            ([self._acceptor, *self._workers.values()], WORKERS_STOP_SECONDS),
            ([self._manager, self._logger], STOP_SECONDS),
        ):
            for child in children:
                child.tell(control.Stop())
            until = min(end, time.monotonic() + seconds)
            for child in children:
                if child.process is not None:
                    child.process.join(max(0.0, until - time.monotonic()))
                    if child.process.is_alive():
                        _log.warning("%s did not stop and was killed", child.name)
                        child.process.kill()
                        child.process.join()


def _begin(entry: Entry, lock: Any, context: roles.RoleContext, pipe: Connection, *arguments: Any) -> None:  # noqa: ANN401
    """Begin as a child: hold the data directory's lock too, so that no other server starts while this process lives."""
    lock.detach()
    entry(context, pipe, *arguments)


def _reloaded(old: Config, new: Config) -> Config:
    """Return `old` with those sections of `new` that can change while the server runs."""
    return structs.replace(old, auth=new.auth, limits=new.limits, messages=new.messages, console=new.console)


def waiting_for_restart(old: Config, new: Config) -> Iterator[str]:
    """Yield the keys of the server that have changed, and hold from the next start on."""
    for section in ("server", "journal", "sessions"):
        before, after = getattr(old, section), getattr(new, section)
        for key in before.__struct_fields__:
            if getattr(before, key) != getattr(after, key):
                yield f"{section}.{key}"


def _ending(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with status {exitcode}"


def _say(text: str) -> None:
    _print(f"tessenger-server: {text}", sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    Writer(stream)(text + "\n")  # nobody looks at it any more: no reason to stop serving


def run(config: Config, reload: Callable[[], Config], *, may_remove_all: bool = False) -> int:
    """Run the server until it is told to stop. Returns the exit status; raises `TessengerError` where it cannot.

    `may_remove_all`: the credentials may be without all the accounts that there are.
    """
    with Premises(config, may_remove_all=may_remove_all) as premises:
        roles.keep_errors(config)
        return Supervisor(config, reload, premises).run()
