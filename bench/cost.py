"""What a stretch of messages costs a server, and how far other programs on the machine disturbed that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bench.chat_report import disturbance_of
from bench.people import People, Stretch
from bench.process_tree import cpu_seconds, machine_seconds

TRIES = 3
"""How often a load is tried, at most, until nothing disturbs it."""


class Cost(NamedTuple):
    """What came of a load, µs of CPU for each delivery, and how many processors other programs had, on average."""

    stretch: Stretch
    cpu: float
    elsewhere: float

    @property
    def disturbance(self) -> float:
        """How much the machine disturbed the load: above 1 it should be tried again."""
        return disturbance_of(self.elsewhere, self.stretch.late_p99)


def cost_of(pid: int, people: People, load: Callable[[], Stretch], show: Callable[[Cost], None]) -> Cost:
    """Return what a load costs the server `pid`, from the quietest of some tries where the first one was disturbed."""
    tries: list[Cost] = []
    while len(tries) < TRIES and (not tries or tries[-1].disturbance > 1):
        tries.append(_cost_of(pid, people, load))
        show(tries[-1])
    return min(tries, key=lambda each: each.disturbance)


def _cost_of(pid: int, people: People, load: Callable[[], Stretch]) -> Cost:
    began, machine, server, talking = time.monotonic(), machine_seconds(), cpu_seconds(pid), cpu_seconds(people.pid)
    stretch = load()
    server, talking = cpu_seconds(pid) - server, cpu_seconds(people.pid) - talking
    elsewhere = machine_seconds() - machine - server - talking
    return Cost(stretch, server / stretch.delivered * 1e6, max(0.0, elsewhere) / (time.monotonic() - began))
