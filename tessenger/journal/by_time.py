"""Finding entries by the time that is stamped on them. For readers, on their threads.

Stamps are what the wall clock said, so they rise with the numbers only between two entries at which it went back. Those
are in the table `clock_steps`; between them halving finds a time. A clock that went forward leaves the stamps rising.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from tessenger.journal.chunks import forward, newest
from tessenger.journal.rows import AT, SEQ

TABLE = "CREATE TABLE clock_steps (seq INTEGER PRIMARY KEY)"
"""The entries from which on the wall clock had gone back."""

INSERT = "INSERT OR IGNORE INTO clock_steps (seq) VALUES (?)"


def behind_what_is_older(db: sqlite3.Connection, since: int) -> int:
    """Return the number behind the newest entry with an earlier stamp than `since` (Unix ms).

    Who reads backward from the end has everything of that time before they come there; what was stamped while the clock
    was wrong counts by its stamp.
    """
    for start, end in reversed(list(_stretches(db))):
        found = _first(db, since, start, end)
        if found > start and next(forward(db, start - 1, found - 1), None) is not None:
            return found
    return 0


def oldest_since(db: sqlite3.Connection, since: int, now: int) -> int:
    """Return the number of the oldest entry that is stamped with a time from `since` to `now` (Unix ms).

    So nothing that is younger is below it. An entry from the future says nothing about its age, and is passed over.
    Where there is none, that is the number behind the last entry.
    """
    for start, end in _stretches(db):
        seq = _first(db, since, start, end)
        row = next(forward(db, seq - 1, end), None)
        if row is not None and row[AT] <= now:
            return int(row[SEQ])
    return newest(db) + 1


def _stretches(db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Yield the first and the last possible number of each stretch in which stamps rise, the oldest first."""
    first = next(forward(db, -1), None)
    start = first[SEQ] if first else 0
    for (seq,) in db.execute("SELECT seq FROM clock_steps WHERE seq > ? ORDER BY seq", (start,)).fetchall():
        yield start, seq - 1
        start = seq
    yield start, newest(db)


def _first(db: sqlite3.Connection, since: int, start: int, end: int) -> int:
    """Return the number of the first entry of a stretch that is not older than `since`; `end` + 1 where all are."""
    low, high = start, end + 1
    while low < high:
        middle = (low + high) // 2
        row = next(forward(db, middle - 1, end), None)
        if row is not None and row[AT] < since:
            low = row[SEQ] + 1
        else:
            high = middle
    return low
