"""The UDP socket: whatever the system can do at once, the same datagrams leave and arrive."""

from __future__ import annotations

import os
import select
import socket

import pytest

from tessenger.client.udp_reader import JOIN_AGAIN, LONE
from tessenger.client.udp_socket import UdpSocket
from tessenger.transfer.blocks import CUTS, HEADER, SEALED
from tessenger.transfer.ports import Address, Batch, Buffer, Train

DATA, CONTROL = 0x01, 0x80


def _header(session: int, segment: int, flags: int = DATA) -> bytes:
    return session.to_bytes(8) + bytes(8) + bytes([segment, flags])


def _received(udp: UdpSocket, count: int) -> list[tuple[bytes, Address]]:
    """Return the next `count` datagrams, taken out of their batches."""
    found: list[tuple[bytes, Address]] = []
    while len(found) < count:
        if not udp.reader.has_waiting:
            assert select.select([udp], [], [], 10)[0], f"only {len(found)} came"
        received = udp.reader.receive()
        if received is None:
            continue
        what, address = received
        if isinstance(what, Batch):
            for n in range(what.datagrams):
                head = bytes(what.headers[n * HEADER : (n + 1) * HEADER])
                found.append((head + bytes(what.payload[n * what.step : (n + 1) * what.step]), address))
        else:
            found += [(each, address) for each in what]
    return found


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", ""], ids=["IPv4", "both"])
def test_mixed_datagrams(host: str, offload: bool) -> None:
    """Data of two transfers and several lengths, control, junk: all arrive whole, from the right address, in order."""
    udp = UdpSocket(host, 0, offload=offload)
    sent: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for session in (1, 2, 1):
            for length in (1_200, 1_384, 1_384, 700, 1_452, 8_952, 1_200):
                sent += [_header(session, n) + os.urandom(length - HEADER) for n in range(5)]
            sent += [_header(session, 0, CONTROL) + os.urandom(50), b"", b"junk", os.urandom(20_000)]
        received: list[tuple[bytes, Address]] = []
        for datagram in sent:
            one.sendto(datagram, ("127.0.0.1", udp.port))
        ours = [each for each in sent if len(each) >= HEADER]
        one.sendto(_header(9, 9, CONTROL), ("127.0.0.1", udp.port))
        while not received or received[-1][0] != _header(9, 9, CONTROL):
            received += _received(udp, 1)
        assert [each for each, _ in received[:-1] if len(each) >= HEADER] == ours
        source = udp.resolve("127.0.0.1", one.getsockname()[1], numeric=True)
        assert {address for each, address in received if len(each) >= HEADER} == {source}
    udp.close()


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", ""], ids=["IPv4", "both"])
@pytest.mark.parametrize("cut", range(len(CUTS)))
@pytest.mark.parametrize("gap", [False, True])
def test_trains(host: str, offload: bool, cut: int, gap: bool) -> None:
    """A train leaves as its datagrams, whether their buffers lie behind each other or some between are left out."""
    sender, receiver = UdpSocket(host, 0, offload=offload), UdpSocket(host, 0, offload=offload)
    step = CUTS[cut] - HEADER
    count = min(-(-SEALED // step), 65_507 // CUTS[cut])
    sealed = memoryview(bytearray(os.urandom(min(SEALED, count * step))))
    headers = memoryview(bytearray(b"".join(_header(7, n) for n in range(count))))
    chosen = [n for n in range(count) if not gap or n % 3 != 1]
    buffers: list[Buffer] = []
    for n in chosen:
        buffers += headers[n * HEADER : (n + 1) * HEADER], sealed[n * step : (n + 1) * step]
    to = sender.resolve("127.0.0.1", receiver.port, numeric=True)
    assert sender.send(Train(to, buffers, CUTS[cut], len(chosen)))
    expected = [bytes(buffers[n]) + bytes(buffers[n + 1]) for n in range(0, len(buffers), 2)]
    assert [each for each, _ in _received(receiver, len(chosen))] == expected
    sender.close()
    receiver.close()


def test_lone_datagrams_are_read_many_at_once() -> None:
    """Where nothing comes joined, one call reads many; after some time joined datagrams are taken as such again."""
    udp = UdpSocket("127.0.0.1", 0)
    reader, sent = udp.reader, 0
    if not udp.segments:
        pytest.skip("the system joins nothing")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        most = 0
        while sent < LONE + JOIN_AGAIN + 64:
            for n in range(32):
                one.sendto(_header(7, n) + bytes(1_452 - HEADER), ("127.0.0.1", udp.port))
            sent += 32
            came = 0
            while came < 32:
                received = reader.receive()
                assert received is not None
                what, _ = received
                count = what.datagrams if isinstance(what, Batch) else len(what)
                most, came = max(most, count), came + count
        assert most == 32
    sender = UdpSocket("127.0.0.1", 0)
    buffers: list[Buffer] = []
    for n in range(20):
        buffers += _header(7, n), bytes(1_452 - HEADER)
    assert sender.send(Train(("127.0.0.1", udp.port), buffers, 1_452, 20))
    received = reader.receive()
    assert received is not None
    assert isinstance(received[0], Batch)
    assert received[0].datagrams == 20
    sender.close()
    udp.close()
