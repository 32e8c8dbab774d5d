"""Who is online and which groups there are, as far as the client knows: for completion and the toolbar. In the REPL.

The wire has no events about others' coming and going, so the server is asked: when a name is completed and what is
known is not fresh, and now and then. In a large team that is seldom, for each answer names everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tessenger.client.channel import Channel
from tessenger.client.session import Chat, KnownNames
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

    @property
    def online(self) -> int:
        """How many are online, oneself among them; 0: not known yet."""
        return len(self.names.users)

    @property
    def stale(self) -> bool:
        """Whether a completion should ask first."""
        return asyncio.get_running_loop().time() >= self._fresh_until

    async def refresh(self) -> None:
        """Ask the server; where it does not answer in time, what was known before has to do."""
        with contextlib.suppress(TimeoutError, ConnectionFailed):
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                names = await self._chat.names()
            self._fresh_until = asyncio.get_running_loop().time() + FRESH_SECONDS
            if names != self.names:
                self.names = names
                self._on_change()

    async def poll(self) -> None:
        """Ask now and then, until this is cancelled."""
        while True:
            if self._channel.state == "connected":
                await self.refresh()
            await asyncio.sleep(max(POLL_SECONDS, POLL_SECONDS_A_NAME * self.online))
