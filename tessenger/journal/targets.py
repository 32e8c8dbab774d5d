"""Finding entries by whom they are to, with an index that is filled behind the log. For the logger and for readers.

An index that moves on with every message costs a page of writing at a random place each time, more than the message
itself. So the table `targets` is filled with many entries at a time, in the transaction that also writes the counters,
and has what is to be found up to `meta.counted_seq`. The entries behind that are few (`store.COUNT_EVERY`, or
`COUNT_BATCHES` batches where these are large), and are looked through one by one. A query is therefore two, which
together find each entry once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tessenger.journal import rows

_FILL = """
INSERT OR IGNORE INTO targets (target, seq)
SELECT target, seq FROM entries WHERE seq > ? AND seq <= ? AND target IS NOT NULL"""

_FORGET = "DELETE FROM targets WHERE seq = ?1 AND target = (SELECT target FROM entries WHERE seq = ?1)"

INDEXED = "SELECT counted_seq FROM meta"
"""Up to which entry the table has them: read it in the same transaction."""

TO_GROUPS = """
SELECT targets.seq FROM memberships CROSS JOIN targets CROSS JOIN entries ON entries.seq = targets.seq
WHERE memberships.user = :user AND targets.target = memberships.name
    AND targets.seq > max(memberships.from_seq, :after)
    AND targets.seq <= min(coalesce(memberships.to_seq, :upto), :upto, :indexed)
    AND entries.kind = 'g' AND entries.user <> :user
UNION ALL
SELECT entries.seq FROM entries
WHERE entries.seq > max(:after, :indexed) AND entries.seq <= :upto AND entries.kind = 'g' AND entries.user <> :user
    AND EXISTS (
        SELECT 1 FROM memberships WHERE memberships.user = :user AND memberships.name = entries.target
        AND memberships.from_seq < entries.seq AND entries.seq <= coalesce(memberships.to_seq, entries.seq))"""
"""Numbers of messages of groups with `after` < seq <= `upto` while someone was a member, but their own.

A cross join makes SQLite begin at the memberships."""


def to(target: str, after: str, upto: str, condition: str, columns: Sequence[str] = rows.COLUMNS) -> str:
    """Return a query for the entries to `target` with `after` < seq <= `upto` that meet `condition`.

    All four are SQL; `:indexed` is what `INDEXED` says. `columns` begin with `seq`, by which the result may be ordered.
    """
    behind = ", ".join(f"entries.{column}" for column in columns)
    indexed = behind.replace("entries.seq", "targets.seq", 1)  # the same number, by which the table is sorted
    return f"""
SELECT {indexed} FROM targets CROSS JOIN entries ON entries.seq = targets.seq
WHERE targets.target = {target} AND targets.seq > {after} AND targets.seq <= min({upto}, :indexed) AND {condition}
UNION ALL
SELECT {behind} FROM entries
WHERE entries.seq > max({after}, :indexed) AND entries.seq <= {upto} AND entries.target = {target} AND {condition}"""  # noqa: S608 constants only


def numbers_to(target: str, after: str, upto: str) -> str:
    """Return a query for the numbers of all entries to `target`; see `to`."""
    return f"""
SELECT seq FROM targets WHERE target = {target} AND seq > {after} AND seq <= min({upto}, :indexed)
UNION ALL
SELECT seq FROM entries WHERE seq > max({after}, :indexed) AND seq <= {upto} AND target = {target}"""  # noqa: S608 constants only


def fill(db: sqlite3.Connection, after: int, upto: int) -> None:
    """Add the entries behind `after` up to `upto`; the caller's transaction also moves `meta.counted_seq` there."""
    db.execute(_FILL, (after, upto))


def forget(db: sqlite3.Connection, seqs: list[tuple[int]]) -> None:
    """Take out entries that are about to be deleted."""
    db.executemany(_FORGET, seqs)
