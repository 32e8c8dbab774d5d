"""When a receiver acknowledges, and which train it names. Pure."""

from __future__ import annotations

NEVER = float("inf")
ACK_BYTES = 262_144
"""Bytes after which an acknowledgement is due; less where the kernel's buffer is so small that it would overflow."""
ACK_DELAY = 0.001
KEEPALIVE = 0.2
"""Seconds after which an acknowledgement is repeated: it carries our address, and what was lost of earlier ones."""


class AckSchedule:
    """`due_at`: when the next one is to be sent; `train`: the highest that came since the last one, 0 for none ever."""

    def __init__(self, receive_buffer: int, now: float) -> None:
        self._most = min(ACK_BYTES, receive_buffer // 5)
        self._unacknowledged = 0
        self._next_at = NEVER
        self._keepalive_at = now + KEEPALIVE
        self.train = 0
        self._train_at = 0.0

    @property
    def due_at(self) -> float:
        """When an acknowledgement is due."""
        return min(self._next_at, self._keepalive_at)

    @property
    def idle(self) -> bool:
        """Whether nothing has come since the last one."""
        return not self._unacknowledged

    def begin(self) -> None:
        """Forget the trains, for another attempt."""
        self.train, self._train_at = 0, 0.0

    def arrived(self, train: int, count: int, now: float) -> None:
        """Note `count` bytes of a train."""
        if train >= self.train or not self._unacknowledged:
            self.train, self._train_at = train, now
        self._unacknowledged += count
        if self._unacknowledged >= self._most:
            self._next_at = now
        elif self._next_at == NEVER:
            self._next_at = now + ACK_DELAY

    def at_once(self, now: float) -> None:
        """Have the next one sent now."""
        self._next_at = now

    def soon(self, now: float) -> None:
        """Have the next one sent no later than after the usual delay."""
        self._next_at = min(self._next_at, now + ACK_DELAY)

    def age(self, now: float) -> int:
        """Return for how many microseconds `train` has been here."""
        return round((now - self._train_at) * 1e6) if self.train else 0

    def sent(self, now: float) -> None:
        """Note that an acknowledgement was sent."""
        self._unacknowledged = 0
        self._next_at = NEVER
        self._keepalive_at = now + KEEPALIVE
