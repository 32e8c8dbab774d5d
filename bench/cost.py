"""What a stretch of messages costs a server, and how far other programs on the machine disturbed that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bench.chat_report import QUIET
from bench.people import People, Stretch
from bench.process_tree import cpu_seconds, machine_seconds


class Cost(NamedTuple):
    """What came of a load, µs of CPU for each delivery, and how many processors other programs had, on average."""

    stretch: Stretch
    cpu: float
    elsewhere: float


def cost_of(pid: int, people: People, load: Callable[[], Stretch], show: Callable[[Cost], None]) -> Cost:
    """Return what a load costs the server `pid`, from the quieter of two tries where the first one was disturbed."""
    cost = _cost_of(pid, people, load)
    show(cost)
    if cost.elsewhere > QUIET:
        again = _cost_of(pid, people, load)
        show(again)
        cost = min(cost, again, key=lambda each: each.elsewhere)
    return cost


def _cost_of(pid: int, people: People, load: Callable[[], Stretch]) -> Cost:
    began, machine, server, talking = time.monotonic(), machine_seconds(), cpu_seconds(pid), cpu_seconds(people.pid)
    stretch = load()
    server, talking = cpu_seconds(pid) - server, cpu_seconds(people.pid) - talking
    elsewhere = machine_seconds() - machine - server - talking
    return Cost(stretch, server / stretch.delivered * 1e6, max(0.0, elsewhere) / (time.monotonic() - began))
