"""The present state beside the log: what each kind of entry changes in the journal's tables, and reading it back.

`chat.present` says what entries add up to; these tables say the same, and a test holds them to it. Runs in the logger,
inside the transaction that also keeps the entries; `read_snapshot` in whatever process starts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from tessenger.chat import addresses, entries
from tessenger.chat.known_addresses import KEPT_MS, MOST, count_key
from tessenger.chat.present import Account, Group, Member, Session, Snapshot
from tessenger.chat.runs import Run
from tessenger.journal import by_time, chunks, rows
from tessenger.journal.counters import Counters
from tessenger.wire import names

_SESSION = Session.__struct_fields__
_READ_SESSIONS = f"SELECT {', '.join(_SESSION)} FROM sessions ORDER BY seq"  # noqa: S608 constants only
_ADD_SESSION = f"INSERT OR REPLACE INTO sessions ({', '.join(_SESSION)}) VALUES ({', '.join('?' * len(_SESSION))})"  # noqa: S608
_LAST = f"SELECT start_seq, ({chunks.NEWEST}) FROM meta"  # noqa: S608 constants only
_ADD_ACCOUNT = "INSERT OR REPLACE INTO accounts (user, number, tag) VALUES (?, ?, ?)"
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
        e.token_ms, e.request, 0, "", e.udp_host,
    )  # fmt: skip
    db.execute(_ADD_SESSION, values)
    db.execute(
        "INSERT INTO users (user, seen_seq, offline_seq) VALUES (?, 0, ?)"
        " ON CONFLICT (user) DO UPDATE SET offline_seq = max(offline_seq, excluded.offline_seq)",
        (e.user, e.seq if earlier else 0),
    )
    known = "SELECT 1 FROM known_addresses WHERE user = ? AND address = ?"
    place = addresses.key(e.ip)
    key = count_key(e.user, place if db.execute(known, (e.user, place)).fetchone() else "")
    db.execute("DELETE FROM failures WHERE key = ?", (key,))
    _signed_in(db, e)


def _resumed(db: sqlite3.Connection, e: entries.Resumed) -> None:
    db.execute(
        "UPDATE sessions SET number = ?, slot = ?, generation = ?, ip = ?, udp_port = ?, detached_until = 0"
        " WHERE id = ?",
        (e.number, e.slot, e.generation, e.ip, e.udp_port, e.session),
    )
    if db.execute("SELECT 1 FROM sessions WHERE id = ?", (e.session,)).fetchone():
        _signed_in(db, e)


def _signed_in(db: sqlite3.Connection, e: entries.Online | entries.Resumed) -> None:
    """Keep from where somebody has signed in, as `KnownAddresses.signed_in` does."""
    db.execute("INSERT OR REPLACE INTO known_addresses VALUES (?, ?, ?)", (e.user, addresses.key(e.ip), e.at))
    db.execute(
        "DELETE FROM known_addresses WHERE user = ?1 AND (last < ?2 OR address NOT IN"
        " (SELECT address FROM known_addresses WHERE user = ?1 ORDER BY last DESC, address LIMIT ?3))",
        (e.user, e.at - KEPT_MS, MOST),
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
    db.execute(
        "INSERT OR REPLACE INTO failures (key, failures) VALUES (?, ?)", (count_key(e.user, e.place), e.failures)
    )


def _blocked(db: sqlite3.Connection, e: entries.Blocked) -> None:
    key = count_key(e.user, e.place)
    db.execute("DELETE FROM failures WHERE key = ?", (key,))
    db.execute(
        "INSERT OR REPLACE INTO blocks (key, user, until, ms) VALUES (?, ?, ?, ?)",
        (key, e.user, e.until, round(e.seconds * 1000)),
    )


def _unblocked(db: sqlite3.Connection, e: entries.Unblocked) -> None:
    db.execute("DELETE FROM blocks WHERE key = ? AND until = ?", (count_key(e.user, e.place), e.until))


def _clock_set(db: sqlite3.Connection, e: entries.ClockSet) -> None:
    if e.ahead_ms < 0:
        db.execute(by_time.INSERT, (e.seq,))


def _group_created(db: sqlite3.Connection, e: entries.GroupCreated) -> None:
    group = (e.group, e.user, e.seq, e.private)
    db.execute("INSERT INTO groups (name, creator, seq, private) VALUES (?, ?, ?, ?)", group)
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
    db.execute("DELETE FROM invitations WHERE name = ? AND user = ?", (e.group, e.user))


def _group_left(db: sqlite3.Connection, e: entries.GroupLeft) -> None:
    db.execute(
        "UPDATE memberships SET to_seq = ? WHERE name = ? AND user = ? AND to_seq IS NULL", (e.seq, e.group, e.to)
    )


def _invited(db: sqlite3.Connection, e: entries.Invited) -> None:
    db.execute("INSERT OR REPLACE INTO invitations (name, user) VALUES (?, ?)", (e.group, e.to))


def _away_set(db: sqlite3.Connection, e: entries.AwaySet) -> None:
    db.execute("UPDATE sessions SET away = ? WHERE id = ?", (e.text, e.session))


def _accounts_begun(db: sqlite3.Connection, e: entries.AccountsBegun) -> None:
    db.execute("UPDATE meta SET accounts_begun = 1")
    db.executemany(_ADD_ACCOUNT, [(user, 0, tag) for user, tag in e.accounts.items()])


def _account_added(db: sqlite3.Connection, e: entries.AccountAdded) -> None:
    _forget_counts(db, e.user)
    db.execute(_ADD_ACCOUNT, (e.user, e.seq, e.tag))


def _account_removed(db: sqlite3.Connection, e: entries.AccountRemoved) -> None:
    """Let nothing hang on the name; what the log has for it, its next account is not shown."""
    for table in ("accounts", "users", "memberships", "invitations", "known_addresses"):
        db.execute(f"DELETE FROM {table} WHERE user = ?", (e.user,))  # noqa: S608 constants only
    db.execute("UPDATE groups SET creator = '' WHERE creator = ? COLLATE NOCASE", (e.user,))
    _forget_counts(db, e.user)


def _forget_counts(db: sqlite3.Connection, user: str) -> None:
    for table in ("failures", "blocks"):
        wherever = "key = ?1 OR key GLOB ?1 || ' *'"  # as `count_key` has it
        db.execute(f"DELETE FROM {table} WHERE {wherever}", (names.key(user),))  # noqa: S608 constants only


def _redacted(db: sqlite3.Connection, e: entries.Redacted) -> None:
    with chunks.leaving_no_trace(db):
        chunks.blank(db, e.target_seq, entries.REDACTED)


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
    entries.GroupLeft: _group_left,
    entries.Invited: _invited,
    entries.AwaySet: _away_set,
    entries.AccountsBegun: _accounts_begun,
    entries.AccountAdded: _account_added,
    entries.AccountRemoved: _account_removed,
    entries.Redacted: _redacted,
}
"""What each kind changes; kinds that are not here change nothing. The log accepts an entry before it comes here."""


# ---- reading ----


def last_seq(db: sqlite3.Connection) -> int:
    """Return the number of the last entry; with none since the server started, the number it started behind."""
    start, newest = db.execute(_LAST).fetchone()
    return int(max(start, newest or 0))


def read_last(db: sqlite3.Connection, behind: Sequence[rows.Row] = ()) -> tuple[int, int]:
    """Return the number as `last_seq` does, and the time of the last entry, 0 where there is none.

    `behind`: rows that go on behind those in the tables.
    """
    if behind:
        return behind[-1][rows.SEQ], behind[-1][rows.AT]
    row = next(chunks.backward(db), None)
    return last_seq(db), 0 if row is None else row[rows.AT]


def account_number(db: sqlite3.Connection, user: str) -> int:
    """Return below which number nothing is for who has this name now."""
    (number,) = db.execute("SELECT coalesce(max(number), 0) FROM accounts WHERE user = ?", (user,)).fetchone()
    return int(number)


def read_runs(db: sqlite3.Connection) -> list[Run]:
    """Return the runs of the server that are kept, in order."""
    return [Run(*row) for row in db.execute("SELECT name, after_seq FROM runs ORDER BY place")]


def _known(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    known: dict[str, dict[str, int]] = {}
    for user, address, last in db.execute("SELECT user, address, last FROM known_addresses"):
        known.setdefault(names.key(user), {})[address] = last
    return known


def read_snapshot(db: sqlite3.Connection, behind: Sequence[rows.Row] = ()) -> Snapshot:
    """Return the present state; call it within a transaction, so that all of it is of one moment.

    `behind`: rows that go on behind those in the tables, and change nothing else.
    """
    seq, at = read_last(db, behind)
    counted = Counters.read(db, behind)
    highest = counted.highest_of_all(db)
    sessions = [Session(*row) for row in db.execute(_READ_SESSIONS)]
    for session in sessions:
        session.highest = max(session.highest, highest.get(session.id, 0))
    groups = {
        names.key(name): Group(name, creator, since, {}, bool(private))
        for name, creator, since, private in db.execute("SELECT name, creator, seq, private FROM groups ORDER BY seq")
    }
    for name, user, since in db.execute(
        "SELECT name, user, from_seq FROM memberships WHERE to_seq IS NULL ORDER BY place"
    ):
        groups[names.key(name)].members[names.key(user)] = Member(user, since)
    for name, user in db.execute("SELECT DISTINCT name, user FROM memberships WHERE to_seq IS NOT NULL"):
        group = groups[names.key(name)]
        if names.key(user) not in group.members:
            group.former.add(names.key(user))
    for name, user in db.execute("SELECT name, user FROM invitations"):
        groups[names.key(name)].invited[names.key(user)] = user
    return Snapshot(
        seq=seq,
        at=at,
        sessions=sessions,
        groups=list(groups.values()),
        failures=dict(db.execute("SELECT key, failures FROM failures").fetchall()),
        blocks={key: (user, until) for key, user, until in db.execute("SELECT key, user, until FROM blocks")},
        known=_known(db),
        slots=counted.slots(),
        runs=read_runs(db),
        accounts=[Account(*row) for row in db.execute("SELECT user, number, tag FROM accounts")],
        accounts_begun=bool(*db.execute("SELECT accounts_begun FROM meta").fetchone()),
    )
