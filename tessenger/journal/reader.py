"""The journal as workers read it: each over a read-only connection and on a thread of its own.

No read delays the logger. Every read is one short transaction, so that the write-ahead file can be truncated between
two of them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tessenger.chat.entries import AnyEntry
from tessenger.chat.ports import Page, Question
from tessenger.chat.present import Snapshot
from tessenger.errors import JournalBusy
from tessenger.journal import changes, chunks, history, rows, schema, targets
from tessenger.wire import names

PATIENCE_SECONDS = 2.0
"""How long to wait for the logger to settle what was committed; it does so within some milliseconds if it can."""

_AGAIN_SECONDS = 0.002
"""Between two looks."""

BETWEEN = "SELECT after_seq, upto_seq FROM requests WHERE session = ? AND request >= ? ORDER BY request LIMIT 1"
"""Between which entries the one of a request is; none where it is not counted yet."""


class SqliteReader:
    """Implements `chat.ports.Reader`. May be used from any thread, by one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, which the logger has made. Raises `JournalError`."""
        self._path = path
        self._db = schema.open_reader(path)
        self._found_upto = 0
        self._targets = targets.Targets()
        self._answers = _Answers()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def snapshot(self) -> Snapshot:
        """Return the present state as of the last commit that this reader can see."""
        with self._transaction() as db:
            return changes.read_snapshot(db)

    def wait_for(self, seq: int) -> None:
        """Wait until the tables have everything up to `seq`, which was committed. Raises `JournalBusy`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while seq > self._found_upto:
            with self._transaction() as db:
                self._found_upto = changes.last_seq(db)
            if seq > self._found_upto:
                if time.monotonic() > deadline:
                    raise JournalBusy(f"The journal has not settled up to entry {seq}.")
                time.sleep(_AGAIN_SECONDS)

    def missed(self, user: str, after: int, upto: int) -> list[int]:
        """Return the numbers of what `user`'s resumed session is due with `after` < seq <= `upto`, in order."""
        with self._transaction() as db:
            self._targets.refresh(db)
            after = max(after, changes.account_number(db, user))
            own = [
                seq
                for seq, kind, sender in self._targets.to(db, user, after, upto)
                if _is_private(kind, sender, user) or kind == "s"
            ]
            return sorted(own + self._of_groups(db, user, after, upto))

    def unread(self, user: str, after: int | None, upto: int, *, away: bool = False) -> list[int]:
        """Return the numbers of what `user` was due in earlier sessions and was never shown, up to `upto`, in order.

        `away`: and what their groups said after the last one.
        """
        with self._transaction() as db:
            self._targets.refresh(db)
            found = db.execute("SELECT seen_seq, offline_seq FROM users WHERE user = ?", (user,)).fetchone()
            seen, offline = found or (0, 0)
            seen = max(seen, after or 0, changes.account_number(db, user))
            own = [
                seq for seq, kind, sender in self._targets.to(db, user, seen, upto) if _is_private(kind, sender, user)
            ]
            return sorted(own + self._of_groups(db, user, seen, upto if away else min(upto, offline - 1)))

    def entries(self, numbers: Sequence[int], max_bytes: int) -> list[AnyEntry]:
        """Return the first of these entries, in order: as many as have `max_bytes` of text, at least one."""
        found: list[rows.Row] = []
        with self._transaction() as db:
            log = chunks.Lookup(db)
            for number in numbers:
                row = log.find(number)
                if row is not None:
                    found.append(row)
                    max_bytes -= len(row[rows.TEXT] or "")
                if max_bytes <= 0:
                    break
        return [rows.from_row(row) for row in found]

    def history(self, question: Question) -> Page:
        """Return what was said: a page of it, and from where to go on."""
        with self._transaction() as db:
            self._targets.refresh(db)
            return history.read_page(db, self._targets, question)

    def answer(self, session: int, request: int) -> AnyEntry | None:
        """Return the entry that this request of this session led to, or None."""
        with self._transaction() as db:
            (counted,) = db.execute("SELECT counted_seq FROM meta").fetchone()
            after, upto = db.execute(BETWEEN, (session, request)).fetchone() or (counted, chunks.LAST)
            seq = self._answers.find(db, session, request, after, upto)
            row = None if seq is None else chunks.Lookup(db).find(seq)
        return None if row is None else rows.from_row(row)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Read in one transaction: everything as of one moment."""
        try:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")  # there is nothing to commit
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error

    def _of_groups(self, db: sqlite3.Connection, user: str, after: int, upto: int) -> list[int]:
        """Return the numbers of what others said with `after` < seq <= `upto` in groups that `user` was in then."""
        if after >= upto:
            return []
        return [
            seq
            for group, since, until in db.execute(history.MEMBERSHIPS, (user,)).fetchall()
            for seq, kind, sender in self._targets.to(
                db, group, max(since, after), upto if until is None else min(until, upto)
            )
            if kind == "g" and not _same(sender, user)
        ]


class _Answers:
    """What a session's requests led to, in the part of the log that was looked through last.

    A client that comes back repeats up to a thousand requests; they are found with one look.
    """

    def __init__(self) -> None:
        self._part = (0, 0)
        self._upto = 0
        self._numbers: dict[int, int] = {}

    def find(self, db: sqlite3.Connection, session: int, request: int, after: int, upto: int) -> int | None:
        """Return the number of the first entry that `request` led to with `after` < seq <= `upto`; None for none."""
        if (session, after) != self._part:
            self._part, self._upto, self._numbers = (session, after), after, {}
        for row in chunks.forward(db, self._upto, upto):
            self._upto = row[rows.SEQ]
            if row[rows.SESSION] == session and row[rows.KIND] in rows.ISSUED:
                self._numbers.setdefault(row[rows.REQUEST], self._upto)
        found = self._numbers.get(request)
        return found if found is None or found <= upto else None


def _is_private(kind: str, sender: str | None, user: str) -> bool:
    """Tell whether it is for `user` alone: private messages, invitations, and that they were removed from a group."""
    return kind in ("m", "gi") or (kind == "gl" and not _same(sender, user))


def _same(name: str | None, user: str) -> bool:
    return name is not None and names.key(name) == names.key(user)
