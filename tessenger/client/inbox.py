"""The library's events that wait to be read: bounded, for the server's journal keeps the rest.

Above `limit` events, or `QUEUE_BYTES`, the connection is not read until the reader has caught up. While an answer is
waited for, it must be read: then events above four times that are let go, and fetched again from the journal once the
reader has come that far.
"""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import structs

from tessenger.client.channel import Channel
from tessenger.client.delivery import Event
from tessenger.client.position import MAX_NUMBER
from tessenger.wire.messages import GroupMessage, Message, Unread

QUEUE_BYTES = 4 * 1024 * 1024
"""Characters of events that may wait, however few events they are in."""

TOO_MANY = "Too many events wait for this program."


class Inbox:
    """A queue between a channel and one reader."""

    def __init__(self, channel: Channel, limit: int) -> None:
        self._channel = channel
        self._limit = limit
        self._events: deque[tuple[Event, int]] = deque()  # each with the branch that it came in
        self._bytes = 0
        self._letting_go = False
        self._let_go_behind = 0
        self._reading: tuple[Event, int] | None = None
        self._news = asyncio.Event()
        channel.ended.add_done_callback(lambda _: self._news.set())

    @property
    def is_empty(self) -> bool:
        """Whether everything that came was read, and what was read last is done with."""
        return not self._events and not self._letting_go and self._reading is None

    def put(self, event: Event) -> None:
        """Take what comes."""
        if self._letting_go or self._is_beyond(4):
            self._let_go(event)
            return
        self._events.append((event, self._channel.branch))
        self._bytes += _size(event)
        self._news.set()
        if self._is_beyond(1):
            self._channel.pause()

    async def next(self) -> Event | None:
        """Return the next event, None after the last one of the session. The one before is done with."""
        self.done()
        if not self._events and self._letting_go:
            self._letting_go = False
            self._channel.break_off(TOO_MANY)
        if not self._letting_go and not self._is_beyond(0.5):
            self._channel.go_on()
        while not self._events:
            if self._channel.ended.done():
                return None
            self._news.clear()
            await self._news.wait()
        self._reading = self._events.popleft()
        event, _ = self._reading
        self._bytes -= _size(event)
        return event

    def done(self) -> None:
        """What was read last was dealt with: it need not be shown at the next sign-in."""
        if self._reading is not None:
            event, branch = self._reading
            if not isinstance(event, Unread):
                self._channel.shown(event.seq, branch)
        self._reading = None

    def _let_go(self, event: Event) -> None:
        """Keep nothing of this event and what comes behind it: it will be asked for again."""
        if not self._letting_go:
            self._letting_go = True
            self._let_go_behind = MAX_NUMBER
        if not isinstance(event, Unread):
            self._let_go_behind = min(self._let_go_behind, event.seq - 1)
            self._channel.ask_again(self._let_go_behind)

    def _is_beyond(self, share: float) -> bool:
        """Tell whether what waits is at least so many times what may."""
        return len(self._events) >= max(1, share * self._limit) or self._bytes >= share * QUEUE_BYTES


def _size(event: Event) -> int:
    if isinstance(event, Message | GroupMessage):
        return len(event.text)
    return sum(len(value) for value in structs.astuple(event) if isinstance(value, str))
