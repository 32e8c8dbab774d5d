"""The logger's side of its socket: who appends, who is fed, and from where. Runs in the logger.

A follower is first sent what it missed, from the journal and in pieces, then every batch as it is committed. One that
does not read is cut off when its queue is full: it comes back and is caught up. Unlike a client's, its queue holds only
frames that it would read next anyway.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import cast

from tessenger.chat import routing
from tessenger.chat.entries import AnyEntry, last_seq
from tessenger.chat.ledger import Ledger
from tessenger.chat.ports import Worker
from tessenger.errors import WireError
from tessenger.journal.store import SqliteJournal
from tessenger.server import faults, frames, roles

QUEUE_BYTES = 67_108_864
"""What may wait for one follower; above it the feed is cut."""

PIECE = 250
"""Entries in one frame of what was missed: with the longest messages about 12 MB."""


HELD_SECONDS = 0.005
"""How long a loaded logger keeps places from a worker that is fed nothing else (see `routing.may_wait`).

A worker that is woken for them reads its clients while others still deliver what these will answer: a few messages at a
time, and each turn of a process costs as much as ten of them.
"""

_log = logging.getLogger("tessenger")


class Follower(asyncio.Protocol):
    """One connection to the logger."""

    def __init__(self, followers: Followers) -> None:
        """`followers` keeps it while it is connected."""
        self._followers = followers
        self._reader = frames.for_logger()
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport
        self.slot = 0
        self.generation = 0
        self.greeted = False
        self.fed = False
        self.live = False
        self.sent_seq = 0
        self.is_urgent = False
        self.held: list[routing.Fed] = []
        """Places that wait."""

    @property
    def worker(self) -> Worker:
        """Who is at the other end, if it appends."""
        return Worker(self.slot, self.generation)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be known."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it
        transport.set_write_buffer_limits(high=self._followers.queue_bytes // 4)
        self.transport = transport
        self._followers.all.add(self)

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        try:
            came = self._reader.feed(data)
        except WireError:
            _log.exception("worker %d sent what is no frame", self.slot)
            self.transport.abort()  # it comes back, and sends again what was not ordered
            return
        for frame in came:
            if isinstance(frame, frames.Follow):
                self.slot, self.generation, self.sent_seq = frame.slot, frame.generation, frame.after
                self.greeted = True
                self._followers.greet(self)
            elif self.live:
                self.is_urgent = frame.is_urgent
                self._followers.appended(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten."""
        self._writable.set()
        self._followers.gone(self)

    def pause_writing(self) -> None:
        """Wait with what was missed."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()

    async def writable(self) -> None:
        """Wait until the other side reads."""
        await self._writable.wait()


class Followers:
    """Everyone who is connected to the logger."""

    def __init__(
        self,
        ledger: Ledger,
        journal: SqliteJournal,
        appended: Callable[[Follower, frames.Append], None],
        returned: Callable[[Worker], None],
        left: Callable[[], None],
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """`appended` takes what workers append; `left` is told when one's stream is read to its end.

        `returned` is told a worker that begins anew: what waits of it unordered, it sends again.
        """
        self.all: set[Follower] = set()
        self.appended = appended
        self.queue_bytes = queue_bytes
        self._ledger = ledger
        self._journal = journal
        self._returned = returned
        self._left = left
        self._paused = False
        self._releasing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, path: str) -> asyncio.AbstractServer:
        """Take connections at this socket, in place of a logger that may have died."""
        roles.clear(path)
        return await asyncio.get_running_loop().create_unix_server(lambda: Follower(self), path)

    def greet(self, follower: Follower) -> None:
        """Begin to feed: at once, or when an earlier process of its slot has been read to its end, and all is kept."""
        if self._paused:
            return  # `resume` greets it
        if follower.slot:
            before = [f for f in self.all if f.greeted and f.slot == follower.slot and f is not follower]
            if any(f.generation > follower.generation for f in before):
                follower.transport.abort()
                return
            if before:
                return  # `gone` greets it again
            self._returned(follower.worker)
            n = self._ledger.follow(follower.slot, follower.generation)
            if n is None:
                follower.transport.abort()
                return
            self._journal.seat(follower.slot, follower.generation)
        else:
            n = 0
        follower.fed = True
        follower.transport.write(frames.encode(frames.Following(n)))
        task = asyncio.get_running_loop().create_task(self._catch_up(follower))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def gone(self, follower: Follower) -> None:
        """Forget a follower; another process of its slot may have waited for that."""
        self.all.discard(follower)
        for waiting in list(self.all):
            if waiting.greeted and not waiting.fed and waiting.slot and waiting.slot == follower.slot:
                self.greet(waiting)
        self._left()

    def feeds(self, worker: Worker) -> bool:
        """Tell whether something may still come from this worker's process."""
        return any(f.worker == worker for f in self.all if f.slot)

    def all_follow(self, count: int) -> bool:
        """Tell whether so many live followers are fed, and have taken everything: none will have to catch up."""
        return sum(f.live and not f.held and not f.transport.get_write_buffer_size() for f in self.all) >= count

    def pass_on(self, batch: list[AnyEntry], *, is_loaded: bool = False) -> None:
        """Feed a committed batch to everyone who is caught up, as far as it concerns them.

        Where much comes (`is_loaded`), what nobody waits for may be held back for `HELD_SECONDS`.
        """
        last = last_seq(batch)
        live = [follower for follower in self.all if follower.live]
        due = routing.for_workers(batch, [f.slot for f in live if f.slot], self._ledger.present)
        for_state = routing.for_state(batch)
        encoded: tuple[object, bytes] = None, b""
        lone = batch[0].slot if len(batch) == 1 else -1
        if lone >= 0:  # whoever is told something comes first: the sender's worker only hears that it is done
            live = [f for f in live if f.slot != lone] + [f for f in live if f.slot == lone]
        is_sent = False
        for follower in live:
            follower.sent_seq = last or follower.sent_seq
            fed: Sequence[routing.Fed] = due[follower.slot] if follower.slot else for_state
            if not fed:
                continue
            if is_loaded and follower.slot and not follower.is_urgent and routing.may_wait(fed):
                follower.held += fed
                if self._releasing is None:
                    self._releasing = asyncio.get_running_loop().call_later(HELD_SECONDS, self._release)
                continue
            if follower.held:
                fed, follower.held = [*follower.held, *fed], []
            if is_sent and follower.slot == lone:
                os.sched_yield()  # let them deliver it first, if they have no other processor
            is_sent = True
            if fed is not encoded[0]:  # all may be fed the same
                encoded = fed, frames.encode(frames.Feed(fed))
            self._send(follower, encoded[1])

    def _release(self) -> None:
        """Send what was held back."""
        self._releasing = None
        for follower in self.all:
            if follower.held and follower.live:
                held, follower.held = follower.held, []
                self._send(follower, frames.encode(frames.Feed(held)))

    def _send(self, follower: Follower, data: bytes) -> None:
        """Send a frame, unless the follower has too much to read already: then it must catch up."""
        follower.transport.write(data)
        if follower.transport.get_write_buffer_size() > self.queue_bytes:
            follower.live = False
            follower.transport.abort()

    def pause(self) -> None:
        """Read nobody: what they send waits in their queues."""
        if not self._paused:
            self._paused = True
            for follower in self.all:
                follower.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            for follower in self.all:
                follower.transport.resume_reading()
            for follower in list(self.all):
                if follower.greeted and not follower.fed:
                    self.greet(follower)

    def close(self) -> None:
        """Send what waits and hang up."""
        self._release()
        for task in self._tasks:
            task.cancel()
        for follower in self.all:
            follower.transport.close()

    async def _catch_up(self, follower: Follower) -> None:
        """Send what was missed; go live in the same turn of the loop in which nothing is missing any more."""
        while not follower.transport.is_closing():
            await follower.writable()
            missed = self._journal.entries_after(follower.sent_seq, PIECE)
            if not missed:
                follower.transport.write(frames.encode(frames.CaughtUp()))
                follower.live = True
                return
            follower.sent_seq = missed[-1].seq
            wanted: Sequence[routing.Fed] = (
                routing.for_everybody(missed) if follower.slot else routing.for_state(missed)
            )
            if wanted:
                follower.transport.write(frames.encode(frames.Feed(wanted)))
            await asyncio.sleep(0)
            faults.reach("logger.catching_up")
