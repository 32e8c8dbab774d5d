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
from typing import Any

from tessenger.chat.entries import AnyEntry
from tessenger.chat.ports import Page, Question
from tessenger.chat.present import Snapshot
from tessenger.errors import JournalBusy
from tessenger.journal import changes, history, rows, schema, targets

PATIENCE_SECONDS = 2.0
"""How long to wait for the logger to settle what was committed; it does so within some milliseconds if it can."""

_AGAIN_SECONDS = 0.002
"""Between two looks."""

_LAST = 2**63 - 1
"""Above every sequence number."""

BETWEEN = "SELECT after_seq, upto_seq FROM requests WHERE session = ? AND request >= ? ORDER BY request LIMIT 1"
"""Between which entries the one of a request is; none where it is not counted yet."""

ANSWER = f"""
{rows.SELECT} WHERE seq > :after AND seq <= :upto AND session = :session AND request = :request
ORDER BY seq LIMIT 1"""

BY_NUMBER = f"{rows.SELECT} WHERE seq = ?"

PRIVATE = targets.to(
    ":user",
    ":after",
    ":upto",
    "(entries.kind IN ('m', 'gi') OR entries.kind = 'gl' AND entries.user <> :user)",
    ["seq"],
)
"""Numbers of what is for someone alone: private messages, invitations, and that they were removed from a group."""

SIGNALS = targets.to(":user", ":after", ":upto", "entries.kind = 's'", ["seq"])


class SqliteReader:
    """Implements `chat.ports.Reader`. May be used from any thread, by one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, which the logger has made. Raises `JournalError`."""
        self._path = path
        self._db = schema.open_reader(path)
        self._found_upto = 0

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
                self._found_upto, _ = changes.read_last(db)
            if seq > self._found_upto:
                if time.monotonic() > deadline:
                    raise JournalBusy(f"The journal has not settled up to entry {seq}.")
                time.sleep(_AGAIN_SECONDS)

    def missed(self, user: str, after: int, upto: int) -> list[int]:
        """Return the numbers of what `user`'s resumed session is due with `after` < seq <= `upto`, in order."""
        due = {"user": user, "after": after, "upto": upto}
        return self._numbers((PRIVATE, due), (SIGNALS, due), (targets.TO_GROUPS, due))

    def unread(self, user: str, after: int | None, upto: int, *, away: bool = False) -> list[int]:
        """Return the numbers of what `user` was due in earlier sessions and was never shown, up to `upto`, in order.

        `away`: and what their groups said after the last one.
        """
        with self._transaction() as db:
            found = db.execute("SELECT seen_seq, offline_seq FROM users WHERE user = ?", (user,)).fetchone()
        seen, offline = found or (0, 0)
        seen = max(seen, after or 0)
        private = {"user": user, "after": seen, "upto": upto}
        of_groups = {"user": user, "after": seen, "upto": upto if away else min(upto, offline - 1)}
        return self._numbers((PRIVATE, private), (targets.TO_GROUPS, of_groups))

    def entries(self, numbers: Sequence[int], max_bytes: int) -> list[AnyEntry]:
        """Return the first of these entries, in order: as many as have `max_bytes` of text, at least one."""
        found: list[rows.Row] = []
        with self._transaction() as db:
            for number in numbers:
                row = db.execute(BY_NUMBER, (number,)).fetchone()
                if row is not None:
                    found.append(row)
                    max_bytes -= len(row[rows.TEXT] or "")
                if max_bytes <= 0:
                    break
        return [rows.from_row(row) for row in found]

    def history(self, question: Question) -> Page:
        """Return what was said: a page of it, and from where to go on."""
        with self._transaction() as db:
            return history.read_page(db, question)

    def answer(self, session: int, request: int) -> AnyEntry | None:
        """Return the entry that this request of this session led to, or None."""
        with self._transaction() as db:
            (counted,) = db.execute("SELECT counted_seq FROM meta").fetchone()
            after, upto = db.execute(BETWEEN, (session, request)).fetchone() or (counted, _LAST)
            values = {"session": session, "request": request, "after": after, "upto": upto}
            found = db.execute(ANSWER, values).fetchone()
        return None if found is None else rows.from_row(found)

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

    def _numbers(self, *queries: tuple[str, dict[str, Any]]) -> list[int]:
        """Return the numbers that all `queries` find, in order."""
        found: list[int] = []
        with self._transaction() as db:
            (indexed,) = db.execute(targets.INDEXED).fetchone()
            for query, values in queries:
                found += (number for (number,) in db.execute(query, values | {"indexed": indexed}))
        return sorted(found)
