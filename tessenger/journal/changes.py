"""The present state beside the log: what each kind of entry changes in the journal's tables, and reading it back.

`chat.present` says what entries add up to; these tables say the same, and a test holds them to it. Runs in the logger,
inside the transaction that also keeps the entries; `read_snapshot` in whatever process starts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from tessenger.chat import entries
from tessenger.chat.present import Group, Member, Session, Snapshot
from tessenger.journal import rows
from tessenger.wire import names

_SESSION = Session.__struct_fields__
_READ_SESSIONS = f"SELECT {', '.join(_SESSION)} FROM sessions ORDER BY seq"  # noqa: S608 constants only
_ADD_SESSION = f"INSERT OR REPLACE INTO sessions ({', '.join(_SESSION)}) VALUES ({', '.join('?' * len(_SESSION))})"  # noqa: S608
REPEATABLE = 4_096
"""Ids below a session's highest for which a repeat finds its answer: a client has at most 1,024 requests unanswered,
and may send pings, which take ids too, in between."""

_OFFLINE = "UPDATE users SET offline_seq = ? WHERE user = ?"


# ---- writing ----


def _end(db: sqlite3.Connection, session: int) -> None:
    db.execute("DELETE FROM sessions WHERE id = ?", (session,))
    db.execute("DELETE FROM requests WHERE session = ?", (session,))


def _online(db: sqlite3.Connection, e: entries.Online) -> None:
    earlier = db.execute("SELECT id FROM sessions WHERE user = ?", (e.user,)).fetchall()
    for ended in earlier:
        _end(db, *ended)
    values = (
        e.session, e.user, e.number, e.slot, e.generation, e.ip, e.udp_port, e.at, e.seq, e.token_hash, e.expires,
        e.request, 0,
    )  # fmt: skip
    db.execute(_ADD_SESSION, values)
    db.execute(
        "INSERT INTO users (user, seen_seq, offline_seq) VALUES (?, 0, ?)"
        " ON CONFLICT (user) DO UPDATE SET offline_seq = max(offline_seq, excluded.offline_seq)",
        (e.user, e.seq if earlier else 0),
    )
    db.execute("DELETE FROM failures WHERE key = ?", (names.key(e.user),))


def _resumed(db: sqlite3.Connection, e: entries.Resumed) -> None:
    db.execute(
        "UPDATE sessions SET number = ?, slot = ?, generation = ?, ip = ?, udp_port = ?, detached_until = 0"
        " WHERE id = ?",
        (e.number, e.slot, e.generation, e.ip, e.udp_port, e.session),
    )


def _detached(db: sqlite3.Connection, e: entries.Detached) -> None:
    db.execute("UPDATE sessions SET detached_until = ? WHERE id = ? AND number = ?", (e.until, e.session, e.number))


def _offline(db: sqlite3.Connection, e: entries.Offline) -> None:
    ended = db.execute("SELECT user FROM sessions WHERE id = ?", (e.session,)).fetchone()
    if ended is None:
        return
    _end(db, e.session)
    db.execute(_OFFLINE, (e.seq, *ended))
    if e.reason == "logout":  # a clean logout comes after everything that was delivered before it
        db.execute("UPDATE users SET seen_seq = ? WHERE user = ?", (e.seq, *ended))


def _seen(db: sqlite3.Connection, e: entries.Seen) -> None:
    db.execute(
        "UPDATE users SET seen_seq = max(seen_seq, ?) WHERE user = (SELECT user FROM sessions WHERE id = ?)",
        (e.upto, e.session),
    )


def _token_voided(db: sqlite3.Connection, e: entries.TokenVoided) -> None:
    db.execute("UPDATE sessions SET token_hash = x'' WHERE id = ?", (e.session,))


def _released(db: sqlite3.Connection, e: entries.Released) -> None:
    db.execute(
        "UPDATE sessions SET detached_until = ? WHERE slot = ? AND generation = ? AND detached_until = 0",
        (e.until, e.dead_slot, e.generation),
    )


def _login_failed(db: sqlite3.Connection, e: entries.LoginFailed) -> None:
    db.execute("INSERT OR REPLACE INTO failures (key, failures) VALUES (?, ?)", (names.key(e.user), e.failures))


def _blocked(db: sqlite3.Connection, e: entries.Blocked) -> None:
    user = names.key(e.user)
    db.execute("DELETE FROM failures WHERE key = ?", (user,))
    db.execute("INSERT OR REPLACE INTO blocks (key, user, until) VALUES (?, ?, ?)", (user, e.user, e.until))


def _unblocked(db: sqlite3.Connection, e: entries.Unblocked) -> None:
    db.execute("DELETE FROM blocks WHERE key = ? AND until = ?", (names.key(e.user), e.until))


def _group_created(db: sqlite3.Connection, e: entries.GroupCreated) -> None:
    db.execute("INSERT INTO groups (name, creator, seq) VALUES (?, ?, ?)", (e.group, e.user, e.seq))
    members = {names.key(user): user for user in e.members}
    db.executemany(
        "INSERT INTO memberships (name, user, from_seq) VALUES (?, ?, ?)",
        [(e.group, user, e.seq) for user in members.values()],
    )


def _group_joined(db: sqlite3.Connection, e: entries.GroupJoined) -> None:
    db.execute(
        "INSERT INTO memberships (name, user, from_seq) SELECT name, ?, ? FROM groups WHERE name = ?",
        (e.user, e.seq, e.group),
    )


CHANGES: dict[type[entries.Entry], Callable[[sqlite3.Connection, Any], None]] = {
    entries.Online: _online,
    entries.Resumed: _resumed,
    entries.Detached: _detached,
    entries.Offline: _offline,
    entries.Seen: _seen,
    entries.TokenVoided: _token_voided,
    entries.Released: _released,
    entries.LoginFailed: _login_failed,
    entries.Blocked: _blocked,
    entries.Unblocked: _unblocked,
    entries.GroupCreated: _group_created,
    entries.GroupJoined: _group_joined,
}
"""What each kind changes; kinds that are not here change nothing. The log accepts an entry before it comes here."""


# ---- counted behind the entries ----


class Counters:
    """The highest request id of each session, and the last `n` of each slot's generation, as entries move them on.

    Every message moves both. Writing them with each would touch more pages than the message itself, so they are
    written now and then (`meta.counted_seq` says up to where), and whoever reads them counts the entries behind that.
    `seq` is that number, `highest` has the sessions that moved since.
    """

    def __init__(self, seq: int, slots: dict[int, tuple[int, int]]) -> None:
        """Go on behind entry `seq` from `slots`, which maps a slot to its generation and last `n`."""
        self.seq = seq
        self.highest: dict[int, int] = {}
        self.slots = slots

    def count(self, entry: entries.AnyEntry) -> None:
        """Move on by one journaled entry."""
        if isinstance(entry, entries.Issued) and entry.request > self.highest.get(entry.session, 0):
            self.highest[entry.session] = entry.request
        if entry.slot:
            generation, _ = self.slots.get(entry.slot, (0, 0))
            if isinstance(entry, entries.Online | entries.Resumed):
                generation = entry.generation
            self.slots[entry.slot] = (generation, entry.n)
        if isinstance(entry, entries.Released) and entry.dead_slot in self.slots:
            self.slots[entry.dead_slot] = (entry.generation, 0)

    def write(self, db: sqlite3.Connection, seq: int) -> None:
        """Keep the counters as of `seq`; once the transaction has succeeded, call `written`."""
        moved = [(session, request, self.seq, seq) for session, request in self.highest.items()]
        db.executemany("UPDATE sessions SET highest = max(highest, ?2) WHERE id = ?1", [of[:2] for of in moved])
        db.executemany(
            "INSERT OR REPLACE INTO requests SELECT id, ?2, ?3, ?4 FROM sessions WHERE id = ?1",
            moved,
        )
        db.executemany(
            "DELETE FROM requests WHERE session = ? AND request < ?",
            [(session, request - REPEATABLE) for session, request, *_ in moved if request > REPEATABLE],
        )
        db.execute("DELETE FROM slots")
        db.executemany("INSERT INTO slots VALUES (?, ?, ?)", [(slot, *known) for slot, known in self.slots.items()])
        db.execute("UPDATE meta SET counted_seq = ?", (seq,))

    def written(self, seq: int) -> None:
        """Begin anew behind `seq`: what was counted up to there is kept."""
        self.seq = seq
        self.highest.clear()


# ---- reading ----


def read_last(db: sqlite3.Connection) -> tuple[int, int]:
    """Return number and time of the last entry; with none since the server started, the number it started behind."""
    (start,) = db.execute("SELECT start_seq FROM meta").fetchone()
    seq, at = db.execute("SELECT seq, at FROM entries ORDER BY seq DESC LIMIT 1").fetchone() or (0, 0)
    return max(seq, start), at


def read_counters(db: sqlite3.Connection) -> Counters:
    """Return the counters as of the last entry."""
    slots = {slot: (generation, n) for slot, generation, n in db.execute("SELECT slot, generation, n FROM slots")}
    (counted,) = db.execute("SELECT counted_seq FROM meta").fetchone()
    counters = Counters(counted, slots)
    for row in db.execute(f"{rows.SELECT} WHERE seq > ? ORDER BY seq", (counted,)):
        counters.count(rows.from_row(row))
    return counters


def read_snapshot(db: sqlite3.Connection) -> Snapshot:
    """Return the present state; call it within a transaction, so that all of it is of one moment."""
    seq, at = read_last(db)
    counters = read_counters(db)
    sessions = [Session(*row) for row in db.execute(_READ_SESSIONS)]
    for session in sessions:
        session.highest = max(session.highest, counters.highest.get(session.id, 0))
    groups = {
        names.key(name): Group(name, creator, since, {})
        for name, creator, since in db.execute("SELECT name, creator, seq FROM groups ORDER BY seq")
    }
    for name, user, since in db.execute(
        "SELECT name, user, from_seq FROM memberships WHERE to_seq IS NULL ORDER BY place"
    ):
        groups[names.key(name)].members[names.key(user)] = Member(user, since)
    return Snapshot(
        seq=seq,
        at=at,
        sessions=sessions,
        groups=list(groups.values()),
        failures=dict(db.execute("SELECT key, failures FROM failures").fetchall()),
        blocks={key: (user, until) for key, user, until in db.execute("SELECT key, user, until FROM blocks")},
        slots=counters.slots,
    )
