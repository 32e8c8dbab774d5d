"""Time for newcomers, by a clock that the tests set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from tessenger.server.newcomers import Newcomers


class HandClock:
    """Of an event loop the clock and the timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> object:
        """Keep a timer."""
        self.timers.append((when, call))
        return object()

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call at once."""
        call(*arguments)

    def pass_(self, seconds: float) -> None:
        """Let timers run that are due."""
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for _, call in due:
            call()


def _newcomers(seconds: Callable[[], float] = lambda: 60.0) -> tuple[HandClock, list[str], Newcomers[str]]:
    clock, over = HandClock(), list[str]()
    return clock, over, Newcomers(cast("asyncio.AbstractEventLoop", clock), seconds, over.append)


def test_each_one_has_its_own_time() -> None:
    """In the order in which they came, each once, and none before its time."""
    clock, over, newcomers = _newcomers()
    newcomers.came("first")
    clock.pass_(20)
    newcomers.came("second")
    newcomers.came("third")
    clock.pass_(39)
    assert over == []
    clock.pass_(1)
    assert over == ["first"]
    clock.pass_(20)
    assert over == ["first", "second", "third"]
    clock.pass_(1_000)
    newcomers.came("fourth")
    clock.pass_(60)
    assert over == ["first", "second", "third", "fourth"]


def test_who_is_gone_is_forgotten() -> None:
    """Nothing is kept of it, and the others have their time."""
    clock, over, newcomers = _newcomers()
    newcomers.came("gone")
    clock.pass_(10)
    newcomers.came("stays")
    newcomers.left("gone")
    newcomers.left("never came")
    clock.pass_(50)
    assert over == []
    clock.pass_(10)
    assert over == ["stays"]


def test_there_is_one_timer() -> None:
    """However many come, and none when nobody is left."""
    clock, over, newcomers = _newcomers()
    for number in range(1_000):
        newcomers.came(str(number))
        clock.pass_(0.01)
    assert len(clock.timers) == 1
    clock.pass_(60)
    assert len(over) == 1_000
    assert clock.timers == []


def test_another_limit_is_for_those_who_are_here_too() -> None:
    """More time at once; less time when the timer that runs already is over."""
    limit = [60.0]
    clock, over, newcomers = _newcomers(lambda: limit[0])
    newcomers.came("first")
    limit[0] = 90
    clock.pass_(60)
    assert over == []
    limit[0] = 10
    newcomers.came("second")
    clock.pass_(30)
    assert over == ["first", "second"]
