"""Offers that mean no good: to somebody else's address, and more of them than anybody wants."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tessenger.transfer.unproved import MOST, MOST_BYTES
from tests.support.piped_client import PipedClient
from tests.support.server_process import ServerProcess, children_of, running_server, title_of
from tests.support.wire_client import WireClient

CLIENT = [sys.executable, "-m", "tessenger", "client"]
KEY = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
OFFERS = 30
PLACES, LINE = 4, 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for both tests."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def bystander() -> Iterator[socket.socket]:
    """Somebody who has nothing to do with it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        yield udp


def _offer(mallory: WireClient, number: int) -> dict[str, Any]:
    return mallory.ask("p2pvideo", to="bbb", transfer=f"{number:016x}", name=f"{number}.mp4", size=10**6, key=KEY)


def _got(udp: socket.socket) -> list[int]:
    lengths: list[int] = []
    try:
        while True:
            lengths.append(len(udp.recv(65_536)))
    except BlockingIOError:
        return lengths


def _receiver(client: PipedClient) -> int:
    return next(pid for pid in children_of(client.process.pid) if "udp receiver" in title_of(pid))


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _client(server: ServerProcess, home: Path, user: str, **limits: float) -> PipedClient:
    home.mkdir()
    env = {f"TESSENGER_TRANSFER_{name.upper()}": str(value) for name, value in limits.items()}
    client = PipedClient(server.port, home, command=CLIENT, env=env)
    client.sign_in(user)
    return client


def test_a_third_party_is_left_alone(server: ServerProcess, bystander: socket.socket, tmp_path: Path) -> None:
    """However many files are offered from an address, it gets five short datagrams until somebody there answers."""
    with _client(server, tmp_path / "bbb", "bbb", stall_seconds=3) as bbb, WireClient(server.port) as mallory:
        mallory.login("aaa", udp_host="127.0.0.1", udp_port=bystander.getsockname()[1])
        for number in range(8):
            assert _offer(mallory, number)["type"] == "offered"
        for _ in range(8):
            (line,) = bbb.answer()
            assert "no answer from aaa for 3 s" in line
        lengths = _got(bystander)
        assert 0 < len(lengths) <= MOST
        assert max(lengths) <= MOST_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors of another process are in /proc")
def test_a_flood_of_offers(server: ServerProcess, bystander: socket.socket, tmp_path: Path) -> None:
    """It opens nothing, makes nothing, waits in line and is refused; a file of somebody else arrives meanwhile."""
    limits = {"files_at_once_per_sender": PLACES, "offers_per_sender": LINE}
    (home := tmp_path / "ccc").mkdir()
    (home / "x.mp4").write_bytes(b"video")
    with _client(server, tmp_path / "bbb", "bbb", **limits) as bbb, WireClient(server.port) as mallory:
        process = _receiver(bbb)
        before = _descriptors(process)
        mallory.login("aaa", udp_host="127.0.0.1", udp_port=bystander.getsockname()[1])
        for number in range(100, 100 + OFFERS):
            assert _offer(mallory, number)["type"] == "offered"
        while len(answers := mallory.events) < OFFERS - LINE:
            answers.append(mallory.read())
        assert [each["type"] for each in answers].count("accepted") == PLACES
        assert [each["type"] for each in answers].count("rejected") == OFFERS - LINE - PLACES
        assert {each["reason"] for each in answers if each["type"] == "rejected"} == {
            f"{LINE} of your files are waiting already"
        }
        assert _descriptors(process) == before
        assert not (tmp_path / "bbb" / "downloads").exists()
        with PipedClient(server.port, home, command=CLIENT) as ccc:
            ccc.sign_in("ccc")
            ccc.type("sendfile bbb x.mp4")
            assert ccc.answer() == ["x.mp4 has been uploaded."]
            assert bbb.answer() == ["Received x.mp4 from ccc"]
