"""The server's key and certificate: made at the first start, kept in the data directory, pinned by clients."""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path

from tessenger.errors import CannotStart

KEY = "tls-key.pem"
CERTIFICATE = "tls-certificate.pem"

YEARS = 100
"""How long the certificate is valid: clients pin the key and do not look at dates."""


def ensure_certificate(data_dir: Path, now: datetime.datetime) -> None:
    """Make a key (P-256) and a self-signed certificate where there is none. Raises `CannotStart`."""
    key_path, certificate_path = data_dir / KEY, data_dir / CERTIFICATE
    if key_path.exists() and certificate_path.exists():
        return
    # Slow to import, and needed only once in the life of a server.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tessenger")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        _write_private(certificate_path, certificate.public_bytes(pem))
        _write_private(key_path, private)
    except OSError as problem:
        raise CannotStart(f"cannot write {problem.filename}: {problem.strerror}") from problem


def server_context(data_dir: Path) -> ssl.SSLContext:
    """Return a context that speaks TLS 1.3 alone. Raises `CannotStart`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # clients keep no TLS sessions: a session of the chat is resumed with its own token
    try:
        context.load_cert_chain(data_dir / CERTIFICATE, data_dir / KEY)
    except (OSError, ssl.SSLError) as problem:
        raise CannotStart(f"the certificate or the key in {data_dir} cannot be used: {problem}") from problem
    return context


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that nobody else may read, in one step."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
