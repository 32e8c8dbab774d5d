"""A path between two ends whose machine is busy: each process runs only now and then, and then does all that is due."""

from __future__ import annotations

import heapq
import random

from tessenger.transfer.ports import Address
from tests.support.udp_path import UdpPath, Weather

USUAL = 0.001
"""Seconds that a process usually waits for a processor, on average, and does nothing."""
LONG_ONE_IN, LONGEST = 250, 0.03
"""Of so many waits one is long, up to this."""


class BusyPath(UdpPath):
    """What arrives while an end does not run waits for it."""

    def __init__(self, weather: Weather, *, seed: int = 1) -> None:
        super().__init__(weather, seed=seed)
        self._naps = random.Random(seed)
        self._runs_at = {True: 0.0, False: 0.0}
        self._inbox: dict[bool, list[tuple[bytes, Address]]] = {True: [], False: []}

    def _nap(self) -> float:
        chance = self._naps
        nap = chance.expovariate(1 / USUAL)
        return nap + chance.uniform(0, LONGEST) if not chance.randrange(LONG_ONE_IN) else nap

    def _collect(self) -> None:
        """Let each end that has a processor read, do what is due, and send."""
        asleep = {is_receiver for is_receiver in self._runs_at if self._runs_at[is_receiver] > self.now}
        for is_receiver, end in self.ends():
            if is_receiver not in asleep:
                for data, source in self._inbox[is_receiver]:
                    end.receive_datagram(data, source, self.now)
                self._inbox[is_receiver].clear()
                if end.next_timer() <= self.now:
                    end.handle_timer(self.now)
                self._runs_at[is_receiver] = self.now + self._nap()
        frozen, self.frozen = self.frozen, self.frozen | asleep
        super()._collect()
        self.frozen = frozen

    def step(self) -> bool:
        """Go on to whatever comes next; False when nothing ever will."""
        self._collect()
        due = [item.at for item in self._queue[:1]]
        for is_receiver, end in self.ends():
            if not end.over:
                due.append(max(self._runs_at[is_receiver], 0.0 if self._inbox[is_receiver] else end.next_timer()))
        if min(due, default=float("inf")) == float("inf"):
            return False
        self.now = max(self.now, min(due))
        while self._queue and self._queue[0].at <= self.now:
            item = heapq.heappop(self._queue)
            self._inbox[item.to_receiver].append((item.data, item.source))
        return True
