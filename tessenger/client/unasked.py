"""How many bytes are taken without asking anybody, from one sender and in all. Pure."""

from __future__ import annotations

HOUR = 3_600.0
_KEPT = 256
"""Senders above which those who have their whole allowance again are forgotten."""


class _Level:
    """Bytes of the last hour: what was taken drains away evenly, a whole allowance in an hour."""

    def __init__(self, allowance: int, now: float) -> None:
        self._allowance = allowance
        self._at = now
        self.bytes = 0.0

    def drain(self, now: float) -> None:
        """Forget what time has made of it."""
        self.bytes = max(0.0, self.bytes - (now - self._at) * self._allowance / HOUR)
        self._at = now

    def has_room(self, size: int) -> bool:
        """Tell whether `size` more may be taken: a first file always, however the limits are set."""
        return not self._allowance or not self.bytes or self.bytes + size <= self._allowance


class UnaskedBytes:
    """The allowances: bytes within an hour `per_sender` and `in_all`, 0 for no limit. Times are seconds."""

    def __init__(self, per_sender: int, in_all: int) -> None:
        self._per_sender = per_sender
        self._all = _Level(in_all, 0.0)
        self._senders: dict[str, _Level] = {}

    def take(self, sender: str, size: int, now: float) -> bool:
        """Take `size` bytes from both allowances, or tell that one of them does not have so much left."""
        mine = self._senders.setdefault(sender.lower(), _Level(self._per_sender, now))
        levels = (mine, self._all)
        for level in levels:
            level.drain(now)
        if not all(level.has_room(size) for level in levels):
            return False
        for level in levels:
            level.bytes += size
        if len(self._senders) > _KEPT:
            self._forget(now)
        return True

    def give_back(self, sender: str, size: int) -> None:
        """Note that `size` bytes of what was taken have not come."""
        for level in filter(None, (self._senders.get(sender.lower()), self._all)):
            level.bytes = max(0.0, level.bytes - size)

    def _forget(self, now: float) -> None:
        for level in self._senders.values():
            level.drain(now)
        self._senders = {sender: level for sender, level in self._senders.items() if level.bytes}
