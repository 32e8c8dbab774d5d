"""What may go, and when: old entries of the journal, and old activity logs. Decided on a thread, done by the logger.

A `Planner` reads over a connection of its own and takes its time; what it returns, the logger deletes in transactions
of `STEP` entries, with pauses, between its batches. Kept, whatever age and size say, is what somebody may still need:

- messages that someone is due and was not shown (`unread`), unless their account is over, and everything of the last
  `keep_ms`: what this server has written in that time by the steady clock, and what is stamped with a time of it,
- what sessions that are detached have asked, for they may ask again,
- the end of the log, which the counters and the activity logs are completed from.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from tessenger.config import JournalSection
from tessenger.journal import chunks, rotation, schema
from tessenger.journal.by_time import oldest_since
from tessenger.journal.numbered_lines import first_number
from tessenger.journal.rows import KIND, SEQ, SESSION, TARGET, TEXT
from tessenger.wire import names

STEP = 100
"""Entries deleted in one transaction: about 1 ms."""

PAUSE_SECONDS = 0.01
"""Between two transactions."""

ROUND_SECONDS = 60.0
"""Between two looks at what may go, once all has gone."""

RESEND_SECONDS = 5.0
"""How long after the grace time of a start the first look is: whoever resumes has asked again by then."""

KEEP_MS = 3_600_000
"""Nothing younger goes."""

_LOOKED_AT = 20_000
"""Entries that one plan looks at, at most."""

_LOOKED_AT_TEXT = 8_388_608
"""Characters of texts that one plan looks at, about, at most."""

_DAY_MS = 86_400_000
_FOR_EVER = 2**62
_NONE: dict[int, int] = {}

_FOR_ONE = frozenset({"m", "gi", "gl"})
"""Kinds of entries that are due to the one whom they are to."""

_MEMBERS = """
SELECT memberships.name, coalesce(users.seen_seq, 0), coalesce(users.offline_seq, 0), sessions.id IS NOT NULL,
    coalesce(memberships.to_seq, ?)
FROM memberships LEFT JOIN users ON users.user = memberships.user
LEFT JOIN sessions ON sessions.user = memberships.user"""


_DUE_BEHIND = """
SELECT user, max(behind) FROM (SELECT user, seen_seq AS behind FROM users UNION ALL SELECT user, number FROM accounts)
GROUP BY user"""


class Plan(Struct, frozen=True):
    """What may go: entries, and whole files (each with when it was last written, Unix s).

    `logs` should begin anew, so that their past can go one day. `more`: another plan has more.
    """

    entries: list[int]
    files: list[tuple[Path, float]]
    logs: list[str]
    more: bool


class Planner:
    """Finds out what may go. Used by one thread at a time."""

    def __init__(
        self, path: Path, data_dir: Path, limits: JournalSection, *, offline_delivery: bool, keep_ms: int = KEEP_MS
    ) -> None:
        """`path` is the journal's. `offline_delivery`: who was away is due what groups said meanwhile."""
        self._path = path
        self._data_dir = data_dir
        self._limits = limits
        self.offline_delivery = offline_delivery
        self._keep_ms = keep_ms
        self._looked_at = 0
        self._ends: deque[tuple[int, int]] = deque()  # where the log ended, and when, the oldest first

    def plan(self, now: int, at: int) -> Plan:
        """Return what may go now: by the steady clock (ms), and by the wall clock (Unix ms). Raises `JournalError`."""
        with closing(schema.open_reader(self._path)) as db:
            try:
                db.execute("BEGIN")
                kept_from = min(self._written_lately(db, now), oldest_since(db, at - self._keep_ms, at))
                aged = self._aged(db, at)
                victims, more = self._entries(db, kept_from - 1, aged)
                if more:
                    return Plan(victims, [], [], more=True)
                return Plan(victims, list(self._old_files(aged)), list(self._old_logs(db, at)), more=False)
            except sqlite3.Error as error:
                raise schema.explained(self._path, error) from error

    # ---- the journal ----

    def _written_lately(self, db: sqlite3.Connection, now: int) -> int:
        """Return the number from which on entries came within the last `keep_ms` of this process, at the least."""
        self._ends.append((now, chunks.newest(db)))
        while len(self._ends) > 1 and self._ends[1][0] <= now - self._keep_ms:
            self._ends.popleft()
        return self._ends[0][1] + 1

    def _entries(self, db: sqlite3.Connection, upto: int, aged: int) -> tuple[list[int], bool]:
        upto, excess = self._bounds(db, upto)
        if not excess:
            upto = min(upto, aged)
        if next(chunks.forward(db, self._looked_at, upto), None) is None:
            self._looked_at = 0  # the next look begins anew: what was due by then may have been shown
            return [], False
        due_behind = {names.key(user): behind for user, behind in db.execute(_DUE_BEHIND)}
        (begun,) = db.execute("SELECT accounts_begun FROM meta").fetchone()
        nobodys = _FOR_EVER if begun else 0
        lacking = self._lacking(db)
        detached = {session for (session,) in db.execute("SELECT id FROM sessions WHERE detached_until > 0")}
        victims = []
        size = 0
        for looked_at, row in enumerate(chunks.forward(db, self._looked_at, upto), 1):
            size += len(row[TEXT] or "")
            seq, kind, session, target = row[SEQ], row[KIND], row[SESSION], names.key(row[TARGET] or "")
            self._looked_at = seq
            if kind in _FOR_ONE and seq > due_behind.get(target, nobodys):
                continue
            if kind == "g" and any(after < seq <= upto for upto, after in lacking.get(target, _NONE).items()):
                continue
            if session not in detached or not session:
                victims.append(seq)
                excess -= _ROW_BYTES + len(row[TEXT] or "")
                if excess <= 0 and seq > aged:
                    break
            if looked_at >= _LOOKED_AT or size >= _LOOKED_AT_TEXT:
                break
        return victims, True

    def _bounds(self, db: sqlite3.Connection, upto: int) -> tuple[int, int]:
        """Return up to where entries may go at all, and by how many bytes the journal is too large."""
        counted, logged = db.execute("SELECT counted_seq, logged_seq FROM meta").fetchone()
        upto = min(upto, counted, logged, chunks.newest(db) - 1)
        if not self._limits.retention_mb:
            return upto, 0
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return upto, max(0, (pages - free) * size - self._limits.retention_mb * 1_000_000)

    def _aged(self, db: sqlite3.Connection, at: int) -> int:
        """Return up to where entries are too old."""
        days = self._limits.retention_days
        return oldest_since(db, at - days * _DAY_MS, at) - 1 if days else 0

    def _lacking(self, db: sqlite3.Connection) -> dict[str, dict[int, int]]:
        """Return for each group up to which numbers, and behind which, someone who is due its messages lacks some.

        A membership that is over makes nobody wait for what came after it.
        """
        lacking: dict[str, dict[int, int]] = {}
        for group, seen, offline, present, until in db.execute(_MEMBERS, (_FOR_EVER,)):
            if seen < until and (self.offline_delivery or present or seen < offline - 1):
                spans = lacking.setdefault(names.key(group), {})
                spans[until] = min(spans.get(until, seen), seen)
        return lacking

    # ---- the activity logs ----

    def _old_files(self, aged: int) -> Iterator[tuple[Path, float]]:
        """Yield rotated logs all of whose lines are too old, or which are too much together, the oldest first."""
        files = rotation.rotated(self._data_dir)
        total = sum(file.size for file in files)
        allowed = self._limits.retention_mb * 1_000_000
        for file in files:
            if 0 < file.last <= aged or (allowed and total > allowed):
                total -= file.size
                yield file.path, file.written

    def _old_logs(self, db: sqlite3.Connection, at: int) -> Iterator[str]:
        """Yield logs that began more than a day ago: so a line outlives its time by a day at most."""
        if not self._limits.retention_days:
            return
        yesterday = oldest_since(db, at - _DAY_MS, at)
        for path in self._data_dir.glob("*log.txt"):
            number = first_number(path)
            if number is not None and number < yesterday:
                yield path.name


_ROW_BYTES = 100
"""What an entry takes besides its text, about: to stop in time, not to be exact."""
