"""Looks into a journal's file past the program that wrote it, and makes it say something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tessenger.journal import rows

Fields = dict[str, Any]
"""An entry's fields, by the names in `rows.COLUMNS`."""


def entries_in(path: Path) -> list[Fields]:
    """Return every entry in the tables, in order; the file may be in use."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return _entries(db)


def numbers_of_targets(path: Path) -> list[int]:
    """Return the numbers of all entries that are found by whom they are to."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        found = [msgspec.msgpack.decode(packed) for (packed,) in db.execute("SELECT found FROM targets")]
    return sorted(number for run in found for number, _, _ in run)


def counted_upto(path: Path) -> int:
    """Return up to which entry the tables have what was counted."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        (seq,) = db.execute("SELECT counted_seq FROM meta").fetchone()
    return int(seq)


def rewrite(db: sqlite3.Connection, changed: Callable[[Fields], Fields | None]) -> None:
    """Let every entry be what `changed` makes of it; None takes it away."""
    kept = [new for old in _entries(db) if (new := changed(old)) is not None]
    db.execute("DELETE FROM chunks")
    for fields in kept:
        db.execute("INSERT INTO chunks VALUES (?, ?)", (fields["seq"], msgspec.msgpack.encode([[*fields.values()]])))


def insert_alone(db: sqlite3.Connection, fields: Fields) -> None:
    """Add an entry at a number that is free."""
    row = [fields.get(column, 0 if column in _NUMBERS else None) for column in rows.COLUMNS]
    db.execute("INSERT INTO chunks VALUES (?, ?)", (fields["seq"], msgspec.msgpack.encode([row])))


_NUMBERS = ("seq", "at", "session", "number", "request", "slot", "n")


@contextmanager
def chunks_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Note how many entries are in each chunk of the log that is read meanwhile."""
    read: list[int] = []
    unpack = rows.unpack

    def noted(packed: bytes) -> list[rows.Row]:
        found = unpack(packed)
        read.append(len(found))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(rows, "unpack", noted)
        yield read


def _entries(db: sqlite3.Connection) -> list[Fields]:
    return [
        dict(zip(rows.COLUMNS, row, strict=True))
        for (packed,) in db.execute("SELECT rows FROM chunks ORDER BY upto").fetchall()
        for row in msgspec.msgpack.decode(packed)
    ]


def as_of_version_4(db: sqlite3.Connection) -> None:
    """Take out of the tables what version 4 did not have."""
    for table in ("runs", "clock_steps", "known_addresses", "accounts"):
        db.execute(f"DROP TABLE {table}")
    db.execute("ALTER TABLE sessions DROP COLUMN token_ms")
    db.execute("ALTER TABLE sessions DROP COLUMN udp_host")
    db.execute("ALTER TABLE blocks DROP COLUMN ms")
    db.execute("ALTER TABLE meta DROP COLUMN accounts_begun")
    db.execute("PRAGMA user_version = 4")
