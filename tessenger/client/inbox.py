"""The library's events that wait to be read: bounded, for the server's journal keeps the rest.

Above `limit` the connection is not read until the reader has caught up. While an answer is waited for, it must be read:
then events above `4 * limit` are let go, and fetched again from the journal once the reader has come that far.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tessenger.client.channel import Channel
from tessenger.client.delivery import Event
from tessenger.wire.messages import Unread

TOO_MANY = "Too many events wait for this program."


class Inbox:
    """A queue between a channel and one reader."""

    def __init__(self, channel: Channel, limit: int) -> None:
        self._channel = channel
        self._limit = limit
        self._events: deque[Event] = deque()
        self._last = 0
        self._letting_go = False
        self._reading: Event | None = None
        self._news = asyncio.Event()
        channel.ended.add_done_callback(lambda _: self._news.set())

    @property
    def is_empty(self) -> bool:
        """Whether everything that came was read, and what was read last is done with."""
        return not self._events and not self._letting_go and self._reading is None

    def put(self, event: Event) -> None:
        """Take what comes."""
        if self._letting_go or len(self._events) >= 4 * self._limit:
            self._letting_go = True
            self._channel.last_seq = self._last  # from here on it will be asked for again
            return
        self._events.append(event)
        if not isinstance(event, Unread):
            self._last = event.seq
        self._news.set()
        if len(self._events) >= self._limit:
            self._channel.pause()

    async def next(self) -> Event | None:
        """Return the next event, None after the last one of the session. The one before is done with."""
        self.done()
        if not self._events and self._letting_go:
            self._letting_go = False
            self._channel.break_off(TOO_MANY)
        if len(self._events) <= self._limit // 2 and not self._letting_go:
            self._channel.go_on()
        while not self._events:
            if self._channel.ended.done():
                return None
            self._news.clear()
            await self._news.wait()
        self._reading = self._events.popleft()
        return self._reading

    def done(self) -> None:
        """What was read last was dealt with: it need not be shown at the next sign-in."""
        if self._reading is not None and not isinstance(self._reading, Unread):
            self._channel.shown(self._reading.seq)
        self._reading = None
