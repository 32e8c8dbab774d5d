"""Keys: both sides get the same ones, and different ones for whatever they do not agree on."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tessenger.errors import TransferError
from tessenger.transfer.keys import Binding, Cipher, TransferKeys, derive, public_text

BINDING = Binding("00112233445566aa", "aaa", "bbb", "x.mp4", 1_000)
ALICE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
BOB = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def _both(theirs: Binding = BINDING) -> tuple[TransferKeys, TransferKeys]:
    return (
        derive(ALICE, public_text(BOB), BINDING, sending=True),
        derive(BOB, public_text(ALICE), theirs, sending=False),
    )


def _reads(sender: TransferKeys, receiver: TransferKeys) -> bool:
    sealed = sender.seal.encrypt(bytes(12), b"hello", b"")
    try:
        return receiver.open.decrypt(bytes(12), sealed, b"") == b"hello"
    except InvalidTag:
        return False


def test_both_sides_agree() -> None:
    """Each side opens what the other seals, and both show the same code."""
    sender, receiver = _both()
    assert _reads(sender, receiver)
    assert _reads(receiver, sender)
    assert sender.code == receiver.code
    assert len(sender.code) == len("1234 5678 9012 3456")


def test_user_names_compare_without_case() -> None:
    """How a user's name is written makes no difference."""
    assert _reads(*_both(BINDING._replace(sender="AAA", receiver="Bbb")))


@pytest.mark.parametrize(
    "changed",
    [{"transfer": "00112233445566ab"}, {"sender": "ccc"}, {"receiver": "ccc"}, {"name": "y"}, {"size": 1_001}],
)
def test_everything_agreed_on_is_bound(changed: dict[str, str | int]) -> None:
    """A transfer, user, name or size that differs gives keys that do not fit, and another code."""
    sender, receiver = _both(BINDING._replace(**changed))  # type: ignore[arg-type]
    assert not _reads(sender, receiver)
    assert not _reads(receiver, sender)
    assert sender.code != receiver.code


def test_no_key_serves_two_purposes() -> None:
    """Directions, attempts and ciphers each have a key of their own: nothing opens what another sealed."""
    sender, receiver = _both()
    sealed = sender.seal.encrypt(bytes(12), b"x", b"")
    others = [sender.open, *(receiver.blocks(n, Cipher.AES_256_GCM) for n in (0, 1))]
    for other in others:
        with pytest.raises(InvalidTag):
            other.decrypt(bytes(12), sealed, b"")
    first = sender.blocks(0, Cipher.AES_256_GCM).encrypt(bytes(12), b"x", b"")
    with pytest.raises(InvalidTag):
        receiver.blocks(1, Cipher.AES_256_GCM).decrypt(bytes(12), first, b"")
    assert receiver.blocks(0, Cipher.AES_256_GCM).decrypt(bytes(12), first, b"") == b"x"


@pytest.mark.parametrize("cipher", Cipher)
def test_both_ciphers(cipher: Cipher) -> None:
    """Blocks are opened with either cipher."""
    sender, receiver = _both()
    sealed = sender.blocks(0, cipher).encrypt(bytes(12), b"x", b"a")
    assert receiver.blocks(0, cipher).decrypt(bytes(12), sealed, b"a") == b"x"


@pytest.mark.parametrize(
    "key", ["", "short", "\u00e9" * 43, base64.urlsafe_b64encode(bytes(32)).decode().rstrip("="), "*" * 43]
)
def test_bad_public_keys(key: str) -> None:
    """What is no public key, or the one that makes the secret zero, is refused."""
    with pytest.raises(TransferError, match="public key"):
        derive(ALICE, key, BINDING, sending=True)
