"""Bringing the tables of an older program up to date. For the process that writes the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from tessenger.journal import by_time, chunks, targets
from tessenger.journal.rows import COLUMNS, SEQ

_AT_ONCE = 4_096
"""Entries that are moved at a time: what of a long log is in memory."""

_INVITATIONS: Final = """
CREATE TABLE invitations (
    name TEXT NOT NULL COLLATE NOCASE, user TEXT NOT NULL COLLATE NOCASE, PRIMARY KEY (name, user)) WITHOUT ROWID"""

RUNS: Final = """
CREATE TABLE runs (place INTEGER PRIMARY KEY, name TEXT NOT NULL, after_seq INTEGER NOT NULL)"""


KNOWN_ADDRESSES: Final = """
CREATE TABLE known_addresses (
    user TEXT NOT NULL COLLATE NOCASE, address TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (user, address))
    WITHOUT ROWID"""

ACCOUNTS: Final = """
CREATE TABLE accounts (
    user TEXT PRIMARY KEY COLLATE NOCASE, number INTEGER NOT NULL, tag TEXT NOT NULL) WITHOUT ROWID"""


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the tables up to `version`, all or none; a reader that is open meanwhile goes on."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found == version:
        return
    with chunks.leaving_no_trace(db):  # a redaction finds only what is in tables, not what they have left
        db.execute("BEGIN IMMEDIATE")
        try:
            for older in range(found, version):
                _STEPS[older](db)
            db.execute(f"PRAGMA user_version = {version}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _from_1(db: sqlite3.Connection) -> None:
    """Sessions may be away, groups private."""
    db.execute("DROP INDEX entries_target")
    db.execute("CREATE TABLE targets (target TEXT, seq INTEGER)")  # the next step makes it anew
    db.execute("ALTER TABLE sessions ADD COLUMN away TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE groups ADD COLUMN private INTEGER NOT NULL DEFAULT 0")
    db.execute(_INVITATIONS)


def _from_2(db: sqlite3.Connection) -> None:
    """The log was a table with a row for each entry, whom they are to was one with a row for each entry, too."""
    db.execute("DROP TABLE targets")
    db.execute(chunks.TABLE)
    db.execute(targets.TABLE)
    (counted,) = db.execute("SELECT counted_seq FROM meta").fetchone()
    runs = targets.Runs()
    entries = db.execute(f"SELECT {', '.join(COLUMNS)} FROM entries ORDER BY seq")  # noqa: S608 constants only
    while rows := entries.fetchmany(_AT_ONCE):
        db.executemany(chunks.INSERT, chunks.made_of(rows))
        runs.count(row for row in rows if row[SEQ] <= counted)
        db.executemany(targets.INSERT, runs.rows())
    db.execute("DROP TABLE entries")


def _from_3(db: sqlite3.Connection) -> None:
    """The rows of `targets` stood in order of the targets."""
    db.execute("ALTER TABLE targets RENAME TO ordered")
    db.execute(targets.TABLE)
    db.execute("INSERT INTO targets (target, upto, found) SELECT target, upto, found FROM ordered")
    db.execute("DROP TABLE ordered")


def _from_4(db: sqlite3.Connection) -> None:
    """Runs had no names, nothing said how long a token and a block last, stamps never went back, names were accounts.

    A block whose length nobody knows ends with the next start: it was meant for seconds. Whoever the tables have
    something of keeps it, if the credentials have the name when the log learns who has an account.
    """
    db.execute("ALTER TABLE sessions ADD COLUMN token_ms INTEGER NOT NULL DEFAULT 0")
    db.execute("UPDATE sessions SET token_ms = max(0, expires - since)")
    db.execute("ALTER TABLE sessions ADD COLUMN udp_host TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE blocks ADD COLUMN ms INTEGER NOT NULL DEFAULT 0")
    db.execute(by_time.TABLE)
    db.execute(RUNS)
    db.execute(KNOWN_ADDRESSES)
    db.execute(ACCOUNTS)
    db.execute("ALTER TABLE meta ADD COLUMN accounts_begun INTEGER NOT NULL DEFAULT 0")
    for table in ("users", "sessions", "memberships", "invitations"):
        db.execute(f"INSERT OR IGNORE INTO accounts (user, number, tag) SELECT user, 0, '' FROM {table}")  # noqa: S608


_STEPS: Final[dict[int, Callable[[sqlite3.Connection], None]]] = {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4}
"""What makes tables of each older version those of the next."""
