"""Who is next among those who wait for their password to be checked: fair between addresses. Pure: time comes in.

A check costs tens of milliseconds of a core, and anybody can ask for one. So each address has a queue of its own, of
bounded length; who has failed least comes first, and among equals whoever was served the longest time ago. An address
that keeps failing waits longer and longer before its next turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

FREE_FAILURES = 6
"""Failures of an address before it has to wait: a family that types badly."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
"""The pause doubles with each failure beyond those; it stays below what a sign-in may take in all."""

FORGIVEN_SECONDS = 10.0
"""After so long one failure is forgotten."""

MAX_FAILING = 65_536
"""Addresses whose failures are remembered; the one whose last failure is oldest is forgotten first."""

_Item = TypeVar("_Item")


class FairQueue(Generic[_Item]):
    """Items by the address that they came from."""

    def __init__(self, each: int, in_all: int) -> None:
        """`each`: items that may wait from one address."""
        self._each = each
        self._in_all = in_all
        self._waiting: dict[str, deque[_Item]] = {}
        self._count = 0
        self._turns: OrderedDict[str, int] = OrderedDict()  # when each waiting address was last served, by counting
        self._turn = 0
        self._failing: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how often, as of when

    def __len__(self) -> int:
        return self._count

    def push(self, address: str, item: _Item) -> _Item | None:
        """Let an item wait. Return the one for which there is no room: the last one of the address that has most."""
        queue = self._waiting.setdefault(address, deque())
        queue.append(item)
        self._count += 1
        if len(queue) <= self._each and self._count <= self._in_all:
            return None
        longest = address if len(queue) > self._each else max(self._waiting, key=lambda each: len(self._waiting[each]))
        return self._take_out(longest, last=True)

    def pop(self, now: float) -> _Item | None:
        """Return what is next, None where nobody may have a turn yet. `now` in seconds."""
        free = [address for address in self._waiting if self._free_at(address) <= now]
        if not free:
            return None
        address = min(free, key=lambda each: (int(self._failures(each, now)), self._turns.get(each, 0)))
        item = self._take_out(address)
        self._turn += 1
        self._turns[address] = self._turn
        self._turns.move_to_end(address)
        if len(self._turns) > MAX_FAILING:
            self._turns.popitem(last=False)
        return item

    def next_at(self) -> float | None:
        """Return from when on `pop` has something, None where nobody waits."""
        return min(map(self._free_at, self._waiting), default=None)

    def failed(self, address: str, now: float) -> None:
        """Note that a check for this address failed."""
        self._failing[address] = (self._failures(address, now) + 1, now)
        self._failing.move_to_end(address)
        if len(self._failing) > MAX_FAILING:
            self._failing.popitem(last=False)

    def drop(self, is_gone: Callable[[_Item], bool]) -> list[_Item]:
        """Take out and return what nobody waits for any more."""
        dropped: list[_Item] = []
        for address, queue in list(self._waiting.items()):
            left = deque(item for item in queue if not is_gone(item))
            if len(left) != len(queue):
                dropped += [item for item in queue if is_gone(item)]
                if left:
                    self._waiting[address] = left
                else:
                    del self._waiting[address]
        self._count -= len(dropped)
        return dropped

    def _take_out(self, address: str, *, last: bool = False) -> _Item:
        queue = self._waiting[address]
        item = queue.pop() if last else queue.popleft()
        self._count -= 1
        if not queue:
            del self._waiting[address]
        return item

    def _failures(self, address: str, now: float) -> float:
        count, at = self._failing.get(address, (0.0, now))
        return max(0.0, count - max(0.0, now - at) / FORGIVEN_SECONDS)

    def _free_at(self, address: str) -> float:
        count, at = self._failing.get(address, (0.0, 0.0))
        beyond = int(count) - FREE_FAILURES
        if beyond < 0:
            return 0.0
        return at + min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * (1 << min(beyond, 30)))
