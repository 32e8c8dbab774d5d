"""Reading from the UDP socket of the client's UDP process: many datagrams a call where the system can.

Headers and payloads are read apart, so that the ciphertext of a block lies in one piece. Linux joins datagrams that
came together (`UDP_GRO`) where the sender's system or a network card has not taken them apart already. Where they come
one by one all the same, that is switched off and `recvmmsg` reads them (see `many_datagrams.py`); after some time
joining is tried again, as the path may have changed.
"""

from __future__ import annotations

import socket
import struct
from collections import deque

from tessenger.client import many_datagrams
from tessenger.client.many_datagrams import ManyReader
from tessenger.transfer.blocks import CUTS, HEADER
from tessenger.transfer.ports import Address, Batch

UDP_GRO = 104
"""Of <linux/udp.h>; Python 3.11 has no name for it."""
LONE = 64
"""Datagrams in a row that were not joined with others, after which joining is switched off."""
JOIN_AGAIN = 65_536
"""Datagrams after which it is tried again: the tries cost a thousandth then."""
_SHORT = CUTS[2] - HEADER
"""Bytes of the longest payload of which so many come that a call for each is felt."""
_MAX_SEGMENTS = 64
_INT = struct.Struct("=i")

Received = tuple[Batch | list[bytes], Address]


class UdpReader:
    """Reads a socket. `joins`: the socket has `UDP_GRO` set."""

    def __init__(self, udp: socket.socket, *, joins: bool) -> None:
        self._socket = udp
        self._joins = joins
        self._lone = self._apart_for = 0
        self.read_bytes = 0
        """How much the last call of `receive` read."""
        self._headers = bytearray(HEADER * _MAX_SEGMENTS)
        self._payload = memoryview(bytearray(3 * 65_536))
        self._layouts: dict[int, list[memoryview]] = {}
        self._step = CUTS[0] - HEADER
        self._layout = self._layout_for(self._step)
        self._readers: dict[int, ManyReader] = {}
        self._many = self._reader_for(self._step) if many_datagrams.available and not joins else None
        self._waiting: deque[Received] = deque()

    @property
    def has_waiting(self) -> bool:
        """Whether something was read that `receive` has not returned yet."""
        return bool(self._waiting)

    def receive(self) -> Received | None:
        """Return what one call reads: a batch of data, or single datagrams; None when there is nothing.

        Buffers are valid until the next call.
        """
        if self._waiting:
            self.read_bytes = 0
            return self._waiting.popleft()
        return self._receive_many(self._many) if self._many is not None else self._receive_joined()

    # ---- joined ----

    def _receive_joined(self) -> Received | None:
        try:
            count, ancillary, _, address = self._socket.recvmsg_into(self._layout, 64)
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
            self._count_lone(step)
        else:
            self._lone = 0
            if not self._same_session(datagrams):
                return self._apart(count, length), address
        return Batch(self._headers, self._payload[: count - datagrams * HEADER], datagrams, step), address

    def _count_lone(self, step: int) -> None:
        """Note that a datagram of data came alone; after many of those, read them in another way."""
        self._lone += 1
        if self._lone >= LONE and step <= _SHORT and many_datagrams.available and self._joins:
            self._lone = 0
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 0)
            self._many = self._reader_for(self._step)
            self._apart_for = JOIN_AGAIN

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
            pairs = min(_MAX_SEGMENTS, 65_535 // (step + HEADER) + 1) if self._joins else 1
            for n in range(pairs):
                layout.append(headers[n * HEADER : (n + 1) * HEADER])
                layout.append(self._payload[n * step : (n + 1) * step])
            layout.append(self._payload[pairs * step : pairs * step + 65_536])  # what is longer must not be cut off
            self._layouts[step] = layout
        return layout

    # ---- one by one ----

    def _reader_for(self, step: int) -> ManyReader:
        reader = self._readers.get(step)
        if reader is None:
            reader = self._readers[step] = ManyReader(self._socket, step)
        return reader

    def _receive_many(self, many: ManyReader) -> Received | None:
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
                    self._many = self._reader_for(length - HEADER)
                first = n + 1
        if self._joins:
            self._join_again(len(lengths))
        return self._waiting.popleft()

    def _join_again(self, read: int) -> None:
        """Try after some time whether datagrams come joined now."""
        self._apart_for -= read
        if self._apart_for <= 0:
            self._step = self._many.step if self._many is not None else self._step
            self._layout = self._layout_for(self._step)
            self._many = None
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)

    def _add_run(self, many: ManyReader, first: int, after: int, lengths: list[int]) -> None:
        """Pass on data of which all but the last has the full length: as a batch, if all of it is of one transfer."""
        count = after - first
        if count <= 0:
            return
        headers = many.headers[first * HEADER : after * HEADER]
        flags = headers[HEADER - 1 :: HEADER]
        alike = flags.count(flags[0]) == count and all(headers[n::HEADER].count(headers[n]) == count for n in range(8))
        if alike and many.one_source(first, after):
            end = (after - 1) * many.step + lengths[after - 1] - HEADER
            payload = many.payload[first * many.step : end]
            self._waiting.append((Batch(headers, payload, count, many.step), many.address(first)))
        else:
            self._waiting.extend(([many.single(n, lengths[n])], many.address(n)) for n in range(first, after))
