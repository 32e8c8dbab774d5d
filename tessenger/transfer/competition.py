"""What to keep in flight while others fill the same queue: the window that CUBIC would have (RFC 9438). Pure.

A rate that is measured and held takes nearly all of a short queue from flows that give way at every loss, and is
starved by them in a deep one. So whoever is seen to share a queue is met with his own rule, as in Copa's competitive
mode (NSDI 2018). Others are seen by losses while a queue stands; once they are known, by a queue that falls, too: they
have given way to a loss that happened not to be one's own, and so does this side.
"""

from __future__ import annotations

import math

NEVER = float("inf")
FALL = 0.001
"""Seconds that a queue falls by, or an eighth of it, where others have given way."""
FALLEN_ROUNDS = 3
"""Round trips for which it stays so: it dips for one or two where another transfer takes turns of its speed."""
UNUSED_ROUNDS, UNUSED_SECONDS = 16, 2.5
"""Without a queue for as long, more is taken at once: losses and delays may have had a reason that is gone."""
ALONE_SECONDS = 8.0
"""Nobody competes any more where no loss came for as long, and the queue empties when this side drains it."""

BETA = 0.7
C = 0.4
"""Packets a second cubed, as RFC 9438 has it."""
QUICK, SLOW = 1 / 8, 1 / 64
"""Of the window, each round trip."""
FRIENDLY = 3 * (1 - BETA) / (1 + BETA)
"""Packets each round trip: what keeps up with a Reno flow."""


class CubicWindow:
    """The window in bytes, of packets of `packet` bytes, after a loss with `in_flight` bytes."""

    def __init__(self, in_flight: float, packet: int, now: float) -> None:
        self._packet = packet
        self._highest = self._before = in_flight / packet
        self._window = self._highest * BETA
        self._restart(now)

    @property
    def size(self) -> float:
        """How many bytes may be in flight."""
        return self._window * self._packet

    def _restart(self, now: float) -> None:
        self._since = now
        self._friendly = self._window
        self._inflection = (max(0.0, self._highest - self._window) / C) ** (1 / 3)

    def shrink(self, now: float) -> None:
        """Give way after a loss; and some more where others have taken what was had before (fast convergence)."""
        losing = self._window < self._highest
        self._highest = self._window * ((1 + BETA) / 2 if losing else 1.0)
        self._window = max(4.0, self._window * BETA)
        self._restart(now)

    def take_up(self, now: float) -> None:
        """Take more, as nobody has used it for a while: quickly up to half of what was had before others came."""
        self._window *= 1 + (QUICK if self._window < self._before / 2 else SLOW)
        self._highest = self._window
        self._restart(now)

    def grow(self, arrived: int, rtt: float, now: float) -> None:
        """Go on for `arrived` bytes that were acknowledged."""
        self._friendly += FRIENDLY * arrived / self._packet / self._window
        target = C * (now - self._since + rtt - self._inflection) ** 3 + self._highest
        most = self._window + arrived / self._packet / 2  # RFC 9438: by half in a round trip
        self._window = max(self._window, min(max(target, self._friendly), most))


class QueueLoss:
    """Tells the loss of a full queue from what the path loses anyway, round by round.

    The path's own share is what is lost while no queue stands. In a round with a standing queue losses mean that it is
    full if there are more of them than twice what that share lets expect and three deviations.
    """

    FADE = 0.995
    """Per round: the path's own share is remembered for some hundred rounds."""

    def __init__(self) -> None:
        self._sent = self._lost = 0.0
        self._round_sent = self._round_lost = 0.0

    def add(self, arrived: int, lost: int) -> None:
        """Count bytes of this round."""
        self._round_sent += arrived + lost
        self._round_lost += lost

    def end_round(self, packet: int, *, queued: bool) -> bool:
        """Return whether the queue was full in the round that ends, in all of which one stood or not."""
        round_sent, round_lost = self._round_sent, self._round_lost
        self._round_sent = self._round_lost = 0.0
        self._sent *= self.FADE
        self._lost *= self.FADE
        if not queued:
            self._sent += round_sent
            self._lost += round_lost
            return False
        sent, lost = round_sent / packet, round_lost / packet
        known = self._sent / packet + 1
        expected = sent * (self._lost / packet + 1) / known
        # What is expected is uncertain itself, the more so the less was sent without a queue.
        return lost > 2 * expected + 3 * math.sqrt(expected * (1 + sent / known)) + 0.5


class Competition:
    """Whether others fill the same queue, and what may be in flight then."""

    def __init__(self, now: float) -> None:
        self.window: CubicWindow | None = None
        """None while nobody is known to compete."""
        self._loss = QueueLoss()
        self._round = 0
        self._shrunk_in, self._shrunk_at = 0, now
        self._top_rtt = 0.0
        self._fallen = self._unused = 0

    def acknowledged(self, arrived: int, lost: int) -> None:
        """Count bytes that arrived or were lost."""
        self._loss.add(arrived, lost)

    def end_round(self, rtt: float, empty_rtt: float, threshold: float, rate: float, packet: int, now: float) -> None:
        """Judge a round trip: its shortest `rtt`, that of the path without a queue, and the delivery `rate`.

        A queue stands where the two differ by more than `threshold`.
        """
        self._round += 1
        queue = rtt - empty_rtt
        full = self._loss.end_round(packet, queued=NEVER > queue > threshold)
        if rtt == NEVER:
            return
        since = self._round - self._shrunk_in
        if (full and since > 1) or (since > 2 * FALLEN_ROUNDS and self._queue_fell(rtt, empty_rtt, threshold)):
            self._give_way(rate * rtt, packet, now)
        self._unused = 0 if queue > threshold else self._unused + 1
        if self.window and self._unused > UNUSED_ROUNDS and now - self._shrunk_at > UNUSED_SECONDS:
            self.window.take_up(now)

    def end_cycle(self, *, stands: bool, now: float) -> None:
        """Forget the others once the queue was empty in some of the last round trips, and no loss came."""
        if not stands and now - self._shrunk_at > ALONE_SECONDS:
            self.window = None

    def _queue_fell(self, rtt: float, empty_rtt: float, threshold: float) -> bool:
        if self.window is None:
            return False
        self._top_rtt = max(self._top_rtt, rtt)
        stood = self._top_rtt - empty_rtt
        fell = stood > threshold and self._top_rtt - rtt > max(FALL, stood / 8)
        self._fallen = self._fallen + 1 if fell else 0
        return self._fallen >= FALLEN_ROUNDS

    def _give_way(self, in_flight: float, packet: int, now: float) -> None:
        self._top_rtt, self._fallen = 0.0, 0
        self._shrunk_in, self._shrunk_at = self._round, now
        if self.window is None:
            self.window = CubicWindow(in_flight, packet, now)
        else:
            self.window.shrink(now)
