"""The UDP socket of the client's UDP process: many datagrams a call where the system can, one where it cannot.

On Linux a train leaves in one call (`UDP_SEGMENT`) and datagrams of one sender arrive joined (`UDP_GRO`); the datagrams
on the wire are the same. `udp_reader.py` reads.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys

from tessenger.client import many_datagrams
from tessenger.client.many_datagrams import ManyWriter
from tessenger.client.udp_reader import UDP_GRO, UdpReader
from tessenger.errors import TransferError
from tessenger.transfer.ports import Address, Train

# Of <linux/udp.h> and <linux/in.h>, in6.h; Python 3.11 has no names for them.
UDP_SEGMENT = 103
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3
SO_RCVBUFFORCE = 33
# Of macOS's <netinet/in.h>.
MAC_IP_DONTFRAG = 28

BUFFER = 8 * 1024 * 1024
_SIZE = struct.Struct("=H")


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
        self.segments = joins = False
        if offload and sys.platform == "linux":
            self.segments = _has_option(self.socket, socket.IPPROTO_UDP, UDP_SEGMENT, 0)
            # Joining costs more than it saves where the sender's side cannot cut.
            joins = self.segments and _has_option(self.socket, socket.IPPROTO_UDP, UDP_GRO, 1)
        self.reader = UdpReader(self.socket, joins=joins)
        self._writer = ManyWriter(self.socket) if many_datagrams.available else None

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
