"""One file transfer as people see it: its states and what is said about it. Pure."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from tessenger.client import render
from tessenger.wire.messages import Folder, Offer


class State(Enum):
    """Where a transfer is. `OPENING` and `PREPARING`: the UDP process makes its key."""

    OPENING = "opening"
    OFFERED = "offered"
    WAITING = "waiting for its turn"
    PREPARING = "accepted"
    ACCEPTED = "accepted, connecting"
    RUNNING = "running"
    STALLED = "stalled"
    DONE = "done"
    FAILED = "failed"


_ENDED = (State.DONE, State.FAILED)


class Transfer(Struct, frozen=True):
    """One file, on its way to or from `peer`. Sizes in bytes, `rate` in bytes a second, `since` in seconds."""

    id: str
    number: int
    peer: str
    name: str
    outgoing: bool
    state: State
    since: float
    size: int = 0
    done: int = 0
    rate: float = 0.0
    reason: str = ""
    code: str = ""
    offer: Offer | None = None
    is_unasked: bool = False
    """Taken without asking anybody."""
    folder: Folder | None = None
    """What one of one's own files is sent with."""

    @property
    def ended(self) -> bool:
        """Whether it is over, either way."""
        return self.state in _ENDED

    @property
    def opening(self) -> bool:
        """Whether the file is not offered yet."""
        return self.state is State.OPENING


def describe(t: Transfer) -> str:
    """Return the line of /transfers about `t`."""
    way = "to" if t.outgoing else "from"
    size = render.size(t.size)
    head = f"{t.number}. {t.name} {way} {t.peer}"
    match t.state:
        case State.RUNNING | State.STALLED:
            share = f"{head}, {t.state.value}: {render.size(t.done)} of {size}, {percent(t)} %"
            if t.state is State.STALLED:
                return share
            left = f", {render.duration((t.size - t.done) / t.rate)} left" if t.rate > 0 else ""
            return f"{share}, {render.size(t.rate)}/s{left}"
        case State.DONE:
            return f"{head}, done: {size}" + (f", code {t.code}" if t.code else "")
        case State.FAILED:
            return because(f"{head}, failed", t.reason)
        case _:
            return f"{head}, {t.state.value}: {size}"


def percent(t: Transfer) -> int:
    """How much of it is there."""
    return 100 if t.size == 0 else min(100, t.done * 100 // t.size)


def because(text: str, reason: str) -> str:
    """Return `text` as a sentence, with the reason where there is one."""
    return f"{text}: {reason.rstrip('.')}." if reason else f"{text}."
