"""Reading back what was said, in steps of bounded work. Runs in workers, on the thread that reads history.

Every question goes backwards, newest first, and stops. `targets` (see targets.py) finds a group's messages and what
someone got. What someone sent to a person is found among what that person got; what they sent to anybody, and so
everything at once, by going through the log itself. Either way a question looks at no more than `SCANNED` entries,
and says where it stopped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from heapq import merge
from operator import itemgetter

from tessenger.chat.ports import Page, Question
from tessenger.journal import chunks, rows
from tessenger.journal.by_time import behind_what_is_older
from tessenger.journal.changes import account_number
from tessenger.journal.chunks import Lookup
from tessenger.journal.rows import KIND, SEQ, TARGET, TEXT, USER, Row
from tessenger.journal.targets import Targets
from tessenger.wire import names

SCANNED = 20_000
"""Entries that one question looks at in the log, or among what one target got, at most: about 20 ms on the thread that
reads."""

SCANNED_TEXT = 8_388_608
"""Characters of texts that one question looks at in the log, at most: as long as that, where they are long."""

MEMBERSHIPS = "SELECT name, from_seq, to_seq FROM memberships WHERE user = ?"

_IN_GROUP = f"{MEMBERSHIPS} AND name = ? ORDER BY from_seq DESC"


class _Stopped(Exception):
    """So much was looked at that a question goes no further down than entry `seq`."""

    def __init__(self, seq: int) -> None:
        self.seq = seq


def read_page(db: sqlite3.Connection, targets: Targets, question: Question) -> Page:
    """Answer a question; call it within a transaction, with `targets` refreshed."""
    floor = max(behind_what_is_older(db, question.since) if question.since else 0, account_number(db, question.user))
    before = question.before or chunks.LAST
    if question.group:
        found = _of_group(db, targets, question, floor, before)
    elif question.peer:
        found = _between_two(db, targets, question, floor, before)
    else:
        found = _of_all(db, question, floor, before)
    newest_first: list[Row] = []
    size = 0
    try:
        for row in found:
            size += len((row[TEXT] or "").encode())
            if newest_first and size > question.max_bytes:
                return _page(newest_first, newest_first[-1][SEQ])
            newest_first.append(row)
            if len(newest_first) == question.limit:
                return _page(newest_first, row[SEQ])
    except _Stopped as stopped:
        return _page(newest_first, stopped.seq)
    return _page(newest_first, 0)


def _page(newest_first: list[Row], before: int) -> Page:
    found = [rows.from_row(row) for row in reversed(newest_first)]
    return Page(found, before)  # type: ignore[arg-type]  # the questions find messages only


def _of_group(db: sqlite3.Connection, targets: Targets, question: Question, floor: int, before: int) -> Iterator[Row]:
    """Only what was said while they were a member."""
    log = Lookup(db)
    for _, since, until in db.execute(_IN_GROUP, (question.user, question.group)).fetchall():
        end = before if until is None else min(before, until + 1)
        for seq, kind, _ in targets.newest_to(db, question.group, end, max(floor, since + 1)):
            row = log.find(seq) if kind == "g" else None
            if row is not None:
                yield row


def _between_two(
    db: sqlite3.Connection, targets: Targets, question: Question, floor: int, before: int
) -> Iterator[Row]:
    """Private messages between two people, either way."""
    log = Lookup(db)

    def got(user: str, sender: str) -> Iterator[tuple[int, bool, int]]:
        """Yield the number of everything that `user` got, whether `sender` wrote it, and how many are above it."""
        sender = names.key(sender)
        for above, (seq, kind, by) in enumerate(targets.newest_to(db, user, before, floor)):
            yield seq, kind == "m" and by is not None and names.key(by) == sender, above

    user, peer = question.user, question.peer
    streams = [got(user, peer), got(peer, user)] if names.key(user) != names.key(peer) else [got(user, peer)]
    for seq, is_wanted, above in merge(*streams, key=itemgetter(0), reverse=True):
        if above >= SCANNED:
            raise _Stopped(seq + 1)
        row = log.find(seq) if is_wanted else None
        if row is not None:
            yield row


def _of_all(db: sqlite3.Connection, question: Question, floor: int, before: int) -> Iterator[Row]:
    """Everything that someone said or was told."""
    user = names.key(question.user)
    memberships: dict[str, list[tuple[int, int | None]]] = {}
    for name, since, until in db.execute(MEMBERSHIPS, (question.user,)):
        memberships.setdefault(names.key(name), []).append((since, until))
    size = 0
    for above, row in enumerate(chunks.backward(db, before, floor)):
        seq, to = row[SEQ], names.key(row[TARGET] or "")
        if above >= SCANNED or size >= SCANNED_TEXT:
            raise _Stopped(seq + 1)
        size += len(row[TEXT] or "")
        if row[KIND] == "m":
            if user in (to, names.key(row[USER] or "")):
                yield row
        elif row[KIND] == "g" and any(
            since < seq and (until is None or seq <= until) for since, until in memberships.get(to, ())
        ):
            yield row
