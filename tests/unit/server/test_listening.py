"""Listening at several addresses on one port, and the address of who connects."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

import pytest

from tessenger.errors import CannotStart
from tessenger.server import listening


@contextlib.contextmanager
def listens(*hosts: str, port: int = 0) -> Iterator[Sequence[socket.socket]]:
    """Listen for as long as the block lasts."""
    sockets = listening.listen(hosts, port)
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def reaches(host: str, port: int) -> bool:
    """Tell whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("hosts", "reached", "count"),
    [
        (["127.0.0.1"], {"127.0.0.1"}, 1), (["::1"], {"::1"}, 1), (["::"], {"127.0.0.1", "::1"}, 1),
        (["*"], {"127.0.0.1", "::1"}, 1), (["0.0.0.0"], {"127.0.0.1"}, 1),
        (["127.0.0.1", "::1"], {"127.0.0.1", "::1"}, 2), (["0.0.0.0", "::"], {"127.0.0.1", "::1"}, 2),
        (["127.0.0.1", "127.0.0.2"], {"127.0.0.1"}, 2), (["localhost"], {"127.0.0.1"}, 1),
    ],
)  # fmt: skip
def test_who_can_connect(hosts: list[str], reached: set[str], count: int) -> None:
    """On one port at all addresses, though it was a free one that was wanted."""
    with listens(*hosts) as sockets:
        (port,) = {each.getsockname()[1] for each in sockets}
        assert len(sockets) == count
        assert {host for host in ("127.0.0.1", "::1") if reaches(host, port)} == reached


def test_a_port_that_is_taken_at_one_address() -> None:
    """It is said where, and nothing stays open."""
    with listens("127.0.0.2") as (taken,):
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"cannot listen on 127.0.0.2:{port}: address already in use"):
            listening.listen(["127.0.0.1", "127.0.0.2"], port)
        with listens("127.0.0.1", port=port):
            pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "1.2.3.4.5"])
def test_an_address_that_is_not_ours(host: str) -> None:
    """It is said which."""
    with pytest.raises(CannotStart, match="cannot listen on"):
        listening.listen(["127.0.0.1", host], 0)


def test_what_people_are_shown() -> None:
    """An address of IPv6 stands in brackets."""
    with listens("127.0.0.1", "::1") as sockets:
        port = sockets[0].getsockname()[1]
        assert listening.shown(sockets) == f"127.0.0.1:{port}, [::1]:{port}"


@pytest.mark.parametrize(
    ("peer", "address"),
    [("127.0.0.1", "127.0.0.1"), ("::ffff:192.0.2.7", "192.0.2.7"), ("::1", "::1"), ("fe80::1%eth0", "fe80::1%eth0")],
)
def test_who_connects_is_seen_as_people_write_it(peer: str, address: str) -> None:
    """One person has one address, through whatever socket."""
    assert listening.seen(peer) == address
