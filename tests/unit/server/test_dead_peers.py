"""The times after which the system gives up a peer that is gone: read back from a real socket."""

from __future__ import annotations

import socket
import sys

import pytest

from tessenger.server import dead_peers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the names of the options are Linux's")


def _option(connection: socket.socket, name: str) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))


@pytest.mark.parametrize("seconds", [6, 60, 3600])
def test_silence_and_probes_together_last_as_long_as_configured(seconds: int) -> None:
    """A silent peer is given up after the time that is configured, and so is one that acknowledges nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        dead_peers.watch(connection, seconds)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        probing = _option(connection, "TCP_KEEPINTVL") * _option(connection, "TCP_KEEPCNT")
        assert _option(connection, "TCP_KEEPIDLE") + probing == seconds
        assert _option(connection, "TCP_USER_TIMEOUT") == seconds * 1000


def test_the_shortest_and_the_longest_time_are_taken_by_the_system() -> None:
    """The bounds of `limits.dead_peer_seconds` are values that the options take."""
    for seconds in (1, 32_767):
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as connection:
            dead_peers.watch(connection, seconds)
            assert _option(connection, "TCP_USER_TIMEOUT") == seconds * 1000


def test_nought_leaves_the_times_of_the_system() -> None:
    """0 turns the bound off; keep-alive stays on, at the system's pace."""
    with socket.socket() as untouched, socket.socket() as connection:
        dead_peers.watch(connection, 0)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
            assert _option(connection, name) == _option(untouched, name)
