"""The highest delivery rate of the last round trips: what congestion control takes for the path's. Pure."""

from __future__ import annotations

from collections import deque

ROUNDS = 10
SECONDS = 0.3
"""A rate is remembered for ten rounds and for this long: on a fast machine ten rounds are less than the time that
the other process may wait for a processor."""


class HighestRate:
    """Takes samples, and tells the highest one that is not too old."""

    def __init__(self, now: float) -> None:
        self._rates: deque[tuple[int, float, float]] = deque()  # round, rate, time: falling rates
        self._even, self._even_at = 0.0, now

    @property
    def highest(self) -> float:
        """The rate in bytes a second, 0 while none is known."""
        return self._rates[0][1] if self._rates else 0.0

    def add(self, rate: float, number: int, now: float, *, even_out: float = 0.0) -> None:
        """Take a sample of round `number`, as the mean of those of the last `even_out` seconds.

        Samples are uneven by when processes are woken, and the highest of many uneven ones is too high.
        """
        self._even += (rate - self._even) * (min(1.0, (now - self._even_at) / even_out) if even_out else 1.0)
        self._even_at = now
        while self._rates and self._rates[-1][1] <= self._even:
            self._rates.pop()
        self._rates.append((number, self._even, now))
        self.forget(number, now)

    def forget(self, number: int, now: float) -> None:
        """Drop what is too old in round `number`, but never the last."""
        rates = self._rates
        while len(rates) > 1 and rates[0][0] < number - ROUNDS and rates[0][2] < now - SECONDS:
            rates.popleft()
