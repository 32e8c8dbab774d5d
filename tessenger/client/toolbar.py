"""The line at the bottom of the REPL: who and where, the connection, files on their way. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tessenger.client import render
from tessenger.client.transfer import State, Transfer, percent

_MOVING = (State.RUNNING, State.STALLED, State.ACCEPTED, State.PREPARING)
_WAITING = State.OFFERED


def toolbar(
    user: str, server: str, connection: str, transfers: Iterable[Transfer], columns: int, width: Callable[[str], int]
) -> str:
    """Return the line, at most `columns` wide; `width` tells how wide a text is in this terminal.

    Where it is too long, the server's address goes first, then the details of transfers.
    """
    transfers = list(transfers)
    running = [t for t in transfers if t.state in _MOVING or (t.state is _WAITING and t.outgoing)]
    offers = sum(t.state is _WAITING and not t.outgoing for t in transfers)
    tail = [f"{offers} offered to you"] if offers else []
    long = [f"{user}@{server}", connection, *map(_long, running), *tail]
    middle = [user, connection, *map(_long, running), *tail]
    short = [user, connection, *map(_short, running), *tail]
    for parts in (long, middle, short):
        line = " " + " | ".join(parts) + " "
        if width(line) <= columns:
            return line
    line = " " + " | ".join(short)
    while width(line) > columns:
        line = line[:-1]
    return line


def _short(t: Transfer) -> str:
    return f"{'to' if t.outgoing else 'from'} {t.peer} {percent(t)} %"


def _long(t: Transfer) -> str:
    head = f"{t.name} {'to' if t.outgoing else 'from'} {t.peer}"
    if t.state is State.STALLED:
        return f"{head} {percent(t)} % stalled"
    if t.state is not State.RUNNING:
        return f"{head} {'offered' if t.state is _WAITING else 'connecting'}"
    left = f" {render.duration((t.size - t.done) / t.rate)} left" if t.rate > 0 else ""
    return f"{head} {percent(t)} % {render.size(t.rate)}/s{left}"
