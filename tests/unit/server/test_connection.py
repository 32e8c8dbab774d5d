"""What a connection over TLS writes, and in which parts, to a transport that the test looks at."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tessenger.config import LimitsSection
from tessenger.server.connection import RECORD_BYTES, TlsConnection

if TYPE_CHECKING:
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


def _connected(room: int) -> tuple[Transport, TlsConnection]:
    def hang_up(link: Link, code: str, text: str) -> None:
        link.write(b"too slow")

    door: Any = SimpleNamespace(
        limits=LimitsSection(),
        loop=SimpleNamespace(time=lambda: 0.0),
        newcomers=SimpleNamespace(came=lambda connection: None),
        hub=SimpleNamespace(hang_up=hang_up),
    )
    transport = Transport(room)
    connection = TlsConnection(cast("ClientDoor", door), "", None)
    transport.protocol = connection
    connection.connection_made(cast("asyncio.BaseTransport", transport))
    return transport, connection


@pytest.mark.parametrize("size", [1, RECORD_BYTES, RECORD_BYTES + 1, 5 * RECORD_BYTES - 1])
def test_it_writes_by_records(size: int) -> None:
    """All of it, in order, and never more at once than a record takes."""
    transport, connection = _connected(room=1 << 30)
    data = bytes(range(256)) * (size // 256 + 1)
    connection.link.write(data[:size])
    assert b"".join(transport.parts) == data[:size]
    assert max(map(len, transport.parts)) <= RECORD_BYTES


def test_nothing_comes_between_two_parts() -> None:
    """A client whose queue is full in the middle of a page is told so behind it."""
    transport, connection = _connected(room=RECORD_BYTES)
    connection.link.write(b"x" * (4 * RECORD_BYTES))
    assert b"".join(transport.parts) == b"x" * (4 * RECORD_BYTES) + b"too slow"
