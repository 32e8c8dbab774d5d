"""The journal, as the logger writes it: SQLite with a write-ahead log, one transaction a batch.

What a commit means. A transaction is in the write-ahead file when `commit` returns, so it survives the death of any
process. With durability "power" the file is also on the disk by then (`synchronous=FULL`); with "process" the disk
has it some time later, and a power cut may take the last batches back, although clients have seen their numbers.

So with "process", numbers are reserved ahead: before a batch goes beyond `reserved_seq`, that is raised by a block, and
the raise is on the disk before the batch is committed. A clean close lowers it to the last number given. A server that
starts (`begin_epoch`) goes on behind `reserved_seq`: after a power cut, or when every process was killed, the numbers
jump by up to a block and none is ever given twice. A logger that is replaced under a running server goes on behind the
last entry, for no process's death takes a commit back. So numbers rise without gaps while a server runs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tessenger.chat.entries import AnyEntry, Redacted
from tessenger.chat.present import Snapshot
from tessenger.errors import JournalBusy, JournalError
from tessenger.journal import changes, rows, schema, targets
from tessenger.journal.counters import Counters

BLOCK = 1_000_000
"""Numbers reserved at a time: one fsync (some milliseconds) for as many messages."""

COUNT_EVERY = 1_000
"""Entries between two writings of the counters and of `targets`; what a reader looks through one by one, about."""

COUNT_BATCHES = 16
"""Batches between two of them, at least: where thousands come each second, each writing has more at a time."""

WAL_BYTES = 67_108_864
"""Above this the write-ahead file is truncated between two batches."""

SPARE_PAGES = 2_048
"""Free pages (of 4 KiB) that stay in the file, for what comes."""

_TRUNCATE_WAIT_MS = 20
"""How long truncating may wait for readers and for the checkpointer."""


class SqliteJournal:
    """Implements `chat.ports.Journal` over one SQLite file."""

    def __init__(self, path: Path, durability: Literal["process", "power"], wal_bytes: int = WAL_BYTES) -> None:
        """Open the journal at `path`, making it where there is none. Raises `JournalError`."""
        self._path = path
        self.may_restart: Callable[[], bool] = lambda: False
        """Tells, once, that the write-ahead file is long, and that hardly anything in it is left to copy."""
        self._wal = Path(f"{path}-wal")
        self._wal_file: int | None = None
        self._wal_bytes = wal_bytes
        self._truncate_at = wal_bytes
        self._reserving = durability == "process"
        self._db = schema.open_writer(path)
        self._synchronous = "NORMAL" if self._reserving else "FULL"
        self._db.execute(f"PRAGMA synchronous = {self._synchronous}")
        try:
            self._seq, _ = changes.read_last(self._db)
            self._counters = Counters.read(self._db)
            self._reserved, self._logged_seq = self._db.execute("SELECT reserved_seq, logged_seq FROM meta").fetchone()
        except sqlite3.Error as error:
            raise schema.explained(path, error) from error
        self._count_now = False
        self._logged_sizes: dict[str, int] = {}

    # ---- the port ----

    def load(self) -> Snapshot:
        """Return the present state as of the last commit."""
        try:
            return changes.read_snapshot(self._db)
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error

    def commit(self, batch: Sequence[AnyEntry]) -> None:
        """Keep `batch` and what it changes in one transaction. Raises `JournalBusy` when there is no room."""
        new = rows.to_rows(batch)
        changing = [entry for entry in batch if type(entry) in changes.CHANGES]
        if not new and not changing:
            return
        last = new[-1][0] if new else self._seq
        try:
            if self._reserving and last > self._reserved:
                self._reserve(last + BLOCK)
            self._transact(new, changing)
        except sqlite3.Error as error:
            raise self._rolled_back(error) from error
        if any(type(entry) is Redacted for entry in changing):
            self._truncate_at = 0  # at once: the write-ahead file still has what was blanked
        self._committed(new, changing, last)

    def entries_after(self, seq: int, limit: int) -> list[AnyEntry]:
        """Return at most `limit` entries behind `seq`, in order, as they were committed."""
        try:
            found = self._db.execute(f"{rows.SELECT} WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)).fetchall()
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error
        return [rows.from_row(row) for row in found]

    # ---- the life of a server ----

    def begin_epoch(self, now_ms: int, grace_ms: int) -> int:
        """Begin a server's run: return its epoch, one above the last. On the disk when this returns.

        Every stored session is detached until `now_ms` + `grace_ms`; no worker of an earlier server counts any more.
        """
        start = max(self._seq, self._reserved)
        with self._synced() as db:
            targets.fill(db, self._counters.seq, start)
            self._counters.write(db, start)
            db.execute("DELETE FROM slots")
            db.execute("UPDATE sessions SET detached_until = ?", (now_ms + grace_ms,))
            db.execute("UPDATE meta SET epoch = epoch + 1, start_seq = ?1, reserved_seq = ?1", (start,))
        self._seq = self._reserved = start
        self._counters = Counters(start)
        (epoch,) = self._db.execute("SELECT epoch FROM meta").fetchone()
        return int(epoch)

    def seat(self, slot: int, generation: int) -> None:
        """Note that a new process fills this worker's slot: what it appends is of this generation, `n` from 1.

        Call it when everything of the slot's earlier generation has been committed. Kept with the next commit.
        """
        self._count_now |= self._counters.seat(slot, generation)

    def close(self) -> None:
        """Keep what is still only counted, put everything on the disk, and leave one file behind.

        Where that fails (no room), the journal is as after a kill: nothing is lost, the next numbers jump.
        """
        try:
            with self._synced() as db:
                self._keep_counted(db)
                db.execute("UPDATE meta SET reserved_seq = ?", (self._seq,))
            self._db.execute(f"PRAGMA busy_timeout = {_TRUNCATE_WAIT_MS}")  # readers may be in the way
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (JournalBusy, JournalError, sqlite3.OperationalError):
            pass  # as documented: this was for the next start's comfort only
        finally:
            if self._wal_file is not None:
                os.close(self._wal_file)
            self._db.close()

    # ---- retention ----

    def prune(self, seqs: Sequence[int]) -> None:
        """Forget these entries, in one transaction. Raises `JournalBusy`."""
        with self._unsynced() as db:
            db.execute("BEGIN IMMEDIATE")
            numbers = [(seq,) for seq in seqs]
            targets.forget(db, numbers)
            db.executemany("DELETE FROM entries WHERE seq = ?", numbers)
            db.execute("COMMIT")

    def give_back(self, pages: int) -> bool:
        """Give at most so many free pages back to the file system, but for some to go on with; tell whether any were.

        Raises `JournalBusy`.
        """
        with self._unsynced() as db:
            (free,) = db.execute("PRAGMA freelist_count").fetchone()
            if free <= SPARE_PAGES:
                return False
            db.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        return True

    # ---- text logs ----

    @property
    def last_seq(self) -> int:
        """The number of the last committed entry."""
        return self._seq

    def logged(self) -> tuple[int, dict[str, int]]:
        """Return up to which entry the text logs are known to be written, and the size of each then, by file name."""
        sizes = dict(self._db.execute("SELECT name, size FROM text_logs").fetchall())
        return self._logged_seq, sizes | self._logged_sizes

    def note_logged(self, seq: int, sizes: Mapping[str, int]) -> None:
        """Note that the text logs have every entry up to `seq`; `sizes` of those that changed. Kept by a later commit.

        Several notes add up; the latest one of a file counts.
        """
        self._logged_seq = seq
        self._logged_sizes.update(sizes)

    def keep_logged(self) -> None:
        """Keep at once what was noted: a log is about to go on in another file. Raises `JournalBusy`."""
        with self._synced() as db:
            self._keep_counted(db)
        self._forget_counted()

    # ---- inside ----

    def _transact(self, new: list[rows.Row], changing: list[AnyEntry]) -> None:
        db = self._db
        if self._seq - self._counters.seq >= max(COUNT_EVERY, COUNT_BATCHES * len(new)):
            self._count_now = True
        if not self._count_now and not changing and len(new) <= rows.TOGETHER:
            rows.insert(db, new)  # a few messages, as most batches are: a statement is a transaction of its own
            return
        db.execute("BEGIN IMMEDIATE")
        if self._count_now:
            self._keep_counted(db)
        rows.insert(db, new)
        for entry in changing:
            changes.CHANGES[type(entry)](db, entry)
        db.execute("COMMIT")

    def _committed(self, new: Sequence[rows.Row], changing: Sequence[AnyEntry], last: int) -> None:
        if self._count_now:
            self._forget_counted()
        self._counters.count(new, changing)
        self._seq = last
        self._truncate_when_large()

    def _keep_counted(self, db: sqlite3.Connection) -> None:
        """Write what is only counted so far; the caller's transaction decides whether it stays."""
        targets.fill(db, self._counters.seq, self._seq)
        self._counters.write(db, self._seq)
        db.execute("UPDATE meta SET logged_seq = ?", (self._logged_seq,))
        db.executemany("INSERT OR REPLACE INTO text_logs (name, size) VALUES (?, ?)", list(self._logged_sizes.items()))

    def _forget_counted(self) -> None:
        """Begin to count anew: what was only counted is kept."""
        self._count_now = False
        self._counters.written(self._seq)
        self._logged_sizes.clear()

    def _reserve(self, upto: int) -> None:
        with self._synced() as db:
            db.execute("UPDATE meta SET reserved_seq = ?", (upto,))
        self._reserved = upto

    @contextmanager
    def _synced(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that is on the disk when it ends, whatever the durability."""
        db = self._db
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._rolled_back(error) from error
        finally:
            db.execute(f"PRAGMA synchronous = {self._synchronous}")

    @contextmanager
    def _unsynced(self) -> Iterator[sqlite3.Connection]:
        """Do what need not be on the disk at once, whatever the durability: a power cut may take it back."""
        try:
            self._db.execute("PRAGMA synchronous = NORMAL")
            yield self._db
        except sqlite3.Error as error:
            raise self._rolled_back(error) from error
        finally:
            self._db.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _rolled_back(self, error: sqlite3.Error) -> JournalBusy | JournalError:
        """Undo the transaction that `error` broke, and return what to raise."""
        if self._db.in_transaction:  # some errors end the transaction by themselves
            self._db.execute("ROLLBACK")
        reason = schema.explained(self._path, error)
        return JournalBusy(str(reason)) if schema.is_passing(error) else reason

    def _truncate_when_large(self) -> None:
        """Begin the write-ahead file anew when it is too large; readers in the way make it wait for more growth.

        Where the checkpointer says when, that takes less than a millisecond: the file keeps its size, and is written
        from its beginning. Shortening it takes tens, for it is most of its pages that the system must let go.
        """
        if self.may_restart():
            self._checkpoint("RESTART", 0)
        if self._wal_file is None:
            self._wal_file = os.open(self._wal, os.O_RDONLY)
        size = os.fstat(self._wal_file).st_size
        if size <= self._truncate_at:
            return
        done = self._checkpoint("TRUNCATE", _TRUNCATE_WAIT_MS)
        again = size + 1 if not self._truncate_at else size + self._wal_bytes // 4
        self._truncate_at = self._wal_bytes if done else again

    def _checkpoint(self, mode: Literal["RESTART", "TRUNCATE"], wait_ms: int) -> bool:
        """Copy what is left, and begin the write-ahead file anew; tell whether nobody was in the way for so long."""
        self._db.execute(f"PRAGMA busy_timeout = {wait_ms}")
        try:
            (busy, _, _) = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.OperationalError:
            return False  # no room in the main file either: the batch is safe where it is, and this is tried again
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {int(schema.BUSY_SECONDS * 1000)}")
        return not busy
