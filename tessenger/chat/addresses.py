"""Whom an address stands for, where people are told apart by it. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

PREFIX = 64
"""Bits of an IPv6 address that are its site's; the rest a machine chooses as often as it likes (RFC 4291, 8981)."""


@lru_cache(4_096)
def key(ip: str) -> str:
    """Return what counts as one address: of IPv4 itself, of IPv6 its /64. What is no address stands for itself."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, PREFIX), strict=False))
