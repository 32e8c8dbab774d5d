"""Transfers share a bottleneck with each other, and with a flow that has CUBIC's congestion control."""

from __future__ import annotations

import pytest

from tests.support.shared_line import Cubic, SharedLine

RATE = 2_500_000.0
DELAY = 0.025
PRODUCT = RATE * 2 * DELAY
"""Bytes that are on the way when the line is full and its queue empty."""


@pytest.mark.parametrize("queue", [0.5, 1.0, 3.0])
def test_two_transfers(queue: float) -> None:
    """Of two transfers, the second of which starts 5 s later, each has 40 to 60 % after 10 s together."""
    line = SharedLine(RATE, queue * PRODUCT, delay=DELAY, transfers=2, stagger=5.0)
    line.run(15)
    shares = line.shares(15)
    assert 0.4 <= min(shares) <= 0.5, shares


@pytest.mark.parametrize(("queue", "least"), [(0.2, 0.25), (0.5, 0.25), (1.0, 0.25), (3.0, 0.1)])
def test_beside_cubic(queue: float, least: float) -> None:
    """A flow that has CUBIC's window keeps a quarter of the line, and leaves a quarter, or a tenth of a deep queue."""
    line = SharedLine(RATE, queue * PRODUCT, delay=DELAY, transfers=1)
    Cubic(line)
    line.run(10)
    shares = line.shares(20)
    assert shares[1] >= 0.25, shares
    assert shares[0] >= least, shares


def test_empty_link() -> None:
    """Alone on a line with a deep queue, a transfer fills the line, and delays others by about one round trip."""
    line = SharedLine(RATE, 10 * PRODUCT, delay=DELAY, transfers=1)
    line.run(5)
    start = line.longest_queue
    line.longest_queue = 0.0
    before = line.delivered()[0]
    line.run(10)
    assert (line.delivered()[0] - before) / 10 > 0.95 * RATE * 1_434 / 1_452
    assert start < 1.5 * 2 * DELAY
    assert line.longest_queue < 2 * DELAY + 0.005
