"""How a session that has ended takes its leave: its last word, until the peer has heard it. Pure."""

from __future__ import annotations

from tessenger.transfer.packets import Kind

NEVER = float("inf")
CLOSE_EVERY = 0.2
"""Seconds between two times that the last word is said."""
CLOSE_SECONDS = 2.0
"""How long a side that failed, or that has nothing to do any more, still answers."""

LastWord = tuple[Kind, bytes]


class Closing:
    """The time from the end on, `seconds` long; `word` is None where there is nothing to say."""

    def __init__(self, word: LastWord | None, seconds: float, now: float) -> None:
        self._word = word
        self._until = now + seconds
        self._again_at = NEVER
        self._said_at = -NEVER

    @property
    def unheard(self) -> bool:
        """Whether the peer has not confirmed the last word."""
        return self._word is not None

    @property
    def due_at(self) -> float:
        """When there is something to say or the time is over."""
        return min(self._again_at, self._until)

    def is_over(self, now: float) -> bool:
        """Tell whether nothing is to be said or heard any more."""
        return now >= self._until

    def say(self, now: float) -> LastWord | None:
        """Return the last word if it is time to send it: the peer has not heard it, or it would be quiet."""
        if self._word is None:
            return None
        self._again_at = now + CLOSE_EVERY
        if now - self._said_at < CLOSE_EVERY / 2:
            return None
        self._said_at = now
        return self._word

    def heard(self, now: float) -> None:
        """Note that the peer has confirmed it; it may yet repeat something that is on its way."""
        self._word, self._again_at = None, NEVER
        self._until = min(self._until, now + CLOSE_EVERY)
