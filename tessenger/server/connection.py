"""One client's connection in a worker: bytes in, requests to the hub, lines out, and every limit on the way."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING, cast

from tessenger.chat import words
from tessenger.chat.link import Link
from tessenger.wire.framing import BadLine, Line, LineReader, TooLong
from tessenger.wire.messages import ErrorCode

if TYPE_CHECKING:
    from tessenger.server.worker import ClientDoor
from tessenger.server.listening import seen

Send = Callable[[bytes], int]
"""Send some of it, and tell how many bytes. Raises `OSError`."""

LINGER_SECONDS = 5.0
"""How long a connection that is closed may take to read its last lines."""

MAX_HELD_BYTES = 1_048_576
"""Bytes of requests that may wait behind one that is under way; above it the connection is not read."""


READ_BYTES = 65_536
"""Bytes read at a time from a TLS connection."""

RECORD_BYTES = 16_384
"""Bytes in the largest TLS record."""

_read_buffer = bytearray(READ_BYTES)
_read_view = memoryview(_read_buffer)

_log = logging.getLogger("tessenger")


class _Gone(asyncio.Transport):
    """In the place of a transport whose connection is lost: nothing of what is asked of it means anything."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    def close(self) -> None:
        """It is."""

    def abort(self) -> None:
        """It is over."""

    def pause_reading(self) -> None:
        """Nothing comes."""

    def resume_reading(self) -> None:
        """Nothing comes."""

    def get_write_buffer_size(self) -> int:
        """Return what waits to be sent."""
        return 0


_GONE = _Gone()


class ClientConnection:
    """A client, from the accepted socket to its end. Its kinds below are the event loop's protocols."""

    __slots__ = (
        "_allowance", "_allowance_at", "_bad_lines", "_closing", "_cut_off", "_door", "_full",
        "_held", "_paused", "_reader", "_refusal", "_transport", "_when_written", "address", "at_once", "link",
    )  # fmt: skip

    def __init__(self, door: ClientDoor, address: str, refusal: tuple[ErrorCode, str] | None) -> None:
        """`door` is where clients come in; with a `refusal` this one is told so and sent away."""
        self.address = address
        self._door = door
        self._refusal = refusal
        self._reader = LineReader(door.limits.line_bytes)
        self.at_once = self._reader.at_once
        self._bad_lines = 0
        self._held = 0
        self._paused = 0
        self._closing = False
        self._cut_off = False
        self._full = False
        self._when_written: Callable[[], None] | None = None
        self._allowance = float(door.limits.burst)
        self._allowance_at = door.loop.time()
        self._transport: asyncio.Transport
        self.link = Link(address, self)

    # ---- the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done; somebody may sign in."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it
        self._transport = transport
        transport.set_write_buffer_limits(high=self._door.limits.queue_bytes or 1 << 62)
        if self._refusal is not None:
            self._door.hub.hang_up(self.link, *self._refusal)
            return
        self._door.newcomers.came(self)

    @property
    def is_refused(self) -> bool:
        """Whether it is only told why it is not served: it takes no place."""
        return self._refusal is not None

    def data_received(self, data: bytes) -> None:
        """Let it be carried out with what others have sent."""
        self._door.intake.add(self, data)

    def carry_out(self, data: bytes) -> None:
        """Carry out what is complete with `data`."""
        link, reader = self.link, self._reader
        if link.ended:
            return
        lines = reader.feed(data, self._door.limits.bad_lines - self._bad_lines)
        self.at_once = reader.at_once
        if not lines:
            return
        if not reader.is_careful:
            self._door.hub.received(repeat(link), lines)  # type: ignore[arg-type]  # no TooLong in it
        elif not self._carry_out_carefully(lines):
            return
        self.limit(len(lines), len(data))

    def limit(self, count: int, size: int) -> None:
        """Let the client wait if it sends faster, or more, than it may: `count` requests in `size` bytes, last."""
        door, link = self._door, self.link
        if door.limits.messages_per_second:
            self._take_allowance(count)
        if link.waiting:
            self._held += size
            door.intake.holding.add(self)
        elif self._held:
            self._held = 0
            door.intake.holding.discard(self)
        if link.full or self._held > MAX_HELD_BYTES or door.log.full:
            self.throttle()

    def _carry_out_carefully(self, lines: list[Line]) -> bool:
        """Carry out lines of which some are no requests; tell whether the connection goes on."""
        door = self._door
        is_too_long = type(lines[-1]) is TooLong
        if is_too_long:
            lines.pop()
        door.hub.received(repeat(self.link), lines)  # type: ignore[arg-type]  # a TooLong is always the last
        if is_too_long:
            door.hub.hang_up(self.link, "line_too_long", words.LINE_TOO_LONG.format(limit=door.limits.line_bytes))
            return False
        bad = list(map(type, lines)).count(BadLine)
        self._bad_lines += bad
        if bad and self._bad_lines >= door.limits.bad_lines:
            text = words.TOO_MANY_BAD_LINES.format(count=self._bad_lines)
            door.hub.hang_up(self.link, "too_many_bad_lines", text)
            return False
        return True

    def eof_received(self) -> bool:
        """The client has sent everything, and goes."""
        self._door.intake.carry_out()  # before the transport is closed
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the session go on without a connection."""
        self._door.intake.carry_out()  # it had sent that before
        self._when_written = None
        self._closing = True
        self._door.hub.lost(self.link)
        self._door.gone(self)
        # The transport leads back to this: without it all goes at once, and not when garbage is looked for some day.
        self._transport = _GONE
        self._reader.close()

    def pause_writing(self) -> None:
        """The client does not keep up with its queue: cut it off, it can resume. What it missed takes its time."""
        self._full = True
        if not self.link.is_holding:
            self._too_slow()

    def resume_writing(self) -> None:
        """There is room again."""
        self._full = False
        then, self._when_written = self._when_written, None
        if then is not None and not self._closing:
            then()

    # ---- for the link ----

    def write(self, data: bytes) -> int:
        """See `Carrier`: the transport takes everything."""
        self._transport.write(data)
        return len(data)

    def write_rest(self, data: bytes) -> None:
        """See `Carrier`."""
        self._transport.write(data)

    def when_written(self, then: Callable[[], None]) -> None:
        """See `Carrier`."""
        if self._full:
            self._when_written = then
        elif not self._closing:
            then()

    def kept_back(self, size: int) -> None:
        """See `Carrier`."""
        if 0 < self._door.limits.queue_bytes < size:
            self._too_slow()

    def go_on(self) -> None:
        """See `Carrier`."""
        if self._door.log.full:
            self.link.throttled = True  # until the log is drained, whatever this client was answered meanwhile
            return
        self._door.throttled.discard(self)
        self._resume()

    def close(self) -> None:
        """Send what is left and close; a client that does not read it is cut off after a while."""
        if not self._closing:
            self._closing = True
            self._transport.close()
            self._door.loop.call_later(LINGER_SECONDS, self._transport.abort)

    def fail(self) -> None:
        """See `Carrier`: in the error log."""
        _log.exception("a client's request failed")
        self._transport.abort()

    def _too_slow(self) -> None:
        if not self._closing and not self._cut_off:
            self._cut_off = True  # saying so is kept back too
            self._door.hub.hang_up(self.link, "too_slow", words.TOO_SLOW)

    # ---- reading, later ----

    def throttle(self) -> None:
        """Read no more until enough was answered, and the log takes more."""
        if not self.link.throttled:
            self.link.throttled = True
            self._door.throttled.add(self)
            self._pause()

    def stop_reading(self) -> None:
        """Read no more: the worker ends."""
        self._pause()

    def _pause(self) -> None:
        self._paused += 1
        if self._paused == 1 and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused -= 1
        if self._paused == 0 and not self._transport.is_closing():
            self._transport.resume_reading()

    def _take_allowance(self, count: int) -> None:
        """Let a client that sends faster than it may wait, without an error."""
        rate = self._door.limits.messages_per_second
        now = self._door.loop.time()
        earned = (now - self._allowance_at) * rate
        self._allowance = min(float(self._door.limits.burst), self._allowance + earned) - count
        self._allowance_at = now
        if self._allowance < 0 and not self._paused:
            self._pause()
            self._door.loop.call_later(-self._allowance / rate, self._resume)

    # ---- the end ----

    def must_be_signed_in(self) -> None:
        """Go, where nobody has signed in: there was time for it."""
        if not self.link.session:
            text = words.LOGIN_TIMEOUT.format(seconds=self._door.limits.login_seconds)
            self._door.hub.hang_up(self.link, "login_timeout", text)


class PlainConnection(ClientConnection, asyncio.Protocol):
    """Over TCP: the loop reads into one buffer of its own, and passes on what came.

    What is sent goes straight to the socket as long as that takes it, and nothing waits in the transport: there is less
    on that way, which a group has many of.
    """

    __slots__ = ("write",)

    def __init__(self, door: ClientDoor, address: str, refusal: tuple[ErrorCode, str] | None, send: Send) -> None:
        """`send` is that of the socket, which does not block."""
        self.write = send  # type: ignore[assignment]  # in place of the base's
        super().__init__(door, address, refusal)

    def write_rest(self, data: bytes) -> None:
        """See `Carrier`: it waits in the transport, and what comes next behind it."""
        self.link.through(self._write_behind)
        self._transport.write(data)

    def _write_behind(self, data: bytes) -> int:
        """Send it behind what waits in the transport; when nothing does any more, let the socket take it again."""
        if self._transport.get_write_buffer_size():
            self._transport.write(data)
            return len(data)
        self.link.through(self.write)
        return self.write(data)


class TlsConnection(ClientConnection, asyncio.BufferedProtocol):
    """Over TLS: all connections read into one buffer, for the loop would allocate 256 KiB for each read."""

    __slots__ = ("_in_parts",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `ClientConnection`."""
        self._in_parts = False
        super().connection_made(transport)

    def write(self, data: bytes) -> int:
        """Send it by records: for good, the connection keeps room for the most that it ever encrypted at once."""
        if len(data) <= RECORD_BYTES:
            self._transport.write(data)
            return len(data)
        was_full = self._full
        view = memoryview(data)
        self._in_parts = True
        for start in range(0, len(data), RECORD_BYTES):
            self._transport.write(view[start : start + RECORD_BYTES])
        self._in_parts = False
        if self._full and not was_full:
            super().pause_writing()
        return len(data)

    def pause_writing(self) -> None:
        """See `ClientConnection`; it may write, but not between two parts."""
        if self._in_parts:
            self._full = True
        else:
            super().pause_writing()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where to read to, until `buffer_updated`, which follows at once."""
        return _read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Carry out what has come."""
        self.data_received(bytes(_read_view[:nbytes]))


def peer_of(connection: socket.socket) -> str:
    """Return the other side's address, "" where it is gone already."""
    try:
        return seen(str(connection.getpeername()[0]))
    except OSError:
        return ""
