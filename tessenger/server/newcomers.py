"""Who has to sign in soon: the connections of a worker in the order in which they came, and one timer for them all.

A timer for each would take 450 bytes, long after a client has signed in.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Newcomer = TypeVar("_Newcomer")


class Newcomers(Generic[_Newcomer]):
    """Those whose time is not over yet, whether they have signed in or not."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: Callable[[], float], over: Callable[[_Newcomer], None]
    ) -> None:
        """Call `over` with each one once, `seconds()` after it came; where that has become less, a while later."""
        self._loop = loop
        self._seconds = seconds
        self._over = over
        self._came: OrderedDict[_Newcomer, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def came(self, newcomer: _Newcomer) -> None:
        """From now on its time runs."""
        self._came[newcomer] = self._loop.time()
        if self._timer is None:
            self._wait()

    def left(self, newcomer: _Newcomer) -> None:
        """It is gone already, or never came."""
        self._came.pop(newcomer, None)

    def _wait(self) -> None:
        first = next(iter(self._came.values()))
        self._timer = self._loop.call_at(first + self._seconds(), self._look)

    def _look(self) -> None:
        """Let go of those whose time is over, and wait for the next one."""
        self._timer = None
        latest = self._loop.time() - self._seconds()
        while self._came:
            newcomer, came = next(iter(self._came.items()))
            if came > latest:
                self._wait()
                break
            del self._came[newcomer]
            self._loop.call_soon(self._over, newcomer)  # by itself: should one fail, the others go on
