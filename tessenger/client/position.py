"""How far someone has read, kept from one run of a program to the next, so that nothing is shown twice. In the client.

A file for each server and user, 0600, replaced in one step at most once a second: `SEQ FINGERPRINT RUN RUN:SEQ ...`.
The fingerprint is that of the server's key: a server that was set up anew counts from the beginning again, and has
another key. Behind it stand the runs of the server that the number belongs to (see `Lineage`), where it names any.
Whatever else the file holds counts as nothing: the server itself then says what was not shown, up to a second less
exactly.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from msgspec import Struct

from tessenger.client import kept_file
from tessenger.undecodable import UNDECODABLE
from tessenger.wire.messages import MAX_RUNS, EndedRun, Welcome
from tessenger.wire.names import is_name, key

_ODD = re.compile(r"[^0-9a-z.:_-]")
_RUN = re.compile(r"[0-9A-Za-z]{1,64}\Z")

MAX_NUMBER = 2**53
"""The largest sequence number there may be."""

SAVE_SECONDS = 1.0
"""How often, at most, the file is written. What comes after a longer silence is saved at once."""


class Lineage(Struct, frozen=True):
    """The server's run that gave a number, and those before it, each with the number that it ended at.

    The server named them when it said welcome, and is told them again with the number: where a backup was put back, it
    gives numbers a second time, and only the runs tell which are the same.
    """

    run: str = ""
    runs: tuple[EndedRun, ...] = ()

    @classmethod
    def of(cls, welcome: Welcome) -> Lineage:
        """Return what a welcome names; nothing, where that makes no sense or the server names none."""
        named = cls(welcome.run, tuple(welcome.runs[-MAX_RUNS:]))
        return named if named.is_sane else cls()

    @property
    def is_sane(self) -> bool:
        """Whether a server takes it."""
        ended = ((self.run, 0), *self.runs)
        return len(ended) <= MAX_RUNS + 1 and all(_RUN.match(run) and 0 <= upto <= MAX_NUMBER for run, upto in ended)

    def fields(self) -> dict[str, str | list[EndedRun]]:
        """Return it as `login` and `resume` have it."""
        return {"run": self.run, "runs": list(self.runs)}


class Position:
    """The number of the last event that was shown, and the runs that it belongs to; 0: none is known."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint or "-"
        self.seq, self.lineage = self._saved = self._load()
        self._timer: asyncio.TimerHandle | None = None

    def go_on(self, lineage: Lineage, upto: int) -> None:
        """From here on numbers are of this lineage; what was shown above `upto` is not in it."""
        self.seq, self.lineage = min(self.seq, upto), lineage

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

    @property
    def _is_saved(self) -> bool:
        return (self.seq, self.lineage) == self._saved

    def _write_once_a_second(self) -> None:
        if self._is_saved:
            self._timer = None
        else:
            self._timer = asyncio.get_running_loop().call_later(SAVE_SECONDS, self._write_once_a_second)
            self._write()

    def _load(self) -> tuple[int, Lineage]:
        try:
            seq, fingerprint, *runs = kept_file.read(self._path).decode("ascii").split()
            if fingerprint == self._fingerprint and 0 <= int(seq) <= MAX_NUMBER:
                return int(seq), _lineage(runs)
        except (OSError, *UNDECODABLE):  # none yet, or damaged
            pass
        return 0, Lineage()

    def _write(self) -> None:
        if self._is_saved:
            return
        self._saved = self.seq, self.lineage
        runs = [self.lineage.run, *(f"{run}:{upto}" for run, upto in self.lineage.runs)]
        line = " ".join([str(self.seq), self._fingerprint, *runs]).rstrip()
        kept_file.write(self._path, f"{line}\n".encode())  # a full disk is no reason to stop: the server knows it too


def _lineage(words: list[str]) -> Lineage:
    """Read the runs of the file. Raises `ValueError`."""
    if not words:
        return Lineage()
    ended = [word.partition(":") for word in words[1:]]
    lineage = Lineage(words[0], tuple((run, int(upto)) for run, _, upto in ended))
    if not lineage.is_sane:
        raise ValueError(words)
    return lineage


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
