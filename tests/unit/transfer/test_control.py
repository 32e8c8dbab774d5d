"""Control datagrams: each opened once, and only if it is the peer's."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tessenger.transfer.control import ControlChannel
from tessenger.transfer.keys import Binding, derive, public_text
from tessenger.transfer.packets import Kind

BINDING = Binding("00112233445566aa", "aaa", "bbb", "x.mp4", 1_000)
ALICE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
BOB = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def _channels() -> tuple[ControlChannel, ControlChannel]:
    return (
        ControlChannel(BINDING.session, derive(ALICE, public_text(BOB), BINDING, sending=True)),
        ControlChannel(BINDING.session, derive(BOB, public_text(ALICE), BINDING, sending=False)),
    )


def test_opened_once() -> None:
    """A datagram is opened the first time that it comes, and is nothing the second time."""
    ours, theirs = _channels()
    sealed = ours.seal(Kind.PING, b"x")
    assert theirs.open(sealed) == (1, Kind.PING, b"x")
    assert theirs.open(sealed) is None


@given(st.permutations(range(1_100)))
def test_any_order(order: list[int]) -> None:
    """In any order each is opened at most once, and surely where it is less than 1,024 behind the newest."""
    ours, theirs = _channels()
    sealed = [ours.seal(Kind.PING) for _ in order]
    newest = -1
    for index in order:
        opened = theirs.open(sealed[index])
        assert (opened is not None) == (newest - index < 1_024)
        newest = max(newest, index)
        assert theirs.open(sealed[index]) is None


def test_any_changed_bit_is_refused() -> None:
    """A single changed bit, in the header too, makes a datagram nothing, and the true one still opens afterwards."""
    ours, theirs = _channels()
    sealed = ours.seal(Kind.ACK, b"body")
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        assert theirs.open(bytes(forged)) is None
    assert theirs.open(sealed) is not None


def test_own_datagrams_are_refused() -> None:
    """What is sent back to its sender is nothing: directions have keys of their own."""
    ours, _ = _channels()
    assert ours.open(ours.seal(Kind.PING)) is None


@pytest.mark.parametrize("length", range(40))
def test_short_datagrams_are_refused(length: int) -> None:
    """A datagram cut at any length is nothing."""
    ours, theirs = _channels()
    sealed = ours.seal(Kind.ABORT, b"a reason")
    assert theirs.open(sealed[:length]) is None
