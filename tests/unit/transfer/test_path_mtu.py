"""The search for the longest datagram that a path carries."""

from __future__ import annotations

from tessenger.transfer.blocks import CUTS
from tessenger.transfer.path_mtu import RAISE_AFTER, PathMtu


def test_every_path_carries_the_shortest() -> None:
    """Until a probe has come back, nothing but 1,200 bytes is assumed."""
    mtu = PathMtu(65_507, 0.0)
    assert mtu.cut == 0
    assert mtu.probes(0.05, 0.0) == list(CUTS[1:])
    assert mtu.cut == 0


def test_longest_that_passes() -> None:
    """Answers to probes in any order leave the longest; a length that was never a cut means nothing."""
    mtu = PathMtu(65_507, 0.0)
    mtu.probes(0.05, 0.0)
    assert mtu.passed(1_452)
    assert not mtu.passed(1_384)
    assert not mtu.passed(1_400)
    assert CUTS[mtu.cut] == 1_452


def test_three_tries_then_a_pause() -> None:
    """What gets no answer is tried three times, and once more after a minute."""
    mtu = PathMtu(65_507, 0.0)
    now, tries = 0.0, []
    while mtu.due_at < RAISE_AFTER:
        now = mtu.due_at
        tries.append(mtu.probes(0.05, now))
    assert tries == [list(CUTS[1:])] * 3
    assert mtu.due_at == now + RAISE_AFTER
    assert mtu.probes(0.05, mtu.due_at) == list(CUTS[1:])


def test_nothing_longer_than_the_socket_takes() -> None:
    """What the socket would not send is never tried nor used."""
    mtu = PathMtu(1_400, 0.0)
    assert mtu.probes(0.05, 0.0) == [1_384]
    assert not mtu.passed(1_452)
    assert mtu.cut == 0


def test_refused_by_the_system() -> None:
    """A refused probe is not repeated; a refused datagram of data takes the cut back."""
    mtu = PathMtu(65_507, 0.0)
    mtu.probes(0.05, 0.0)
    assert not mtu.too_long(8_952, 0.0)
    assert mtu.probes(0.05, 1.0) == [1_384, 1_452]
    mtu.passed(1_452)
    assert mtu.too_long(1_452, 2.0)
    assert mtu.cut == 0


def test_black_hole() -> None:
    """When nothing arrives any more, the shortest datagrams are used, and longer ones tried again later."""
    mtu = PathMtu(65_507, 0.0)
    mtu.probes(0.05, 0.0)
    mtu.passed(1_452)
    assert mtu.black_hole(1.0)
    assert mtu.cut == 0
    assert not mtu.black_hole(2.0)
    assert mtu.probes(0.05, 3.0) == []
    assert mtu.probes(0.05, 2.0 + RAISE_AFTER) == list(CUTS[1:])
