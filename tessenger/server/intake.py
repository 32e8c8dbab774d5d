"""What the clients of a worker have sent within one turn of its loop: carried out in a row. Runs in workers.

A request that is carried out as soon as it is read takes turns with the kernel's work for the next read, and each of
the two finds the processor's caches full of the other. So what is read is only noted, until everything is that has
come. Then all of it is decoded with one call, where all are whole lines with requests, as nearly always; the entries
that it leads to go to the logger with one write, and each client gets its answers with one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from tessenger.chat.hub import Hub
from tessenger.chat.link import MAX_UNANSWERED, Link
from tessenger.server.log_link import LogLink
from tessenger.wire.framing import decoded_together

MAX_BYTES = 1_048_576
"""Bytes that are noted in one turn; above it they are carried out at once, so that a flood is not kept in memory."""


class Reader(Protocol):
    """A connection that is read."""

    link: Link

    at_once: int
    """How many bytes of whole lines may be carried out in place of it: 0 in the midst of a line."""

    held: int
    """Bytes that wait behind a request that is under way."""

    def carry_out(self, data: bytes) -> None:
        """Carry out what is complete with this."""

    def limit(self, count: int, size: int) -> None:
        """Let it wait if it sends faster, or more, than it may: `count` requests in `size` bytes, last."""


class Intake:
    """The reads of this turn."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, hub: Hub, log: LogLink, is_rate_limited: Callable[[], bool]
    ) -> None:
        """Nothing has come yet. `is_rate_limited`: whether there is a limit to how fast a client may send."""
        self._loop = loop
        self._hub = hub
        self._log = log
        self._is_rate_limited = is_rate_limited
        self._reads: list[tuple[Reader, bytes]] = []
        self._bytes = 0

    def add(self, reader: Reader, data: bytes) -> None:
        """Carry `data` out with the rest of this turn, in the order in which it came."""
        if not self._reads:
            self._loop.call_soon(self.carry_out)
        self._reads.append((reader, data))
        self._bytes += len(data)
        if self._bytes > MAX_BYTES:
            self.carry_out()

    def carry_out(self) -> None:
        """Carry out what has come so far: before a connection ends, for one thing."""
        reads, self._reads = self._reads, []
        self._bytes = 0
        if not reads:
            return
        pieces = [data for reader, data in reads if len(data) <= reader.at_once]
        requests = decoded_together(pieces) if len(pieces) == len(reads) > 1 else None
        self._log.gather()
        if requests is not None:
            self._hub.received([reader.link for reader, _ in reads], requests)
        is_limiting = self._is_rate_limited() or self._log.full
        for reader, data in reads:
            link = reader.link
            try:
                if requests is None:
                    reader.carry_out(data)
                elif is_limiting or reader.held or link.waiting or link.unanswered >= MAX_UNANSWERED:
                    reader.limit(1, len(data))
            except Exception:  # noqa: BLE001 the connection notes it; the others' requests are carried out all the same
                link.fail()
        self._hub.flush()
        self._log.send()
