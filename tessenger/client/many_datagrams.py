"""Many datagrams in one call where the kernel neither cuts nor joins them: `sendmmsg` and `recvmmsg`, through ctypes.

Runs in the client's UDP process, on Linux; elsewhere `available` is false and datagrams go one by one. As with joined
ones, headers and payloads land apart, each one behind the other, so that a block lies in one piece.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from array import array
from typing import Any

from tessenger.transfer.blocks import HEADER
from tessenger.transfer.ports import Address, Train

MANY = 64
_LONGEST = 65_536
_NAME = 28  # bytes of the longer of both kinds of address, sockaddr_in6
_V4, _V6 = struct.Struct("!2xH4s"), struct.Struct("!2xHI16s")


class _Piece(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """`struct mmsghdr` of Linux, on any 64-bit machine."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.POINTER(_Piece)),
        ("piece_count", ctypes.c_size_t),
        ("ancillary", ctypes.c_void_p),
        ("ancillary_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("received", ctypes.c_uint32),
    )


def _system_call(name: str) -> Any:  # noqa: ANN401 - ctypes has no type for a foreign function that may not be there
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), name, None)


_recvmmsg, _sendmmsg = _system_call("recvmmsg"), _system_call("sendmmsg")
available: bool = _recvmmsg is not None and _sendmmsg is not None


class ManyReader:
    """Reads from a non-blocking socket; `headers` and `payload` hold what the last `read` brought.

    A datagram that is longer than header and `step` goes on in a place of its own: `single` puts it together.
    """

    def __init__(self, udp: socket.socket, step: int) -> None:
        self._fd = udp.fileno()
        self._family = udp.family
        self.step = step
        self.headers = bytearray(HEADER * MANY)
        self.payload = memoryview(bytearray(step * MANY))
        self._rest = bytearray(_LONGEST * MANY)
        self._names = bytearray(_NAME * MANY)
        self._pieces = (_Piece * (3 * MANY))()
        self._messages = (_Message * MANY)()
        headers, payload = _place(self.headers), _place(self.payload.obj)
        rest, names = _place(self._rest), _place(self._names)
        for n, message in enumerate(self._messages):
            layout = (
                (headers + n * HEADER, HEADER),
                (payload + n * step, step),
                (rest + n * _LONGEST, _LONGEST),
            )
            for which, place in enumerate(layout):
                self._pieces[3 * n + which] = _Piece(*place)
            message.name, message.name_length = names + n * _NAME, _NAME
            message.pieces = ctypes.pointer(self._pieces[3 * n])
            message.piece_count = 3
        words = memoryview(self._messages).cast("B").cast("I")
        stride = ctypes.sizeof(_Message) // 4
        self._lengths = words[_Message.received.offset // 4 :: stride]
        self._addresses: dict[bytes, Address] = {}

    def read(self) -> list[int] | None:
        """Return how long the datagrams are that one call has read; None where there is none. Raises `OSError`."""
        count = _recvmmsg(self._fd, self._messages, MANY, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in {errno.EAGAIN, errno.EWOULDBLOCK}:
                return None
            raise OSError(number, "recvmmsg")
        return self._lengths[:count].tolist()

    def one_source(self, first: int, after: int) -> bool:
        """Tell whether these datagrams all came from the same address."""
        start = first * _NAME
        return self._names[start : after * _NAME] == self._names[start : start + _NAME] * (after - first)

    def address(self, index: int) -> Address:
        """Return where a datagram came from, as the socket itself would."""
        name = bytes(self._names[index * _NAME : (index + 1) * _NAME])
        found = self._addresses.get(name)
        if found is None:
            if len(self._addresses) >= 1_000:
                self._addresses.clear()  # strangers that flood the port must not fill the memory
            found = self._addresses[name] = self._decoded(name)
        return found

    def _decoded(self, name: bytes) -> Address:
        if self._family == socket.AF_INET:
            port, host = _V4.unpack_from(name)
            return socket.inet_ntop(socket.AF_INET, host), port
        port, flow, host = _V6.unpack_from(name)
        (scope,) = struct.unpack_from("=I", name, _V6.size)
        return socket.inet_ntop(socket.AF_INET6, host), port, flow, scope

    def single(self, index: int, length: int) -> bytes:
        """Return one datagram in one piece."""
        step = self.step
        head = self.headers[index * HEADER : index * HEADER + min(length, HEADER)]
        body = self.payload[index * step : index * step + min(max(length - HEADER, 0), step)]
        rest = self._rest[index * _LONGEST : index * _LONGEST + max(length - HEADER - step, 0)]
        return bytes(head) + body + rest


def _place(buffer: Any) -> int:  # noqa: ANN401 - anything with a writable buffer
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))


class ManyWriter:
    """Sends trains of which header and payload of each datagram lie right behind those of the one before."""

    def __init__(self, udp: socket.socket) -> None:
        self._fd = udp.fileno()
        self._family = udp.family
        self._pieces = (_Piece * (2 * MANY))()
        self._words = memoryview(self._pieces).cast("B").cast("Q")
        self._messages = (_Message * MANY)()
        self._name = bytearray(_NAME)
        self._address: Address | None = None
        for n, message in enumerate(self._messages):
            message.name = _place(self._name)
            message.pieces = ctypes.pointer(self._pieces[2 * n])
            message.piece_count = 2

    def fits(self, train: Train) -> bool:
        """Tell whether a train can be sent so."""
        buffers, count = train.buffers, train.datagrams
        if not 1 < count <= MANY or len(buffers) != 2 * count:
            return False
        headers, payloads = _place(buffers[0]), _place(buffers[1])
        step = train.length - HEADER
        return (
            _place(buffers[-2]) == headers + (count - 1) * HEADER
            and _place(buffers[-1]) == payloads + (count - 1) * step
        )

    def send(self, train: Train) -> int:
        """Send a train that fits; return how many datagrams have left, the first ones. Raises `OSError` if none has."""
        count, step = train.datagrams, train.length - HEADER
        headers, payloads = _place(train.buffers[0]), _place(train.buffers[1])
        words = self._words
        words[0 : 4 * count : 4] = _numbers(headers, HEADER, count)
        words[1 : 4 * count : 4] = _numbers(HEADER, 0, count)
        words[2 : 4 * count : 4] = _numbers(payloads, step, count)
        words[3 : 4 * count : 4] = _numbers(step, 0, count)
        words[4 * count - 1] = len(train.buffers[-1])
        self._aim(train.address)
        sent: int = _sendmmsg(self._fd, self._messages, count, socket.MSG_DONTWAIT)
        if sent < 0:
            number = ctypes.get_errno()
            raise OSError(number, "sendmmsg")
        return sent

    def _aim(self, address: Address) -> None:
        if address == self._address:
            return
        name, length = self._name, 16
        if self._family == socket.AF_INET:
            _V4.pack_into(name, 0, address[1], socket.inet_pton(socket.AF_INET, address[0]))
        else:
            _, port, flow, scope = (*address, 0, 0)[:4]
            _V6.pack_into(name, 0, port, flow, socket.inet_pton(socket.AF_INET6, address[0].partition("%")[0]))
            struct.pack_into("=I", name, _V6.size, scope)
            length = _NAME
        name[:2] = int(self._family).to_bytes(2, sys.byteorder)
        for message in self._messages:
            message.name_length = length
        self._address = address


def _numbers(first: int, step: int, count: int) -> memoryview:
    """Return numbers in arithmetic progression as the words that they are in memory."""
    values = range(first, first + step * count, step) if step else [first] * count
    return memoryview(array("Q", values))
