"""A worker's connection to the logger: an implementation of `chat.ports.Log`. Runs in workers, on their event loop.

What was appended is kept until it has come back. After the logger was replaced, or cut the feed, the worker connects
again, is fed what it missed, and sends again what was not ordered. What was ordered and left nothing in the journal
(marks, refusals) is told to the worker then, as far as it can be known.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import cast

from tessenger.chat import entries, repeats
from tessenger.chat.entries import AnyEntry, Message
from tessenger.chat.ports import Worker
from tessenger.chat.routing import Committed, Fed, Own, Placed, Told
from tessenger.errors import WireError
from tessenger.server import faults, frames, roles

AGAIN_SECONDS = 0.02
"""Pause between two attempts to connect."""

MAX_OPEN = 50_000
"""Entries that may be on their way; above it the worker does not read its clients."""

MAX_OPEN_BYTES = 33_554_432
"""Bytes of them, likewise: a logger that stands still costs a worker about twice this, and a read of each client."""

RESENT = 2_000
"""Entries in one frame of what is sent again."""

_log = logging.getLogger("tessenger")


class LogLink(asyncio.Protocol):
    """Appends this worker's entries, and feeds what is committed to `committed`."""

    def __init__(self, worker: Worker, after: int, committed: Callable[[Sequence[Committed]], None]) -> None:
        """Feed everything behind number `after`. `drained` may be set to hear when clients can be read again.

        `is_urgent` may be set to tell whether some client waits for its acknowledgement.
        `full`: so much is on its way that clients should wait.
        """
        self.drained: Callable[[], None] = lambda: None
        self.is_urgent: Callable[[], bool] = lambda: False
        self.full = False
        self._worker = worker
        self._after = after
        self._committed = committed
        self._n = 0
        self._open: deque[AnyEntry] = deque()
        self._open_n = 1  # of the first of them
        self._sent_n = 0  # the last that was sent, while the connection is live
        self._sizes: deque[tuple[int, int]] = deque()  # for each frame the `n` that ends it, and its bytes
        self._bytes = 0
        self._ordered_before = 0
        self._reader = frames.from_logger()
        self._transport: asyncio.Transport | None = None
        self._live = False
        self._scheduled = False
        self._closed = False
        self._caught_up = asyncio.Event()
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    # ---- the port ----

    def append(self, entry: AnyEntry) -> int:
        """Send `entry` with the next turn of the loop and return its `n`."""
        self._n += 1
        self._open.append(entry)
        if not self._scheduled:
            self._appended(entry)
        return self._n

    # ---- for the worker ----

    def gather(self) -> None:
        """From here on let what is appended wait for `send`."""
        self._scheduled = self._live

    def send(self) -> None:
        """Send what was appended."""
        self._scheduled = False
        unsent = self._n - self._sent_n
        if not unsent or not self._live:
            return
        faults.reach("worker.sending")
        batch = list(islice(reversed(self._open), unsent))
        batch.reverse()
        first, self._sent_n = self._sent_n + 1, self._n
        self._write(frames.Append(first, batch, self.is_urgent()))

    async def settled(self) -> None:
        """Wait until everything that was appended has come back."""
        while self._open:
            self._emptied.clear()
            await self._emptied.wait()

    async def connect(self) -> None:
        """Connect to the logger, however long it takes, and be caught up."""
        await self._connect()
        await self._caught_up.wait()

    def close(self) -> None:
        """Hang up for good."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    # ---- the connection ----

    async def _connect(self) -> None:
        while not self._closed:
            try:
                await self._loop.create_unix_connection(lambda: self, roles.LOGGER_SOCKET)
            except OSError:  # not there at the moment: the supervisor starts another one
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who follows, and from where."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it
        self._transport = transport
        self._reader = frames.from_logger()
        transport.write(frames.encode(frames.Follow(self._worker.slot, self._worker.generation, self._after)))

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        try:
            came = self._reader.feed(data)
        except WireError:
            _log.exception("the logger sent what is no frame")
            if self._transport is not None:
                self._transport.abort()  # another connection begins behind what was understood
            return
        for frame in came:
            if isinstance(frame, frames.Feed):
                self._feed(frame.batch)
            elif isinstance(frame, frames.Following):
                self._ordered_before = frame.n
            else:
                self._resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Come back, unless the worker ends."""
        self._live = self._scheduled = False
        self._transport = None
        if not self._closed:
            self._task = self._loop.create_task(self._come_back())

    async def _come_back(self) -> None:
        """Connect again, after a pause: what ended the last connection may be there still."""
        await asyncio.sleep(AGAIN_SECONDS)
        await self._connect()

    def _feed(self, batch: Sequence[Fed]) -> None:
        passed = 0
        committed: list[Committed] = []
        for item in batch:
            kind = type(item)
            if kind is Placed:
                committed.append(self._own(item))  # type: ignore[arg-type]  # by type
                passed = item.n + item.count - 1  # type: ignore[union-attr]  # by type
                continue
            if kind is not Told and item.slot == self._worker.slot:  # type: ignore[union-attr]  # by type
                passed = item.n  # type: ignore[union-attr]  # by type
            committed.append(item)  # type: ignore[arg-type]  # by type
        for last in reversed(committed):
            seq = last.last_seq if type(last) is Own else last.seq
            if seq:
                self._after = seq
                break
        if self._live:
            self._settle(passed)
        self._committed(committed)

    def _own(self, placed: Placed) -> Own:
        """Take messages that came back from what is open."""
        self._forget(placed.n - 1)
        messages = [self._open.popleft() for _ in range(placed.count)]
        self._open_n += placed.count
        return Own(placed.n, placed.seq, placed.at, cast("list[Message]", messages))

    def _settle(self, n: int) -> None:
        """Let what has come back, up to `n`, make room for more."""
        self._forget(n)
        waiting = self._open
        while self._sizes and self._sizes[0][0] <= n:
            self._bytes -= self._sizes.popleft()[1]
        if not waiting:
            self._emptied.set()
        if self.full and len(waiting) < MAX_OPEN // 2 and self._bytes < MAX_OPEN_BYTES // 2:
            self.full = False
            self.drained()

    def _forget(self, n: int) -> None:
        while self._open_n <= n and self._open:
            self._open.popleft()
            self._open_n += 1

    def _resume(self) -> None:
        """Everything missed is here: settle what was ordered without a trace, send the rest again."""
        lost = [
            self._verdict(n, entry) for n, entry in enumerate(self._open, self._open_n) if n <= self._ordered_before
        ]
        self._settle(self._ordered_before)
        again = list(self._open)
        self._live = True
        self._scheduled = False
        self._sizes.clear()
        self._bytes = 0
        for start in range(0, len(again), RESENT):
            piece = again[start : start + RESENT]  # its first `n` may be far above what a new logger knows of
            self._write(frames.Append(self._open_n + start, piece))
        self._sent_n = self._n
        self._caught_up.set()
        if lost:
            self._committed(lost)

    def _verdict(self, n: int, entry: AnyEntry) -> AnyEntry:
        """Return what became of an entry that was ordered; the worker drops those that it knows of already."""
        if isinstance(entry, entries.Mark | entries.Seen):
            return entries.Mark(slot=self._worker.slot, n=n)
        reason: entries.RefusedReason = "repeat" if isinstance(entry, entries.Issued) else "stale"
        if isinstance(entry, entries.GroupCreated | entries.GroupJoined):
            reason = "exists"
        refused = repeats.refused(entry, reason)
        refused.slot, refused.n = self._worker.slot, n
        return refused

    def _appended(self, entry: AnyEntry) -> None:
        """See to it that what is appended is sent; while that is not possible, only that it does not become much."""
        if self._live:
            self._scheduled = True
            self._loop.call_soon(self.send)
        else:
            self._count(self._n, len(getattr(entry, "body", b"")))

    def _write(self, frame: frames.Append) -> None:
        if self._transport is not None:
            data = frames.encode(frame)
            self._transport.write(data)
            self._count(frame.first_n + len(frame.batch) - 1, len(data))

    def _count(self, last_n: int, size: int) -> None:
        """Note that `size` more bytes are on their way, up to entry `last_n`."""
        self._sizes.append((last_n, size))
        self._bytes += size
        if self._bytes > MAX_OPEN_BYTES or len(self._open) > MAX_OPEN:
            self.full = True
