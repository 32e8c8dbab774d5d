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
        self.holding: set[Reader] = set()
        """Those that hold requests behind one that is under way."""
        self._readers: list[Reader] = []
        self._pieces: list[bytes] = []  # of each of them, what was read
        self._bytes = 0
        self._are_whole = True

    def add(self, reader: Reader, data: bytes) -> None:
        """Carry `data` out with the rest of this turn, in the order in which it came."""
        if not self._pieces:
            self._loop.call_soon(self.carry_out)
        self._readers.append(reader)
        self._pieces.append(data)
        size = len(data)
        if size > reader.at_once:
            self._are_whole = False
        self._bytes += size
        if self._bytes > MAX_BYTES:
            self.carry_out()

    def carry_out(self) -> None:
        """Carry out what has come so far: before a connection ends, for one thing."""
        readers, self._readers = self._readers, []
        pieces, self._pieces = self._pieces, []
        are_whole, self._are_whole = self._are_whole, True
        self._bytes = 0
        if not pieces:
            return
        requests = decoded_together(pieces) if are_whole and len(pieces) > 1 else None
        self._log.gather()
        if requests is None:
            for reader, data in zip(readers, pieces, strict=True):
                _guarded(reader, reader.carry_out, data)
        else:
            waits = self._hub.received([reader.link for reader in readers], requests)
            if waits or self.holding or self._hub.unanswered >= MAX_UNANSWERED or self._is_limiting:
                for reader, data in zip(readers, pieces, strict=True):
                    _guarded(reader, reader.limit, 1, len(data))
                for reader in self.holding.difference(readers):
                    _guarded(reader, reader.limit, 0, 0)  # perhaps it holds none any more
        self._hub.flush()
        self._log.send()

    @property
    def _is_limiting(self) -> bool:
        return self._is_rate_limited() or self._log.full


def _guarded(reader: Reader, work: Callable[..., None], *arguments: object) -> None:
    """Let what fails unexpectedly end its own connection only: the others' requests are carried out all the same."""
    try:
        work(*arguments)
    except Exception:  # noqa: BLE001 the connection notes it
        reader.link.fail()
