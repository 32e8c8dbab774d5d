"""The line at the bottom of the REPL: who and where, the connection, files on their way. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from tessenger.client import render
from tessenger.client.transfer import State, Transfer, percent
from tessenger.wire.text import clean_line

_MOVING = (State.RUNNING, State.STALLED, State.ACCEPTED, State.PREPARING)
_WAITING = State.OFFERED


BAR_COLUMNS = 10
"""Columns of a transfer's progress bar."""

_MOST_UNREAD = 3
"""Conversations that are named with their unread messages; of the others only their number is shown."""


class Standing(Struct, frozen=True):
    """How things stand. `wait`: seconds to the next attempt to connect; `online`: 0 where that is not known yet."""

    user: str
    server: str
    connection: str = "connected"
    wait: float | None = None
    online: int = 0
    unread: Mapping[str, int] = {}
    unicode: bool = True


def toolbar(now: Standing, transfers: Iterable[Transfer], columns: int, width: Callable[[str], int]) -> str:
    """Return the line, at most `columns` wide; `width` tells how wide a text is in this terminal.

    Where it is too long, the server's address goes first, then the details of transfers, then who is online and how
    many messages each conversation has.
    """
    transfers = list(transfers)
    connection = _connection(now)
    online = [f"{now.online} online"] if now.online else []
    unread = [f"new: {', '.join(_counts(now.unread))}"] if now.unread else []
    briefly = [f"{sum(now.unread.values())} new"] if now.unread else []
    running = [t for t in transfers if t.state in _MOVING or (t.state is _WAITING and t.outgoing)]
    offers = sum(t.state is _WAITING and not t.outgoing for t in transfers)
    tail = [f"{offers} offered to you"] if offers else []
    details = [_long(t, unicode=now.unicode) for t in running]
    long = [f"{now.user}@{now.server}", connection, *online, *unread, *details, *tail]
    middle = [now.user, connection, *online, *unread, *details, *tail]
    short = [now.user, connection, *online, *unread, *map(_short, running), *tail]
    shortest = [now.user, connection, *briefly, *map(_short, running), *tail]
    for parts in (long, middle, short, shortest):
        line = " " + " | ".join(parts) + " "
        if width(line) <= columns:
            return line
    line = " " + " | ".join(shortest)
    while width(line) > columns:
        line = line[:-1]
    return line


def _connection(now: Standing) -> str:
    if now.connection != "connected" and now.wait is not None and now.wait > 0:
        return f"{now.connection} in {math.ceil(now.wait)} s"
    return now.connection


def _counts(unread: Mapping[str, int]) -> list[str]:
    """Return the conversations with the latest unread messages, each with its count."""
    named = [f"{clean_line(name)} {count}" for name, count in unread.items()]
    more = len(named) - _MOST_UNREAD
    return named if more <= 0 else [*named[-_MOST_UNREAD:], f"{more} more"]


def _bar(t: Transfer, *, unicode: bool) -> str:
    filled = percent(t) * BAR_COLUMNS // 100
    full, empty = ("█", "░") if unicode else ("#", "-")
    return f"[{full * filled}{empty * (BAR_COLUMNS - filled)}]"


def _short(t: Transfer) -> str:
    return f"{'to' if t.outgoing else 'from'} {t.peer} {percent(t)} %"


def _long(t: Transfer, *, unicode: bool) -> str:
    head = f"{t.name} {'to' if t.outgoing else 'from'} {t.peer}"
    progress = f"{head} {_bar(t, unicode=unicode)} {percent(t)} %"
    if t.state is State.STALLED:
        return f"{progress} stalled"
    if t.state is not State.RUNNING:
        return f"{head} {'offered' if t.state is _WAITING else 'connecting'}"
    left = f" {render.duration((t.size - t.done) / t.rate)} left" if t.rate > 0 else ""
    return f"{progress} {render.size(t.rate)}/s{left}"
