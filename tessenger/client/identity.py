"""Who the server is: its public key, pinned at first use as SSH does. Runs in the client.

`known_servers` in the state directory has one `host:port fingerprint` a line; empty lines and comments (#) stay as they
are. The fingerprint is the SHA-256 of the key's SubjectPublicKeyInfo
(RFC 7469), so a renewed certificate is the same server.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tessenger.client import kept_file
from tessenger.errors import ConnectionFailed
from tessenger.undecodable import UNDECODABLE

NAME = "known_servers"


class IdentityChanged(ConnectionFailed):
    """Someone else answers where a known server was."""


def key_fingerprint(certificate: bytes) -> str:
    """Return `sha256:` and the base64 of the hash of the public key in this certificate (DER)."""
    from cryptography import x509  # noqa: PLC0415 - costs 50 ms, which --no-tls and --help need not pay
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (UnsupportedAlgorithm, x509.InvalidVersion, *UNDECODABLE):
        raise ConnectionFailed("The server's certificate cannot be read.") from None
    return "sha256:" + base64.b64encode(hashlib.sha256(spki).digest()).decode().rstrip("=")


def find_pin(lines: list[str], server: str) -> tuple[int, str] | None:
    """Return line number (from 1) and fingerprint of `server`, or None. Pure."""
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if len(fields) >= 2 and not line.lstrip().startswith("#") and fields[0].lower() == server.lower():
            return number, fields[1]
    return None


class Identity(Protocol):
    """What tells whether a server is the right one."""

    def check(self, server: str, fingerprint: str) -> str | None:
        """Accept the key of `server` (host:port), perhaps with something to say about it, or raise."""


class PinnedKey:
    """A fingerprint that is known from elsewhere."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint

    def check(self, server: str, fingerprint: str) -> None:
        """Refuse every other key."""
        if fingerprint != self._fingerprint:
            raise IdentityChanged(f"The key of the server {server} is {fingerprint}, not {self._fingerprint}.")


class KnownServers:
    """The file of pinned keys."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / NAME

    def check(self, server: str, fingerprint: str) -> str | None:
        """Accept a known key silently, pin a new one and return what to say about it, refuse a changed one."""
        try:
            with self._locked():
                lines = self._lines()
                pin = find_pin(lines, server)
                if pin is None:
                    self._write([*lines, f"{server} {fingerprint}"])
        except OSError as error:
            raise ConnectionFailed(f"Cannot keep the server's key in {self.path}: {error.strerror}.") from None
        if pin is None:
            return f"New server {server}, its key {fingerprint} is kept in {self.path}."
        number, pinned = pin
        if pinned != fingerprint:
            raise IdentityChanged(
                f"The key of the server {server} has changed: it was {pinned}, now it is {fingerprint}."
                " Either the server was set up anew, or someone else answers in its place and would read your password."
                f" Ask who runs it. If the new key is right, remove line {number} of {self.path} and connect again."
            )
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other clients of this person from writing at the same time."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _lines(self) -> list[str]:
        try:
            return kept_file.read(self.path).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []

    def _write(self, lines: list[str]) -> None:
        """Replace the file in one step; the temporary file is made with mode 0600."""
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix=NAME, dir=self.path.parent, delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.write("\n".join(lines) + "\n")
                file.flush()
                temporary.replace(self.path)
            except OSError:
                temporary.unlink()
                raise
