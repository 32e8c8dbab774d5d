"""The server's key, pinned at first use."""

from __future__ import annotations

import datetime
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tessenger.client.identity import KnownServers, find_pin, key_fingerprint
from tessenger.errors import ConnectionFailed


def certificate(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a self-signed certificate (DER)."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2023, 11, 10, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


def test_the_fingerprint_is_of_the_key() -> None:
    """A renewed certificate of the same key is the same server; another key is not."""
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    fingerprint = key_fingerprint(certificate(key, "one"))
    assert fingerprint == key_fingerprint(certificate(key, "two"))
    assert fingerprint != key_fingerprint(certificate(other, "one"))
    assert re.fullmatch(r"sha256:[A-Za-z0-9+/]{43}", fingerprint)


def test_a_certificate_that_cannot_be_read() -> None:
    """Nonsense is refused with words, as is a connection without TLS."""
    for nonsense in (b"", b"nonsense"):
        with pytest.raises(ConnectionFailed, match="cannot be read"):
            key_fingerprint(nonsense)


def test_a_new_server_is_pinned_with_a_notice(tmp_path: Path) -> None:
    """The file and its directory are private."""
    known = KnownServers(tmp_path / "state")
    notice = known.check("host:1", "sha256:a")
    assert notice == f"New server host:1, its key sha256:a is kept in {known.path}."
    assert known.check("host:1", "sha256:a") is None
    assert stat.S_IMODE(known.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(known.path.parent.stat().st_mode) == 0o700


def test_a_changed_key_is_refused(tmp_path: Path) -> None:
    """The text names both keys, the line and the file; the file stays as it was."""
    known = KnownServers(tmp_path)
    known.check("other:1", "sha256:x")
    known.check("host:1", "sha256:a")
    before = known.path.read_text()
    with pytest.raises(ConnectionFailed, match=f"sha256:a.*sha256:b.*line 2 of {re.escape(str(known.path))}"):
        known.check("HOST:1", "sha256:b")
    assert known.path.read_text() == before


def test_comments_and_odd_lines_stay(tmp_path: Path) -> None:
    """People edit the file."""
    known = KnownServers(tmp_path)
    known.path.write_text("# mine\n\nhost:1 sha256:a and a remark\nhalf\n#host:2 sha256:old\n")
    assert known.check("host:1", "sha256:a") is None
    assert known.check("host:2", "sha256:b") is not None
    assert known.path.read_text().splitlines() == [
        "# mine", "", "host:1 sha256:a and a remark", "half", "#host:2 sha256:old", "host:2 sha256:b",
    ]  # fmt: skip


def test_the_first_pin_of_a_server_counts() -> None:
    """A second line for it changes nothing."""
    assert find_pin(["host:1 a", "host:1 b"], "host:1") == (1, "a")
    assert find_pin([], "host:1") is None


def test_clients_that_start_together_lose_no_pin(tmp_path: Path) -> None:
    """Each sees what the others have written."""

    def pin(number: int) -> None:
        KnownServers(tmp_path).check(f"host:{number}", "sha256:a")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(pin, range(40)))
    lines = KnownServers(tmp_path).path.read_text().splitlines()
    assert sorted(lines) == sorted(f"host:{number} sha256:a" for number in range(40))


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Without a pin there is no connection: said in one line."""
    (tmp_path / "state").write_text("a file in the way")
    with pytest.raises(ConnectionFailed, match="Cannot keep the server's key"):
        KnownServers(tmp_path / "state").check("host:1", "sha256:a")
