"""Real UDP processes over a bad path: what happens to the path or to a peer ends in a finished file, or an error."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tessenger.client.receiver_messages import Done, Failed, Progress
from tests.support.impaired_path import COMPILER, ImpairedPath
from tests.support.udp_process import Client, check_same, names, offer, running, together, write

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

SIZE = 8_000_000
LINE = {"delay": 0.005, "rate": 2e6, "queue": 100_000.0}


class Ends:
    """Two UDP processes with a bad path in between, and a transfer of `SIZE` bytes under way."""

    def __init__(self, sender: Client, receiver: Client, path: Path, between: ImpairedPath, transfer: str) -> None:
        self.sender = sender
        self.receiver = receiver
        self.path = path
        self.between = between
        self.transfer = transfer

    async def arrives(self) -> None:
        """Wait until the file has arrived as it was sent."""
        sent, received = self.sender.hears(self.transfer, Done), self.receiver.hears(self.transfer, Done)
        done = (await asyncio.gather(sent, received))[1]
        check_same(self.path, Path(done.path))

    def stalled(self, end: Client) -> bool:
        """Tell whether an end has said that nothing moves."""
        return any(isinstance(each, Progress) and each.stalled for each in end.said.get(self.transfer, []))


@asynccontextmanager
async def under_way(tmp_path: Path, *, stall_seconds: float = 30.0, **weather: float) -> AsyncIterator[Ends]:
    """Start a transfer over a path, and wait until some of it has arrived."""
    options = {"stall_seconds": stall_seconds}
    async with running(tmp_path / "a", **options) as sender, running(tmp_path / "b", **options) as receiver:
        path = write(tmp_path / "source" / "x.mp4", SIZE)
        ports = [(sender.process.port, receiver.process.port)]
        with ImpairedPath(tmp_path, ports, **(LINE | weather)) as between:
            transfer = await offer(sender, receiver, path, via=between.ports[0])
            await receiver.moves(transfer)
            yield Ends(sender, receiver, path, between, transfer)


@pytest.mark.parametrize(
    "weather",
    [
        {"loss": 0.05},
        {"repeat": 0.2},
        {"jitter": 0.01},
        {"reorder": 0.05, "reorder_by": 0.025},
        {"loss": 0.1, "repeat": 0.1, "reorder": 0.1, "reorder_by": 0.02, "jitter": 0.005},
        {"queue": 8_000.0},
    ],
    ids=" ".join,
)
def test_weather(tmp_path: Path, weather: dict[str, float]) -> None:
    """A path that loses, repeats, delays unevenly, reorders or has a short queue ends in the same file."""

    async def run() -> None:
        async with under_way(tmp_path, **{"rate": 8e6, **weather}) as ends:
            await ends.arrives()
        assert names(tmp_path / "b") == ["x.mp4"]

    asyncio.run(asyncio.wait_for(run(), 55))


@together
async def test_address_changes(tmp_path: Path) -> None:
    """The receiver's address changes in mid-transfer, as behind a router that has forgotten it, and nobody notices."""
    async with under_way(tmp_path) as ends:
        ends.between.rebind()
        await ends.arrives()


@together
async def test_black_path(tmp_path: Path) -> None:
    """A path that is black for ten seconds shows as stalled on both sides, and then the transfer goes on."""
    async with under_way(tmp_path) as ends:
        ends.between.tell("blackout 10")
        await ends.arrives()
        assert ends.stalled(ends.sender)
        assert ends.stalled(ends.receiver)


@together
async def test_path_that_stays_black(tmp_path: Path) -> None:
    """A path that stays black is an error that both people see, with the time that it took."""
    async with under_way(tmp_path, stall_seconds=3) as ends:
        ends.between.tell("set loss 1")
        both = ends.sender.hears(ends.transfer, Failed), ends.receiver.hears(ends.transfer, Failed)
        assert {failed.reason for failed in await asyncio.gather(*both)} == {"no progress for 3 s"}


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["sender", "receiver"])
def test_frozen_peer(tmp_path: Path, frozen: str) -> None:
    """A peer's process that is stopped for 20 s and then goes on finishes the file."""

    async def run() -> None:
        async with under_way(tmp_path) as ends:
            victim, other = (ends.sender, ends.receiver) if frozen == "sender" else (ends.receiver, ends.sender)
            assert victim.process.pid is not None
            os.kill(victim.process.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(20)
            finally:
                os.kill(victim.process.pid, signal.SIGCONT)
            assert ends.stalled(other)
            await ends.arrives()

    asyncio.run(asyncio.wait_for(run(), 55))
