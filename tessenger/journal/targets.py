"""Finding entries by whom they are to, with a table that is filled behind the log. For the logger and for readers.

An index that moves on with every message costs a page of writing at a random place each time, more than the message
itself. So what is to be found is first only counted (`Runs`), and written for many entries at a time (see
counting.py): the table `targets` has what there is up to `meta.counted_seq`. The entries behind that are few
(`store.COUNT_EVERY`, or `COUNT_BATCHES` batches where these are large), and a reader keeps in mind what is in those
that it has looked through (`Targets`).

A row of the table is a *run*: what somebody got, in order, up to `RUN` entries of it, as MessagePack. `upto` is the
number of the last one that it was made with. Rows stand in the file as they come, and only the index is in order of
targets: were the rows, each would split a page that is full, and with it change those beside and above it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from tessenger.errors import JournalError
from tessenger.journal import chunks
from tessenger.journal.rows import SEQ, TARGET, Row, pack
from tessenger.undecodable import UNDECODABLE, reason
from tessenger.wire import names

RUN = 64
"""Entries of one run, at most: it stays on one page of the file."""

TABLE = """
CREATE TABLE targets (
    target TEXT NOT NULL COLLATE NOCASE, upto INTEGER NOT NULL, found BLOB NOT NULL, PRIMARY KEY (target, upto))"""

Found = tuple[int, str, str | None]
"""An entry's number and kind, and by whom it is."""

INSERT = "INSERT INTO targets (target, upto, found) VALUES (?, ?, ?)"
HOLDING = "SELECT upto, found FROM targets WHERE target = ? AND upto >= ? ORDER BY upto LIMIT 1"
FORGET_BEHIND = "DELETE FROM targets WHERE target = ? AND upto > ?"
PREVIOUS = "SELECT upto, found FROM targets WHERE target = ? AND upto < ? ORDER BY upto DESC LIMIT 1"

_COUNTED = f"SELECT counted_seq, ({chunks.NEWEST}) FROM meta"  # noqa: S608 constants only

_unpack = msgspec.msgpack.Decoder(list[Found]).decode


class Runs:
    """What came since the table was filled, by whom it is to."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._by_key: dict[str, list[Found]] = {}
        self._as_spelled: dict[str, list[Found]] = {}  # the same lists

    def count(self, new: Iterable[Row]) -> None:
        """Go on by rows of the log."""
        as_spelled = self._as_spelled
        for seq, _, kind, _, _, _, _, _, user, target, _, _ in new:  # `rows.COLUMNS`
            if target in as_spelled:
                as_spelled[target].append((seq, kind, user))
            elif target is not None:
                found = as_spelled[target] = self._by_key.setdefault(names.key(target), [])
                found.append((seq, kind, user))

    def of(self, target: str) -> Sequence[Found]:
        """Return what came to one target, in order."""
        return self._by_key.get(names.key(target), ())

    @property
    def targets(self) -> Iterable[str]:
        """Whom anything came to."""
        return self._by_key.keys()

    def __len__(self) -> int:
        """Return how many rows `rows` makes."""
        return sum(-(-len(found) // RUN) for found in self._by_key.values())

    def rows(self) -> Iterator[tuple[str, int, bytes]]:
        """Make rows of the table, and let go what each was made of: all of it at once takes a while."""
        self._as_spelled.clear()
        while self._by_key:
            target, found = self._by_key.popitem()
            while found:
                last = (len(found) - 1) // RUN * RUN
                run = found[last:]
                del found[last:]
                yield target, run[-1][0], pack(run)

    def clear(self) -> None:
        """Begin anew."""
        self._by_key.clear()
        self._as_spelled.clear()


class Targets:
    """What a reader finds by target. Refresh it at the beginning of each transaction."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._counted = 0
        self._upto = 0
        self._behind = Runs()

    def refresh(self, db: sqlite3.Connection) -> None:
        """Look through the entries that are not in the table, and were not looked through yet."""
        counted, newest = db.execute(_COUNTED).fetchone()
        if counted != self._counted:
            self._counted = self._upto = counted
            self._behind.clear()
        if newest is not None and newest > self._upto:
            self._behind.count(chunks.forward(db, self._upto))
            self._upto = newest

    def to(self, db: sqlite3.Connection, target: str, after: int, upto: int) -> Iterator[Found]:
        """Yield what is to `target` with `after` < seq <= `upto`, in order."""
        if after >= upto:
            return
        for found in chain(_forward(db, target, after, self._counted), self._behind.of(target)):
            if found[0] > upto:
                return
            if found[0] > after:
                yield found

    def newest_to(self, db: sqlite3.Connection, target: str, before: int, floor: int) -> Iterator[Found]:
        """Yield what is to `target` with `floor` <= seq < `before`, the newest first."""
        for found in chain(reversed(self._behind.of(target)), _backward(db, target, before, self._counted)):
            if found[0] < floor:
                return
            if found[0] < before:
                yield found


def _forward(db: sqlite3.Connection, target: str, after: int, counted: int) -> Iterator[Found]:
    """Yield what the table has up to `counted`, in order, from the run on that may have something behind `after`."""
    run = _fetch(db, HOLDING, target, after + 1)
    while run is not None and run[0] <= counted:
        yield from _unpacked(run[1])
        run = _fetch(db, HOLDING, target, run[0] + 1)


def _backward(db: sqlite3.Connection, target: str, before: int, counted: int) -> Iterator[Found]:
    """Yield what the table has up to `counted`, backward, from the run on that may have something below `before`."""
    run = _fetch(db, HOLDING, target, before)
    if run is None or run[0] > counted:
        run = _fetch(db, PREVIOUS, target, counted + 1)
    while run is not None:
        yield from reversed(_unpacked(run[1]))
        run = _fetch(db, PREVIOUS, target, run[0])


def _fetch(db: sqlite3.Connection, query: str, target: str, seq: int) -> tuple[int, bytes] | None:
    found: tuple[int, bytes] | None = db.execute(query, (target, seq)).fetchone()
    return found


def forget(db: sqlite3.Connection, removed: Iterable[Row]) -> None:
    """Take out entries that have been taken out of the log, given in order."""
    gone: dict[str, list[int]] = {}
    for row in removed:
        if row[TARGET] is not None:
            gone.setdefault(names.key(row[TARGET]), []).append(row[SEQ])
    for target, seqs in gone.items():
        left = seqs
        while left and (run := _fetch(db, HOLDING, target, left[0])) is not None:
            upto, packed = run
            kept = [found for found in _unpacked(packed) if found[0] not in left]
            left = [seq for seq in left if seq > upto]
            if kept:
                db.execute("UPDATE targets SET found = ? WHERE target = ? AND upto = ?", (pack(kept), target, upto))
            else:
                db.execute("DELETE FROM targets WHERE target = ? AND upto = ?", (target, upto))


def _unpacked(packed: bytes) -> list[Found]:
    try:
        return _unpack(packed)
    except UNDECODABLE as error:
        raise JournalError(
            f"The journal is damaged: a part of the table of targets cannot be read ({reason(error)})."
        ) from error
