"""The log in its table: rows in order, up to `TOGETHER` of them in one place. For the logger and for readers.

However little is in it, a row of a table costs SQLite about as much as a message costs everything else on its way
through the journal. So a chunk of the log is one: `upto` is the number of the last entry that it was made with, `rows`
are the entries as MessagePack. To read one entry is to decode its chunk, which takes about 30 µs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tessenger.errors import JournalError
from tessenger.journal import rows
from tessenger.journal.rows import KIND, SEQ, TEXT, Row
from tessenger.undecodable import UNDECODABLE, reason

TOGETHER = 128
"""Entries of one chunk, at most."""

LARGE = 65_536
"""Bytes of a chunk above which it has fewer entries: whoever wants one of them reads all."""

LAST = 2**62
"""Above every sequence number."""

TABLE = "CREATE TABLE chunks (upto INTEGER PRIMARY KEY, rows BLOB NOT NULL)"

INSERT = "INSERT INTO chunks (upto, rows) VALUES (?, ?)"

HOLDING = "SELECT upto, rows FROM chunks WHERE upto >= ? ORDER BY upto LIMIT 1"
PREVIOUS = "SELECT upto, rows FROM chunks WHERE upto < ? ORDER BY upto DESC LIMIT 1"
NEWEST = "SELECT max(upto) FROM chunks"

Chunk = tuple[int, bytes]
"""A row of the table."""


class Part(NamedTuple):
    """Rows that follow each other, packed: all of a chunk or some of it. `upto` is the number of the last one."""

    upto: int
    length: int
    packed: bytes


def made_of(new: Sequence[Row]) -> list[Chunk]:
    """Return the chunks for rows that go on behind all others."""
    return joined(parts_of(new))


def parts_of(new: Sequence[Row]) -> list[Part]:
    """Pack rows: one part for up to `TOGETHER` of them that have up to `LARGE` bytes."""
    return [part for start in range(0, len(new), TOGETHER) for part in _split(new[start : start + TOGETHER])]


def _split(new: Sequence[Row]) -> list[Part]:
    packed = rows.pack(new)
    if len(packed) > LARGE and len(new) > 1:
        half = len(new) // 2
        return [*_split(new[:half]), *_split(new[half:])]
    return [Part(new[-1][SEQ], len(new), packed)]


def joined(parts: Iterable[Part]) -> list[Chunk]:
    """Return the chunks for parts that follow each other, as many as possible in each."""
    chunks: list[Chunk] = []
    these: list[Part] = []
    count = size = 0
    for part in parts:
        if these and (count + part.length > TOGETHER or size + len(part.packed) > LARGE):
            chunks.append(_one(these, count))
            these, count, size = [], 0, 0
        these.append(part)
        count += part.length
        size += len(part.packed)
    if these:
        chunks.append(_one(these, count))
    return chunks


def _one(parts: Sequence[Part], count: int) -> Chunk:
    if len(parts) == 1:
        return parts[0].upto, parts[0].packed
    lists = [part.packed[len(_head(part.length)) :] for part in parts]
    return parts[-1].upto, b"".join([_head(count), *lists])


def _head(count: int) -> bytes:
    """Return what stands before the elements of a list in MessagePack (its specification: fixarray, array 16)."""
    return bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2)


def newest(db: sqlite3.Connection) -> int:
    """Return the number of the last entry, which is never pruned; 0 where there is none."""
    (seq,) = db.execute(NEWEST).fetchone()
    return int(seq or 0)


def forward(db: sqlite3.Connection, after: int, upto: int = LAST) -> Iterator[Row]:
    """Yield the entries with `after` < seq <= `upto`, in order. Raises `JournalError`, as all reads here do."""
    chunk = _fetch(db, HOLDING, after + 1)
    while chunk is not None:
        end, packed = chunk
        for row in _unpacked(packed):
            if row[SEQ] > upto:
                return
            if row[SEQ] > after:
                yield row
        chunk = _fetch(db, HOLDING, end + 1)


def backward(db: sqlite3.Connection, before: int = LAST, floor: int = 0) -> Iterator[Row]:
    """Yield the entries with `floor` <= seq < `before`, the newest first."""
    chunk = _fetch(db, HOLDING, before) or _fetch(db, PREVIOUS, LAST)
    while chunk is not None:
        end, packed = chunk
        for row in reversed(_unpacked(packed)):
            if row[SEQ] < floor:
                return
            if row[SEQ] < before:
                yield row
        chunk = _fetch(db, PREVIOUS, end)


class Lookup:
    """Finds single entries: one after the other is cheap where many of them are in one chunk."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Use it within one transaction."""
        self._db = db
        self._rows: dict[int, Row] = {}

    def find(self, seq: int) -> Row | None:
        """Return the entry of this number, None where it is not there."""
        found = self._rows.get(seq)
        if found is None:
            _, packed = _holding(self._db, seq)
            self._rows = {row[SEQ]: row for row in _unpacked(packed)}
            found = self._rows.get(seq)
        return found


def remove(db: sqlite3.Connection, seqs: Iterable[int]) -> list[Row]:
    """Take entries out, and return them in order."""
    left = sorted(set(seqs))
    removed: list[Row] = []
    while left and (chunk := _fetch(db, HOLDING, left[0])) is not None:
        upto, packed = chunk
        going = {seq for seq in left if seq <= upto}
        left = left[len(going) :]
        found = _unpacked(packed)
        removed += [row for row in found if row[SEQ] in going]
        kept = [row for row in found if row[SEQ] not in going]
        if kept:
            db.execute("UPDATE chunks SET rows = ? WHERE upto = ?", (rows.pack(kept), upto))
        else:
            db.execute("DELETE FROM chunks WHERE upto = ?", (upto,))
    return removed


def blank(db: sqlite3.Connection, seq: int, text: str) -> None:
    """Let message `seq` have another text, if it is there."""
    upto, packed = _holding(db, seq)
    found = _unpacked(packed)
    changed = [
        (*row[:TEXT], text, *row[TEXT + 1 :]) if row[SEQ] == seq and row[KIND] in ("m", "g") else row for row in found
    ]
    if changed != found:
        db.execute("UPDATE chunks SET rows = ? WHERE upto = ?", (rows.pack(changed), upto))


@contextmanager
def leaving_no_trace(db: sqlite3.Connection) -> Iterator[None]:
    """Let what is overwritten or deleted not stay in the file's free space."""
    db.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        db.execute("PRAGMA secure_delete = OFF")


def _holding(db: sqlite3.Connection, seq: int) -> Chunk:
    """Return the chunk that has this entry if any has, or one without entries."""
    return _fetch(db, HOLDING, seq) or (0, b"\x90")


def _fetch(db: sqlite3.Connection, query: str, seq: int) -> Chunk | None:
    """Return one chunk: a query for many would hold its transaction open for as long as it is not read to its end."""
    found: Chunk | None = db.execute(query, (seq,)).fetchone()
    return found


def _unpacked(packed: bytes) -> list[Row]:
    try:
        return rows.unpack(packed)
    except UNDECODABLE as error:
        raise JournalError(f"The journal is damaged: a part of the log cannot be read ({reason(error)}).") from error
