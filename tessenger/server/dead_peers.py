"""Notices peers that are gone without a word: the kernel's own means, set on each accepted socket. Runs in workers.

While data is on its way, the kernel gives up when none of it was acknowledged for so long (TCP_USER_TIMEOUT, RFC 5482);
while none is, it probes the peer's kernel after a silence (keep-alive, RFC 1122, 4.2.3.6) and gives up as late.
"""

from __future__ import annotations

import socket
from functools import lru_cache

PROBES = 3
"""Probes without an answer after which a silent peer is given up."""


def watch(connection: socket.socket, seconds: int) -> None:
    """Give the peer up when it was gone for `seconds`; 0: when the system thinks so, which takes hours.

    Raises `OSError` where the connection is gone already.
    """
    for level, option, value in _options(seconds):
        connection.setsockopt(level, option, value)


@lru_cache(maxsize=1)
def _options(seconds: int) -> list[tuple[int, int, int]]:
    """Return levels, options and values, as `setsockopt` takes them."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    if not seconds:
        return options
    pause = max(1, seconds // (2 * PROBES))
    silence = max(1, seconds - PROBES * pause)
    wanted = {
        "TCP_KEEPIDLE": silence,
        "TCP_KEEPALIVE": silence,  # the name of TCP_KEEPIDLE on macOS
        "TCP_KEEPINTVL": pause,
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": seconds * 1000,
    }
    # A system that lacks one goes by the others.
    return options + [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted.items() if hasattr(socket, name)
    ]
