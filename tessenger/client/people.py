"""Who is online and which groups there are, as far as the client knows: for completion and the toolbar. In the REPL.

The wire has no events about others' coming and going, so the server is asked: when a name is completed and what is
known is not fresh, when somebody writes who was not there before, and now and then. In a large team that is seldom, for
each answer names everybody who is there. Those who are not are asked for when a name is completed, and only then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from msgspec.structs import replace

from tessenger.client.channel import Channel
from tessenger.client.known_names import KnownNames
from tessenger.client.session import Chat
from tessenger.errors import ConnectionFailed

FRESH_SECONDS = 5.0
"""How long names count as fresh for completion."""

LONGEST_WAIT_SECONDS = 1.0
"""How long a completion waits for fresh ones."""

POLL_SECONDS = 30.0
POLL_SECONDS_A_NAME = 0.1
"""The time between two polls: the first, or the second for each person online, whichever is longer."""


class People:
    """The names that are known."""

    def __init__(self, chat: Chat, channel: Channel, on_change: Callable[[], None]) -> None:
        self.names = KnownNames()
        self._chat = chat
        self._channel = channel
        self._on_change = on_change
        self._fresh_until = 0.0
        self._news = asyncio.Event()

    @property
    def online(self) -> int:
        """How many are online, oneself among them; 0: not known yet."""
        return len(self.names.users)

    @property
    def others(self) -> tuple[str, ...]:
        """Who is online, then who is not, but oneself."""
        return tuple(user for user in (*self.names.users, *self.names.others) if user != self._channel.user)

    def met(self, user: str) -> None:
        """Note that `user` is there just now: where that is news, the server is asked soon."""
        if user not in self.names.users:
            self._news.set()

    def lost_sight(self) -> None:
        """Note that there was no connection for a while: the server is asked soon."""
        self._news.set()

    @property
    def stale(self) -> bool:
        """Whether a completion should ask first."""
        return asyncio.get_running_loop().time() >= self._fresh_until

    async def refresh(self, *, everybody: bool = True) -> None:
        """Ask the server; where it does not answer in time, what was known before has to do.

        Not of `everybody`: those who are not online stay those who were it when they were asked for.
        """
        with contextlib.suppress(TimeoutError, ConnectionFailed):
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                names = await self._chat.names(everybody=everybody)
            if everybody:
                self._fresh_until = asyncio.get_running_loop().time() + FRESH_SECONDS
            else:
                names = replace(names, others=self._still_others(names))
            if names != self.names:
                self.names = names
                self._on_change()

    def _still_others(self, names: KnownNames) -> tuple[str, ...]:
        """Return who is not online any more, or still not, given who is."""
        online = set(names.users)
        return tuple(user for user in (*self.names.others, *self.names.users) if user not in online)

    async def poll(self) -> None:
        """Ask now and then, and when there is news, until this is cancelled."""
        while True:
            self._news.clear()
            if self._channel.state == "connected":
                await self.refresh(everybody=False)
            every = max(FRESH_SECONDS, POLL_SECONDS_A_NAME * self.online)
            await asyncio.sleep(every)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(POLL_SECONDS - every, 0.0)):
                    await self._news.wait()
