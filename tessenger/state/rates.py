"""How often each address may try to sign in: token buckets with a bounded number of addresses. Runs in the manager."""

from __future__ import annotations

from collections import OrderedDict

MAX_ADDRESSES = 65_536
"""Addresses that are remembered; the one that was idle longest is forgotten first."""


class Rates:
    """For each address a bucket of one second's worth of attempts, filled at `per_second`; 0 means no limit."""

    def __init__(self, per_second: int) -> None:
        """Start with every bucket full."""
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def set_rate(self, per_second: int) -> None:
        """Use another rate from now on."""
        self._per_second = per_second

    def take(self, address: str, now: int) -> float:
        """Take one attempt at `now` (a steady clock, ms). Returns 0, or the seconds after which there will be one."""
        if not self._per_second:
            return 0.0
        tokens, since = self._buckets.pop(address, (float(self._per_second), now))
        tokens = min(float(self._per_second), tokens + max(0, now - since) * self._per_second / 1000)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_second
        self._buckets[address] = (tokens - 1 if not wait else tokens, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait
