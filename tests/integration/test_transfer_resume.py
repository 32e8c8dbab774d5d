"""A transfer that broke off goes on where it was: between UDP processes, and between people's clients."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tessenger.client.receiver_messages import Done, Failed, Progress, Resumed
from tests.support.impaired_path import COMPILER, ImpairedPath
from tests.support.piped_client import PipedClient
from tests.support.server_process import children_of, running_server, title_of
from tests.support.udp_process import Client, check_same, names, offer, running, together, write

SIZE = 12_000_000
RATE = 4e6
LAST_BLOCKS = 8 * 61_440
"""Bytes of the blocks that a killed process may have received without having noted it."""
CLIENT = [sys.executable, "-m", "tessenger", "client"]


async def _arrives(end: Client, transfer: str, share: float) -> int:
    """Wait until a share of the file has arrived; return how much."""

    def done() -> int:
        return max((each.done for each in end.said.get(transfer, []) if isinstance(each, Progress)), default=0)

    await end.waits_for(lambda: done() >= share * SIZE)
    return done()


def _kill(end: Client) -> None:
    assert end.process.pid is not None
    os.kill(end.process.pid, signal.SIGKILL)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("killed", ["sender", "receiver"])
def test_killed_process(tmp_path: Path, killed: str) -> None:
    """After kill -9 of either UDP process at 60 %, the next try sends only what is missing, counted on the path."""

    async def run() -> None:
        path = write(tmp_path / "source" / "x.mp4", SIZE)
        options = {"rate_limit": RATE, "stall_seconds": 2}
        async with running(tmp_path / "a", **options) as sender, running(tmp_path / "b", **options) as receiver:
            transfer = await offer(sender, receiver, path)
            arrived = await _arrives(receiver, transfer, 0.6)
            _kill(sender if killed == "sender" else receiver)
            other = receiver if killed == "sender" else sender
            assert (await other.hears(transfer, Failed)).reason == "no progress for 2 s"
        assert len(names(tmp_path / "b")) == 2
        async with running(tmp_path / "a") as sender, running(tmp_path / "b") as receiver:
            ports = sender.process.port, receiver.process.port
            with ImpairedPath(tmp_path, [ports]) as between:
                again = await offer(sender, receiver, path, via=between.ports[0])
                done, _ = await asyncio.gather(receiver.hears(again, Done), sender.hears(again, Done))
                travelled = between.stats().flows[0]
            assert (await receiver.hears(again, Resumed)).done >= arrived - LAST_BLOCKS
            assert (await sender.hears(again, Resumed)).done >= arrived - LAST_BLOCKS
        assert travelled < (SIZE - arrived + LAST_BLOCKS) * 1.05 + 100_000
        check_same(path, Path(done.path))
        assert names(tmp_path / "b") == ["x.mp4"]

    asyncio.run(asyncio.wait_for(run(), 55))


@together
async def test_changed_source(tmp_path: Path) -> None:
    """A source that is another file by the next try is sent whole, and both clients are told so."""
    path = write(tmp_path / "source" / "x.mp4", SIZE)
    async with running(tmp_path / "a", rate_limit=RATE) as sender:
        async with running(tmp_path / "b") as receiver:
            transfer = await offer(sender, receiver, path)
            await _arrives(receiver, transfer, 0.3)
        async with running(tmp_path / "b") as receiver:
            write(path, SIZE)
            again = await offer(sender, receiver, path)
            done = await receiver.hears(again, Done)
            await sender.hears(again, Done)
            assert (await receiver.hears(again, Resumed)).done == 0
            assert (await sender.hears(again, Resumed)).done == 0
    check_same(path, Path(done.path))
    assert names(tmp_path / "b") == ["x.mp4"]


@pytest.mark.parametrize("killed", ["aaa", "bbb"])
def test_killed_client(tmp_path: Path, killed: str) -> None:
    """Someone's client is killed with its UDP process at about 60 %: started again, the same command resumes."""
    homes = {name: tmp_path / name for name in ("aaa", "bbb")}
    for home in homes.values():
        home.mkdir()
    path = write(homes["aaa"] / "x.mp4", SIZE)
    env = {"TESSENGER_TRANSFER_RATE_LIMIT": str(int(RATE)), "TESSENGER_TRANSFER_STALL_SECONDS": "2"}
    with running_server(tmp_path / "server") as server:
        clients = {name: PipedClient(server.port, homes[name], command=CLIENT, env=env) for name in homes}
        other = "bbb" if killed == "aaa" else "aaa"
        with clients["aaa"], clients["bbb"]:
            for name, client in clients.items():
                client.sign_in(name)
            clients["aaa"].type("p2pvideo bbb x.mp4")
            _wait_for_size(homes["bbb"] / "downloads", 0.6 * SIZE)
            victim = clients[killed].process
            for pid in (*[pid for pid in children_of(victim.pid) if "udp" in title_of(pid)], victim.pid):
                os.kill(pid, signal.SIGKILL)
            (failed,) = clients[other].answer()
            assert "no progress for 2 s" in failed or "gone" in failed or "left" in failed, failed
            with PipedClient(server.port, homes[killed], command=CLIENT, env=env) as again:
                again.sign_in(killed)
                clients[killed] = again
                clients["aaa"].type("p2pvideo bbb x.mp4")
                assert clients["aaa"].answer() == ["x.mp4 has been uploaded."]
                assert clients["bbb"].answer() == ["Received x.mp4 from aaa"]
                assert all("Resuming x.mp4: " in client.errors for client in clients.values())
    check_same(path, homes["bbb"] / "downloads" / "x.mp4")
    assert names(homes["bbb"] / "downloads") == ["x.mp4"]


def _wait_for_size(folder: Path, size: float) -> None:
    """Wait until that much of a part is on the disk."""
    deadline = time.monotonic() + 30
    while sum(part.stat().st_blocks * 512 for part in folder.glob("*.part")) < size:
        assert time.monotonic() < deadline, "too little arrives"
        time.sleep(0.02)
