"""Bytes of the server to typed answers."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.client.link import LineDecoder
from tessenger.errors import WireError
from tessenger.wire.messages import Message, Pong

ANSWERS = [Pong(1), Message(7, "bbb", "grüße\n", 5), Pong(2)]
STREAM = b"".join(msgspec.json.encode(answer) + b"\n" for answer in ANSWERS)


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_fragmentation(cuts: list[int]) -> None:
    """However the bytes are cut, the same answers come in the same order."""
    places = [0, *sorted(cuts), len(STREAM)]
    decoder = LineDecoder()
    parts = [STREAM[a:b] for a, b in pairwise(places)]
    assert [answer for part in parts for answer in decoder.feed(part)] == ANSWERS


def test_what_a_newer_server_says_is_skipped() -> None:
    """Unknown fields and unknown types do no harm."""
    decoder = LineDecoder()
    assert decoder.feed(b'{"type":"weather","re":1}\n{"type":"pong","re":3,"load":0.5}\n') == [Pong(3)]


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"\x16\x03\x01\n", b'{"type":"pong"\n'])
def test_another_protocol_is_an_error(data: bytes) -> None:
    """A web server, TLS towards a client without: the person is told."""
    with pytest.raises(WireError, match="not Tessenger's protocol"):
        LineDecoder().feed(data)


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    """A stranger behind the address cannot make the client swap."""
    decoder = LineDecoder(max_line=1_000)
    decoder.feed(b"x" * 1_000)
    with pytest.raises(WireError, match="without an end"):
        decoder.feed(b"x")


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """They give answers or a `WireError`, nothing else."""
    with contextlib.suppress(WireError):
        assert isinstance(LineDecoder().feed(data), list)
