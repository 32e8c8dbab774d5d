"""The library's events that wait to be read: bounded, for the server's journal keeps the rest.

Above `limit` events, or `QUEUE_BYTES`, the connection is not read until the reader has caught up. While an answer is
waited for, it must be read: then events above four times that are let go, and fetched again from the journal once the
reader has come that far.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tessenger.client.channel import Channel
from tessenger.client.delivery import Event
from tessenger.wire.messages import GroupMessage, Message, Unread

QUEUE_BYTES = 4 * 1024 * 1024
"""Bytes of texts that may wait, however few events they are in."""

TOO_MANY = "Too many events wait for this program."


class Inbox:
    """A queue between a channel and one reader."""

    def __init__(self, channel: Channel, limit: int) -> None:
        self._channel = channel
        self._limit = limit
        self._events: deque[Event] = deque()
        self._bytes = 0
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
        if self._letting_go or self._is_beyond(4):
            self._letting_go = True
            self._channel.last_seq = self._last  # from here on it will be asked for again
            return
        self._events.append(event)
        self._bytes += _size(event)
        if not isinstance(event, Unread):
            self._last = event.seq
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
        self._bytes -= _size(self._reading)
        return self._reading

    def done(self) -> None:
        """What was read last was dealt with: it need not be shown at the next sign-in."""
        if self._reading is not None and not isinstance(self._reading, Unread):
            self._channel.shown(self._reading.seq)
        self._reading = None

    def _is_beyond(self, share: float) -> bool:
        """Tell whether what waits is at least so many times what may."""
        return len(self._events) >= max(1, share * self._limit) or self._bytes >= share * QUEUE_BYTES


def _size(event: Event) -> int:
    return len(event.text) if isinstance(event, Message | GroupMessage) else 0
