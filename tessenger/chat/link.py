"""One client's connection as the chat sees it. Pure; lives in a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tessenger.wire.framing import BadLine
from tessenger.wire.messages import AnyRequest

MAX_UNANSWERED = 1_024
"""Requests of one connection that may wait for their answers; above it the connection is not read."""


class Carrier(Protocol):
    """The connection itself, with what it has taken and not sent yet."""

    @property
    def write(self) -> Callable[[bytes], int]:
        """What takes lines: it tells how many bytes it took, and raises `OSError` where that is none."""

    def write_rest(self, data: bytes) -> None:
        """Send this, which `write` did not take, behind what it took."""

    def close(self) -> None:
        """Send what is left, and close."""

    def fail(self) -> None:
        """Note the exception that is being handled, and close at once."""

    def go_on(self) -> None:
        """Read again: `Link.throttled` is over."""

    def when_written(self, then: Callable[[], None]) -> None:
        """Call `then` once, now or later, when there is room for a page; never after `close`."""

    def kept_back(self, size: int) -> None:
        """Note that so many bytes wait behind what is being read; may end the link."""


class Place:
    """Where lines belong that are still being read from the journal; `lines` is None until they are there."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        """Nothing is there yet."""
        self.lines: bytes | None = None


class Waiting(list[AnyRequest | BadLine]):
    """Requests in the order in which they came. It takes 72 bytes while nothing waits, where a deque takes 760."""

    __slots__ = ()

    def popleft(self) -> AnyRequest | BadLine:
        """Take the first one."""
        return self.pop(0)  # few wait, for a connection with many is not read


def _nowhere(data: bytes) -> int:
    """Take what is sent over a connection that is gone."""
    return len(data)


class Link:
    """A connection, and the session that it carries once somebody signed in.

    `ip` is the address that was seen; `udp_host` and `udp_port` are where the client wants files, as it says itself.
    `user` is "" before that, and `unread` the number of the last message that the sign-in found, 0 for none.
    `noted`: of whom the user was told on this connection that they are away, and in which words.
    `busy`: a request is under way that the next ones must wait for.
    `hurried_until`: until then (steady clock, ms) acknowledgements may not wait, for the client waits for them.
    `write` is what takes lines at the moment: the connection itself, what keeps them back, or nothing. As it is called
    more than anything else, it may take a part only (see `Carrier`): `write_rest` sends what it left, `send` does both.
    """

    __slots__ = (
        "_carrier", "_held", "_held_bytes", "_out", "busy", "ended", "hurried_until", "ip", "noted", "number",
        "session", "throttled", "udp_host", "udp_port", "unanswered", "unread", "user", "waiting", "write",
    )  # fmt: skip

    def __init__(self, ip: str, carrier: Carrier) -> None:
        """`carrier` is what the bytes go over."""
        self.ip = ip
        self.udp_host = ""
        self.udp_port = 0
        self.user = ""
        self.session = 0
        self.number = 0
        self.busy = False
        self.ended = False
        self.throttled = False
        self.unanswered = 0
        self.hurried_until = 0
        self.unread = 0
        self.noted: dict[str, str] = {}
        self.waiting = Waiting()
        self._carrier = carrier
        self._held: list[bytes | Place] = []
        self._held_bytes = 0
        self._out = carrier.write
        self.write = self._out

    def _keep_back(self, data: bytes) -> int:
        self._held.append(data)
        self._held_bytes += len(data)
        self._carrier.kept_back(self._held_bytes)
        return len(data)

    def send(self, data: bytes) -> None:
        """Send lines, now or when what is held has been sent."""
        self._send(self.write, data)

    def write_rest(self, data: bytes) -> None:
        """Send what `write` did not take of a piece."""
        self._carrier.write_rest(data)

    def through(self, write: Callable[[bytes], int]) -> None:
        """From now on let this of the carrier's take lines."""
        if self.write is self._out:
            self.write = write
        self._out = write

    def _send(self, write: Callable[[bytes], int], data: bytes) -> None:
        try:
            taken = write(data)
        except OSError:  # there is no room, or nobody any more: the carrier copes with both
            taken = 0
        if taken != len(data):
            self._carrier.write_rest(data[taken:])

    @property
    def is_holding(self) -> bool:
        """Whether lines are kept back."""
        return bool(self._held)

    def hold(self) -> Place:
        """Keep back what comes from here on, until this place is filled."""
        place = Place()
        self._held.append(place)
        if not self.ended:
            self.write = self._keep_back
        return place

    def fill(self, lines: bytes, then: Callable[[], None]) -> None:
        """Send a part of what belongs into the first place; call `then` when there is room for more of it."""
        if not self.ended:
            self._send(self._out, lines)
            self._carrier.when_written(then)

    def release(self, place: Place, lines: bytes) -> None:
        """Fill a place, and send what was kept back up to the next place that is empty."""
        place.lines = lines
        ready: list[bytes] = []
        for first in self._held:
            data = first.lines if isinstance(first, Place) else first
            if data is None:
                break
            ready.append(data)
            if data is first:
                self._held_bytes -= len(data)
        del self._held[: len(ready)]
        if self.ended:
            return
        if not self._held:
            self.write = self._out
        joined = b"".join(ready)
        if joined:
            self._send(self._out, joined)

    def end(self, *, said: bool = True) -> None:
        """Send what is left and close. Nothing more is read from here.

        What is kept back is left to the next connection, for what was missed comes before it. Where it was `said` why
        this one ends, that is its last line, and goes out; an event must not, or the client would go on behind it.
        """
        last = self._held[-1] if self._held and said else None
        if isinstance(last, bytes):
            self._send(self._out, last.splitlines(keepends=True)[-1])
        self._held.clear()
        self.lose()
        self._carrier.close()

    def fail(self) -> None:
        """Close at once, for what came from here raised an exception, which is being handled. Nothing more is done."""
        self.busy = True
        self._carrier.fail()

    def lose(self) -> None:
        """The connection is gone: nothing is read or sent any more."""
        self.ended = True
        self.write = _nowhere
        self.waiting.clear()

    @property
    def full(self) -> bool:
        """Whether so many requests wait that no more should be read."""
        return self.unanswered + len(self.waiting) >= MAX_UNANSWERED

    def go_on(self) -> None:
        """Read again, if reading was stopped and enough was answered since."""
        if self.throttled and self.unanswered + len(self.waiting) <= MAX_UNANSWERED // 2:
            self.throttled = False
            self._carrier.go_on()
