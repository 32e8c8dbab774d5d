"""Whether the server is still there: asked after a silence, given up after a longer one. Runs in the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PING_SECONDS = 10.0
"""After this long without a word from the server it is asked for one."""

SILENT_TICKS = 3
"""After so many times `PING_SECONDS` without a word the server counts as gone: 30 s."""


class KeepAlive:
    """Watches one link between `start` and `stop`; `heard` says that something came.

    Ticks count, not the clock: a client that was stopped itself (Ctrl-Z, a closed laptop) first hears what waits.
    """

    def __init__(self, ping: Callable[[], None], give_up: Callable[[str], None]) -> None:
        self._ping = ping
        self._give_up = give_up
        self._heard = False
        self._silent = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch from now on."""
        self.stop()
        self._silent, self._heard = 0, False
        self._timer = asyncio.get_running_loop().call_later(PING_SECONDS, self._tick)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self) -> None:
        """Something came from the server."""
        self._heard = True

    def _tick(self) -> None:
        self._silent = 0 if self._heard else self._silent + 1
        self._heard = False
        if self._silent >= SILENT_TICKS:
            self._give_up(f"The server has not answered for {PING_SECONDS * SILENT_TICKS:g} seconds.")
            return
        if self._silent:
            self._ping()
        self._timer = asyncio.get_running_loop().call_later(PING_SECONDS, self._tick)
