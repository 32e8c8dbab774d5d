"""How often each address may sign in, or each user do something: token buckets, a bounded number. In the manager."""

from __future__ import annotations

from collections import OrderedDict

MAX_ADDRESSES = 65_536
"""Keys that are remembered; the one that was idle longest is forgotten first."""


class Rates:
    """For each key a bucket of `count` attempts, which is filled within `seconds`; 0 means no limit."""

    def __init__(self, count: int, seconds: int = 1) -> None:
        """Start with every bucket full."""
        self._count = count
        self._seconds = seconds
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def set_rate(self, count: int) -> None:
        """Use another rate from now on."""
        self._count = count

    def take(self, key: str, now: int) -> float:
        """Take one attempt at `now` (a steady clock, ms). Returns 0, or the seconds after which there will be one."""
        if not self._count:
            return 0.0
        per_ms = self._count / self._seconds / 1000
        tokens, since = self._buckets.pop(key, (float(self._count), now))
        tokens = min(float(self._count), tokens + max(0, now - since) * per_ms)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / per_ms / 1000
        self._buckets[key] = (tokens - 1 if not wait else tokens, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait
