"""How a peer proves to be at an address: what is sent there, and nowhere else, comes back. Pure."""

from __future__ import annotations

import hashlib
import hmac

from tessenger.transfer.ports import Address

CHALLENGE_EVERY = 0.1
"""Seconds between two challenges to one address."""
_TOKEN_BYTES = 8


class PathProof:
    """The tokens of one session; `seed` are 32 random bytes. Times are seconds of a clock that only rises."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._challenges = 0
        self._candidate: tuple[Address, bytes, float] | None = None

    def hello_token(self, address: Address) -> bytes:
        """Return what nobody knows who does not receive at `address`, the peer neither."""
        return self._secret(b"hello", repr(address).encode())

    def is_echo(self, echo: bytes, address: Address) -> bool:
        """Tell whether `echo` is what HELLOs to `address` have."""
        return hmac.compare_digest(echo, self.hello_token(address))

    def challenge(self, address: Address, now: float) -> bytes | None:
        """Return what to ask `address` for; None where that was done a moment ago."""
        token = None
        if self._candidate is not None and self._candidate[0] == address:
            _, token, asked_at = self._candidate
            if now - asked_at < CHALLENGE_EVERY:
                return None
        if token is None:
            self._challenges += 1
            token = self._secret(b"challenge", self._challenges.to_bytes(8))
        self._candidate = address, token, now
        return token

    def is_response(self, token: bytes, address: Address) -> bool:
        """Tell whether `token` is what `address` was last asked for; it counts once."""
        candidate = self._candidate
        if candidate is None or candidate[0] != address or not hmac.compare_digest(token, candidate[1]):
            return False
        self._candidate = None
        return True

    def _secret(self, purpose: bytes, of: bytes) -> bytes:
        return hmac.digest(self._seed, purpose + of, hashlib.sha256)[:_TOKEN_BYTES]
