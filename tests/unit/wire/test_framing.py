"""Bytes become requests: the same ones however the bytes are cut, and whatever stands between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.wire.framing import BadLine, Line, LineReader, TooLong
from tessenger.wire.messages import ActiveUser, AnyAnswer, AnyRequest, GroupMsg, Login, MsgTo, Ping, Seen

LIMIT = 200

ids = st.integers(0, 2**53)
requests: st.SearchStrategy[AnyRequest] = st.one_of(
    st.builds(MsgTo, ids, st.text(max_size=5), st.text(max_size=20)),
    st.builds(GroupMsg, ids, st.text(max_size=5), st.text(max_size=20)),
    st.builds(Login, ids, st.text(max_size=5), st.text(max_size=5), st.integers(0, 65535)),
    st.builds(Ping, ids),
    st.builds(ActiveUser, ids),
    st.builds(Seen, ids),
)
junk = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(str.encode),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "id", "to"]), inner),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
).map(lambda line: line.replace(b"\n", b" "))
streams = st.lists(st.one_of(requests, junk), max_size=12)


def encoded(stream: list[AnyRequest | bytes]) -> bytes:
    """Return a stream's lines as bytes."""
    return b"".join((line if isinstance(line, bytes) else msgspec.json.encode(line)) + b"\n" for line in stream)


def read(data: bytes, cuts: list[int], limit: int = 10_000) -> list[Line]:
    """Feed `data` in pieces of the sizes in `cuts`, over and over; return all that came of it."""
    reader = LineReader(limit)
    lines: list[Line] = []
    start = 0
    turn = 0
    while start < len(data):
        size = cuts[turn % len(cuts)]
        lines += reader.feed(data[start : start + size])
        start += size
        turn += 1
    return lines


@given(data=st.one_of(st.binary(max_size=300), streams.map(encoded)), cuts=st.lists(st.integers(1, 60), min_size=1))
def test_fragments_give_what_one_piece_gives(data: bytes, cuts: list[int]) -> None:
    """Any bytes, in any fragments, also beyond the limit: the same lines, and never an exception."""
    for limit in (10_000, LIMIT, 20):
        assert read(data, cuts, limit) == read(data, [len(data) or 1], limit)


@given(stream=streams, cuts=st.lists(st.integers(1, 60), min_size=1))
def test_every_valid_request_is_found_in_its_place(stream: list[AnyRequest | bytes], cuts: list[int]) -> None:
    """Junk costs only its own line: a `BadLine` stands in its place; blank lines are skipped."""
    lines = read(encoded(stream), cuts)
    expected = [line for line in stream if not isinstance(line, bytes) or line.strip()]
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected, strict=True):
        if isinstance(wanted, bytes):
            assert isinstance(line, BadLine) or msgspec.json.decode(wanted)["type"] in {"ping", "sync", "names"}
        else:
            assert line == wanted


@given(before=st.lists(requests, max_size=3), over=st.integers(1, 500), cuts=st.lists(st.integers(1, 300), min_size=1))
def test_a_line_that_is_too_long_ends_the_reading(before: list[AnyRequest], over: int, cuts: list[int]) -> None:
    """What came before it is there, nothing behind it is read, and no more than a line is ever kept."""
    data = encoded([*before]) + b"x" * (10_000 + over) + b"\n" + encoded([Ping(1)])
    assert read(data, cuts) == [*before, TooLong()]


def test_a_line_may_be_as_long_as_the_limit() -> None:
    """The line end does not count; one byte more is too long, with and without its line end."""
    line = msgspec.json.encode(MsgTo(1, "bbb", "x" * 100))
    request = msgspec.json.decode(line, type=MsgTo)
    assert read(line + b"\n", [7], len(line)) == [request]
    assert read(line + b"\n", [7], len(line) - 1) == [TooLong()]
    assert read(line, [7], len(line) - 1) == [TooLong()]
    reader = LineReader(len(line) - 1)
    assert reader.feed(line) == [TooLong()]
    assert reader.feed(b"\n" + encoded([Ping(1)])) == []


def test_line_ends_of_windows_and_blank_lines_are_fine() -> None:
    """As a person at `openssl s_client -crlf` sends them."""
    assert read(b'\r\n\n{"type":"ping","id":1}\r\n  \n{"type":"ping","id":2}\n', [3]) == [Ping(1), Ping(2)]


def test_a_bad_line_tells_what_is_wrong_and_the_id_that_could_be_read() -> None:
    """So that its sender knows which request failed."""
    cases: list[tuple[bytes, int | None]] = [
        (b"hello", None),
        (b'{"type":"msgto","id":5}', 5),
        (b'{"type":"dance","id":6}', 6),
        (b'{"id":7}', 7),
        (b'{"type":"msgto","id":-1,"to":"a","text":"b"}', None),
        (b'{"type":"msgto","id":"8","to":"a","text":"b"}', None),
        (b'{"type":"login","id":9,"user":"a","password":"b","udp_port":65536}', 9),
        (b'\xff{"id":1}', None),
        (b'{"type":"msgto","id":1,"to":"a","text":"\xff"}', 1),
        (b'{"type":"msgto","id":1,"to":"a","text":"\\ud800"}', None),
        (b"[" * 5_000, None),
        (b"9" * 5_000, None),
    ]
    for line, re in cases:
        (bad,) = read(line + b"\n", [64])
        assert isinstance(bad, BadLine), line
        assert bad.re == re, line
        assert bad.text.startswith("This is no valid request: ")


@pytest.mark.parametrize("cuts", [[10_000], [7], [1]])
def test_behind_so_many_bad_lines_nothing_is_read(cuts: list[int]) -> None:
    """Whoever sends thousands in one piece costs no more than the ones that are counted."""
    data = encoded([Ping(1)]) + b"1\n" * 3 + encoded([Ping(2)]) + b"1\n" * 3_000 + encoded([Ping(3)])
    reader = LineReader(LIMIT)
    lines: list[Line] = []
    for start in range(0, len(data), cuts[0]):
        lines += reader.feed(data[start : start + cuts[0]], 5 - list(map(type, lines)).count(BadLine))
    assert [type(line) for line in lines] == [Ping, BadLine, BadLine, BadLine, Ping, BadLine, BadLine]
    assert reader.at_once == 0


def test_unknown_fields_are_skipped() -> None:
    """A newer client may say more."""
    data: dict[str, Any] = {"type": "ping", "id": 1, "mood": {"x": [1, 2]}}
    assert read(json.dumps(data).encode() + b"\n", [5]) == [Ping(1)]


def _numbers(kind: object) -> Iterator[tuple[str, msgspec.inspect.IntType]]:
    """Yield the whole numbers of a message's type, with the field that each is in."""
    match kind:
        case msgspec.inspect.UnionType(types=kinds) | msgspec.inspect.TupleType(item_types=kinds):
            for each in kinds:
                yield from _numbers(each)
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield from ((f"{kind.cls.__name__}.{field.name}", found) for _, found in _numbers(field.type))
        case msgspec.inspect.ListType(item_type=item):
            yield from _numbers(item)
        case msgspec.inspect.IntType():
            yield "", kind


@pytest.mark.parametrize("union", [AnyRequest, AnyAnswer])
def test_every_number_has_bounds_that_all_can_keep(union: object) -> None:
    """What was decoded can be encoded again and kept by whoever comes next: frames, the journal, a calendar, a port."""
    numbers = list(_numbers(msgspec.inspect.type_info(union)))
    assert len(numbers) > 20
    for field, kind in numbers:
        assert (kind.ge if kind.ge is not None else -1) >= 0, field
        assert (kind.le or 2**63) < 2**63, field
