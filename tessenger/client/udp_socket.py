"""The UDP socket of the client's UDP process: many datagrams a call where the system can, one where it cannot.

On Linux a train leaves in one call (`UDP_SEGMENT`) and datagrams of one sender arrive joined (`UDP_GRO`); the datagrams
on the wire are the same. Headers and payloads are read apart, so that the ciphertext of a block lies in one piece.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import deque

from tessenger.client import many_datagrams
from tessenger.client.many_datagrams import ManyReader, ManyWriter
from tessenger.errors import TransferError
from tessenger.transfer.blocks import CUTS, HEADER
from tessenger.transfer.ports import Address, Batch, Train

# Of <linux/udp.h> and <linux/in.h>, in6.h; Python 3.11 has no names for them.
UDP_SEGMENT = 103
UDP_GRO = 104
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3
SO_RCVBUFFORCE = 33
# Of macOS's <netinet/in.h>.
MAC_IP_DONTFRAG = 28

BUFFER = 8 * 1024 * 1024
_MAX_SEGMENTS = 64
_SIZE = struct.Struct("=H")
_INT = struct.Struct("=i")


class DatagramTooLong(Exception):
    """The system does not send datagrams of this length to there."""


class UdpSocket:
    """A bound UDP socket. `host` "" is every address of this machine, of both kinds where there is IPv6."""

    def __init__(self, host: str, port: int, *, offload: bool = True) -> None:
        self.socket = _bound(host, port)
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.receive_buffer = _grow_buffers(self.socket)
        _forbid_fragments(self.socket)
        self.segments = self.joins = False
        if offload and sys.platform == "linux":
            self.segments = _has_option(self.socket, socket.IPPROTO_UDP, UDP_SEGMENT, 0)
            # Joining costs more than it saves where the sender's side cannot cut.
            self.joins = self.segments and _has_option(self.socket, socket.IPPROTO_UDP, UDP_GRO, 1)
        self.read_bytes = 0
        """How much the last call of `receive` read."""
        self._headers = bytearray(HEADER * _MAX_SEGMENTS)
        self._payload = memoryview(bytearray(3 * 65_536))
        self._layouts: dict[int, list[memoryview]] = {}
        self._step = CUTS[0] - HEADER
        self._layout = self._layout_for(self._step)
        self._many = ManyReader(self.socket, self._step) if many_datagrams.available and not self.joins else None
        self._writer = ManyWriter(self.socket) if many_datagrams.available else None
        self._waiting: deque[tuple[Batch | list[bytes], Address]] = deque()

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self.socket.fileno()

    def close(self) -> None:
        """Let go of the port."""
        self.socket.close()

    def resolve(self, host: str, port: int, *, numeric: bool) -> Address:
        """Return what the socket calls this address. Asks the network unless `numeric`; raises `OSError`."""
        flags = socket.AI_NUMERICHOST if numeric else 0
        if self.socket.family == socket.AF_INET6:
            flags |= socket.AI_V4MAPPED
        found = socket.getaddrinfo(host, port, self.socket.family, socket.SOCK_DGRAM, flags=flags)
        address = found[0][4]
        assert isinstance(address[0], str)
        return address

    # ---- sending ----

    def send(self, train: Train) -> bool:
        """Send a train; False where the socket has no room at the moment and nothing of it left.

        What the network refuses for now (no route, say) counts as sent, and lost. Raises `DatagramTooLong`.
        """
        if train.datagrams > 1 and not self.segments:
            return self._send_single(train)
        option = [(socket.IPPROTO_UDP, UDP_SEGMENT, _SIZE.pack(train.length))] if train.datagrams > 1 else []
        try:
            self.socket.sendmsg(train.buffers, option, 0, train.address)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise DatagramTooLong from error
            if option and error.errno in {errno.EINVAL, errno.EIO}:
                # The way out has no offload (or none for this length): every datagram for itself from now on.
                self.segments = False
                return self._send_single(train)
        return True

    def _send_single(self, train: Train) -> bool:
        first = 0
        if self._writer is not None and self._writer.fits(train):
            try:
                first = 2 * self._writer.send(train)
            except BlockingIOError:
                return False
            except OSError:
                first = 0  # the single ones below tell what is wrong
        for start in range(first, len(train.buffers), 2):
            try:
                self.socket.sendmsg(train.buffers[start : start + 2], [], 0, train.address)
            except BlockingIOError:
                # The rest counts as sent: to send the first ones twice would only add to a full queue.
                return start > 0
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    raise DatagramTooLong from error
        return True

    # ---- receiving ----

    def receive(self) -> tuple[Batch | list[bytes], Address] | None:
        """Return what one call reads: a batch of data, or single datagrams; None when there is nothing.

        Buffers are valid until the next call.
        """
        if self._many is not None:
            if not self._waiting:
                return self._receive_many(self._many)
            self.read_bytes = 0
            return self._waiting.popleft()
        try:
            count, ancillary, _, address = self.socket.recvmsg_into(self._layout, 64)
        except BlockingIOError:
            return None
        except OSError:
            return [], ("", 0)  # an ICMP error for what was sent before: it says nothing about what comes
        self.read_bytes = length = count
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                length = _INT.unpack_from(data)[0]
        datagrams = -(-count // length) if length else 1
        if count < HEADER or length < HEADER:
            return [], address
        step = length - HEADER
        if step > self._step or (datagrams > 1 and step != self._step):
            return self._read_otherwise(count, length, datagrams), address
        if datagrams == 1:
            if self._headers[HEADER - 1] & 0x80:
                return [bytes(self._headers[:HEADER]) + self._payload[: count - HEADER]], address
        elif not self._same_session(datagrams):
            return self._apart(count, length), address
        return Batch(self._headers, self._payload[: count - datagrams * HEADER], datagrams, step), address

    @property
    def has_waiting(self) -> bool:
        """Whether something was read that `receive` has not returned yet."""
        return bool(self._waiting)

    def _receive_many(self, many: ManyReader) -> tuple[Batch | list[bytes], Address] | None:
        """Read with `recvmmsg`: a batch where all datagrams are of one transfer and one length but for the last."""
        try:
            lengths = many.read()
        except OSError:
            return [], ("", 0)
        if lengths is None:
            return None
        self.read_bytes = sum(lengths)
        full, first = many.step + HEADER, 0
        for n, length in enumerate(lengths):
            control = length < HEADER or many.headers[n * HEADER + HEADER - 1] & 0x80
            if length != full or control or n == len(lengths) - 1:
                apart = control or length > full
                self._add_run(many, first, n if apart else n + 1, lengths)
                if apart:
                    self._waiting.append(([many.single(n, length)], many.address(n)))
                if length in CUTS and length != full and not control:
                    self._many = ManyReader(self.socket, length - HEADER)
                first = n + 1
        return self._waiting.popleft()

    def _add_run(self, many: ManyReader, first: int, after: int, lengths: list[int]) -> None:
        """Pass on data of which all but the last has the full length: as a batch, if all of it is of one transfer."""
        count = after - first
        if count <= 0:
            return
        headers = many.headers[first * HEADER : after * HEADER]
        flags = headers[HEADER - 1 :: HEADER]
        sessions = {bytes(headers[n : n + 8]) for n in range(0, len(headers), HEADER)}
        if len(sessions) == 1 and flags.count(flags[0]) == count and many.one_source(first, after):
            end = (after - 1) * many.step + lengths[after - 1] - HEADER
            payload = many.payload[first * many.step : end]
            self._waiting.append((Batch(headers, payload, count, many.step), many.address(first)))
        else:
            self._waiting.extend(([many.single(n, lengths[n])], many.address(n)) for n in range(first, after))

    def _same_session(self, datagrams: int) -> bool:
        headers, last = self._headers, (datagrams - 1) * HEADER
        flags = headers[HEADER - 1 : datagrams * HEADER : HEADER]
        return headers[:8] == headers[last : last + 8] and not flags[0] & 0x80 and flags.count(flags[0]) == datagrams

    def _read_otherwise(self, count: int, length: int, datagrams: int) -> list[bytes]:
        """Cut what does not lie as expected by hand, and expect its length from now on if it was data."""
        apart = self._apart(count, length)
        if length in CUTS and not apart[0][HEADER - 1] & 0x80:
            self._step = length - HEADER
            self._layout = self._layout_for(self._step)
        return apart

    def _apart(self, count: int, length: int) -> list[bytes]:
        whole = b"".join(self._layout)[:count]
        return [whole[start : start + length] for start in range(0, count, length)]

    def _layout_for(self, step: int) -> list[memoryview]:
        """Return where header and payload of each datagram go, when payloads are `step` bytes."""
        layout = self._layouts.get(step)
        if layout is None:
            headers, layout = memoryview(self._headers), []
            pairs = min(_MAX_SEGMENTS, 65_535 // (step + HEADER) + 1) if self.joins else 1
            for n in range(pairs):
                layout.append(headers[n * HEADER : (n + 1) * HEADER])
                layout.append(self._payload[n * step : (n + 1) * step])
            layout.append(self._payload[pairs * step : pairs * step + 65_536])  # what is longer must not be cut off
            self._layouts[step] = layout
        return layout


def _bound(host: str, port: int) -> socket.socket:
    """Return a bound socket, or raise `TransferError`."""
    try:
        if host:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
            candidates = [(family, address)]
        else:
            candidates = [(socket.AF_INET6, ("::", port)), (socket.AF_INET, ("0.0.0.0", port))]
    except OSError as error:
        raise TransferError(f"cannot use the UDP address {host}: {error.strerror}") from error
    failure: OSError | None = None
    for family, address in candidates:
        try:
            found = socket.socket(family, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))
        except OSError as error:  # a system without IPv6
            failure = error
            continue
        try:
            if family == socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            found.bind(address)
        except OSError as error:
            found.close()
            failure = error
            if error.errno == errno.EADDRINUSE:
                break
        else:
            return found
    assert failure is not None
    if failure.errno == errno.EADDRINUSE:
        raise TransferError(f"UDP port {port} is already in use") from failure
    raise TransferError(f"cannot use UDP port {port}: {failure.strerror}") from failure


def _grow_buffers(udp: socket.socket) -> int:
    """Ask for large buffers, as the system may cap them; return how many bytes of datagrams may wait to be read."""
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        size = BUFFER
        while not _has_option(udp, socket.SOL_SOCKET, option, size) and size > 65_536:
            size //= 2  # Linux caps what is too much, macOS refuses it
    if sys.platform == "linux":
        # For the superuser only; without it the capped size is told to the peer, and will do.
        _has_option(udp, socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    size = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    # Linux doubles what it is asked for, and charges its own bookkeeping to it.
    return size // 2 if sys.platform == "linux" else size


def _forbid_fragments(udp: socket.socket) -> None:
    """Have datagrams dropped rather than cut by routers, so that probes tell what the path carries."""
    v6 = udp.family == socket.AF_INET6
    if sys.platform == "linux":
        udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        if v6:
            udp.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    elif sys.platform == "darwin" and not v6:
        udp.setsockopt(socket.IPPROTO_IP, MAC_IP_DONTFRAG, 1)


def _has_option(udp: socket.socket, level: int, option: int, value: int) -> bool:
    try:
        udp.setsockopt(level, option, value)
    except OSError:
        return False
    return True
