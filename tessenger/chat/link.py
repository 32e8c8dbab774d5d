"""One client's connection as the chat sees it. Pure; lives in a worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tessenger.wire.framing import BadLine
from tessenger.wire.messages import AnyRequest

MAX_UNANSWERED = 1_024
"""Requests of one connection that may wait for their answers; above it the connection is not read."""


class Link:
    """A connection, and the session that it carries once somebody signed in.

    `user` is "" before that. `busy`: a request is under way that the next ones must wait for.
    """

    __slots__ = (
        "_close", "_held", "_out", "_resume", "busy", "ended", "ip", "number", "session", "throttled", "udp_port",
        "unanswered", "user", "waiting",
    )  # fmt: skip

    def __init__(
        self, ip: str, out: Callable[[bytes], None], close: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        """`out` sends bytes, `close` sends what is left and closes, `resume` goes on reading after `throttled`."""
        self.ip = ip
        self.udp_port = 0
        self.user = ""
        self.session = 0
        self.number = 0
        self.busy = False
        self.ended = False
        self.throttled = False
        self.unanswered = 0
        self.waiting: deque[AnyRequest | BadLine] = deque()
        self._out = out
        self._close = close
        self._resume = resume
        self._held: list[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Send `data`, now or when what was missed has been sent."""
        if self.ended:
            return
        if self._held is None:
            self._out(data)
        else:
            self._held.append(data)

    def hold(self) -> None:
        """Keep live lines back until what was missed is there."""
        self._held = []

    def release(self, missed: bytes) -> None:
        """Send what was missed, then what was kept back."""
        held, self._held = self._held or [], None
        data = missed + b"".join(held)
        if data and not self.ended:
            self._out(data)

    def end(self) -> None:
        """Send what is left and close. Nothing more is read from here.

        What is kept back is left to the next connection, for what was missed comes before it; its last line is why
        this one ends.
        """
        held, self._held = self._held, None
        if held:
            self._out(held[-1].splitlines(keepends=True)[-1])
        self.ended = True
        self.waiting.clear()
        self._close()

    @property
    def full(self) -> bool:
        """Whether so many requests wait that no more should be read."""
        return self.unanswered + len(self.waiting) >= MAX_UNANSWERED

    def go_on(self) -> None:
        """Read again, if reading was stopped and enough was answered since."""
        if self.throttled and self.unanswered + len(self.waiting) <= MAX_UNANSWERED // 2:
            self.throttled = False
            self._resume()
