"""Checkpoints of the journal from a thread of the logger's, over a connection of its own.

A checkpoint copies committed pages from the write-ahead file into the journal and syncs both, which takes 10 ms and
more. A passive one holds up neither the logger nor a reader, but for the processor that it takes; and what is copied
seldom is copied once, however often it changed. So each second the write-ahead file is only synced, that a power cut
takes no more than that, and copied when there is much in it, or after some time. It is not left to become more: what
shares the processor with the thread waits for as long as the copying takes.

When a checkpoint got everything and nobody reads, the next commit begins the write-ahead file anew; under unbroken load
that does not happen. So when half of what the file may have is reached, the thread copies until little is left, and the
store, which commits, does the rest in between (`may_restart`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from tessenger.journal import schema

INTERVAL = 1.0
"""Seconds between two syncs."""

LOOKS = 8
"""How often in that time it looks whether there is much to copy, where that takes long."""

LONG = 1_048_576
"""Bytes that take some milliseconds. Less is not copied more often, for the store cannot shorten the file meanwhile."""

TURNS = 10
"""Syncs to one checkpoint, at most."""

MUCH = 8
"""A checkpoint comes sooner when an eighth of what the write-ahead file may have was written since the last one."""

to_disk: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""Wait until the disk has a file's data; not every system can do without the rest."""


class Checkpointer:
    """The thread; `start` and `stop` it once."""

    def __init__(
        self, path: Path, wal_bytes: int, interval: float = INTERVAL, written: Callable[[], int] = lambda: 0
    ) -> None:
        """Make ready for the journal at `path`, which exists. Starts nothing yet.

        `written` returns about how many bytes came into the write-ahead file so far. It is called on the thread.
        """
        self._path = path
        self._wal = Path(f"{path}-wal")
        self._written = written
        self._much = wal_bytes // MUCH
        self._enough = wal_bytes // 2
        self._is_copied = threading.Event()
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the checkpoint that is under way."""
        self._stopping.set()
        self._thread.join()

    def may_restart(self) -> bool:
        """Tell, once, that the write-ahead file is long enough to begin anew, and has just been copied."""
        if not self._is_copied.is_set():
            return False
        self._is_copied.clear()
        return True

    def _run(self) -> None:
        db = sqlite3.connect(self._path, timeout=schema.BUSY_SECONDS, isolation_level=None)
        (page,) = db.execute("PRAGMA page_size").fetchone()
        often = LOOKS if self._much >= LONG else 1
        looks = copied = 0
        try:
            while not self._stopping.wait(self._interval / often):
                looks += 1
                written = self._written()
                try:
                    if looks < TURNS * often and written - copied < self._much:
                        if looks % often == 0:
                            self._sync()
                        continue
                    looks, copied = 0, written
                    busy, pages, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    if not busy and pages * page > self._enough:
                        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # what came meanwhile: much less
                        self._is_copied.set()
                except (sqlite3.OperationalError, OSError):
                    # No room, or somebody else's checkpoint: what is committed is safe in the write-ahead file. A later
                    # turn tries again; a disk that stays broken is reported by the commits.
                    continue
        finally:
            db.close()

    def _sync(self) -> None:
        """Let the disk have what is in the write-ahead file."""
        descriptor = os.open(self._wal, os.O_RDONLY)
        try:
            to_disk(descriptor)
        finally:
            os.close(descriptor)
