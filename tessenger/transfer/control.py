"""Control datagrams: sealed, numbered, each accepted once. Pure."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from tessenger.transfer.blocks import TAG
from tessenger.transfer.keys import TransferKeys
from tessenger.transfer.packets import CONTROL, CONTROL_HEADER, SESSION, Kind

_REMEMBERED = 1_024
"""How far behind the newest number a datagram may come and still be taken, as in IPsec (RFC 4303, section 3.4.3)."""


class ControlChannel:
    """Seals this side's control datagrams and opens the peer's."""

    def __init__(self, session: int, keys: TransferKeys) -> None:
        self._session = session
        self._prefix = SESSION.pack(session)
        self._keys = keys
        self._sent = 0
        self.newest = 0
        """The highest number that came."""
        self._seen = 0

    def seal(self, kind: Kind, body: bytes = b"") -> bytes:
        """Return a datagram of this kind. No number, which is the nonce, is ever used twice."""
        self._sent += 1
        header = CONTROL_HEADER.pack(self._session, self._sent, kind, CONTROL)
        return header + self._keys.seal.encrypt(_nonce(self._sent), body, header)

    def open(self, datagram: bytes) -> tuple[int, int, bytes] | None:
        """Return number, kind and body of a datagram; None for one that is forged, damaged or came before."""
        header = datagram[: CONTROL_HEADER.size]
        if len(datagram) < CONTROL_HEADER.size + TAG or not header.startswith(self._prefix):
            return None
        _, number, kind, _ = CONTROL_HEADER.unpack(header)
        if self._came_before(number):
            return None
        try:
            body = self._keys.open.decrypt(_nonce(number), datagram[CONTROL_HEADER.size :], header)
        except InvalidTag:
            return None
        self._remember(number)
        return number, kind, body

    def _came_before(self, number: int) -> bool:
        behind = self.newest - number
        return behind >= _REMEMBERED or (behind >= 0 and bool(self._seen >> behind & 1))

    def _remember(self, number: int) -> None:
        ahead = number - self.newest
        if ahead > 0:
            self._seen = 1 if ahead >= _REMEMBERED else (self._seen << ahead | 1) & ((1 << _REMEMBERED) - 1)
            self.newest = number
        else:
            self._seen |= 1 << -ahead


def _nonce(number: int) -> bytes:
    return number.to_bytes(12)
