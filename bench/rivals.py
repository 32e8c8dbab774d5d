"""The other ways to hand over a file that `bench.transfer` measures, one end a process.

    PYTHON -m bench.rivals make-certificate FOLDER
    PYTHON -m bench.rivals tls|aioquic|qh3 receive FOLDER        prints its port, writes FOLDER/landed, prints `done`
    PYTHON -m bench.rivals tls|aioquic|qh3 send FOLDER PORT FILE    ends when the receiver has confirmed the last byte

PYTHON need not have Tessenger's own dependencies. All use large buffers, and windows that no path here fills. None
checks the file as a whole, which Tessenger does.
"""

# ruff: noqa: PLC0415 - each runs where its own library is, and only that one
from __future__ import annotations

import asyncio
import importlib
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

PIECE = 262_144
QUIC_WINDOW = 64 * 1024 * 1024
QUIC_DATAGRAM = 1_452
QUIC_AHEAD = 4 * 1024 * 1024
"""Bytes of the file that the sender gives its library at once."""
QUIC_IDLE_SECONDS = 60.0
CONFIRMED = b"!"


def make_certificate(folder: Path) -> None:
    """Write a key and a certificate of one day for localhost."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, secret))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))


# ---- TLS 1.3 over TCP, with what Python brings ----


def tls_receive(folder: Path) -> None:
    """Take one file, and confirm it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        plain, _ = listener.accept()
        size = -1
        with context.wrap_socket(plain, server_side=True) as peer, (folder / "landed").open("wb", buffering=0) as file:
            buffer = memoryview(bytearray(PIECE))
            size = int.from_bytes(peer.recv(8))
            while size > 0:
                count = peer.recv_into(buffer)
                file.write(buffer[:count])
                size -= count
            peer.sendall(CONFIRMED)
    print("done", flush=True)


def tls_send(folder: Path, port: int, path: Path) -> None:
    """Send one file, and wait until it is confirmed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(folder / "certificate.pem")
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as peer,
        path.open("rb", buffering=0) as file,
    ):
        peer.sendall(path.stat().st_size.to_bytes(8))
        buffer = memoryview(bytearray(PIECE))
        while count := file.readinto(buffer):
            peer.sendall(buffer[:count])
        assert peer.recv(1) == CONFIRMED


# ---- QUIC: qh3 is a fork of aioquic, and is used in the same way ----


def _configuration(library: str, *, client: bool) -> Any:  # noqa: ANN401 - of whichever library
    module = importlib.import_module(f"{library}.quic.configuration")
    found = module.QuicConfiguration(alpn_protocols=["file"], is_client=client)
    found.max_data = found.max_stream_data = QUIC_WINDOW
    found.idle_timeout = QUIC_IDLE_SECONDS
    if hasattr(found, "max_datagram_size"):
        found.max_datagram_size = QUIC_DATAGRAM
    return found


async def quic_receive(library: str, folder: Path) -> None:
    """Take one file on one stream, and confirm it."""
    quic = importlib.import_module(f"{library}.asyncio")
    configuration = _configuration(library, client=False)
    configuration.load_cert_chain(str(folder / "certificate.pem"), str(folder / "key.pem"))
    finished = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with (folder / "landed").open("wb", buffering=0) as file:
            while piece := await reader.read(PIECE):
                file.write(piece)
        writer.write(CONFIRMED)
        writer.write_eof()
        finished.set()

    tasks = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(take(reader, writer)))

    # Neither library says which port it has got.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = await quic.serve("127.0.0.1", port, configuration=configuration, stream_handler=begin)
    print(port, flush=True)
    await finished.wait()
    await asyncio.sleep(1)  # for the confirmation to be repeated, should it get lost
    print("done", flush=True)
    server.close()


async def quic_send(library: str, folder: Path, port: int, path: Path) -> None:
    """Send one file on one stream, and wait until it is confirmed."""
    quic = importlib.import_module(f"{library}.asyncio")
    configuration = _configuration(library, client=True)
    configuration.load_verify_locations(str(folder / "certificate.pem"))
    configuration.server_name = "localhost"
    async with quic.connect("127.0.0.1", port, configuration=configuration) as connection:
        reader, writer = await connection.create_stream()
        stream = writer.get_extra_info("stream_id")
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                writer.write(piece)
                await asyncio.sleep(0)
                while _unsent(connection, stream) > QUIC_AHEAD:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.001)
        writer.write_eof()
        assert await reader.read(1) == CONFIRMED


def _unsent(connection: Any, stream: int) -> int:  # noqa: ANN401 - of whichever library
    """Return how much of the stream the library holds: it takes any amount at once, and says nothing by itself."""
    quic = connection._quic  # noqa: SLF001
    held: int
    if hasattr(quic, "get_send_buffer_size"):
        held = quic.get_send_buffer_size(stream)
    else:
        sender = quic._streams[stream].sender  # noqa: SLF001
        held = sender._buffer_stop - sender._buffer_start  # noqa: SLF001
    return held


def main(arguments: list[str]) -> None:
    """Be what the command line says."""
    match arguments:
        case ["make-certificate", folder]:
            make_certificate(Path(folder))
        case ["tls", "receive", folder]:
            tls_receive(Path(folder))
        case ["tls", "send", folder, port, path]:
            tls_send(Path(folder), int(port), Path(path))
        case [("aioquic" | "qh3") as library, "receive", folder]:
            asyncio.run(quic_receive(library, Path(folder)))
        case [("aioquic" | "qh3") as library, "send", folder, port, path]:
            asyncio.run(quic_send(library, Path(folder), int(port), Path(path)))
        case _:
            sys.exit(__doc__)
    sys.stdout.flush()
    os._exit(0)  # an event loop with open QUIC connections takes its time to end


if __name__ == "__main__":
    main(sys.argv[1:])
