"""What connections write, where to, and in which parts: to transports and sockets that the test looks at."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessenger.config import LimitsSection
from tessenger.server.connection import RECORD_BYTES, PlainConnection, TlsConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from tessenger.chat.link import Link
    from tessenger.server.worker import ClientDoor


class Transport:
    """Keeps what is written; is full for good once it holds `room` bytes."""

    def __init__(self, room: int) -> None:
        self.parts: list[bytes] = []
        self.protocol: TlsConnection
        self._room = room
        self._is_full = False

    def set_write_buffer_limits(self, high: int) -> None:
        """It has its own."""

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.parts.append(bytes(data))
        if sum(map(len, self.parts)) > self._room and not self._is_full:
            self._is_full = True
            self.protocol.pause_writing()


def _door(hang_up: Callable[[Link, str, str], None]) -> ClientDoor:
    door: Any = SimpleNamespace(
        limits=LimitsSection(),
        loop=SimpleNamespace(time=lambda: 0.0, call_later=lambda seconds, call: None),
        newcomers=SimpleNamespace(came=lambda connection: None),
        hub=SimpleNamespace(hang_up=hang_up),
    )
    return cast("ClientDoor", door)


def _connected(room: int) -> tuple[Transport, TlsConnection]:
    def hang_up(link: Link, code: str, text: str) -> None:
        link.send(b"too slow")

    transport = Transport(room)
    connection = TlsConnection(_door(hang_up), "", None)
    transport.protocol = connection
    connection.connection_made(cast("asyncio.BaseTransport", transport))
    return transport, connection


@pytest.mark.parametrize("size", [1, RECORD_BYTES, RECORD_BYTES + 1, 5 * RECORD_BYTES - 1])
def test_it_writes_by_records(size: int) -> None:
    """All of it, in order, and never more at once than a record takes."""
    transport, connection = _connected(room=1 << 30)
    data = bytes(range(256)) * (size // 256 + 1)
    connection.link.send(data[:size])
    assert b"".join(transport.parts) == data[:size]
    assert max(map(len, transport.parts)) <= RECORD_BYTES


def test_nothing_comes_between_two_parts() -> None:
    """A client whose queue is full in the middle of a page is told so behind it."""
    transport, connection = _connected(room=RECORD_BYTES)
    connection.link.send(b"x" * (4 * RECORD_BYTES))
    assert b"".join(transport.parts) == b"x" * (4 * RECORD_BYTES) + b"too slow"


class Stream:
    """A socket that takes so many bytes, and what a transport in front of it does with the rest."""

    def __init__(self) -> None:
        self.taken = b""
        self.room = 1 << 30
        self.is_gone = False
        self.is_aborted = False
        self.waiting = b""
        self.calls = 0

    def send(self, data: bytes) -> int:
        """Take what there is room for, as a socket that does not block."""
        self.calls += 1
        if self.is_gone:
            raise ConnectionResetError
        if not self.room:
            raise BlockingIOError
        part = data[: self.room]
        self.room -= len(part)
        self.taken += part
        return len(part)

    # ---- the transport ----

    def set_write_buffer_limits(self, high: int) -> None:
        """It has none."""

    def write(self, data: bytes) -> None:
        """Let it wait."""
        self.waiting += data

    def get_write_buffer_size(self) -> int:
        """Return how much waits."""
        return len(self.waiting)

    def close(self) -> None:
        """Nobody looks."""

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True

    def has_room(self, room: int) -> None:
        """The reader has read: what waits goes out first."""
        part, self.waiting = self.waiting[:room], self.waiting[room:]
        self.taken += part
        self.room = room - len(part)


def _plain(stream: Stream) -> PlainConnection:
    connection = PlainConnection(_door(lambda link, code, text: None), "", None, stream.send)
    connection.connection_made(cast("asyncio.BaseTransport", stream))
    return connection


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 30)), max_size=40))
def test_nothing_overtakes_what_waits(actions: list[bytes | int]) -> None:
    """A socket that is full now and then gets every line, in order, once."""
    stream = Stream()
    stream.room = 10
    link = _plain(stream).link
    written = b""
    for action in actions:
        if isinstance(action, int):
            stream.has_room(action)
        else:
            link.send(action)
            written += action
    assert stream.taken + stream.waiting == written


def test_it_goes_straight_to_the_socket_again() -> None:
    """As soon as nothing waits in the transport any more."""
    stream = Stream()
    link = _plain(stream).link
    stream.room = 3
    link.send(b"abcde")
    link.send(b"f")
    assert (stream.taken, stream.waiting, stream.calls) == (b"abc", b"def", 1)
    stream.has_room(100)
    link.send(b"g")
    link.send(b"h")
    assert (stream.taken, stream.waiting, stream.calls) == (b"abcdefgh", b"", 3)


def test_a_socket_whose_client_is_gone_is_left_to_the_transport() -> None:
    """Which closes the connection."""
    stream = Stream()
    link = _plain(stream).link
    stream.is_gone = True
    link.send(b"a")
    link.send(b"b")
    assert stream.waiting == b"ab"


def test_lines_that_are_kept_back_stay_where_they_are() -> None:
    """Though the socket is full, and empty again, while lines in front of them are still being read."""
    stream = Stream()
    link = _plain(stream).link
    stream.room = 1
    link.send(b"12")
    place = link.hold()
    link.send(b"6")
    link.fill(b"34", lambda: None)
    stream.has_room(100)
    link.fill(b"5", lambda: None)
    link.send(b"7")
    assert stream.taken == b"12345"
    link.release(place, b"")
    link.send(b"8")
    assert stream.taken == b"12345678"
    link.end()
    link.send(b"9")
    assert stream.taken + stream.waiting == b"12345678"


def test_a_request_that_fails_closes_its_connection_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """And is in the error log."""
    stream = Stream()
    link = _plain(stream).link
    try:
        int("bad luck")
    except ValueError:
        link.fail()
    assert stream.is_aborted
    assert "a client's request failed" in caplog.text
    assert "bad luck" in caplog.text
