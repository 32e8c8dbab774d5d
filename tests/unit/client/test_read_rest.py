"""When the UDP process lets datagrams wait: while few come, and never longer than its transfers bear."""

from __future__ import annotations

import pytest

from tessenger.client.read_rest import MOST_BYTES, ReadRest

BEARABLE = 0.001
BUFFER = 8_000_000


def _after(rate: float, *, buffer: int = BUFFER) -> ReadRest:
    """Return one that has read for a while at `rate` bytes a second, ending at 1.0."""
    rest = ReadRest(buffer, 0.0)
    for n in range(1, 1_001):
        rest.read(round(rate / 1_000), n / 1_000)
    return rest


def test_rests_between_slow_reads() -> None:
    """After a read there is a rest of what the transfers bear, and then none until something was read again."""
    rest = _after(12.5e6)
    assert rest.left(1.0, BEARABLE) == pytest.approx(0.001)
    assert rest.left(1.0004, BEARABLE) == pytest.approx(0.0006)
    assert rest.left(1.002, BEARABLE) == 0.0
    rest.read(0, 1.002)
    assert rest.left(1.002, BEARABLE) == 0.0


def test_no_rest_where_none_is_borne() -> None:
    """Without a transfer, or with one that waits for an answer, everything is read at once."""
    assert _after(12.5e6).left(1.0, 0.0) == 0.0


@pytest.mark.parametrize(("rate", "buffer"), [(500e6, BUFFER), (30e6, 106_496)])
def test_no_rest_when_much_comes(rate: float, buffer: int) -> None:
    """What comes in a rest must fit into the kernel's buffer many times; a fast transfer is read without pauses."""
    rest = _after(rate, buffer=buffer)
    assert rest.left(1.0, BEARABLE) == 0.0
    for n in range(1, 20):
        rest.read(1_200, 1.0 + n / 1_000)
    assert rest.left(1.019, BEARABLE) == pytest.approx(0.001)


def test_rest_is_shorter_where_more_comes() -> None:
    """A rest ends before more has come than one read should bring."""
    assert _after(100e6).left(1.0, 0.003) == pytest.approx(MOST_BYTES / 100e6)


def test_no_rest_after_a_full_read() -> None:
    """Where one read brought so much that more may wait already, the next one follows at once."""
    rest = _after(1e6)
    rest.read(200_000, 1.001)
    assert rest.left(1.001, BEARABLE) == 0.0
