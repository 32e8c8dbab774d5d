"""How a session goes on when its connection broke, or another one begins in its place. Runs in the client.

The server keeps a session for a while. Whoever comes back later signs in again, unless they have done so elsewhere.
What was sent before that may or may not have been carried out; what waited for a connection is sent then.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from tessenger.client.reconnect import Dial, Ends, Patience, Refused, delays, resume, retry
from tessenger.client.unanswered import Unanswered
from tessenger.errors import ConnectionFailed
from tessenger.wire.messages import Error, Login, Resume

STEADY_SECONDS = 10.0
"""A connection that broke sooner after it was taken up has not helped: the pause before the next attempt is longer."""

UNKNOWN_OUTCOME = "The session ended before the server answered. It may or may not have been done."


class Ending(Struct, frozen=True):
    """How a session ended. `text` is for the person; `said` where it is the server's own word."""

    text: str
    ok: bool = False
    said: bool = False


class Comeback:
    """Takes a session up again. `retry_at`: the loop's time of the next attempt, None while none is waited for."""

    def __init__(
        self, dialer: Dial, patience: Patience, unanswered: Unanswered, on_notice: Callable[[str], None]
    ) -> None:
        self.retry_at: float | None = None
        self._dialer = dialer
        self._patience = patience
        self._unanswered = unanswered
        self._on_notice = on_notice
        self._login: Login | None = None
        self._expired = False
        self._came_back_at = -math.inf
        self._delays = delays(random.random)
        self._last_sent = 0  # the last request that the server may have got: those behind it waited for a connection

    def sign_in_with(self, login: Login | None) -> None:
        """Where the server keeps the session no longer, begin another one with this; None: leave it at that."""
        self._login = replace(login, unless_online=True) if login is not None else None

    def lost(self) -> None:
        """Note that there is no connection from here on. Behind one that has lasted, the pauses are short again."""
        self._last_sent = self._unanswered.last_id
        if asyncio.get_running_loop().time() - self._came_back_at >= STEADY_SECONDS:
            self._delays = delays(random.random)

    def forget_pauses(self) -> None:
        """Let the pauses before the next attempts be short, however soon the last connection ended."""
        self._came_back_at = -math.inf

    async def take_up(self, ending: Ending, presented: Callable[[], Resume], ends: Ends) -> Ending | None:
        """Reconnect and present the token. Return None where the session goes on, otherwise how it ended.

        `ending` is what ended the connection: the word for an end where the patience runs out.
        """
        self._on_notice(f"{ending.text} Connecting again ...")

        async def attempt() -> None:
            await resume(self._dialer, presented(), self._unanswered, ends)
            self._came_back_at = asyncio.get_running_loop().time()

        try:
            await retry(attempt, self._patience, self._waits, self._delays)
        except TimeoutError:
            return ending
        except ConnectionFailed as error:
            return Ending(str(error), said=isinstance(error, Refused))
        self._on_notice("Signed in again, after a long absence." if self._expired else "Connected again.")
        self._expired = False
        return None

    def another_session(self, fail: Callable[[int, Error], None]) -> Login | None:
        """Return how to begin another session, None where that must not be.

        Nobody knows what became of the requests that were sent in the one that is over: they `fail`.
        """
        if self._login is None:
            return None
        self._expired = True
        for number in self._unanswered.up_to(self._last_sent):
            fail(number, Error("unknown_outcome", UNKNOWN_OUTCOME, number))
        return self._login

    def _waits(self, until: float | None) -> None:
        self.retry_at = until
