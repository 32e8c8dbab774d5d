"""How much is sent to an address before somebody there has shown that they want it. Pure; shared by all transfers.

A peer says where they take datagrams, and may name the address of somebody who has nothing to do with it. So an address
is proved only by what was sent to it alone and came back (docs/transfer-protocol.md, section 4), and until then it gets
a few short datagrams with pauses that grow, whatever the number of transfers that name it.
"""

from __future__ import annotations

import ipaddress
import math
from typing import TypeVar

from tessenger.transfer.ports import Address

MOST = 5
"""Datagrams that an address gets unasked."""
MOST_AT_HOST = 20
"""The same for all ports of a host together (of a /64, with IPv6), where none of them was proved later."""
MOST_BYTES = 128
"""The longest of them; a HELLO has 74."""
PAUSE_SECONDS, PAUSE_GROWS = 0.2, 3
"""Between the first and the second one, and by what each pause is longer: they leave at 0, 0.2, 0.8, 2.6 and 8 s."""
ANSWERS = 3
"""Datagrams for each authentic one that says it comes from there (as RFC 9000, section 8.1, has it for bytes)."""
FORGET_SECONDS = 120.0
"""After this long one of the `MOST` is forgotten, and after as long again the next."""
PROVED_SECONDS = 600.0
"""How long a proof holds for transfers that begin later. One that runs needs none: its path is proved."""
KEPT = 4_096
"""Addresses that are remembered; beyond that the oldest is forgotten."""


Key = TypeVar("Key")
Value = TypeVar("Value")


class _Account:
    """What an address, or a host, has had."""

    __slots__ = ("answers", "at", "sent")

    def __init__(self, now: float) -> None:
        self.sent = 0.0
        self.at = now
        self.answers = 0

    def sent_by(self, now: float) -> float:
        """Return how many datagrams are not forgotten yet at `now`; a part of one is one that is half forgotten."""
        return max(0.0, self.sent - (now - self.at) / FORGET_SECONDS)

    def spend(self, now: float) -> None:
        """Count another one."""
        self.sent = self.sent_by(now) + 1
        self.at = now


class UnprovedAddresses:
    """Who has proved to be where, and what the others have had. Times are seconds of a clock that only rises."""

    def __init__(self) -> None:
        self._addresses: dict[Address, _Account] = {}
        self._hosts: dict[str, _Account] = {}
        self._proved: dict[tuple[str, Address], float] = {}

    def may_send(self, peer: str, address: Address, length: int, now: float) -> bool:
        """Tell whether a datagram of `length` bytes may go to where `peer` is said to be; if so, it counts as sent."""
        if self._proved.get((peer, address), -math.inf) > now:
            return True
        if length > MOST_BYTES:
            return False
        account = _account(self._addresses, address, now)
        if account.answers:
            account.answers -= 1
            return True
        host = _account(self._hosts, _host(address), now)
        sent = account.sent_by(now)
        pause = PAUSE_SECONDS * PAUSE_GROWS ** (math.ceil(sent) - 1) if sent else 0.0
        if sent > MOST - 1 or now < account.at + pause or host.sent_by(now) > MOST_AT_HOST - 1:
            return False
        account.spend(now)
        host.spend(now)
        return True

    def heard(self, address: Address, now: float) -> None:
        """Note that an authentic datagram says it comes from `address`: it may be answered, which proves nothing."""
        _account(self._addresses, address, now).answers += ANSWERS

    def proved(self, peer: str, address: Address, now: float) -> None:
        """Note that what was sent to `address` alone has come back from `peer`."""
        _make_room(self._proved)
        self._proved[peer, address] = now + PROVED_SECONDS
        host = _account(self._hosts, _host(address), now)
        host.sent, host.at = max(0.0, host.sent_by(now) - _account(self._addresses, address, now).sent_by(now)), now


def _account(accounts: dict[Key, _Account], key: Key, now: float) -> _Account:
    account = accounts.get(key)
    if account is None:
        _make_room(accounts)
        account = accounts[key] = _Account(now)
    return account


def _make_room(kept: dict[Key, Value]) -> None:
    if len(kept) >= KEPT:
        del kept[next(iter(kept))]


def _host(address: Address) -> str:
    """Return what is one host's whatever the port: an IPv4 address, or the /64 that an IPv6 one is in."""
    try:
        ip = ipaddress.ip_address(address[0].partition("%")[0])
    except ValueError:
        return address[0]
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
