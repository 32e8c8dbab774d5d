"""The keys of one transfer, from both sides' ephemeral X25519 keys. Pure.

The server passes the public keys on; the private ones never leave the UDP processes. Everything that both sides must
agree on goes into the derivation, so that a name, size or user that was changed on the way gives keys that do not fit:
nothing is received then, rather than something wrong. Whoever runs the server could pass on public keys of their own
and sit in the middle; both people can compare `TransferKeys.code` over another channel, which is then different.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tessenger.errors import TransferError

_LABEL = b"tessenger file transfer 1"

Aead = AESGCM | ChaCha20Poly1305


class Cipher(IntEnum):
    """How blocks are sealed; the sender's HELLO says. Control datagrams are always AES-256-GCM."""

    AES_256_GCM = 1
    CHACHA20_POLY1305 = 2


class Binding(NamedTuple):
    """What both sides agreed on over the server. `transfer` is 16 hexadecimal digits, `size` the file's in bytes."""

    transfer: str
    sender: str
    receiver: str
    name: str
    size: int

    @property
    def session(self) -> int:
        """The transfer's id as the number at the front of every datagram."""
        return int(self.transfer, 16)


class TransferKeys:
    """One side's keys: `seal` for its own control datagrams, `open` for the peer's, `blocks` for the file."""

    def __init__(self, secret: bytes, context: bytes, *, sending: bool) -> None:
        self._secret = secret
        self._context = context
        from_sender, from_receiver = (
            AESGCM(self._key(b"control from sender")),
            AESGCM(self._key(b"control from receiver")),
        )
        self.seal, self.open = (from_sender, from_receiver) if sending else (from_receiver, from_sender)
        digits = f"{int.from_bytes(self._key(b'code')[:16]) % 10**16:016}"
        self.code = " ".join(digits[start : start + 4] for start in range(0, 16, 4))

    def blocks(self, attempt: int, cipher: Cipher) -> Aead:
        """Return what seals the blocks of one attempt: no key ever sees a block's number twice."""
        key = self._key(b"blocks %d %d" % (attempt, cipher))
        return AESGCM(key) if cipher == Cipher.AES_256_GCM else ChaCha20Poly1305(key)

    def _key(self, purpose: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt=_LABEL, info=_framed(purpose) + self._context).derive(self._secret)


def public_text(private: X25519PrivateKey) -> str:
    """Return the public key as it travels over the server: base64url of its 32 bytes, without padding."""
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def derive(private: X25519PrivateKey, peer: str, binding: Binding, *, sending: bool) -> TransferKeys:
    """Return this side's keys. `peer` is the other's public key as `public_text` gives it.

    Raises `TransferError` where that is no key, or one of those few with which the secret would be no secret.
    """
    try:
        theirs = base64.urlsafe_b64decode(peer + "=" * (-len(peer) % 4))
        secret = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    except (ValueError, binascii.Error) as error:
        raise TransferError("the other side's public key is not valid") from error
    ours = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # User names compare without case, and each side has them as it happened to learn them.
    fields = (
        *((ours, theirs) if sending else (theirs, ours)),
        binding.transfer.encode(),
        binding.sender.lower().encode(),
        binding.receiver.lower().encode(),
        binding.name.encode(),
        binding.size.to_bytes(8),
    )
    return TransferKeys(secret, b"".join(map(_framed, fields)), sending=sending)


def _framed(field: bytes) -> bytes:
    return len(field).to_bytes(4) + field
