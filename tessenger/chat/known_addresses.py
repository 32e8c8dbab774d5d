"""From where people have signed in before: their wrong passwords count there by themselves. Pure.

So somebody else who guesses elsewhere keeps nobody out of their own account, and is stopped all the same: all addresses
from which a person has not signed in share one count.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from tessenger.chat import addresses
from tessenger.wire import names

KEPT_MS = 30 * 86_400_000
"""After so long without a sign-in an address is one like any other."""

MOST = 16
"""Addresses of one person that are kept; those not used for the longest time go."""


def count_key(user: str, place: str) -> str:
    """Return what failures and blocks of a user are kept under: `place` is a known address, "" for all others."""
    return f"{names.key(user)} {place}" if place else names.key(user)


def place_of(key: str) -> str:
    """Return the known address in such a key, "" where it is for all others."""
    return key.partition(" ")[2]


def forget_counts(counted: MutableMapping[str, Any], user: str) -> None:
    """Take out what is kept of a user under such keys, wherever it was counted."""
    for key in [key for key in counted if key.partition(" ")[0] == names.key(user)]:
        del counted[key]


class KnownAddresses:
    """For each person when they last signed in from where (Unix ms)."""

    def __init__(self, known: dict[str, dict[str, int]] | None = None) -> None:
        self.of: dict[str, dict[str, int]] = {user: dict(last) for user, last in (known or {}).items()}

    def place(self, user: str, ip: str, now: int | None = None) -> str:
        """Return under which address a failure from `ip` counts, "" where that is not known (any more, at `now`)."""
        address = addresses.key(ip)
        last = self.of.get(names.key(user), {}).get(address)
        return "" if last is None or (now is not None and now - last > KEPT_MS) else address

    def signed_in(self, user: str, ip: str, at: int) -> None:
        """Note that somebody has signed in, or has come back."""
        last = self.of.setdefault(names.key(user), {})
        last[addresses.key(ip)] = at
        kept = sorted((item for item in last.items() if at - item[1] <= KEPT_MS), key=lambda item: (-item[1], item[0]))
        self.of[names.key(user)] = dict(kept[:MOST])

    def forget(self, user: str) -> None:
        """The account is gone: whoever has the name next has been nowhere."""
        self.of.pop(names.key(user), None)
