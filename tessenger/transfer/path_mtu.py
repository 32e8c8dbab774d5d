"""Which datagram length the path carries: probed, never assumed (after RFC 8899, datagram PLPMTUD). Pure.

Every path carries 1,200 bytes. The longer ones are tried with padded datagrams that may get lost without harm.
"""

from __future__ import annotations

from tessenger.transfer.blocks import CUTS

TRIES = 3
PROBE_EVERY = 0.1
"""Seconds between two probes of one length, at least."""
RAISE_AFTER = 60.0
"""Seconds after which a length that did not pass is tried again (RFC 8899, PMTU_RAISE_TIMER, has 600)."""

NEVER = float("inf")


class PathMtu:
    """`cut` is the longest one that is known to pass, `max_datagram` what the socket takes."""

    def __init__(self, max_datagram: int, now: float) -> None:
        self._max_datagram = max_datagram
        self.cut = 0
        self._tries: dict[int, int] = {}
        self.due_at = NEVER
        self.start(now)

    def start(self, now: float) -> None:
        """Begin anew, on a new path: only what every path carries is known."""
        self.cut = 0
        self._tries = {cut: TRIES for cut, length in enumerate(CUTS) if cut and length <= self._max_datagram}
        self.due_at = now if self._tries else NEVER

    def probes(self, rtt: float, now: float) -> list[int]:
        """Return the datagram lengths to probe now."""
        if now < self.due_at:
            return []
        if not self._tries:
            self._tries = {
                cut: TRIES for cut, length in enumerate(CUTS) if cut > self.cut and length <= self._max_datagram
            }
        due = list(self._tries)
        for cut in due:
            self._tries[cut] -= 1
            if not self._tries[cut]:
                del self._tries[cut]
        self.due_at = now + (max(PROBE_EVERY, 2 * rtt) if self._tries else RAISE_AFTER)
        return [CUTS[cut] for cut in due]

    def passed(self, length: int) -> bool:
        """Note that a probe of this length arrived; tell whether datagrams may be longer now."""
        if length not in CUTS:
            return False
        cut = CUTS.index(length)
        self._tries = {other: tries for other, tries in self._tries.items() if other > cut}
        if cut <= self.cut or length > self._max_datagram:
            return False
        self.cut = cut
        return True

    def too_long(self, length: int, now: float) -> bool:
        """Note that the system refuses datagrams of this length; tell whether the cut had to become shorter."""
        self._tries = {cut: tries for cut, tries in self._tries.items() if CUTS[cut] < length}
        if CUTS[self.cut] < length:
            return False
        return self.black_hole(now)

    def black_hole(self, now: float) -> bool:
        """Go back to what every path carries, since nothing arrives any more; tell whether that is a change."""
        self._tries = {}
        self.due_at = now + RAISE_AFTER
        changed = self.cut > 0
        self.cut = 0
        return changed
