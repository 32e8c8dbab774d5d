"""How far someone has read, kept from one run of a program to the next, so that nothing is shown twice. In the client.

A file for each server and user, 0600, replaced in one step at most once a second: `SEQ FINGERPRINT`. The fingerprint is
that of the server's key: a server that was set up anew counts from the beginning again, and has another key. Whatever
else the file holds counts as nothing: the server itself then says what was not shown, up to a second less exactly.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tessenger.client import kept_file
from tessenger.wire.names import is_name, key

_ODD = re.compile(r"[^0-9a-z.:_-]")

SAVE_SECONDS = 1.0
"""How often, at most, the file is written. What comes after a longer silence is saved at once."""


class Position:
    """The number of the last event that was shown; 0: none is known."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint or "-"
        self.seq = self._saved = self._load()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, server_seq: int) -> None:
        """Someone has signed in at a server that has come to `server_seq`; one that is behind has lost its past."""
        if server_seq < self.seq:
            self.seq = 0

    def shown(self, seq: int) -> None:
        """Everything up to `seq` was shown."""
        self.seq = max(self.seq, seq)
        if self._timer is None:
            self._write_once_a_second()

    def save(self) -> None:
        """Write it now, if there is news, and nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()

    def _write_once_a_second(self) -> None:
        if self.seq == self._saved:
            self._timer = None
        else:
            self._timer = asyncio.get_running_loop().call_later(SAVE_SECONDS, self._write_once_a_second)
            self._write()

    def _load(self) -> int:
        try:
            seq, _, fingerprint = self._path.read_text("ascii").strip().partition(" ")
            return int(seq) if fingerprint == self._fingerprint and 0 <= int(seq) <= 2**53 else 0
        except (OSError, ValueError):  # none yet, or damaged
            return 0

    def _write(self) -> None:
        if self.seq == self._saved:
            return
        self._saved = self.seq
        # A full or read-only disk is no reason to stop talking: the server knows it too.
        kept_file.write(self._path, f"{self.seq} {self._fingerprint}\n".encode())


class Positions:
    """All positions that are kept in a state folder for one server (host:port)."""

    def __init__(self, state_dir: Path, server: str) -> None:
        self._state_dir = state_dir
        self._server = server

    def of(self, user: str, fingerprint: str) -> Position | None:
        """Return that of a user; None for a name that cannot be one."""
        path = position_path(self._state_dir, self._server, user)
        return Position(path, fingerprint) if path is not None else None


def position_path(state_dir: Path, server: str, user: str) -> Path | None:
    """Return where the position of `user` at `server` (host:port) is kept; None for a name that cannot be one."""
    return state_dir / "shown" / account_name(server, user) if is_name(user) else None


def account_name(server: str, user: str) -> str:
    """Return what a file about `user` at `server` (host:port) is called."""
    return f"{_ODD.sub('_', server.lower())} {key(user)}"
