"""The sockets that the server listens on: one for each address, all on one port. Supervisor and acceptor."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence

from tessenger.errors import CannotStart

EVERYWHERE = "*"
"""In place of an address: all that this machine has, IPv4 and IPv6."""

BACKLOG = 4_096
"""Connections that the kernel may hold while the acceptor is being replaced."""

TRIES = 20
"""How often a free port is looked for that is free at all addresses."""


def listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Listen on `port` at every one of `hosts`; 0 takes a port that is free at all of them. Raises `CannotStart`.

    `::` has IPv4 connections too, unless an IPv4 address stands beside it.
    """
    places = _places(hosts)
    for left in reversed(range(TRIES)):
        sockets: list[socket.socket] = []
        try:
            for host, family, dual in places:
                sockets.append(_listen(host, family, sockets[0].getsockname()[1] if sockets else port, dual=dual))
        except CannotStart as problem:
            for opened in sockets:
                opened.close()
            is_taken = isinstance(problem.__cause__, OSError) and problem.__cause__.errno == errno.EADDRINUSE
            if port or not left or not sockets or not is_taken:
                raise
        else:
            return sockets
    raise AssertionError("the last try has raised")


def shown(sockets: Sequence[socket.socket]) -> str:
    """Return where they listen, for people: `127.0.0.1:12000, [::1]:12000`."""
    return ", ".join(with_port(*listening.getsockname()[:2]) for listening in sockets)


def with_port(host: str, port: int) -> str:
    """Return an address with its port; that of IPv6 stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def seen(peer: str) -> str:
    """Return the address of a peer as people write it: one of IPv4 that came through an IPv6 socket is of IPv4."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return peer if mapped is None else str(mapped)


def _places(hosts: Sequence[str]) -> list[tuple[str, socket.AddressFamily, bool]]:
    """Return address, family, and whether the other family is served by it too."""
    if EVERYWHERE in hosts:
        hosts = ["::" if socket.has_ipv6 else "0.0.0.0"]
    with_ipv6 = [":" in host for host in hosts]
    dual = all(with_ipv6) and socket.has_dualstack_ipv6()
    places = [
        (host, socket.AF_INET6 if is_ipv6 else socket.AF_INET, dual and host == "::")
        for host, is_ipv6 in zip(hosts, with_ipv6, strict=True)
    ]
    if "::" in hosts and all(with_ipv6) and not dual:
        places.append(("0.0.0.0", socket.AF_INET, False))
    return places


def _listen(host: str, family: socket.AddressFamily, port: int, *, dual: bool) -> socket.socket:
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    except OSError as problem:
        reason = "address already in use" if problem.errno == errno.EADDRINUSE else problem.strerror or problem
        raise CannotStart(f"cannot listen on {with_port(host, port)}: {reason}") from problem
