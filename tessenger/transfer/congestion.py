"""How fast to send: congestion control in the manner of BBR. Pure.

After "BBR: Congestion-Based Congestion Control" (ACM Queue, 2016): the sending rate follows the highest delivery rate
of the last ten round trips, and what is in flight is bounded by that rate times the shortest round trip. Eight phases
of a round trip take turns: one sends faster to find more, one slower to empty the queue that the first may have built,
six hold.

What differs: loss is booked by the phase that sent it. Loss in the slower phase is the path's own, and is made up for
by sending that much more, unless a queue stood at the time. Loss beyond that in the faster phase is a queue too short
to probe into: probing becomes gentle. A queue that does not empty in a whole cycle means that others send too: the
holding phases send less. The smaller one of two flows gains more by its probes, so they meet in the middle. Where the
queue runs over all the same, a window takes the place of all this (see `competition.py`).
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from tessenger.transfer.bandwidth import HighestRate
from tessenger.transfer.blocks import CUTS
from tessenger.transfer.competition import Competition
from tessenger.transfer.recovery import Sample

NEVER = float("inf")
STARTUP_WINDOW, STARTUP_GAIN = 2.3, 3.39
"""Of what the measured rate has on the way, and of that rate: both grow by the former in a round trip, w, if the latter
is w ln w / (1 - 1/w), since the rate is the mean of the round trip before."""
QUEUED_WINDOW, QUEUED_GAIN = 1.75, 2.29
"""The same once a queue shows, so that it does not become longer than a round trip."""
CYCLE = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
GENTLE_PROBE = 0.05
QUANTUM, LONGEST_QUANTUM = 0.001, 0.003
"""Seconds of sending that make a train; also what timers and acknowledgements are late by. The longer one where the
round trip is 16 times as long: a train costs the same processor time, whatever is in it."""
MAX_COMPENSATION = 0.25
"""Loss beyond this share is not made up for."""
STARTUP_LOSS = 0.3
"""Share of a round's bytes: more than random loss is likely to take means that the queue is full."""
PROBE_RTT_AFTER = 10.0
PROBE_RTT_SECONDS = 0.2
PACING_GAIN = 1.2
"""Of the rate that fills the window in a round trip: while others compete, the window decides."""
HOLD_LEAST = 0.85
"""Of the measured rate, while holding; and never so little that what probing finds does not make up for it."""
LOCAL_GAIN = 2.0
INITIAL_BYTES = 32 * 1_200
MIN_WINDOW = 4 * 1_200


class Phase(IntEnum):
    """What a train was sent in."""

    FASTER = 0
    SLOWER = 1
    HOLD = 2
    STARTUP = 3


class _LossShare:
    """The share of bytes that are lost, over about the last dozen round trips."""

    def __init__(self) -> None:
        self._sent = self._lost = 0.0

    def add(self, arrived: int, lost: int) -> None:
        self._sent += arrived + lost
        self._lost += lost

    def fade(self) -> None:
        self._sent *= 0.92
        self._lost *= 0.92

    def share(self, least: float) -> float | None:
        """Return the share; None where fewer than `least` bytes are known."""
        return self._lost / self._sent if self._sent >= least else None


class Congestion:
    """Says at what `pacing_rate` (bytes a second) and up to what `window` (bytes in flight) to send."""

    def __init__(self, receive_buffer: int, rate_limit: float, rtt: float, now: float) -> None:
        self.rate_limit = rate_limit
        self._receive_buffer = receive_buffer
        self._rtt = rtt
        self._started = False  # startup is over
        self._draining = False
        self._rates = HighestRate(now)
        self._round = 0
        self._round_end = 0
        self._best = 0.0
        self._rounds_without_gain = 0
        self._round_arrived = self._round_lost = 0
        self._phase = 0
        self._phase_at = now
        self._probe_rtt_until = 0.0
        self._min_rtt = rtt
        self._min_rtt_at = now
        self._shares = {phase: _LossShare() for phase in Phase}
        self._competition = Competition(now)
        self._settled_at = 0  # the round behind which losses are not those of startup any more
        self._lowest_rtt = NEVER  # of this cycle
        self._round_rtt = self._last_round_rtt = NEVER
        self._latest_rtts: deque[float] = deque(maxlen=5)
        self._probe = CYCLE[0] - 1
        self._hold = 1.0
        self.datagram = 1_200
        self.pacing_rate = STARTUP_GAIN * INITIAL_BYTES / max(rtt, QUANTUM / 10)
        self.window = float(INITIAL_BYTES)
        self._limit_rate()

    @property
    def bandwidth(self) -> float:
        """The highest delivery rate of the last rounds, in bytes a second."""
        return self._rates.highest

    @property
    def phase(self) -> Phase:
        """What the train that leaves now is booked under."""
        if not self._started:
            return Phase.STARTUP
        return Phase.HOLD if self._competition.window else Phase(min(self._phase, Phase.HOLD))

    @property
    def _queue_threshold(self) -> float:
        """Seconds above the shortest round trip that mean that a queue stands."""
        return max(0.002, self._min_rtt / 16)

    @property
    def _queue_builds(self) -> bool:
        """Whether the last few round trips had to wait."""
        return bool(self._latest_rtts) and min(self._latest_rtts) > self._min_rtt + self._queue_threshold

    @property
    def quantum(self) -> float:
        """Seconds of sending that make a train; short where the queue is too short for more."""
        gentle = self._probe < CYCLE[0] - 1
        return QUANTUM if gentle else min(max(QUANTUM, self._min_rtt / 16), LONGEST_QUANTUM)

    @property
    def background_loss(self) -> float:
        """The share that the path loses whatever is sent."""
        share = self._shares[Phase.SLOWER].share(8 * self.datagram)
        return min(share or 0.0, MAX_COMPENSATION)

    def acknowledged(
        self, sample: Sample, in_flight: int, delivered: int, min_rtt: float, now: float, latest_rtt: float = 0.0
    ) -> None:
        """Take what an acknowledgement, or the lack of one, said; `latest_rtt` is 0 where it is not known."""
        # The shortest of a round: a machine that is busy makes single round trips longer, a queue makes all of them so.
        self._round_rtt = min(self._round_rtt, latest_rtt or NEVER)
        if latest_rtt:
            self._latest_rtts.append(latest_rtt)
        queued = NEVER > min(self._round_rtt, self._last_round_rtt) > self._min_rtt + self._queue_threshold
        self._lowest_rtt = min(self._lowest_rtt, latest_rtt or NEVER)
        for phase in {*sample.arrived, *sample.lost}:
            arrived, lost = sample.arrived.get(phase, 0), sample.lost.get(phase, 0)
            if not (queued and phase == Phase.SLOWER):
                # What is lost while a queue stands is no loss of the path's own.
                self._shares[Phase(phase)].add(arrived, lost)
            self._round_arrived += arrived
            self._round_lost += lost
            if self._started and self._round > self._settled_at:
                self._competition.acknowledged(arrived, lost)
        competing = self._competition.window
        if competing is not None and in_flight > competing.size / 2:
            competing.grow(sum(sample.arrived.values()), self._current_rtt, now)
        if min_rtt < NEVER:
            if min_rtt <= self._min_rtt or not self.bandwidth:
                self._min_rtt_at = now
            self._rtt = self._min_rtt = min_rtt
        if sample.delivered_before >= self._round_end:
            self._round_end = delivered
            self._end_round(now)
        if sample.rate and (not sample.limited or sample.rate > self.bandwidth):
            self._rates.add(sample.rate, self._round, now, even_out=self._rtt / 16 if self._started else 0.0)
        if self.bandwidth:
            self._advance(in_flight, now)
            self._control(now)

    def _end_round(self, now: float) -> None:
        self._round += 1
        self._last_round_rtt, self._round_rtt = self._round_rtt, NEVER
        if self.datagram != CUTS[-1]:
            self._competition.end_round(
                self._last_round_rtt, self._min_rtt, self._queue_threshold, self.bandwidth, self.datagram, now
            )
        total = self._round_arrived + self._round_lost
        lost_much = total > 16 * self.datagram and self._round_lost > STARTUP_LOSS * total
        self._round_arrived = self._round_lost = 0
        for share in self._shares.values():
            share.fade()
        self._rates.forget(self._round, now)
        if self._started or self._draining:
            return
        if self.bandwidth > 1.25 * self._best:
            self._best = self.bandwidth
            self._rounds_without_gain = 0
        else:
            self._rounds_without_gain += 1
        enough = 1 if self._queue_builds else 3
        if self._rounds_without_gain >= enough or (lost_much and self._round > 3):
            self._draining = True

    @property
    def _usual_window(self) -> float:
        """What may be in flight where nobody competes."""
        return 2 * self.bandwidth * (self._rtt + 2 * self.quantum)

    @property
    def _current_rtt(self) -> float:
        """The round trip with the queue that stands now."""
        return min(self._round_rtt, self._last_round_rtt) if self._last_round_rtt < NEVER else self._rtt

    def _advance(self, in_flight: int, now: float) -> None:
        """Go to the next phase where it is time."""
        if self._draining and in_flight <= self.bandwidth * (self._rtt + 2 * self.quantum):
            self._draining, self._started = False, True
            self._settled_at = self._round + 2
            self._phase, self._phase_at = Phase.HOLD, now
        if not self._started:
            return
        if now - self._phase_at > max(self._rtt, 2 * QUANTUM):
            self._phase, self._phase_at = (self._phase + 1) % len(CYCLE), now
            if self._phase == 0:
                self._judge_losses(now)
        if now - self._min_rtt_at > PROBE_RTT_AFTER:
            self._min_rtt_at = now
            self._probe_rtt_until = now + max(PROBE_RTT_SECONDS, self._rtt)

    def _judge_losses(self, now: float) -> None:
        """Once a cycle: adjust probing and holding to what they lost beyond the path's own loss."""
        least = 32 * self.datagram
        background = self.background_loss
        probing = self._shares[Phase.FASTER].share(least)
        holding = self._shares[Phase.HOLD].share(least)
        full = CYCLE[0] - 1
        if probing is not None and probing > background + 0.05:
            self._probe = max(GENTLE_PROBE, self._probe / 2)
        else:
            self._probe = min(full, self._probe * 1.1)
        stands = self._lowest_rtt < NEVER and self._lowest_rtt - self._min_rtt > self._queue_threshold
        self._lowest_rtt = NEVER
        self._competition.end_cycle(stands=stands, now=now)
        if stands or (holding is not None and holding > background + 0.02):
            self._hold = max(self._hold - 0.03, HOLD_LEAST, 1 / (1 + self._probe))
        else:
            self._hold = min(1.0, self._hold + 0.01)

    def _control(self, now: float) -> None:
        bandwidth, rtt = self.bandwidth, self._rtt
        product = bandwidth * rtt
        if not self._started:
            gain, window = (QUEUED_GAIN, QUEUED_WINDOW) if self._queue_builds else (STARTUP_GAIN, STARTUP_WINDOW)
            gain = 1 / QUEUED_GAIN if self._draining else gain
            window = bandwidth * (window * rtt + 2 * self.quantum)
        else:
            gain = 1 + self._probe if self._phase == 0 else CYCLE[self._phase] * self._hold
            window = self._usual_window
        if self.datagram == CUTS[-1]:
            # Within a machine there is no queue but the receiver's buffer, which the window minds.
            gain = max(gain, LOCAL_GAIN)
        rate = gain * bandwidth / (1 - self.background_loss)
        if self._competition.window is not None:
            window = self._competition.window.size
            rate = PACING_GAIN * window / self._current_rtt
        # What the receiver's process has not read yet waits in its kernel's buffer, which must hold it.
        window = min(window, product + 0.8 * self._receive_buffer)
        if not self._started and not self._draining:
            window = max(window, INITIAL_BYTES)
            rate = max(rate, STARTUP_GAIN * INITIAL_BYTES / max(rtt, QUANTUM / 10))
        if now < self._probe_rtt_until:
            window = min(window, product / 2)
        self.window = max(window, MIN_WINDOW, 2 * self.datagram)
        self.pacing_rate = max(rate, self.datagram / max(rtt, QUANTUM))
        self._limit_rate()

    def _limit_rate(self) -> None:
        if self.rate_limit:
            self.pacing_rate = min(self.pacing_rate, self.rate_limit)

    def limit(self, rate: float) -> None:
        """Never send faster than `rate` bytes a second from now on; 0 is no limit."""
        self.rate_limit = rate
        self._limit_rate()
