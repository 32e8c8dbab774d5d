"""What the clients of a worker have sent within one turn of its loop: carried out in a row. Runs in workers.

A request that is carried out as soon as it is read takes turns with the kernel's work for the next read, and each of
the two finds the processor's caches full of the other. So what is read is only noted, until everything is that has
come. Then the entries that it leads to go to the logger with one write, and each client gets its answers with one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from tessenger.chat.hub import Hub
from tessenger.server.log_link import LogLink

MAX_BYTES = 1_048_576
"""Bytes that are noted in one turn; above it they are carried out at once, so that a flood is not kept in memory."""

_log = logging.getLogger("tessenger")


class Reader(Protocol):
    """A connection that is read."""

    def carry_out(self, data: bytes) -> None:
        """Carry out what is complete with this."""

    def abort(self) -> None:
        """Close at once."""


class Intake:
    """The reads of this turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hub: Hub, log: LogLink) -> None:
        """Nothing has come yet."""
        self._loop = loop
        self._hub = hub
        self._log = log
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
        self._log.gather()
        for reader, data in reads:
            try:
                reader.carry_out(data)
            except Exception:  # noqa: BLE001 kept in the error log; the others' requests are carried out all the same
                _log.exception("a client's request failed")
                reader.abort()
        self._hub.flush()
        self._log.send()
