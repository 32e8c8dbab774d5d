"""Entries as lines for people, on the server's console and in the activity logs, as originally described. Pure.

Runs in the logger. Everything that came from a person is escaped, so that one entry's line is one line.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Literal

from tessenger.chat import entries
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Session
from tessenger.wire.text import escaped
from tessenger.wire.times import local_time

Level = Literal["full", "events", "off"]

USER_LOG = "userlog.txt"
MESSAGE_LOG = "messagelog.txt"

MAX_LISTED = 100
"""Users that a list on the console has at most; a count stands for the others."""

_UNSHOWN = frozenset({"accept", "reject", "cancel"})
"""Commands that programs give for people, in answer to an offer."""


def _seconds(seconds: float) -> str:
    """Return `10` for 10.0 and `0.5` for 0.5."""
    return str(int(seconds)) if seconds == int(seconds) else str(seconds)


# ---- console ----


def _message(e: entries.Message) -> list[str]:
    return [
        f">> {e.user} issued msgto command",
        f'>> {e.user} message to {e.to} "{escaped(e.text)}" at {local_time(e.at)}',
    ]


def _group_message(e: entries.GroupMessage) -> list[str]:
    return [
        f">> {e.user} issued groupmsg command",
        f'>> {e.user} sent a message in group chat {e.group}:{local_time(e.at)}: "{escaped(e.text)}"',
    ]


def _online(e: entries.Online) -> list[str]:
    return [f">> {e.user} is online"]


def _resumed(e: entries.Resumed) -> list[str]:
    return [f">> {e.user} is back"]


def _detached(e: entries.Detached) -> list[str]:
    return [f">> {e.user} lost the connection"]


def _offline(e: entries.Offline) -> list[str]:
    if e.reason == "logout":
        return [f">> {e.user} issued logout command", f">> {e.user} logout"]
    return [f">> {e.user} is offline"]


def _blocked(e: entries.Blocked) -> list[str]:
    user = escaped(e.user)
    return [f"has reached maximum failed attempts {user}", f"has been blocked for {_seconds(e.seconds)} seconds {user}"]


def _unblocked(e: entries.Unblocked) -> list[str]:
    return [f"has been unblocked {escaped(e.user)}"]


def _group_created(e: entries.GroupCreated) -> list[str]:
    members = ",".join(e.members)
    return [
        f">> {e.user} issued creategroup command",
        f">> Group chat room has been created, room name: {e.group}, user in this room are: {members}",
    ]


def _group_joined(e: entries.GroupJoined) -> list[str]:
    return [f">> {e.user} issued joingroup command"]


def _group_left(e: entries.GroupLeft) -> list[str]:
    if e.user == e.to:
        return [f">> {e.user} issued leavegroup command"]
    return [f">> {e.user} issued remove command", f">> {e.to} is removed from group chat room {e.group}"]


def _invited(e: entries.Invited) -> list[str]:
    return [f">> {e.user} issued invite command"]


def _command(e: entries.Command) -> list[str]:
    if e.name in _UNSHOWN:
        return []
    lines = [f">> {e.user} issued {escaped(e.name)} command"]
    if e.name == "creategroup" and e.code == "group_exists":
        lines.append(f">> Return message Groupname {escaped(e.target)} already exists.")
    return lines


def _signal(e: entries.Signal) -> list[str]:
    return [] if e.name in _UNSHOWN else [f">> {e.user} issued {e.name} command"]


def _account_removed(e: entries.AccountRemoved) -> list[str]:
    return [f"the account {e.user} has been removed"]


def _redacted(e: entries.Redacted) -> list[str]:
    return [f"message {e.target_seq} has been redacted"]


def _clock_set(e: entries.ClockSet) -> list[str]:
    return [f"the system's {_step(e)}"]


def _step(e: entries.ClockSet) -> str:
    """Say what happened to the clock; whether somebody set it or the machine slept, nobody can tell."""
    seconds = round(abs(e.ahead_ms) / 1000)
    return f"clock went {'forward' if e.ahead_ms > 0 else 'back'} by {seconds} seconds"


_CONSOLE: dict[type[entries.Entry], Callable[[Any], list[str]]] = {
    entries.Message: _message,
    entries.GroupMessage: _group_message,
    entries.Online: _online,
    entries.Resumed: _resumed,
    entries.Detached: _detached,
    entries.Offline: _offline,
    entries.Blocked: _blocked,
    entries.Unblocked: _unblocked,
    entries.GroupCreated: _group_created,
    entries.GroupJoined: _group_joined,
    entries.GroupLeft: _group_left,
    entries.Invited: _invited,
    entries.Command: _command,
    entries.Signal: _signal,
    entries.AccountRemoved: _account_removed,
    entries.Redacted: _redacted,
    entries.ClockSet: _clock_set,
}
"""What each kind shows on the console; kinds that are not here show nothing."""

_EVENTS_ONLY = {kind: show for kind, show in _CONSOLE.items() if kind not in (entries.Message, entries.GroupMessage)}
_SHOWN: dict[Level, dict[type[entries.Entry], Callable[[Any], list[str]]]] = {
    "full": _CONSOLE,
    "events": _EVENTS_ONLY,
    "off": {},
}


def kinds_shown(level: Level) -> Container[type]:
    """Return the kinds that show anything on the console."""
    return _SHOWN[level]


def console_lines(entry: AnyEntry, level: Level) -> list[str]:
    """Return the lines that a committed entry shows on the console, without line ends."""
    show = _SHOWN[level].get(type(entry))
    return [] if show is None else show(entry)


def active_user_lines(users: Sequence[Session]) -> list[str]:
    """Return the list that an `activeuser` command shows on the console; `users` in the order of sign-in."""
    shown = [f"{s.user}, {s.ip}, {s.udp_port}, {local_time(s.since)}" for s in users[:MAX_LISTED]]
    if len(users) > MAX_LISTED:
        shown.append(f"and {len(users) - MAX_LISTED} more")
    return [">> Return active user list:", *(f"{line}." for line in shown[:-1]), *shown[-1:]]


# ---- activity logs ----


def _user_line(e: AnyEntry, user: str, ip: str, udp_port: int | str, event: str) -> tuple[str, str]:
    who = escaped(user).replace(";", "\\x3b")  # a failed sign-in may name anybody, in any characters
    return USER_LOG, f"{e.seq}; {local_time(e.at)}; {who}; {ip}; {udp_port}; {event}\n"


_EVENTS: dict[type[entries.Entry], Callable[[Any], tuple[str, str]]] = {
    entries.Message: lambda e: (
        MESSAGE_LOG, f"{e.seq}; {local_time(e.at)}; {e.user}; {e.to}; {escaped(e.text)}\n"
    ),
    entries.GroupMessage: lambda e: (
        group_log(e.group), f"{e.seq}; {local_time(e.at)}; {e.user}; {escaped(e.text)}\n"
    ),
    entries.Online: lambda e: _user_line(e, e.user, e.ip, e.udp_port, "online"),
    entries.Resumed: lambda e: _user_line(e, e.user, e.ip, e.udp_port, "resumed"),
    entries.Detached: lambda e: _user_line(e, e.user, e.ip, e.udp_port, "connection lost"),
    entries.Offline: lambda e: _user_line(e, e.user, e.ip, e.udp_port, f"offline ({e.reason})"),
    entries.LoginFailed: lambda e: _user_line(e, e.user, e.ip, "-", f"failed login {e.failures}"),
    entries.Blocked: lambda e: _user_line(e, e.user, e.ip, "-", f"blocked for {_seconds(e.seconds)} seconds"),
    entries.Unblocked: lambda e: _user_line(e, e.user, "-", "-", "unblocked"),
    entries.AccountAdded: lambda e: _user_line(e, e.user, "-", "-", "account added"),
    entries.AccountRemoved: lambda e: _user_line(e, e.user, "-", "-", "account removed"),
    entries.Redacted: lambda e: _user_line(e, "-", "-", "-", f"message {e.target_seq} redacted"),
    entries.ClockSet: lambda e: _user_line(e, "-", "-", "-", _step(e)),
}  # fmt: skip
"""What each kind writes to which activity log; kinds that are not here write nothing."""


def group_log(group: str) -> str:
    """Return the file name of a group's activity log."""
    return f"{group}_{MESSAGE_LOG}"


def text_log_lines(batch: Sequence[AnyEntry]) -> dict[str, list[str]]:
    """Return what committed entries write, as `text_log_line` has it: lines by the file name of their log, in order."""
    lines: dict[str, list[str]] = {MESSAGE_LOG: []}
    private = lines[MESSAGE_LOG]
    at, time = 0, ""
    for e in batch:
        if type(e) is entries.Message:  # most of all, and so without a call for each
            if e.at != at:
                at, time = e.at, local_time(e.at)
            text = e.text
            if "\\" in text or "\n" in text or "\t" in text:  # of what is escaped, all that `clean` has left
                text = escaped(text)
            private.append(f"{e.seq}; {time}; {e.user}; {e.to}; {text}\n")
        elif (written := text_log_line(e)) is not None:
            lines.setdefault(written[0], []).append(written[1])
    if not private:
        del lines[MESSAGE_LOG]
    return lines


def text_log_line(entry: AnyEntry) -> tuple[str, str] | None:
    """Return the file name of the activity log that a committed entry belongs to, and its whole line; None for none."""
    write = _EVENTS.get(type(entry))
    return None if write is None else write(entry)
