"""One connection to the server: bytes to typed answers, requests to bytes. Runs in the client.

It knows framing and transport, and no meaning: `channel.Channel` gives answers to those who asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tessenger.client.identity import Identity, key_fingerprint
from tessenger.errors import ConnectionFailed, WireError
from tessenger.undecodable import UNDECODABLE
from tessenger.wire.messages import AnyAnswer, Error, Id

CONNECT_SECONDS = 15.0
"""How long connecting, with the TLS handshake, may take."""

CLOSE_SECONDS = 2.0
"""How long a connection may take to say goodbye before it is cut."""

UNACKNOWLEDGED_MS = 30_000
"""How long sent bytes may stay without an acknowledgement by the server's machine (TCP_USER_TIMEOUT, RFC 5482)."""

MAX_LINE = 1_048_576
"""Bytes of the longest line that is accepted from a server: twice what a text of the longest takes, at its worst."""

NONSENSE = "The server sent something that is not Tessenger's protocol."
UNCLEAR = "The server answered something that this client does not understand. It may or may not have been done."

LOST = "The connection to the server was lost."


class _Outline(msgspec.Struct):
    """What can be told of an answer that this client does not understand."""

    type: str
    text: str = ""
    re: Id | None = None


class LineDecoder:
    """Bytes in any fragmentation in, typed answers out. Knows no socket."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._decoder = msgspec.json.Decoder(AnyAnswer)
        self._outline = msgspec.json.Decoder(_Outline)
        self._max_line = max_line
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[AnyAnswer]:
        """Return the answers that `data` completes. Raises `WireError` for what is none of Tessenger's protocol.

        Of a newer one, events that this client does not know are left out, and an answer becomes an `Error`: whoever
        has asked must not wait for ever.
        """
        end = data.rfind(b"\n") + 1
        if len(self._rest) + (end or len(data)) > self._max_line:
            self._check(data)
        if not end:
            self._rest += data
            return []
        lines = (self._rest + data[:end] if self._rest else data[:end]).split(b"\n")
        self._rest = bytearray(data[end:])
        return [answer for line in lines[:-1] if line and (answer := self._decoded(line))]

    def _check(self, data: bytes) -> None:
        """Raise `WireError` for a line that is too long."""
        longest = max(map(len, data.split(b"\n")))
        if max(longest, len(self._rest) + len(data.partition(b"\n")[0])) > self._max_line:
            raise WireError("The server sent a line without an end.")

    def _decoded(self, line: bytes | bytearray) -> AnyAnswer | None:
        try:
            answer: AnyAnswer = self._decoder.decode(line)
        except msgspec.ValidationError:
            return self._unclear(line)
        except UNDECODABLE:
            raise WireError(NONSENSE) from None
        return answer

    def _unclear(self, line: bytes | bytearray) -> Error | None:
        """Return what can be told of a line that is JSON, and no answer that this client knows."""
        try:
            found = self._outline.decode(line)
        except UNDECODABLE:
            return None
        if found.type in ("error", "denied"):  # of a code that has been added, perhaps
            return Error("unknown_outcome", found.text or UNCLEAR, found.re)
        return Error("unknown_outcome", UNCLEAR, found.re) if found.re is not None else None


class Link(asyncio.Protocol):
    """The socket: calls `on_answer` for each answer in order, then `on_lost` once with what to tell the person.

    `fingerprint` is that of the server's key, once it was checked; "" without TLS.
    """

    def __init__(self, on_answer: Callable[[AnyAnswer], None], on_lost: Callable[[str], None]) -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._decoder = LineDecoder()
        self._transport: asyncio.Transport | None = None
        self._reason = LOST
        self._is_dropped = False
        self._gone = asyncio.Event()
        self.fingerprint = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio once connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with what came."""
        try:
            answers = self._decoder.feed(data)
        except WireError as error:
            self.drop(str(error))
            return
        for answer in answers:
            if not self._is_dropped:  # one of those before may have been the reason for that
                self._on_answer(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio at the end, whichever side closed."""
        self._transport = None
        self._gone.set()
        self._on_lost(self._reason)

    @property
    def is_open(self) -> bool:
        """Whether it is not lost yet."""
        return self._transport is not None

    @property
    def is_reading(self) -> bool:
        """Whether what the server sends is read."""
        return self._transport is not None and self._transport.is_reading()

    def pause(self) -> None:
        """Read no more for the moment: the server's queue fills instead of this program's memory."""
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def send(self, line: bytes) -> None:
        """Send one encoded request; what is sent to a lost connection is dropped."""
        if self._transport is not None:
            self._transport.write(line + b"\n")

    def peer_certificate(self) -> bytes:
        """Return the server's certificate (DER); empty without TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        return (tls.getpeercert(binary_form=True) or b"") if tls else b""

    def drop(self, reason: str) -> None:
        """Give the connection up at once."""
        self._reason = reason
        self._is_dropped = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close after everything that was sent is out."""
        if self._transport is not None:
            self._transport.close()

    async def closed(self) -> None:
        """Wait until the socket is closed, for a while in good order."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._gone.wait()
        except TimeoutError:
            self.drop(LOST)
            await self._gone.wait()


@dataclass(frozen=True, slots=True)
class Dialer:
    """How to reach the server: TLS 1.3 with a pinned key, or plain TCP where `known` is None."""

    host: str
    port: int
    known: Identity | None
    on_notice: Callable[[str], None]

    async def dial(self, on_answer: Callable[[AnyAnswer], None], on_lost: Callable[[str], None]) -> Link:
        """Connect and check who answers; raises `ConnectionFailed`, or `ConnectionRefusedError` if nobody listens."""
        loop = asyncio.get_running_loop()
        where = f"{self.host}:{self.port}"
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                transport, link = await loop.create_connection(
                    lambda: Link(on_answer, on_lost), self.host, self.port, ssl=_tls() if self.known else None
                )
        except ConnectionRefusedError:
            raise
        except TimeoutError:
            raise ConnectionFailed(f"{where} did not answer within {CONNECT_SECONDS:g} seconds.") from None
        except ssl.SSLError as error:
            raise ConnectionFailed(self._without_tls(_tls_reason(error))) from None
        except ConnectionResetError as error:
            if self.known is not None:
                raise ConnectionFailed(self._without_tls("the connection was closed in the handshake")) from None
            raise ConnectionFailed(f"Cannot connect to {where}: {error.strerror or error}.") from None
        except socket.gaierror as error:
            raise ConnectionFailed(f"Cannot find the host {self.host}: {error.strerror}.") from None
        except OSError as error:
            if _refused(error):
                raise ConnectionRefusedError from None
            raise ConnectionFailed(f"Cannot connect to {where}: {error.strerror or error}.") from None
        _notice_dead_peers(transport.get_extra_info("socket"))
        if self.known is not None:
            self._check_identity(link, self.known, where)
        return link

    def _without_tls(self, reason: str) -> str:
        return (
            f"No TLS connection with {self.host}:{self.port} ({reason})."
            " A server that runs with --no-tls needs a client with --no-tls."
        )

    def _check_identity(self, link: Link, known: Identity, where: str) -> None:
        try:
            link.fingerprint = key_fingerprint(link.peer_certificate())
            new = known.check(where, link.fingerprint)
        except ConnectionFailed:
            link.drop("The server is not who it was.")
            raise
        if new is not None:
            self.on_notice(new)


def _tls() -> ssl.SSLContext:
    """TLS 1.3. The certificate proves nothing by itself: the server is known by its public key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _tls_reason(error: ssl.SSLError) -> str:
    return (error.reason or "the handshake failed").lower().replace("_", " ")


def _refused(error: OSError) -> bool:
    """Tell whether every address of the host refused (asyncio joins several failures into one OSError)."""
    return error.errno is None and "refused" in str(error).lower()


def _notice_dead_peers(sock: socket.socket) -> None:
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):  # an optimisation: the keep-alive of Channel notices as well
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
