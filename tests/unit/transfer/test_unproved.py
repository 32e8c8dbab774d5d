"""What an address gets before somebody there has shown that they want it, and when that is forgotten."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tessenger.transfer.ports import Address
from tessenger.transfer.unproved import (
    ANSWERS,
    FORGET_SECONDS,
    KEPT,
    MOST,
    MOST_AT_HOST,
    MOST_BYTES,
    PROVED_SECONDS,
    UnprovedAddresses,
)

THERE: Address = ("192.0.2.1", 13_000)
HELLO = 74
START = 50.0


def _may(addresses: UnprovedAddresses, now: float, to: Address = THERE, peer: str = "bbb", length: int = HELLO) -> bool:
    return addresses.may_send(peer, to, length, now)


def _insisting(addresses: UnprovedAddresses, seconds: int, *, after: float = 0.0, peers: int = 1) -> list[float]:
    """Try 100 times a second, for each of several peers in turn; return when that was allowed."""
    times = (round(after + n / 100, 2) for n in range(seconds * 100))
    return [at for at in times for peer in range(peers) if _may(addresses, START + at, peer=f"user{peer}")]


@pytest.mark.parametrize("peers", [1, 7])
def test_five_with_growing_pauses(peers: int) -> None:
    """However many transfers of however many people name an address, it gets five datagrams, ever more rarely."""
    assert _insisting(UnprovedAddresses(), 100, peers=peers) == pytest.approx([0.0, 0.2, 0.8, 2.6, 8.0], abs=0.015)


def test_only_short_ones() -> None:
    """What is longer than a handshake needs does not go there at all, and costs nothing."""
    addresses = UnprovedAddresses()
    assert not _may(addresses, START, length=MOST_BYTES + 1)
    assert _may(addresses, START, length=MOST_BYTES)


def test_one_is_forgotten_every_two_minutes() -> None:
    """An address that never answers gets one more each time, and five again only after ten minutes of quiet."""
    addresses = UnprovedAddresses()
    assert len(_insisting(addresses, 20)) == MOST
    later = _insisting(addresses, 600, after=20.0)
    assert len(later) == 5
    assert min(after - before for before, after in pairwise(later)) >= FORGET_SECONDS - 0.01
    quiet = 620.0 + MOST * FORGET_SECONDS
    assert len(_insisting(addresses, 20, after=quiet)) == MOST


def test_what_comes_from_there_is_answered() -> None:
    """Each authentic datagram may be answered three times, at once; it proves nothing, since sources can be forged."""
    addresses = UnprovedAddresses()
    _insisting(addresses, 20)
    addresses.heard(THERE, START + 20)
    assert [_may(addresses, START + 20) for _ in range(ANSWERS + 1)] == [True] * ANSWERS + [False]


def test_proof_is_for_one_peer_at_one_address() -> None:
    """Who was found at an address has no limit there; somebody else who names it, and another port, have."""
    addresses = UnprovedAddresses()
    _insisting(addresses, 20)
    addresses.proved("bbb", THERE, START + 20)
    later = START + 20 + PROVED_SECONDS - 1
    assert all(_may(addresses, later, length=1_200) for _ in range(1_000))
    assert not _may(addresses, START + 20, peer="mallory")
    assert sum(_may(addresses, later, ("192.0.2.1", 1)) for _ in range(100)) == 1
    assert not _may(addresses, later + 1, length=1_200)


def test_all_ports_of_a_host_together() -> None:
    """Naming one port after the other does not send much more to a host; one that is proved gives its share back."""
    addresses = UnprovedAddresses()
    ports: list[Address] = [("192.0.2.1", port) for port in range(1, 1_001)]
    assert [_may(addresses, START, port) for port in ports].count(True) == MOST_AT_HOST
    assert not _may(addresses, START, ("::ffff:192.0.2.1", 5_000, 0, 0))
    assert _may(addresses, START, ("192.0.2.2", 1))
    addresses.proved("bbb", ports[0], START)
    assert [_may(addresses, START, port) for port in ports[500:]].count(True) == 1


def test_a_host_with_ipv6_is_its_64() -> None:
    """Whoever has an address with IPv6 has 2^64 of them."""
    addresses = UnprovedAddresses()
    many: list[Address] = [(f"2001:db8::{n:x}", 13_000, 0, 0) for n in range(1, 101)]
    assert [_may(addresses, START, each) for each in many].count(True) == MOST_AT_HOST
    assert _may(addresses, START, ("2001:db8:0:1::1", 13_000, 0, 0))


def test_what_is_remembered_is_bounded() -> None:
    """Somebody who names ever new addresses takes no more memory than `KEPT` of them."""
    addresses = UnprovedAddresses()
    for n in range(KEPT + 10):
        host = f"10.0.{n >> 8}.{n & 255}"
        assert _may(addresses, START, (host, 1))
        addresses.proved("bbb", (host, 1), START)
    kept = (addresses._addresses, addresses._hosts, addresses._proved)
    assert [len(each) for each in kept] == [KEPT] * 3
