"""What clients send within one turn of a worker's loop: carried out in a row, in order, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.chat.hub import Hub
from tessenger.chat.link import MAX_UNANSWERED, Link
from tessenger.server.intake import MAX_BYTES, Intake
from tessenger.server.log_link import LogLink
from tessenger.wire.framing import BadLine, LineReader, TooLong
from tessenger.wire.messages import AnyRequest, Ping
from tests.unit.chat.test_hub import Failing

LIMIT = 60


class Turn:
    """The loop, the hub and the log of an intake: notes what happens."""

    def __init__(self) -> None:
        self.noted: list[object] = []
        self.later: list[object] = []
        self.full = False
        self.is_rate_limited = False
        self.unanswered = 0
        self.waits = False
        loop, hub, log = cast(asyncio.AbstractEventLoop, self), cast(Hub, self), cast(LogLink, self)
        self.intake = Intake(loop, hub, log, lambda: self.is_rate_limited)

    def call_soon(self, call: object) -> None:
        """Keep it for the next turn."""
        self.later.append(call)

    def received(self, links: Iterable[Link], requests: Sequence[AnyRequest | BadLine]) -> bool:
        """Note it."""
        for link, request in zip(links, requests, strict=True):
            self.noted.append((link.ip, request))
        return self.waits

    def flush(self) -> None:
        """Note it."""
        self.noted.append("flush")

    def gather(self) -> None:
        """Note it."""
        self.noted.append("gather")

    def send(self) -> None:
        """Note it."""
        self.noted.append("send")

    def of(self, name: str) -> list[object]:
        """Return what was noted of one client."""
        return [each[1] for each in self.noted if isinstance(each, tuple) and each[0] == name]


class Client:
    """A connection, whose lines have `LIMIT` bytes at most."""

    def __init__(self, turn: Turn, name: str, limit: int = LIMIT) -> None:
        self.carrier = Failing()
        self.link = Link(name, self.carrier)
        self.at_once = limit
        self.limited: list[tuple[int, int]] = []
        self.is_broken = False
        self._turn = turn
        self._reader = LineReader(limit)

    def carry_out(self, data: bytes) -> None:
        """Note what it has, and that it was carried out apart from the others' lines."""
        if self.is_broken:
            raise ValueError(data)
        lines = self._reader.feed(data)
        self.at_once = self._reader.at_once
        self._turn.noted += [(self.link.ip, line) for line in lines]
        self._turn.noted.append("apart")

    def limit(self, count: int, size: int) -> None:
        """Note it."""
        if self.is_broken:
            raise ValueError(count)
        self.limited.append((count, size))


def ping(number: int) -> bytes:
    """Return a line with a request."""
    return b'{"type":"ping","id":%d}\n' % number


def test_reads_are_carried_out_together_in_the_order_in_which_they_came() -> None:
    """With the next turn, once; then answers and entries leave."""
    turn = Turn()
    one, other = Client(turn, "one"), Client(turn, "other")
    turn.intake.add(one, ping(1))
    turn.intake.add(other, ping(2))
    turn.intake.add(one, ping(3))
    assert not turn.noted
    assert turn.later == [turn.intake.carry_out]
    turn.intake.carry_out()
    turn.intake.carry_out()
    assert turn.noted == ["gather", ("one", Ping(1)), ("other", Ping(2)), ("one", Ping(3)), "flush", "send"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"pi',  # goes on in the next turn
        b"hello\n",
        b"\n",
        b'{"type":"ping","id":1}\r\n\n',
        b'{"type":"ping","id":1}\n{"type":"ping","id":2}\n',
        b'{"type":"ping","id":1,"more":"' + b"x" * LIMIT + b'"}\n',
        b"\xff\n",
    ],
)
def test_what_is_no_whole_request_is_carried_out_apart(data: bytes) -> None:
    """And costs nobody else anything."""
    turn = Turn()
    odd, other = Client(turn, "odd"), Client(turn, "other")
    turn.intake.add(odd, data)
    turn.intake.add(other, ping(7))
    turn.intake.carry_out()
    assert turn.noted.count("apart") == 2
    assert turn.of("odd") == LineReader(LIMIT).feed(data)
    assert turn.of("other") == [Ping(7)]


@pytest.mark.parametrize(
    "value",
    [b"[" * 2_000 + b"]" * 2_000, b'{"a":' * 3_000, b"9" * 5_000 + b"x", b'"\\ud800"', b'"\xed\xa0\x80"', b"NaN"],
)
def test_what_nobody_can_decode_costs_nobody_else_a_request(value: bytes) -> None:
    """Whatever it makes the decoder raise: a bad line stands in its place, and all others of the turn are answered."""
    turn = Turn()
    clients = [Client(turn, str(number), 65_536) for number in range(5)]
    for number, client in enumerate(clients):
        turn.intake.add(client, b'{"type":"ping","id":' + value + b"}\n" if number == 2 else ping(number))
    turn.intake.carry_out()
    assert [turn.of(str(number)) for number in (0, 1, 3, 4)] == [[Ping(0)], [Ping(1)], [Ping(3)], [Ping(4)]]
    (bad,) = turn.of("2")
    assert isinstance(bad, BadLine)
    assert not any(client.carrier.failures for client in clients)


def test_a_line_that_was_begun_is_ended_by_what_comes_next() -> None:
    """Though that looks like a line of its own."""
    turn = Turn()
    client, other = Client(turn, "one"), Client(turn, "other")
    for data in (b'{"type":"ping",', b'"id":12}\n', ping(13)):
        turn.intake.add(client, data)
        turn.intake.add(other, ping(1))
        turn.intake.carry_out()
    assert turn.of("one") == [Ping(12), Ping(13)]
    assert turn.of("other") == [Ping(1)] * 3
    assert turn.noted.count("apart") == 4  # not in the third turn


pieces = st.one_of(
    st.integers(0, 9).map(ping),
    st.sampled_from(
        [b"", b"\n", b" \n", b"hello\n", b'{"type":', b'"ping","id":4}\n', b"x" * LIMIT, ping(1) + ping(2)]
    ),
)


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), pieces), max_size=6), max_size=6))
def test_it_comes_to_the_same_as_one_by_one(turns: list[list[tuple[int, bytes]]]) -> None:
    """Whatever comes together with whatever else, each client's lines are what its own bytes say."""
    turn = Turn()
    clients = [Client(turn, str(number)) for number in range(4)]
    alone = [LineReader(LIMIT) for _ in clients]
    wanted: list[list[AnyRequest | BadLine | TooLong]] = [[] for _ in clients]
    for reads in turns:
        for number, data in reads:
            turn.intake.add(clients[number], data)
            wanted[number] += alone[number].feed(data)
        turn.intake.carry_out()
    assert [turn.of(str(number)) for number in range(4)] == wanted


def _full_log(turn: Turn, client: Client) -> None:
    turn.full = True


def _rate(turn: Turn, client: Client) -> None:
    turn.is_rate_limited = True


def _unanswered(turn: Turn, client: Client) -> None:
    turn.unanswered = MAX_UNANSWERED


def _waiting(turn: Turn, client: Client) -> None:
    turn.waits = True


def _holding(turn: Turn, client: Client) -> None:
    turn.intake.holding.add(client)


def _nothing(turn: Turn, client: Client) -> None:
    turn.unanswered = MAX_UNANSWERED - 1


@pytest.mark.parametrize(
    ("reason", "are_asked"),
    [(_full_log, True), (_rate, True), (_unanswered, True), (_waiting, True), (_holding, True), (_nothing, False)],
)
def test_limits_are_asked_where_one_may_be_reached(reason: Callable[[Turn, Client], None], are_asked: bool) -> None:
    """What each of them sent counts."""
    turn = Turn()
    client, other = Client(turn, "one"), Client(turn, "other")
    reason(turn, client)
    turn.intake.add(client, ping(1))
    turn.intake.add(other, ping(22))
    turn.intake.carry_out()
    assert client.limited == ([(1, len(ping(1)))] if are_asked else [])
    assert other.limited == ([(1, len(ping(22)))] if are_asked else [])


def test_one_who_sends_no_more_is_asked_whether_it_still_holds_requests() -> None:
    """Nothing of it is counted; as long as it holds some, everybody is asked."""
    turn = Turn()
    client, other, third = (Client(turn, name) for name in ("one", "other", "third"))
    turn.intake.holding.add(client)
    turn.intake.add(other, ping(1))
    turn.intake.add(third, ping(1))
    turn.intake.carry_out()
    assert client.limited == [(0, 0)]


@pytest.mark.parametrize("data", [ping(1), b"hello\n"])
def test_what_fails_ends_its_own_connection_only(data: bytes) -> None:
    """The others' requests are carried out, and what all of them led to leaves."""
    turn = Turn()
    turn.is_rate_limited = True
    bad, good = Client(turn, "bad"), Client(turn, "good")
    bad.is_broken = True
    turn.intake.add(bad, data)
    turn.intake.add(good, ping(2))
    turn.intake.carry_out()
    assert len(bad.carrier.failures) == 1
    assert not good.carrier.failures
    assert turn.of("good") == [Ping(2)]
    assert turn.noted[-2:] == ["flush", "send"]


def test_a_flood_is_not_kept_until_the_next_turn() -> None:
    """More than so many bytes are carried out at once."""
    turn = Turn()
    client = Client(turn, "one")
    turn.intake.add(client, b"\n" * MAX_BYTES)
    assert not turn.noted
    turn.intake.add(client, ping(5))
    assert turn.noted == ["gather", "apart", ("one", Ping(5)), "apart", "flush", "send"]
