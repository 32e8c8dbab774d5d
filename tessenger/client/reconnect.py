"""How a session outlives its connection: when to try again, and one attempt. Runs in the client."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterator

from msgspec import Struct

from tessenger.client.identity import IdentityChanged
from tessenger.errors import ConnectionFailed

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 15.0


class Patience(Struct, frozen=True):
    """How long a front end tries to resume. `after_closing`: also when the server has said that it stops."""

    seconds: float = 0.0
    after_closing: bool = False


FOREVER = Patience(math.inf, after_closing=True)


class Refused(ConnectionFailed):
    """The server does not take the session up again; the text is its own."""


def delays(chance: Callable[[], float]) -> Iterator[float]:
    """Yield how many seconds to wait before each attempt: doubling, and spread by `chance` (0 to 1). Pure.

    The spread keeps everyone from coming back at the same moment after a restart of the server.
    """
    delay = FIRST_SECONDS
    while True:
        yield delay * (0.5 + chance())
        delay = min(LONGEST_SECONDS, delay * 2)


async def retry(attempt: Callable[[], Awaitable[None]], patience: Patience) -> None:
    """Try until an attempt succeeds.

    Raises `TimeoutError` when the patience has run out, `IdentityChanged` or `Refused` when trying again is no use.
    """
    async with asyncio.timeout(None if math.isinf(patience.seconds) else patience.seconds):
        for delay in delays(random.random):
            await asyncio.sleep(delay)
            try:
                await attempt()
            except (IdentityChanged, Refused):
                raise
            except (ConnectionFailed, ConnectionRefusedError):
                continue
            break
