"""Bytes of the server to typed answers."""

from __future__ import annotations

import contextlib
import time
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.client.link import MAX_LINE, UNCLEAR, LineDecoder
from tessenger.errors import WireError
from tessenger.wire.messages import Error, Message, Pong

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
    """Unknown fields and unknown types do no harm, nor do blank lines."""
    decoder = LineDecoder()
    assert decoder.feed(b'{"type":"weather"}\n\n{"type":"pong","re":3,"load":0.5}\n') == [Pong(3)]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b'{"type":"weather","re":1,"text":"warm"}', Error("unknown_outcome", UNCLEAR, 1)),
        (b'{"type":"pong","re":1,"re":"x"}', None),
        (b'{"type":"sent","re":5,"seq":-1,"at":0}', Error("unknown_outcome", UNCLEAR, 5)),
        (
            b'{"type":"error","re":6,"code":"too_hot","text":"It is too hot."}',
            Error("unknown_outcome", "It is too hot.", 6),
        ),
        (b'{"type":"error","code":"too_hot","text":"It is too hot."}', Error("unknown_outcome", "It is too hot.")),
        (b'{"type":"denied","re":7,"code":"too_hot","text":"No."}', Error("unknown_outcome", "No.", 7)),
    ],
)
def test_an_answer_that_is_not_understood_is_one_all_the_same(line: bytes, answer: Error | None) -> None:
    """Whoever has asked must not wait for ever; a code that has been added comes with a text."""
    assert LineDecoder().feed(line + b"\n") == ([] if answer is None else [answer])


@pytest.mark.parametrize(
    "event",
    [
        b'"at":1,"seq":-5',
        b'"at":1,"seq":1e400',
        b'"at":1,"seq":' + b"9" * 4_000,
        b'"at":1,"seq":"7"',
        b'"at":1,"seq":true',
        b'"seq":1,"at":9223372036854775807',
        b'"seq":1,"at":-1',
        b'"seq":1,"at":1,"text":7',
        b'"seq":1,"at":1,"from":[]',
    ],
)
def test_events_with_absurd_values_are_left_out(event: bytes) -> None:
    """A time that no calendar has, a number that is none: nobody behind this has to cope with them."""
    line = b'{"type":"message","from":"bbb","text":"x",' + event + b"}\n"
    assert LineDecoder().feed(line + STREAM) == ANSWERS


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x16\x03\x01\n",
        b'{"type":"pong"\n',
        b'{"type":"pong","re":1,"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}\n",
        b'{"a":' * 5_000 + b"\n",
        b'{"type":"message","seq":1,"at":1,"from":"bbb","text":"\xff"}\n',
        b'{"type":"message","seq":1,"at":1,"from":"bbb","text":"\\ud800"}\n',
        b'{"type":"pong","re":NaN}\n',
    ],
)
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


def test_a_long_line_in_small_pieces_costs_its_bytes() -> None:
    """A megabyte in pieces of 16 bytes: joined anew for each, it would take minutes."""
    line = msgspec.json.encode(Message(7, "bbb", "x" * (MAX_LINE - 1_000), 5)) + b"\n"
    decoder = LineDecoder()
    began = time.process_time()
    found = [each for start in range(0, len(line), 16) for each in decoder.feed(line[start : start + 16])]
    assert time.process_time() - began < 5
    assert len(found) == 1
    with pytest.raises(WireError, match="without an end"):
        decoder.feed(b"x" * MAX_LINE + line)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """They give answers or a `WireError`, nothing else."""
    with contextlib.suppress(WireError):
        assert isinstance(LineDecoder().feed(data), list)
