"""Reading back what was said, in steps of bounded work. Runs in workers, on the thread that reads history.

Every query here goes backwards through one index, newest first, and stops. `targets` (see targets.py) finds a group's
messages and what someone got. What someone sent to a person is found among what that person got; what they sent to
anybody, and so everything at once, by going through the log itself. Either way a question looks at no more than
`SCANNED` entries, and says where it stopped.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from tessenger.chat.ports import Page, Question
from tessenger.journal import rows, targets

SCANNED = 20_000
"""Entries that one question looks at in each index, at most: about 20 ms on the thread that reads."""

_NEWEST = 2**62
"""Above every sequence number."""

_WITHIN = "seq >= :floor AND seq < :before"

_ENDS = (":floor - 1", ":before - 1")

NTH_OF_TARGET = f"{targets.numbers_to(':target', *_ENDS)} ORDER BY seq DESC LIMIT 1 OFFSET :scanned"
NTH_OF_ALL = f"SELECT seq FROM entries WHERE {_WITHIN} ORDER BY seq DESC LIMIT 1 OFFSET :scanned"  # noqa: S608
"""Down to which entry a question may look."""

BETWEEN_TWO = f"""
{targets.to(":user", *_ENDS, "entries.user = :peer AND entries.kind = 'm'")}
UNION ALL
{targets.to(":peer", *_ENDS, "entries.user = :user AND entries.kind = 'm'")}
ORDER BY seq DESC LIMIT :limit"""
"""Private messages between two people, either way."""

OF_GROUP = f"""{targets.to(":group", *_ENDS, "entries.kind = 'g'")} ORDER BY seq DESC LIMIT :limit"""

OF_ALL = f"""
{rows.SELECT} WHERE {_WITHIN} AND (
    kind = 'm' AND (target = :user OR user = :user)
    OR kind = 'g' AND EXISTS (
        SELECT 1 FROM memberships WHERE memberships.user = :user AND memberships.name = entries.target
        AND memberships.from_seq < entries.seq AND entries.seq <= coalesce(memberships.to_seq, entries.seq)))
ORDER BY seq DESC LIMIT :limit"""  # noqa: S608 constants only
"""Everything that someone said or was told."""

MEMBERSHIPS = "SELECT from_seq, to_seq FROM memberships WHERE user = ? AND name = ? ORDER BY from_seq DESC"

ENDS = "SELECT (SELECT min(seq) FROM entries), (SELECT max(seq) FROM entries)"
"""Of the log: each by itself is looked up, both in one would be counted out."""

_FIRST_FROM = "SELECT seq, at FROM entries WHERE seq >= ? ORDER BY seq LIMIT 1"


def read_page(db: sqlite3.Connection, question: Question) -> Page:
    """Answer a question; call it within a transaction."""
    (indexed,) = db.execute(targets.INDEXED).fetchone()
    values: dict[str, Any] = {
        "indexed": indexed,
        "user": question.user,
        "peer": question.peer,
        "group": question.group,
        "floor": first_since(db, question.since) if question.since else 0,
        "before": question.before or _NEWEST,
        "limit": question.limit,
        "scanned": SCANNED,
    }
    if question.group:
        return _of_group(db, values, question)
    if question.peer:
        ends = [_nth(db, NTH_OF_TARGET, values | {"target": name}) for name in (question.user, question.peer)]
        query, stopped = BETWEEN_TWO, max(ends)
    else:
        query, stopped = OF_ALL, _nth(db, NTH_OF_ALL, values)
    return _collect(db, [(query, values | {"floor": max(stopped, values["floor"])})], question, stopped)


def _of_group(db: sqlite3.Connection, values: dict[str, Any], question: Question) -> Page:
    """Only what was said while they were a member."""
    queries = []
    for since, until in db.execute(MEMBERSHIPS, (question.user, question.group)).fetchall():
        before = values["before"] if until is None else min(values["before"], until + 1)
        queries.append((OF_GROUP, values | {"floor": max(values["floor"], since + 1), "before": before}))
    return _collect(db, queries, question, stopped=0)


def _collect(
    db: sqlite3.Connection, queries: list[tuple[str, dict[str, Any]]], question: Question, stopped: int
) -> Page:
    """Take what is found, newest first, up to the limits; `stopped` is where looking ended, 0 for at the beginning."""
    newest_first: list[rows.Row] = []
    size = 0
    for query, values in queries:
        for row in db.execute(query, values):
            size += len(row[rows.TEXT].encode())
            if newest_first and size > question.max_bytes:
                return _page(newest_first, newest_first[-1][0])
            newest_first.append(row)
            if len(newest_first) == question.limit:
                return _page(newest_first, row[0])
    return _page(newest_first, stopped)


def _page(newest_first: list[rows.Row], before: int) -> Page:
    found = [rows.from_row(row) for row in reversed(newest_first)]
    return Page(found, before)  # type: ignore[arg-type]  # the queries find messages only


def _nth(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> int:
    """Return the entry beyond which nothing is looked at; 0 where there are not so many."""
    (seq,) = db.execute(query, values).fetchone() or (-1,)
    return int(seq) + 1


def first_since(db: sqlite3.Connection, since: int) -> int:
    """Return the number of the first entry at or after a time: times rise with numbers, so halving finds it."""
    first, last = db.execute(ENDS).fetchone()
    low, high = first or 0, (last or 0) + 1
    while low < high:
        middle = (low + high) // 2
        seq, at = db.execute(_FIRST_FROM, (middle,)).fetchone() or (high, since)
        if at < since:
            low = seq + 1
        else:
            high = middle
    return int(low)
