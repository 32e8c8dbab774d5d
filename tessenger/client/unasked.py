"""How many bytes are taken without asking anybody, from one sender and in all. Pure."""

from __future__ import annotations

HOUR = 3_600.0


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
    """The allowances: bytes within an hour `per_sender` and `in_all`, 0 for no limit. Times are seconds.

    A sender's counts what they have offered, until it turns out how much of it came; that of all what has come. So
    whoever offers much and sends nothing takes nothing from others.
    """

    def __init__(self, per_sender: int, in_all: int) -> None:
        self._per_sender = per_sender
        self._all = _Level(in_all, 0.0)
        self._senders: dict[str, _Level] = {}

    def take(self, sender: str, size: int, now: float) -> bool:
        """Begin to take `size` bytes, or tell that one of the allowances does not have so much left."""
        self.drain(now)
        mine = self._senders.get(sender.lower()) or _Level(self._per_sender, now)
        if not (mine.has_room(size) and self._all.has_room(size)):
            return False
        self._senders[sender.lower()] = mine
        mine.bytes += size
        return True

    def ended(self, sender: str, size: int, came: int) -> None:
        """Note how much `came` of `size` bytes that were taken."""
        mine = self._senders.get(sender.lower())
        if mine is not None:
            mine.bytes = max(0.0, mine.bytes - (size - came))
        self._all.bytes += came

    def drain(self, now: float) -> None:
        """Let time pass; to be called every few seconds, as `ended` knows no time."""
        for level in (self._all, *self._senders.values()):
            level.drain(now)
        self._senders = {sender: level for sender, level in self._senders.items() if level.bytes}
