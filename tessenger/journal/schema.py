"""The journal's tables, and opening its file: by the logger to write it, by workers and the manager to read it.

`chunks` is the log (see chunks.py). Everything else is what the log adds up to (the present state), so that nobody
replays it and its beginning can be pruned. An index would cost every message a page, so the log has none but its
numbers. Whom entries are to is found through `targets`, which is filled behind the log (see targets.py). What a
repeated request led to is found through `requests`, which says for each session between which two entries its ids up
to `request` are; an id rises with the sequence number. User and group names are ASCII, so NOCASE compares as
`names.key` does.

`accounts` has who may sign in (see `chat.accounts`). What the log has under a name below the account's `number` was for
others; in the tables of the present state, all that a name has is its account's.

`runs` has the newest runs of the server (see `chat.runs`), each with the number behind which its entries begin.

`meta` has one row:
epoch        how many times a server has started on this journal
start_seq    the number behind which the running server's entries begin
reserved_seq entries up to this number may have been passed on: a start goes on behind it (see store.py)
counted_seq  `requests`, `slots` and `targets` are filled up to here, the entries behind tell the rest
logged_seq   the text logs have everything up to here, and had the sizes in `text_logs` then
accounts_begun  0 until the log was told who has an account: `accounts` are names then that it knew in an older version

When something ends (`detached_until`, `expires`, `until`) is by the steady clock of the server that wrote it; how long
it lasts stands beside it (`token_ms`, `ms`; a grace is the configuration's), so that another run of the server lets
nothing last longer than that.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from tessenger.errors import JournalError
from tessenger.journal import by_time, chunks, migrations, rows, targets

APPLICATION_ID = 0x54455353
"""`TESS`: marks an SQLite file as a journal of Tessenger."""

VERSION = 5
"""Of these tables (`PRAGMA user_version`)."""

BUSY_SECONDS = 5.0
"""How long to wait for another connection's lock."""

_CACHE_KIB = 32_768
"""Page cache of the writer: the ends of `targets` for some thousand recipients."""

_SCHEMA = f"""
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL DEFAULT 0, start_seq INTEGER NOT NULL DEFAULT 0,
    reserved_seq INTEGER NOT NULL DEFAULT 0, counted_seq INTEGER NOT NULL DEFAULT 0,
    logged_seq INTEGER NOT NULL DEFAULT 0, accounts_begun INTEGER NOT NULL DEFAULT 0);
INSERT INTO meta (one) VALUES (1);
{chunks.TABLE};
{targets.TABLE};
{by_time.TABLE};
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL COLLATE NOCASE, number INTEGER NOT NULL, slot INTEGER NOT NULL,
    generation INTEGER NOT NULL, ip TEXT NOT NULL, udp_port INTEGER NOT NULL, since INTEGER NOT NULL,
    seq INTEGER NOT NULL, token_hash BLOB NOT NULL, expires INTEGER NOT NULL, highest INTEGER NOT NULL,
    detached_until INTEGER NOT NULL, away TEXT NOT NULL DEFAULT '', token_ms INTEGER NOT NULL DEFAULT 0,
    udp_host TEXT NOT NULL DEFAULT '');
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE requests (
    session INTEGER NOT NULL, request INTEGER NOT NULL, after_seq INTEGER NOT NULL, upto_seq INTEGER NOT NULL,
    PRIMARY KEY (session, request)) WITHOUT ROWID;
CREATE TABLE users (
    user TEXT PRIMARY KEY COLLATE NOCASE, seen_seq INTEGER NOT NULL, offline_seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE groups (
    name TEXT PRIMARY KEY COLLATE NOCASE, creator TEXT NOT NULL, seq INTEGER NOT NULL,
    private INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE invitations (
    name TEXT NOT NULL COLLATE NOCASE, user TEXT NOT NULL COLLATE NOCASE, PRIMARY KEY (name, user)) WITHOUT ROWID;
CREATE TABLE memberships (
    place INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, user TEXT NOT NULL COLLATE NOCASE,
    from_seq INTEGER NOT NULL, to_seq INTEGER);
CREATE INDEX memberships_user ON memberships (user, name);
CREATE INDEX memberships_name ON memberships (name) WHERE to_seq IS NULL;
CREATE TABLE failures (key TEXT PRIMARY KEY, failures INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (key TEXT PRIMARY KEY, user TEXT NOT NULL, until INTEGER NOT NULL, ms INTEGER NOT NULL DEFAULT 0)
    WITHOUT ROWID;
{migrations.KNOWN_ADDRESSES};
CREATE TABLE slots (slot INTEGER PRIMARY KEY, generation INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE text_logs (name TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
{migrations.RUNS};
{migrations.ACCOUNTS};
"""  # noqa: S608 constants only

_SMALL = (
    "meta", "sessions", "requests", "users", "groups", "invitations", "memberships", "failures", "blocks", "slots",
    "text_logs", "known_addresses", "clock_steps", "runs", "accounts",
)  # fmt: skip
"""Tables that are checked whole when the journal is opened; the log may be long."""

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's result code without its extension, 0 where the error is not SQLite's own."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_passing(error: sqlite3.Error) -> bool:
    """Tell whether the same statement may succeed later: the disk is full or fails, or somebody holds a lock."""
    return primary_code(error) in _NO_ROOM


def explained(path: Path, error: sqlite3.Error) -> JournalError:
    """Return what an administrator is told about `error`."""
    code = primary_code(error)
    if code in _DAMAGED:
        return JournalError(f"The journal {path} is damaged ({error}). Restore it from a backup, or move it away.")
    if code == sqlite3.SQLITE_FULL:
        return JournalError(f"No space is left on the disk of the journal {path}.")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return JournalError(f"The journal {path} cannot be opened for writing ({error}).")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(f"The journal {path} is in use by another program.")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return JournalError(f"Another process has written to the journal {path} ({error}).")
    return JournalError(f"The journal {path} cannot be used ({error}).")


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the journal for the logger, making it where there is none. Raises `JournalError`."""
    if not path.parent.is_dir():
        raise JournalError(f"The data directory {path.parent} is no directory.")
    if path.is_dir():
        raise JournalError(f"The journal {path} is a directory.")
    with _opened(path, f"{path.absolute().as_uri()}?mode=rwc") as db:
        if _is_journal(db, path):
            migrations.migrate(db, VERSION)
        else:
            _create(db, path)
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        _check(db, path)
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the journal to read it. Raises `JournalError`."""
    with _opened(path, f"{path.absolute().as_uri()}?mode=ro") as db:
        if not _is_journal(db, path):
            raise JournalError(f"The journal {path} is empty.")
    return db


@contextmanager
def _opened(path: Path, uri: str) -> Iterator[sqlite3.Connection]:
    """Open a connection, closed again if the block fails. It may be used by one thread at a time."""
    try:
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise explained(path, error) from error
    try:
        yield db
    except sqlite3.Error as error:
        db.close()
        raise explained(path, error) from error
    except JournalError:
        db.close()
        raise


def _is_journal(db: sqlite3.Connection, path: Path) -> bool:
    """Tell whether there are tables already; refuse those of others and of newer versions."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables and application in (0, APPLICATION_ID):
        return False
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is an SQLite database of another program, not a journal.")
    if version > VERSION:
        raise JournalError(
            f"The journal {path} has version {version}, this program knows up to {VERSION}: use a newer Tessenger."
        )
    if mode != "wal":
        raise JournalError(f"The journal {path} has no write-ahead log: it was changed by another program.")
    return True


def _create(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, all or none, and have the new file's name on the disk before anything relies on it."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # pruning can give space back; it cannot be chosen later
    if db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise JournalError(f"The journal {path} is on a file system that cannot have a write-ahead log.")
    db.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    )
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Look for damage where it takes no time: the small tables whole, the log at both ends, room to write."""
    for table in _SMALL:
        (found,) = db.execute(f"PRAGMA integrity_check('{table}')").fetchone()
        if found != "ok":
            raise JournalError(f"The journal {path} is damaged ({found}). Restore it from a backup, or move it away.")
    for entries in (chunks.forward(db, -1), chunks.backward(db)):
        for row in islice(entries, 100):
            rows.from_row(row)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE meta SET epoch = epoch")
    db.execute("ROLLBACK")
