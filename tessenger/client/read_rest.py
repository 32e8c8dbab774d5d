"""When the client's UDP process lets what arrives wait unread, so that one wake-up reads many datagrams. Pure.

Datagrams of a slow transfer come one by one, and to be woken for each costs more than the datagram. As network cards
do (interrupt moderation), the process that has just read takes a rest; what comes meanwhile waits in the kernel.
"""

from __future__ import annotations

MOST_BYTES = 131_072
"""Bytes that may come in a rest; no more than an eighth of the kernel's buffer where that is less."""
SHORTEST = 0.0005
"""Seconds below which a rest saves nothing."""
MEASURE_SECONDS = 0.005


class ReadRest:
    """Rests while what comes is slow enough for it."""

    def __init__(self, receive_buffer: int, now: float) -> None:
        self._most = min(MOST_BYTES, receive_buffer // 8)
        self._bytes = 0
        self._since = now
        self._rate = 0.0
        self._read_at = float("-inf")

    def read(self, count: int, now: float) -> None:
        """Note how many bytes were read at once, until there were no more."""
        self._bytes += count
        elapsed = now - self._since
        if elapsed >= MEASURE_SECONDS:
            self._rate = self._bytes / elapsed
            self._bytes, self._since = 0, now
        if count:
            self._read_at = now if count <= self._most else float("-inf")

    def left(self, now: float, bearable: float) -> float:
        """Return how many seconds of the rest are left, where `bearable` may pass between two reads. 0: read."""
        pause = min(bearable, self._most / self._rate) if self._rate else bearable
        return max(0.0, self._read_at + pause - now) if pause >= SHORTEST else 0.0
