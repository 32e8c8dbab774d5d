"""What is in flight: when it counts as lost, how the reordering window adapts, and what rate is measured."""

from __future__ import annotations

import pytest

from tessenger.transfer.recovery import NEVER, Recovery, Sample
from tessenger.transfer.window import Slot

SIZE = 1_200


class Line:
    """A recovery whose trains are single segments of one block."""

    def __init__(self) -> None:
        self.recovery = Recovery()
        self.slot = Slot()
        self.slot.block = 0
        self.slot.prepare(1, 0, 0, 61_456)

    def send(self, at: float, segment: int) -> None:
        """Send one segment as the next train."""
        self.recovery.last_number += 1
        self.recovery.sent(self.slot, 1 << segment, SIZE, at, 2, limited=False)

    def arrive(self, train: int, segments: int, at: float, late: float = NEVER) -> Sample:
        """Take an acknowledgement of a train, and of the segments in a mask."""
        new = segments & ~self.slot.acked
        self.slot.acked |= segments
        return self.recovery.arrived(train, 0.0, new.bit_count() * SIZE, late, at)


def _lost(sample: Sample) -> int:
    mask = 0
    for missing in sample.missing:
        mask |= missing.mask
    return mask


def test_later_arrival_makes_earlier_lost() -> None:
    """What left more than the window before something that arrived is lost; what left just before gets more time."""
    line = Line()
    for n in range(3):
        line.send(0.1 * n, n)
    line.send(0.2001, 3)
    sample = line.arrive(4, 0b1000, 0.25)
    assert _lost(sample) == 0b011
    assert line.recovery.in_flight == SIZE
    assert 0.25 < line.recovery.reorder_at < 0.2 + 0.05 + 0.02
    assert _lost(line.recovery.settle(line.recovery.reorder_at)) == 0b100
    assert line.recovery.in_flight == 0
    assert line.recovery.lost_segments == 3


def test_nothing_is_lost_without_a_later_arrival() -> None:
    """Time alone makes nothing lost: then a probe is due."""
    line = Line()
    line.send(0.0, 0)
    assert line.recovery.settle(10.0).missing == []
    assert 0.1 < line.recovery.probe_at < 1.0
    assert line.recovery.oldest() == (line.slot, 1)


def test_rest_of_the_newest_train_is_not_lost() -> None:
    """A train of which a part was acknowledged has time: the rest may be right behind, until a later train arrives."""
    line = Line()
    line.recovery.last_number += 1
    line.recovery.sent(line.slot, 0b111, SIZE, 0.0, 2, limited=False)
    assert line.arrive(1, 0b001, 0.05).missing == []
    assert line.recovery.settle(5.0).missing == []
    line.send(0.1, 3)
    assert _lost(line.arrive(2, 0b1011, 0.15)) == 0b100


def test_window_adapts_to_reordering() -> None:
    """A segment that comes after it was given up widens the window to what would have been enough."""
    line = Line()
    line.send(0.0, 0)
    line.send(0.03, 1)
    assert _lost(line.arrive(2, 0b10, 0.08)) == 0b01
    before = line.recovery.reordering_window
    line.arrive(2, 0b11, 0.09, late=0.0)
    assert line.recovery.reordering_window == pytest.approx(1.25 * 0.03)
    assert before < 0.03


def test_window_is_at_most_a_round_trip() -> None:
    """However late something comes, loss is noticed after a round trip."""
    line = Line()
    line.send(0.0, 0)
    line.send(1.0, 1)
    line.arrive(2, 0b10, 1.05)
    line.arrive(2, 0b11, 1.06, late=0.0)
    assert line.recovery.reordering_window == pytest.approx(0.05)


def test_probes_back_off_to_a_bound() -> None:
    """The pause between probes doubles, up to 300 ms on a fast path."""
    line = Line()
    line.send(0.0, 0)
    line.arrive(1, 1, 0.01)
    line.send(0.02, 1)
    now, pauses = 0.02, []
    for _ in range(10):
        pauses.append(line.recovery.probe_at - now)
        now = line.recovery.probe_at
        line.recovery.probed(now)
    assert pauses[0] < 0.06
    assert pauses == pytest.approx(sorted(pauses))
    assert pauses[-1] == pytest.approx(0.3)


def test_round_trip_skips_lucky_datagrams() -> None:
    """One sample far below the others does not become the shortest round trip; the median of five does."""
    line = Line()
    for n in range(9):
        line.send(n * 1.0, n)
        line.arrive(n + 1, (2 << n) - 1, n * 1.0 + (0.001 if n == 6 else 0.05))
    assert line.recovery.min_rtt == pytest.approx(0.05)


def test_delivery_rate() -> None:
    """A steady stream is measured at its rate."""
    line = Line()
    rates = []
    for n in range(40):
        line.send(n * 0.001, n)
        if n >= 10:
            rates.append(line.arrive(n - 9, (2 << (n - 10)) - 1, n * 0.001 + 0.0001).rate)
    assert rates[-1] == pytest.approx(SIZE / 0.001, rel=0.05)


def test_damaged_train_number_is_survived() -> None:
    """An acknowledgement of a train that never left measures nothing and loses nothing."""
    line = Line()
    line.send(0.0, 0)
    line.send(0.001, 1)
    sample = line.arrive(10**9, 0b10, 0.05)
    assert sample.missing == []
    assert line.recovery.rtt == 0.0
