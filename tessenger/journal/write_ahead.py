"""Keeps the write-ahead file small: it begins anew between two batches. For the logger."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from tessenger.journal import schema

WAL_BYTES = 67_108_864
"""Above this the write-ahead file is truncated between two batches."""

TRUNCATE_WAIT_MS = 20
"""How long truncating may wait for readers and for the checkpointer."""


class WriteAheadFile:
    """The file of one journal, as the process looks at it that commits."""

    def __init__(self, journal: Path, db: sqlite3.Connection, enough: int) -> None:
        """Keep it below about `enough` bytes."""
        self.may_restart: Callable[[], bool] = lambda: False
        """Tells, once, that the file is long, and that hardly anything in it is left to copy."""
        self.written = 0
        """About how many bytes came into it so far. The checkpointer's thread reads this."""
        self._db = db
        self._path = Path(f"{journal}-wal")
        self._enough = enough
        self._truncate_at = enough
        self._fd = -1

    def forget(self) -> None:
        """Truncate it as soon as possible: there is something in it that nobody may find any more."""
        self._truncate_at = 0

    def keep_small(self) -> None:
        """Begin it anew when it is too large; readers in the way make it wait for more growth.

        Where the checkpointer says when, that takes less than a millisecond: the file keeps its size, and is written
        from its beginning. Shortening it takes tens, for it is most of its pages that the system must let go.
        """
        if self.may_restart():
            self._checkpoint("RESTART", 0)
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY)
        size = os.fstat(self._fd).st_size
        if size <= self._truncate_at:
            return
        done = self._checkpoint("TRUNCATE", TRUNCATE_WAIT_MS)
        again = size + 1 if not self._truncate_at else size + self._enough // 4
        self._truncate_at = self._enough if done else again

    def close(self) -> None:
        """Look no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _checkpoint(self, mode: Literal["RESTART", "TRUNCATE"], wait_ms: int) -> bool:
        """Copy what is left, and begin the file anew; tell whether nobody was in the way for so long."""
        self._db.execute(f"PRAGMA busy_timeout = {wait_ms}")
        try:
            (busy, _, _) = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.OperationalError:
            return False  # no room in the main file either: the batch is safe where it is, and this is tried again
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {int(schema.BUSY_SECONDS * 1000)}")
        return not busy
