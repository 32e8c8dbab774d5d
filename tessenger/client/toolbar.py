"""The lines at the bottom of the REPL: who and where, the connection, files on their way. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from tessenger.client import render
from tessenger.client.transfer import State, Transfer, percent
from tessenger.wire.text import clean_line

_MOVING = (State.RUNNING, State.STALLED, State.ACCEPTED, State.PREPARING)
_WAITING = State.OFFERED


BAR_COLUMNS = 10
"""Columns of a transfer's progress bar."""

_MOST_LINES = 3
"""Lines for transfers. Of more than that, only their number is shown."""

_LEAST_OF_NAME = 4
"""Columns of a file's name below which it is of no use."""

_MOST_UNREAD = 3
"""Conversations that are named with their unread messages; of the others only their number is shown."""


class Standing(Struct, frozen=True):
    """How things stand. `wait`: seconds to the next attempt to connect; `online`: 0 where that is not known yet.

    `asks_about`: lines of the text of which it is asked whether it shall be one message; 0 where it is not.
    """

    user: str
    server: str
    connection: str = "connected"
    wait: float | None = None
    online: int = 0
    unread: Mapping[str, int] = {}
    unicode: bool = True
    mode: str = ""
    is_away: bool = False
    asks_about: int = 0


def toolbar(now: Standing, transfers: Iterable[Transfer], columns: int, width: Callable[[str], int]) -> str:
    """Return the lines, each at most `columns` wide; `width` tells how wide a text is in this terminal.

    The first says how things stand; then each transfer on its way has one. Where the first is too long, the server's
    address goes first, then who is online and how many messages each conversation has, then what does not fit. A
    question stands above all.
    """
    transfers = list(transfers)
    connection = " | ".join(filter(None, (_connection(now), "away" * now.is_away, now.mode)))
    online = [f"{now.online} online"] if now.online else []
    unread = [f"new: {', '.join(_counts(now.unread))}"] if now.unread else []
    briefly = [f"{sum(now.unread.values())} new"] if now.unread else []
    offers = sum(t.state is _WAITING and not t.outgoing for t in transfers)
    tail = [f"{offers} offered to you"] if offers else []
    long = [f"{now.user}@{now.server}", connection, *online, *unread, *tail]
    middle = [now.user, connection, *online, *unread, *tail]
    shortest = [now.user, connection, *briefly, *tail]
    lines = [_fitting(_questions(now.asks_about), columns, width)] if now.asks_about else []
    lines.append(_fitting([" | ".join(parts) for parts in (long, middle, shortest)], columns, width))
    running = [t for t in transfers if t.state in _MOVING or (t.state is _WAITING and t.outgoing)]
    shown = running if len(running) <= _MOST_LINES else running[: _MOST_LINES - 1]
    lines += [_fitting(_forms(t, columns, width, unicode=now.unicode), columns, width) for t in shown]
    if len(shown) < len(running):
        lines.append(_fitting([f"{len(running) - len(shown)} more: /transfers"], columns, width))
    return "\n".join(lines)


def _fitting(forms: Iterable[str], columns: int, width: Callable[[str], int]) -> str:
    """Return the first form that fits into a line, else as much of the last one as does."""
    line = ""
    for form in forms:
        line = f" {form} "
        if width(line) <= columns:
            return line
    line = line[:-1]
    while width(line) > columns:
        line = line[:-1]
    return line


def _questions(count: int) -> tuple[str, ...]:
    """Return the question about a text of many lines, ever shorter."""
    return (
        f"This is one message of {count} lines. Enter sends it, Ctrl-C clears it.",
        f"{count} lines. Enter sends, Ctrl-C clears.",
        f"{count} lines: Enter sends.",
    )


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


def _forms(t: Transfer, columns: int, width: Callable[[str], int], *, unicode: bool) -> Iterator[str]:
    """Return what is said about a transfer, ever shorter: without the bar, with less of its name, without the rate."""
    peer = f"{'to' if t.outgoing else 'from'} {t.peer}"
    if t.state not in (State.RUNNING, State.STALLED):
        progress = "offered" if t.state is _WAITING else "connecting"
        yield f"{t.name} {peer} {progress}"
    else:
        progress = f"{percent(t)} % {_pace(t)}"
        yield f"{t.name} {peer} {_bar(t, unicode=unicode)} {progress}"
        yield f"{t.name} {peer} {progress}"
    yield _cut_name(t.name, columns - width(f"  {peer} {progress} "), width, unicode=unicode) + f"{peer} {progress}"
    yield f"{peer} {percent(t)} %" if t.state is State.RUNNING else f"{peer} {progress}"


def _pace(t: Transfer) -> str:
    if t.state is State.STALLED:
        return "stalled"
    left = f" {render.duration((t.size - t.done) / t.rate)} left" if t.rate > 0 else ""
    return f"{render.size(t.rate)}/s{left}"


def _cut_name(name: str, columns: int, width: Callable[[str], int], *, unicode: bool) -> str:
    """Return a name that is cut to fit, with a space behind it; nothing where too little of it would be left."""
    mark = "…" if unicode else "~"
    while name and width(name + mark) > columns:
        name = name[:-1]
    return f"{name}{mark} " if width(name) >= _LEAST_OF_NAME else ""
