"""Telling the server, once in a while, how far its person has read. Runs in the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SEEN_SECONDS = 1.0
"""How often, at most, the server is told."""


class SeenReports:
    """Gathers what was shown; `tell` gets the last number, at most once in `SEEN_SECONDS`."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._shown = 0
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    def shown(self, seq: int) -> None:
        """Everything up to `seq` was shown."""
        self._shown = max(self._shown, seq)
        if self._timer is None and self._shown > self._told:
            self._timer = asyncio.get_running_loop().call_later(SEEN_SECONDS, self.now)

    def go_back(self, seq: int) -> None:
        """What was shown above `seq` is nothing that the server has any more."""
        self._shown = min(self._shown, seq)
        self._told = min(self._told, seq)

    def now(self) -> None:
        """Tell it now, if there is news."""
        self.stop()
        if self._shown > self._told:
            self._told = self._shown
            self._tell(self._told)

    def stop(self) -> None:
        """Tell nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
