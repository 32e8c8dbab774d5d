"""What is in flight: round-trip times, loss detection after RFC 8985 (RACK), and delivery-rate samples. Pure.

RACK: what was sent a reordering window before something that has arrived is lost. The window starts at a quarter of the
shortest round trip and grows to what reordering is seen: a segment that arrives although it was given up tells exactly
how long the window should have been.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from tessenger.transfer.window import Slot

NEVER = float("inf")
INITIAL_RTT = 0.1
MIN_REORDERING = 0.0005
"""Seconds: two processes that share a processor reorder by as much."""
FORGET_REORDERING = 16
"""Round trips after which the window is halved (RFC 8985, section 6.2, keeps it for 16 recoveries)."""
MIN_RTT_SECONDS = 10.0
"""How long the shortest round trip counts; after that the path may be another."""
PROBE_BACKOFF = 0.3
"""Seconds that probes wait at most, or four round trips where those are longer: fast enough that fifty may be lost."""


class Flight:
    """A train on its way: which segments of which slot, and what had been delivered when it left."""

    __slots__ = ("delivered", "delivered_at", "first_sent_at", "generation", "limited", "mask", "number", "phase",
                 "sent_at", "size", "slot")  # fmt: skip

    def __init__(self, number: int, slot: Slot, mask: int, size: int, now: float, phase: int) -> None:
        self.number = number
        self.slot = slot
        self.generation = slot.generation
        self.mask = mask
        self.size = size
        """Bytes of one datagram."""
        self.sent_at = now
        self.phase = phase
        """Of congestion control, so that a loss is held against what was done when the train left."""
        self.delivered = 0
        self.delivered_at = now
        self.first_sent_at = now
        self.limited = False


class Missing(NamedTuple):
    """Segments that are lost, as long as the slot's generation is still this one."""

    slot: Slot
    generation: int
    mask: int
    sent_at: float


class Sample(NamedTuple):
    """What an acknowledgement says about the path. `rate` is in bytes a second, 0 where it says nothing.

    `delivered_before`: the count of delivered bytes when the newest of what came was sent; marks the end of rounds.
    `arrived`, `lost`: bytes by phase. `missing`: what is to be sent again.
    """

    rate: float
    limited: bool
    delivered_before: int
    arrived: dict[int, int]
    lost: dict[int, int]
    missing: list[Missing]


class Recovery:
    """The trains in flight."""

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque()
        self.in_flight = 0
        self.delivered = 0
        self._delivered_at = 0.0
        self._first_sent_at = 0.0
        self.last_number = 0
        self.newest = 0
        """The newest train that has arrived."""
        self._newest_sent_at = 0.0
        self.reorder_at = NEVER
        """When something becomes lost without another acknowledgement."""
        self.rtt = self.rtt_variance = self.latest_rtt = 0.0
        self.min_rtt = NEVER
        self._min_rtt_at = 0.0
        self._recent: deque[float] = deque(maxlen=5)
        self._reordering = 0.0
        self._reordering_round = 0
        self._rounds = 0
        self._round_end = 0
        self._quiet_since = 0.0
        self.probes = 0
        """Probes since something last arrived."""
        self.lost_segments = 0

    # ---- sending ----

    def sent(self, slot: Slot, mask: int, size: int, now: float, phase: int, *, limited: bool) -> None:
        """Note train `last_number`, which leaves now."""
        if not self._flights:
            self._delivered_at = self._first_sent_at = now
        flight = Flight(self.last_number, slot, mask, size, now, phase)
        flight.delivered, flight.delivered_at, flight.first_sent_at = (
            self.delivered,
            self._delivered_at,
            self._first_sent_at,
        )
        flight.limited = limited
        self._flights.append(flight)
        self.in_flight += mask.bit_count() * size
        self._quiet_since = now

    @property
    def reordering_window(self) -> float:
        """How much later than others a datagram may come before it counts as lost, in seconds."""
        floor = max(self.min_rtt / 4 if self.min_rtt < NEVER else 0.0, MIN_REORDERING)
        return min(max(floor, self._reordering), max(self.rtt, MIN_REORDERING))

    @property
    def probe_at(self) -> float:
        """When something is to be sent although nothing arrives: the tail may be lost."""
        if not self._flights:
            return NEVER
        timeout = self.rtt + max(4 * self.rtt_variance, 0.01) + 0.01 if self.rtt else 2 * INITIAL_RTT
        return self._quiet_since + min(timeout * 2.0 ** min(self.probes, 8), max(PROBE_BACKOFF, 4 * self.rtt, timeout))

    def oldest(self) -> tuple[Slot, int] | None:
        """Return what has been in flight the longest, for a probe: a segment or two."""
        for flight in self._flights:
            if flight.generation == flight.slot.generation:
                mask = flight.mask & ~flight.slot.acked
                if mask:
                    lowest = mask & -mask
                    rest = mask ^ lowest
                    return flight.slot, lowest | (rest & -rest)
        return None

    def probed(self, now: float) -> None:
        """Note that a probe was sent."""
        self.probes += 1
        self._quiet_since = now

    # ---- acknowledgements ----

    def arrived(self, train: int, delay: float, gained: int, late: float, now: float) -> Sample:
        """Take an acknowledgement that names `train`, `delay` seconds old, and adds `gained` bytes.

        `late`: when the oldest was sent of what arrived after it had been given up.
        """
        if gained:
            self.delivered += gained
            self._delivered_at = now
            self._quiet_since = now
            self.probes = 0
        if self.newest < train <= self.last_number:
            self._measure(train, delay, now)
        if late < NEVER and self._newest_sent_at > late:
            self._reordering = max(self._reordering, 1.25 * (self._newest_sent_at - late))
            self._reordering_round = self._rounds
        return self._settle(gained, now)

    def _measure(self, train: int, delay: float, now: float) -> None:
        for flight in self._flights:
            if flight.number >= train:
                self.newest = train
                if flight.number == train:
                    self._newest_sent_at = flight.sent_at
                    rtt = now - flight.sent_at - delay
                    if rtt > 0:
                        self._rtt_sample(rtt, now)
                return

    def _rtt_sample(self, rtt: float, now: float) -> None:
        if self.rtt:
            self.rtt_variance += (abs(self.rtt - rtt) - self.rtt_variance) / 4  # RFC 6298
            self.rtt += (rtt - self.rtt) / 8
        else:
            self.rtt, self.rtt_variance = rtt, rtt / 2
        self.latest_rtt = rtt
        # One datagram that skips the queue must not set the floor, so the median of five does.
        self._recent.append(rtt)
        median = sorted(self._recent)[len(self._recent) // 2]
        if median <= self.min_rtt or now - self._min_rtt_at > MIN_RTT_SECONDS:
            self.min_rtt, self._min_rtt_at = median, now

    def settle(self, now: float) -> Sample:
        """Find what has become lost by the passing of time."""
        return self._settle(0, now)

    def _settle(self, gained: int, now: float) -> Sample:
        """Go through what left up to the newest train that arrived: it has arrived too, is lost, or gets more time."""
        window = self.reordering_window
        patience = self.latest_rtt + window
        kept: list[Flight] = []
        arrived: dict[int, int] = {}
        lost: dict[int, int] = {}
        missing: list[Missing] = []
        newest: Flight | None = None
        self.reorder_at = NEVER
        flights = self._flights
        while flights and flights[0].number <= self.newest:
            flight = flights.popleft()
            slot, left = flight.slot, flight.mask
            if flight.generation != slot.generation or not left & ~slot.acked:
                came, left = left, 0
            else:
                came = left & slot.acked
                left ^= came
            if came:
                count = came.bit_count() * flight.size
                self.in_flight -= count
                arrived[flight.phase] = arrived.get(flight.phase, 0) + count
                newest = flight
            if not left:
                continue
            flight.mask = left
            if flight.number == self.newest:
                # What is left of it was sent no earlier than anything that arrived: the rest may be right behind.
                kept.append(flight)
            elif flight.sent_at + window < self._newest_sent_at or flight.sent_at + patience <= now:
                segments = left.bit_count()
                self.in_flight -= segments * flight.size
                self.lost_segments += segments
                lost[flight.phase] = lost.get(flight.phase, 0) + segments * flight.size
                missing.append(Missing(slot, flight.generation, left, flight.sent_at))
            else:
                self.reorder_at = min(self.reorder_at, flight.sent_at + patience)
                kept.append(flight)
        flights.extendleft(reversed(kept))
        rate = self._rate(newest, now) if newest is not None and gained else 0.0
        before = newest.delivered if newest is not None else -1
        return Sample(rate, newest is None or newest.limited, before, arrived, lost, missing)

    def _rate(self, newest: Flight, now: float) -> float:
        """Return the delivery rate (draft-cheng-iccrg-delivery-rate-estimation) of the newest train that arrived."""
        if newest.delivered >= self._round_end:
            self._round_end = self.delivered
            self._rounds += 1
            if self._rounds - self._reordering_round > FORGET_REORDERING:
                self._reordering /= 2
                self._reordering_round = self._rounds
        self._first_sent_at = newest.sent_at
        interval = max(now - newest.delivered_at, newest.sent_at - newest.first_sent_at)
        floor = self.min_rtt / 2 if self.min_rtt < NEVER else 0.0
        return (self.delivered - newest.delivered) / interval if interval > floor else 0.0

    def forget(self) -> None:
        """Drop everything in flight: what was sent is cut in another way now, or of no use any more."""
        self._flights.clear()
        self.in_flight = 0
        self.reorder_at = NEVER
