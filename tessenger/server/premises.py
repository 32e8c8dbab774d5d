"""What must be in order before any process starts: data directory, lock, credentials, certificate, journal, socket.

Runs in the supervisor, once. Everything that can be wrong with the machine or the configuration is found here and said
in one line.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import resource
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tessenger.chat.entries import AnyEntry
from tessenger.chat.ledger import Ledger
from tessenger.config import Config, is_loopback
from tessenger.errors import CannotStart, ConfigError, CredentialsError
from tessenger.journal.store import SqliteJournal
from tessenger.server import listening, permissions, tls
from tessenger.server.roles import RoleContext, steady_offset, unix_ms
from tessenger.state.credentials import Credentials
from tessenger.undecodable import UNDECODABLE

LOCK_SECONDS = 3.0
"""How long to wait for the processes of a server that was killed to notice and end."""

SPARE_FILES = 1_280
"""Descriptors of a worker beyond those of its clients: its own, and 50 a second that are refused for up to 15 s."""


class Premises:
    """The data directory and the listening socket, held from `__enter__` to `__exit__`."""

    def __init__(self, config: Config, *, may_remove_all: bool = False) -> None:
        """Touch nothing yet. `may_remove_all`: the credentials may be without all the accounts that there are."""
        self._config = config
        self._may_remove_all = may_remove_all
        self._data_dir = Path(config.server.data_dir)
        self.run_dir = self._data_dir / "run"
        self.lock = -1
        self.epoch = 0
        self.warnings: list[str] = []
        """What the administrator should know of, though it is no reason not to start."""
        self.listening: list[socket.socket]
        self.credentials: Credentials
        self.accounts_changed: list[AnyEntry] = []
        """What the credentials led to in the log."""

    def __enter__(self) -> Self:
        """Check and take everything. Raises `CannotStart`, `ConfigError` or `CredentialsError`."""
        os.umask(0o077)
        credentials = Path(self._config.server.credentials)
        self.credentials = Credentials.load(credentials)
        self._refuse_demonstration_users_beyond_loopback()
        self._make_data_dir()
        self.warnings = [*permissions.check(credentials), *permissions.check(self._data_dir)]
        permissions.refuse_links(self._data_dir)
        self._take_lock()
        try:
            self._prepare()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing behind but the data."""
        self.stop_listening()
        self._leave()

    @property
    def address(self) -> str:
        """Where the server listens, with the real port."""
        return listening.shown(self.listening)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return all(map(is_loopback, self._config.server.hosts))

    def stop_listening(self) -> None:
        """Take no more connections."""
        for each in self.listening:
            each.close()

    def _refuse_demonstration_users_beyond_loopback(self) -> None:
        if self.credentials.has_demonstration_users() and not self.on_loopback:
            raise ConfigError(
                f"{self._config.server.credentials} has the demonstration users, whose passwords everybody knows: "
                f"with them the server listens on loopback only, not on {', '.join(self._config.server.hosts)}. "
                "Remove them, and add your own with 'tessenger-server users add NAME'."
            )

    def _make_data_dir(self) -> None:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise CannotStart(f"the data directory {self._data_dir} is no directory") from None
        except OSError as problem:
            raise CannotStart(f"cannot make the data directory {self._data_dir}: {problem.strerror}") from problem

    def _take_lock(self) -> None:
        """Make sure that no other server uses this data directory, not even the remains of one that was killed."""
        path = self._data_dir / "lock"
        try:
            self.lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as problem:
            raise CannotStart(f"cannot write in the data directory {self._data_dir}: {problem.strerror}") from problem
        deadline = time.monotonic() + LOCK_SECONDS
        while not self._locked():
            owner = os.pread(self.lock, 32, 0).decode(errors="replace").strip()
            if _runs(owner) or time.monotonic() > deadline:
                os.close(self.lock)
                raise CannotStart(f"another server (process {owner}) uses the data directory {self._data_dir}")
            time.sleep(0.05)
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, f"{os.getpid()}\n".encode(), 0)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _prepare(self) -> None:
        config = self._config
        shutil.rmtree(self.run_dir, ignore_errors=True)
        self.run_dir.mkdir(mode=0o700)
        if config.server.tls:
            tls.ensure_certificate(self._data_dir, datetime.datetime.now(datetime.UTC))
            tls.server_context(self._data_dir)
        journal = SqliteJournal(
            RoleContext(config, str(self.run_dir)).journal, config.journal.durability, config.journal.wal_bytes
        )
        with contextlib.closing(journal):
            self.steady_offset = steady_offset()
            self.epoch = journal.begin_epoch(unix_ms(), round(config.sessions.grace_seconds * 1000))
            self._keep_accounts(journal)
        _allow_files(config.limits.connections + SPARE_FILES)
        self.listening = listening.listen(config.server.hosts, config.server.port)

    def _keep_accounts(self, journal: SqliteJournal) -> None:
        """Have it in the log who has an account, before anybody can sign in."""
        ledger = Ledger(journal.load(), 0)
        known = [account.user for account in ledger.present.accounts.values()]
        is_meant = self._may_remove_all and self.credentials.names
        if not is_meant and not self.credentials.has_some_of(known):
            raise CredentialsError(wrong_credentials(self._config, known))
        self.accounts_changed = ledger.set_accounts(self.credentials.accounts, unix_ms())
        journal.commit(self.accounts_changed)

    def _leave(self) -> None:
        shutil.rmtree(self.run_dir, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.ftruncate(self.lock, 0)
            os.close(self.lock)


def wrong_credentials(config: Config, known: Iterable[str]) -> str:
    """Say that the credentials have none of the accounts that are known, which is hardly meant."""
    first = sorted(known)
    shown = ", ".join(first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
    return (
        f"{config.server.credentials} has none of the accounts that there are ({shown}): all of them would be removed "
        "for good. Where that is meant, start the server once with --remove-accounts."
    )


def _runs(owner: str) -> bool:
    """Tell whether the process with this number is there."""
    try:
        os.kill(int(owner), 0)
    except (ProcessLookupError, *UNDECODABLE):
        return False
    except PermissionError:
        return True
    return True


def _allow_files(count: int) -> None:
    """Allow this process and its children as many descriptors as the connections need, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(count, hard) if hard != resource.RLIM_INFINITY else count)
    with contextlib.suppress(ValueError, OSError):  # not allowed: connections beyond are refused when they come
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
