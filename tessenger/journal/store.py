"""The journal, as the logger writes it: SQLite with a write-ahead log, one transaction a batch.

What a commit means. A transaction is in the write-ahead file when `commit` returns, so it survives the death of any
process. With durability "power" the file is also on the disk by then (`synchronous=FULL`); with "process" the disk
has it some time later, and a power cut may take the last batches back, although clients have seen their numbers.

So with "process", numbers are reserved ahead: before a batch goes beyond `reserved_seq`, that is raised by a block, and
the raise is on the disk before the batch is committed. A clean close lowers it to the last number given. A server that
starts (`begin_epoch`) goes on behind `reserved_seq`: after a power cut, or when every process was killed, the numbers
jump by up to a block and none is ever given twice. A logger that is replaced under a running server goes on behind the
last entry, for no process's death takes a commit back. So numbers rise without gaps while a server runs.

With "process", a small batch that changes nothing but the log is committed to the tail (see tail.py), and put into the
tables by `settle`, or with a later batch. Until then readers do not find it: they wait (`SqliteReader.wait_for`).
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Literal

from tessenger.chat.entries import AnyEntry, Redacted
from tessenger.chat.present import Snapshot
from tessenger.errors import JournalBusy, JournalError
from tessenger.journal import changes, chunks, rows, schema, targets
from tessenger.journal.counters import Counters
from tessenger.journal.counting import Counting
from tessenger.journal.tail import Tail
from tessenger.journal.write_ahead import TRUNCATE_WAIT_MS, WAL_BYTES, WriteAheadFile

BLOCK = 1_000_000
"""Numbers reserved at a time: one fsync (some milliseconds) for as many messages."""

COUNT_EVERY = 4_000
"""Entries between two writings of the counters and of `targets`, about.

About twice that is what a reader looks through one by one, at most, in a few milliseconds; after a rush it is more for
a while, by halves. Each writing has a page for nearly everybody who sent or got anything, however much that was.
"""

COUNT_BATCHES = 16
"""Batches between two of them, at least: where thousands come each second, each writing has more at a time."""

COUNT_STEP = 2
"""Rows of them that one transaction writes, at least. Where more was settled meanwhile it writes more, so that all are
there when there are new ones."""

SMALL = 128
"""Entries of a batch that goes to the tail, at most, where they fit one chunk: for more the tables cost hardly more."""

MANY = 32
"""Entries that are counted when they are committed, and in the processor's caches; fewer wait for others."""

IN_TAIL = 1_024
"""Entries that are in the tail alone, at most: the tables take so many at a time for hardly more each than more."""

PAGE = 4_096
"""Bytes of a page of the file, and about what a row in a place of its own adds to the write-ahead file."""

KEPT_RUNS = 1_000
"""Runs of the server whose names are kept, at most: some 30 bytes each."""

SPARE_PAGES = 2_048
"""Free pages (of 4 KiB) that stay in the file, for what comes."""


class SqliteJournal:
    """Implements `chat.ports.Journal` over one SQLite file."""

    def __init__(self, path: Path, durability: Literal["process", "power"], wal_bytes: int = WAL_BYTES) -> None:
        """Open the journal at `path`, making it where there is none. Raises `JournalError`."""
        self.path = path
        self._reserving = durability == "process"
        self._tail = Tail(path, wanted=self._reserving)
        self._db = schema.open_writer(path)
        self.wal = WriteAheadFile(path, self._db, wal_bytes)
        self._synchronous = "NORMAL" if self._reserving else "FULL"
        self._db.execute(f"PRAGMA synchronous = {self._synchronous}")
        try:
            self._tail.open(self._run, changes.read_last(self._db)[0])
            self._seq, _ = changes.read_last(self._db, self._tail.rows)
            self._counting = Counting.read(self._db, self._tail.rows)
            self._reserved, self._logged_seq = self._db.execute("SELECT reserved_seq, logged_seq FROM meta").fetchone()
        except sqlite3.Error as error:
            raise schema.explained(path, error) from error
        except JournalError:
            self._db.close()
            raise
        self._count_now = False
        self._unstepped = 0  # entries that came into the tables since the last step of what was counted
        self._counted_in_tail = len(self._tail.rows)
        self._logged_sizes: dict[str, int] = {}
        self._is_logged_kept = False
        self._is_stuck = False
        """Whether the tables take nothing at the moment: then the tail takes no more."""
        with suppress(JournalBusy):  # what a process left that died; where it has to stay there, that is said later
            self.settle()

    # ---- the port ----

    def load(self) -> Snapshot:
        """Return the present state as of the last commit."""
        try:
            return changes.read_snapshot(self._db, self._tail.rows)
        except sqlite3.Error as error:
            raise schema.explained(self.path, error) from error

    def commit(self, batch: Sequence[AnyEntry]) -> None:
        """Keep `batch` and what it changes, all or none of it. Raises `JournalBusy` when there is no room."""
        new = rows.to_rows(batch)
        changing: list[AnyEntry] = []
        if not changes.CHANGES.keys().isdisjoint(map(type, batch)):
            changing = [entry for entry in batch if type(entry) in changes.CHANGES]
        if not new and not changing:
            return
        last = new[-1][0] if new else self._seq
        try:
            if self._reserving and last > self._reserved:
                self._reserve(last + BLOCK)
            parts = chunks.parts_of(new)
            is_in_tail = not changing and self._keep_in_tail(new, parts)
            if not is_in_tail:
                self._transact(parts, changing)
        except sqlite3.Error as error:
            self._is_stuck = True
            raise self._rolled_back(error) from error
        except JournalError:  # what it had to change there cannot be read
            self._roll_back()
            raise
        if not is_in_tail:
            self._counting.count(new, changing)
        elif len(self._tail.rows) - self._counted_in_tail >= MANY:
            self._count_tail()
        self._seq = last
        if changing and any(type(entry) is Redacted for entry in changing):
            self.wal.forget()  # it still has what was blanked, and so may the tail
            self._tail.forget()
        if self.is_settled:
            self.wal.keep_small()

    @property
    def is_settled(self) -> bool:
        """Whether readers find all that was committed."""
        return not self._tail.rows

    def settle(self) -> None:
        """Let readers find all that was committed. Raises `JournalBusy` when there is no room; it is kept all the same.

        Call it some milliseconds after a commit that left the journal unsettled.
        """
        if self.is_settled:
            return
        try:
            self._transact([], [])
        except sqlite3.Error as error:
            self._is_stuck = True
            raise self._rolled_back(error) from error
        self.wal.keep_small()

    @property
    def is_counting(self) -> bool:
        """Whether `write_counted` has something to do: not before the entries themselves are in the tables."""
        return self._counting.is_writing and not self._is_stuck

    def write_counted(self) -> None:
        """Write some of what has only been counted so far, as much as what was settled since the last time calls for.

        Call it some time after `settle`, which leaves it. Raises `JournalBusy` when there is no room; nothing is lost.
        """
        if not self.is_counting:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._write_step(self._db)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._rolled_back(error) from error
        self._counted()

    def entries_after(self, seq: int, limit: int) -> list[AnyEntry]:
        """Return at most `limit` entries behind `seq`, in order, as they were committed."""
        try:
            found = list(islice(chunks.forward(self._db, seq), limit))
        except sqlite3.Error as error:
            raise schema.explained(self.path, error) from error
        found += [row for row in self._tail.rows if row[rows.SEQ] > seq][: limit - len(found)]
        return [rows.from_row(row) for row in found]

    # ---- the life of a server ----

    def begin_epoch(self, now_ms: int, grace_ms: int) -> int:
        """Begin a server's run, under a new name: return its epoch, one above the last. On the disk when this returns.

        Every stored session is detached until `now_ms` + `grace_ms`; no worker of an earlier server counts any more.
        Blocks and tokens go on, by the clock of this run, for no longer than they were to last in all.
        """
        start = max(self._seq, self._reserved)
        self.settle()
        with self._synced() as db:
            self._counting.take(start)
            self._counting.write(db, None)
            db.execute("DELETE FROM slots")
            db.execute(
                "UPDATE sessions SET detached_until = ?, expires = min(expires, ? + token_ms)",
                (now_ms + grace_ms, now_ms),
            )
            db.execute("UPDATE blocks SET until = min(until, ? + ms)", (now_ms,))
            db.execute("UPDATE meta SET epoch = epoch + 1, start_seq = ?1, reserved_seq = ?1", (start,))
            db.execute("INSERT INTO runs (name, after_seq) VALUES (?, ?)", (secrets.token_hex(8), start))
            db.execute("DELETE FROM runs WHERE place <= (SELECT max(place) FROM runs) - ?", (KEPT_RUNS,))
        self._seq = self._reserved = start
        self._counting = Counting(Counters(start))
        (epoch,) = self._db.execute("SELECT epoch FROM meta").fetchone()
        self._tail.begin(self._run)
        return int(epoch)

    def seat(self, slot: int, generation: int) -> None:
        """Note that a new process fills this worker's slot: what it appends is of this generation, `n` from 1.

        Call it when everything of the slot's earlier generation has been committed. Kept with the next commit.
        """
        self._count_tail()
        self._count_now |= self._counting.seat(slot, generation)

    def close(self) -> None:
        """Keep what is still only counted, put everything on the disk, and leave one file behind.

        Where that fails (no room), the journal is as after a kill: nothing is lost, the next numbers jump.
        """
        try:
            self.settle()
            with self._synced() as db:
                self._keep_counted(db)
                db.execute("UPDATE meta SET reserved_seq = ?", (self._seq,))
            self._tail.remove()
            self._db.execute(f"PRAGMA busy_timeout = {TRUNCATE_WAIT_MS}")  # readers may be in the way
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (JournalBusy, JournalError, sqlite3.OperationalError):
            pass  # as documented: this was for the next start's comfort only
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the files as they are, as the end of the process does."""
        self._tail.close()
        self.wal.close()
        self._db.close()

    # ---- retention ----

    def prune(self, seqs: Sequence[int]) -> None:
        """Forget these entries, but never the last one, in one transaction. Raises `JournalBusy`."""
        self._tail.forget()
        with self._unsynced() as db, chunks.leaving_no_trace(db):
            db.execute("BEGIN IMMEDIATE")
            targets.forget(db, chunks.remove(db, seqs))
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
        self.settle()
        with self._synced() as db:
            self._keep_counted(db)
        self._counted()

    # ---- inside ----

    @property
    def _run(self) -> int:
        """What the tail of the server's run is known by: a number of 64 bits that its name makes.

        Before version 5 runs had no names but the epoch, which a backup that is put back counts anew.
        """
        runs = changes.read_runs(self._db)
        if runs:
            return int.from_bytes(hashlib.blake2b(runs[-1].name.encode(), digest_size=8).digest())
        (epoch,) = self._db.execute("SELECT epoch FROM meta").fetchone()
        return int(epoch)

    def _keep_in_tail(self, new: list[rows.Row], parts: list[chunks.Part]) -> bool:
        """Commit rows, packed as `parts`, to the tail; tell whether that was possible, and worth it."""
        if self._is_stuck or self._count_now or len(new) > SMALL or len(self._tail.rows) + len(new) > IN_TAIL:
            return False
        return len(parts) == 1 and self._tail.append(new, parts[0])

    def _transact(self, new: list[chunks.Part], changing: list[AnyEntry]) -> None:
        """Put the tail's rows and `new` into the tables, and with new ones some of what was only counted."""
        db, counting = self._db, self._counting
        self._count_tail()
        parts = self._tail.parts + new
        count = sum(part.length for part in parts)
        if not counting.is_writing and self._seq - counting.upto >= max(self._every, COUNT_BATCHES * count):
            counting.take(self._seq)
            self._unstepped = 0
        is_writing = self._count_now or (counting.is_writing and bool(new or changing))
        new_chunks = chunks.joined(parts)
        self.wal.written += sum(len(packed) for _, packed in new_chunks) + PAGE * (1 + len(changing))
        if len(new_chunks) == 1 and not is_writing and not changing:
            db.execute(chunks.INSERT, new_chunks[0])  # a few messages: a statement is a transaction of its own
        else:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(chunks.INSERT, new_chunks)
            if self._count_now:
                self._keep_counted(db)
            elif is_writing:
                self._write_step(db, count)
            for entry in changing:
                changes.CHANGES[type(entry)](db, entry)
            db.execute("COMMIT")
        self._is_stuck = False
        self._tail.settled()
        self._counted_in_tail = 0
        self._unstepped += count
        if is_writing:
            self._counted()

    def _count_tail(self) -> None:
        """Count what came into the tail: of lone messages many at a time, which costs hardly more than one."""
        rows = self._tail.rows
        if len(rows) > self._counted_in_tail:
            self._counting.count(rows[self._counted_in_tail :], ())
            self._counted_in_tail = len(rows)

    @property
    def _every(self) -> int:
        """Entries between two takings, at least: after a rush they become less by and by."""
        return max(COUNT_EVERY, self._counting.span // 2)

    def _write_step(self, db: sqlite3.Connection, more: int = 0) -> None:
        """Write as much of what was counted as is due, with `more` entries; the caller's transaction decides."""
        due = -(-self._counting.taken * (self._unstepped + more) // self._every)
        rows = max(COUNT_STEP, due)
        self.wal.written += PAGE * rows
        self._write_counted(db, rows)

    def _keep_counted(self, db: sqlite3.Connection) -> None:
        """Write all that is only counted so far; the caller's transaction decides whether it stays."""
        self._counting.take(self._seq)
        self._write_counted(db, None)

    def _write_counted(self, db: sqlite3.Connection, most: int | None) -> None:
        """Write some of what was taken, or all; and with the last of it how far the text logs are."""
        self._is_logged_kept = self._counting.write(db, most)
        if self._is_logged_kept:
            files = list(self._logged_sizes.items())
            db.execute("UPDATE meta SET logged_seq = ?", (self._logged_seq,))
            db.executemany("INSERT OR REPLACE INTO text_logs (name, size) VALUES (?, ?)", files)

    def _counted(self) -> None:
        """The transaction is committed in which `_write_counted` was called, if there was anything to write."""
        self._count_now = False
        self._unstepped = 0
        self._counting.written()
        if self._is_logged_kept:
            self._is_logged_kept = False
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
        except JournalError:
            self._roll_back()
            raise
        finally:
            self._db.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # some errors end the transaction by themselves
            self._db.execute("ROLLBACK")

    def _rolled_back(self, error: sqlite3.Error) -> JournalBusy | JournalError:
        """Undo the transaction that `error` broke, and return what to raise."""
        self._roll_back()
        reason = schema.explained(self.path, error)
        return JournalBusy(str(reason)) if schema.is_passing(error) else reason
