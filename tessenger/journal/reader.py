"""The journal as workers read it: a read-only connection of their own, on a thread of their own. Never delays the logger.

Every read is one short transaction, so that the write-ahead file can be truncated between two of them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tessenger.chat.entries import AnyEntry, Signal
from tessenger.chat.present import Snapshot
from tessenger.journal import changes, rows, schema

ANSWER = f"{rows.SELECT} WHERE session = :session AND request = :request AND request <> 0 ORDER BY seq LIMIT 1"

PRIVATE = f"{rows.SELECT} WHERE target = :user AND seq > :after AND seq <= :upto AND kind IN ('m', 's')"
"""Private messages and signals to someone."""

_OF_ENTRY = ", ".join(f"entries.{column}" for column in rows.COLUMNS)

OF_GROUPS = f"""
SELECT {_OF_ENTRY} FROM memberships CROSS JOIN entries
    ON entries.target = memberships.name AND entries.kind = 'g' AND entries.user <> :user
    AND entries.seq > max(memberships.from_seq, :after)
    AND entries.seq <= min(coalesce(memberships.to_seq, :upto), :upto)
WHERE memberships.user = :user"""
"""Messages of groups while someone was a member, but their own. A cross join keeps SQLite from starting at the entries."""


class SqliteReader:
    """Implements `chat.ports.Reader`. May be used from any thread, by one at a time."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, which the logger has made. Raises `JournalError`."""
        self._path = path
        self._db = schema.open_reader(path)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def snapshot(self) -> Snapshot:
        """Return the present state as of the last commit that this reader can see."""
        try:
            self._db.execute("BEGIN")
            try:
                return changes.read_snapshot(self._db)
            finally:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error

    def missed(self, user: str, after: int, upto: int) -> list[AnyEntry]:
        """Return what `user`'s resumed session is due with `after` < seq <= `upto`, in order."""
        due = {"user": user, "after": after, "upto": upto}
        return self._entries((PRIVATE, due), (OF_GROUPS, due))

    def unread(self, user: str, after: int | None, upto: int) -> list[AnyEntry]:
        """Return what `user` was due in earlier sessions and was never shown, up to `upto`, in order."""
        seen, offline = self._position(user)
        seen = max(seen, after or 0)
        private = {"user": user, "after": seen, "upto": upto}
        of_groups = {"user": user, "after": seen, "upto": min(upto, offline - 1)}
        found = self._entries((PRIVATE, private), (OF_GROUPS, of_groups))
        return [entry for entry in found if type(entry) is not Signal]

    def answer(self, session: int, request: int) -> AnyEntry | None:
        """Return the entry that this request of this session led to, or None."""
        found = self._entries((ANSWER, {"session": session, "request": request}))
        return found[0] if found else None

    def _position(self, user: str) -> tuple[int, int]:
        """Return up to where `user` has read, and where their last session ended."""
        try:
            found = self._db.execute("SELECT seen_seq, offline_seq FROM users WHERE user = ?", (user,)).fetchone()
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error
        return found or (0, 0)

    def _entries(self, *queries: tuple[str, dict[str, Any]]) -> list[AnyEntry]:
        """Return what all `queries` find, in order. An entry once written stays, so they need no common transaction."""
        found: list[rows.Row] = []
        try:
            for query, values in queries:
                found += self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise schema.explained(self._path, error) from error
        found.sort(key=lambda row: row[0])
        return [rows.from_row(row) for row in found]
