"""Two real UDP processes hand files to each other over loopback."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tessenger.client.receiver_messages import (
    Abort,
    Done,
    Failed,
    Opened,
    OpenFile,
    Progress,
    Ready,
    ReceiveFile,
    SendFile,
)
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.receiver_process import ReceiverProcess
from tessenger.errors import TransferError
from tessenger.transfer.file_names import file_id
from tests.support.udp_process import LOOPBACK, Client, check_same, hand_over, names, offer, running, together, write

KEY = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
FLOOD = 48_000
"""Datagrams: 58 MB of them."""


@together
async def test_sizes(tmp_path: Path) -> None:
    """Files of every awkward size arrive, one after the other through the same two processes."""
    async with running(tmp_path / "a") as sender, running(tmp_path / "b") as receiver:
        for size in (0, 1, 61_440, 61_441, 1_000_000):
            path = write(tmp_path / "source" / f"{size}.bin", size)
            assert await hand_over(sender, receiver, path) == tmp_path / "b" / f"{size}.bin"
        assert names(tmp_path / "b") == names(tmp_path / "source")


@together
async def test_100_megabytes(tmp_path: Path) -> None:
    """A video of 100 MB arrives, and both sides are told how far it is."""
    async with running(tmp_path / "a", rate_limit=400e6) as sender, running(tmp_path / "b") as receiver:
        landed = await hand_over(sender, receiver, write(tmp_path / "video.mp4", 100_000_000))
        assert landed == tmp_path / "b" / "video.mp4"
        for client in (sender, receiver):
            (said,) = client.said.values()
            progress = [message for message in said if isinstance(message, Progress)]
            assert progress
            assert [message.done for message in progress] == sorted(message.done for message in progress)
            assert all(message.size == 100_000_000 and message.rate >= 0 for message in progress)


@pytest.mark.parametrize(
    "options", [{"offload": False}, {"max_datagram": 1_400}, {"offload": False, "max_datagram": 1_200}]
)
def test_without_offload(tmp_path: Path, options: dict[str, Any]) -> None:
    """Without the system's offload, and with short datagrams only, on either side, the same file arrives."""

    async def run() -> None:
        async with running(tmp_path / "a", **options) as first, running(tmp_path / "b") as second:
            path = write(tmp_path / "x.mp4", 3_000_000)
            await hand_over(first, second, path)
            await hand_over(second, first, path)

    asyncio.run(asyncio.wait_for(run(), 55))


@together
async def test_names(tmp_path: Path) -> None:
    """Spaces and Unicode stay; what a peer calls its file never leaves the download folder, nor replaces anything."""
    async with running(tmp_path / "a") as sender, running(tmp_path / "b") as receiver:
        for name in ("my holiday.mp4", "d\u00e9j\u00e0 vu \u65e5\u672c.mp4"):
            assert (await hand_over(sender, receiver, write(tmp_path / "source" / name, 10))).name == name
            again = await hand_over(sender, receiver, tmp_path / "source" / name)
            assert again.name == name.replace(".mp4", " (1).mp4")


@pytest.mark.parametrize(
    ("name", "landed"),
    [("../../x.mp4", "x.mp4"), ("..\\x.mp4", "x.mp4"), (".bashrc", "bashrc"), ("CON", "_CON"), ("..", "file")],
)
def test_names_of_liars(tmp_path: Path, name: str, landed: str) -> None:
    """A peer that calls its file something dangerous gets a harmless name in the download folder."""

    async def run() -> None:
        async with running(tmp_path / "a") as sender, running(tmp_path / "b") as receiver:
            transfer = await offer(sender, receiver, write(tmp_path / "x.mp4", 10), called=name)
            assert Path((await receiver.hears(transfer, Done)).path) == tmp_path / "b" / landed
            assert names(tmp_path / "b") == [landed]
            # One that calls it something else for its own keys makes keys that do not fit: nothing comes to be.
            transfer = await offer(sender, receiver, tmp_path / "x.mp4", name=name)
            receiver.process.send(Abort(transfer, "enough"))
            assert (await receiver.hears(transfer, Failed)).reason == "enough"
            assert names(tmp_path / "b") == [landed]

    asyncio.run(asyncio.wait_for(run(), 55))


@together
async def test_both_directions_at_once(tmp_path: Path) -> None:
    """Several transfers in both directions share the two ports."""
    async with running(tmp_path / "a") as first, running(tmp_path / "b") as second:
        paths = [write(tmp_path / "source" / f"{n}.bin", 2_000_000 + n) for n in range(4)]
        await asyncio.gather(
            *(hand_over(first, second, path) for path in paths), *(hand_over(second, first, path) for path in paths)
        )


@together
async def test_files_that_cannot_be_sent(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe are refused with words that a person understands."""
    os.mkfifo(tmp_path / "pipe")
    async with running(tmp_path / "a") as sender:
        for name, reason in {
            "x.mp4": "x.mp4: no such file",
            "a": "a: is a directory",
            "pipe": "pipe: is not a regular file",
        }.items():
            (tmp_path / "a").mkdir(exist_ok=True)
            transfer = secrets.token_hex(8)
            sender.process.send(OpenFile(transfer, bytes(tmp_path / name)))
            assert (await sender.hears(transfer, Failed)).reason == reason


@together
async def test_source_that_shrinks(tmp_path: Path) -> None:
    """A file that becomes shorter while it is sent is a failure with that reason on both sides, and leaves no part."""
    async with running(tmp_path / "a", rate_limit=2e6) as sender, running(tmp_path / "b") as receiver:
        path = write(tmp_path / "x.mp4", 20_000_000)
        transfer = await offer(sender, receiver, path)
        await sender.moves(transfer)
        os.truncate(path, 1_000_000)
        ours, theirs = await asyncio.gather(sender.hears(transfer, Failed), receiver.hears(transfer, Failed))
        assert ours.reason == "x.mp4 became shorter while it was sent"
        assert theirs.reason == "aaa: x.mp4 became shorter while it was sent"
        assert names(tmp_path / "b") == []


@together
async def test_full_disk(tmp_path: Path) -> None:
    """A disk that gets full in mid-transfer is a failure with that reason on both sides, and leaves no part."""
    async with running(tmp_path / "a") as sender, running(tmp_path / "b") as receiver:
        assert receiver.process.pid is not None
        _limit_file_size(receiver.process.pid, 1_000_000)
        transfer = await offer(sender, receiver, write(tmp_path / "x.mp4", 5_000_000))
        ours, theirs = await asyncio.gather(sender.hears(transfer, Failed), receiver.hears(transfer, Failed))
        assert theirs.reason == "no room on the disk for x.mp4"
        assert ours.reason == "bbb: no room on the disk for x.mp4"
        assert names(tmp_path / "b") == []
        await hand_over(sender, receiver, write(tmp_path / "small.mp4", 100_000))


def _limit_file_size(pid: int, size: int) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux can limit another process's file size")
    import resource  # noqa: PLC0415 - of Unix only

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


@together
async def test_offer_larger_than_the_disk(tmp_path: Path) -> None:
    """An offer of more than the disk holds is refused before it is accepted."""
    async with running(tmp_path / "b") as receiver:
        transfer = secrets.token_hex(8)
        receiver.process.send(ReceiveFile(transfer, "aaa", "bbb", "x.mp4", 10**14, "A" * 43, LOOPBACK, 9))
        assert "public key" in (await receiver.hears(transfer, Failed)).reason
        async with running(tmp_path / "a") as sender:
            sender.process.send(OpenFile("0" * 15 + "1", bytes(write(tmp_path / "x.mp4", 1))))
            key = (await sender.hears("0" * 15 + "1", Opened)).key
        for size, reason in ((2 * 10**14, "not enough room on the disk"), (10**18, "cannot be sent")):
            transfer, before = secrets.token_hex(8), _memory(receiver)
            receiver.process.send(ReceiveFile(transfer, "aaa", "bbb", "x.mp4", size, key, LOOPBACK, 9))
            assert reason in (await receiver.hears(transfer, Failed)).reason
            assert _memory(receiver) - before < 8_000_000
        assert not (tmp_path / "b").exists()


def _memory(client: Client) -> int:
    """Return how many bytes of memory a UDP process has at the moment."""
    resident = Path(f"/proc/{client.process.pid}/statm").read_text().split()[1]
    return int(resident) * os.sysconf("SC_PAGE_SIZE")


@together
async def test_flood(tmp_path: Path) -> None:
    """Strangers who flood the port, some with the session's id, are not answered, and nothing of theirs is kept."""
    async with running(tmp_path / "a") as sender, running(tmp_path / "b") as receiver:
        path = write(tmp_path / "x.mp4", 1_000_000)
        transfer = secrets.token_hex(8)
        sender.process.send(OpenFile(transfer, bytes(path)))
        opened = await sender.hears(transfer, Opened)
        receiver.process.send(
            ReceiveFile(transfer, "aaa", "bbb", "x.mp4", opened.size, opened.key, LOOPBACK, sender.process.port)
        )
        ready = await receiver.hears(transfer, Ready)
        before = _memory(receiver)
        with ExitStack() as sockets:
            strangers = [sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(8)]
            for n in range(FLOOD):
                session = bytes.fromhex(transfer) if n % 3 else os.urandom(8)
                flags = (0, 2, 0x80)[n % 3 if n % 2 else 0]
                header = session + n.to_bytes(4) + n.to_bytes(4) + bytes([n % 40, flags])
                strangers[n % 8].sendto(header + bytes(1_182), (LOOPBACK, receiver.process.port))
            sender.process.send(SendFile(transfer, "aaa", "bbb", ready.key, LOOPBACK, receiver.process.port))
            done = await receiver.hears(transfer, Done)
            assert _memory(receiver) - before < FLOOD * 1_200 / 2
            for stranger in strangers:
                stranger.setblocking(False)
                with pytest.raises(BlockingIOError):
                    stranger.recv(1)
        check_same(path, Path(done.path))


@together
async def test_abort(tmp_path: Path) -> None:
    """Whoever gives up, both clients are told why, and the receiver keeps nothing."""
    async with running(tmp_path / "a", rate_limit=2e6) as sender, running(tmp_path / "b") as receiver:
        for end, other, name in ((sender, receiver, "aaa"), (receiver, sender, "bbb")):
            transfer = await offer(sender, receiver, write(tmp_path / "x.mp4", 20_000_000))
            await receiver.moves(transfer)
            end.process.send(Abort(transfer, "changed my mind"))
            assert (await end.hears(transfer, Failed)).reason == "changed my mind"
            assert (await other.hears(transfer, Failed)).reason == f"{name}: changed my mind"
            assert names(tmp_path / "b") == []


@together
async def test_receiver_killed(tmp_path: Path) -> None:
    """When the receiving process is killed, the sender fails with a reason, and each handle tells which one died."""
    slow = {"rate_limit": 2e6, "stall_seconds": 3}
    async with running(tmp_path / "a", **slow) as sender, running(tmp_path / "b") as receiver:
        transfer = await offer(sender, receiver, write(tmp_path / "x.mp4", 20_000_000))
        await receiver.moves(transfer)
        assert receiver.process.pid is not None
        os.kill(receiver.process.pid, signal.SIGKILL)
        assert (await sender.hears(transfer, Failed)).reason == "no progress for 3 s"
        assert receiver.process.failed
        assert not sender.process.failed


@together
async def test_orderly_end_is_told(tmp_path: Path) -> None:
    """A client that ends in mid-transfer tells its peer, and leaves the part, to be resumed."""
    async with running(tmp_path / "a", rate_limit=2e6) as sender:
        async with running(tmp_path / "b") as receiver:
            transfer = await offer(sender, receiver, write(tmp_path / "x.mp4", 20_000_000))
            await receiver.moves(transfer)
        assert (await sender.hears(transfer, Failed)).reason == "bbb: signed out"
        part = f"x.mp4.{file_id('aaa', 'x.mp4', 20_000_000)}.part"
        assert names(tmp_path / "b") == [part, f"{part}.bitmap"]


@together
async def test_port_in_use(tmp_path: Path) -> None:
    """A UDP port that is taken is a clear failure to start."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        process = ReceiverProcess(ReceiverOptions(download_dir=str(tmp_path), udp_port=port, bind_host=LOOPBACK))
        with pytest.raises(TransferError, match=f"UDP port {port} is already in use"):
            await process.start()


@together
async def test_addresses_of_many(tmp_path: Path) -> None:
    """What is the address of no machine, or of many, is refused before anything is sent there."""
    async with running(tmp_path / "b", bind_host="") as receiver:
        for host in ("224.0.0.1", "ff02::1", "255.255.255.255", "0.0.0.0", "::"):
            transfer = secrets.token_hex(8)
            receiver.process.send(ReceiveFile(transfer, "aaa", "bbb", "x", 1, KEY, host, 9))
            assert (await receiver.hears(transfer, Failed)).reason == f"{host} is not the address of one machine"


@together
async def test_junk_and_host_names(tmp_path: Path) -> None:
    """Junk on the port disturbs nothing; a peer's address may be a name, and one that nobody has is a failure."""
    async with running(tmp_path / "a") as sender, running(tmp_path / "b", bind_host="") as receiver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for n in range(200):
                stranger.sendto(os.urandom(n), (LOOPBACK, receiver.process.port))
        await hand_over(sender, receiver, write(tmp_path / "x.mp4", 1_000_000))
        transfer = secrets.token_hex(8)
        sender.process.send(OpenFile(transfer, bytes(tmp_path / "x.mp4")))
        opened = await sender.hears(transfer, Opened)
        receiver.process.send(
            ReceiveFile(transfer, "aaa", "bbb", "x.mp4", opened.size, opened.key, "localhost", sender.process.port)
        )
        ready = await receiver.hears(transfer, Ready)
        sender.process.send(SendFile(transfer, "aaa", "bbb", ready.key, "no such host.invalid", 1))
        assert "is not known" in (await sender.hears(transfer, Failed)).reason


PARENT = """
import asyncio, sys
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.receiver_process import ReceiverProcess

async def main():
    process = ReceiverProcess(ReceiverOptions(download_dir=sys.argv[1], bind_host="127.0.0.1"))
    await process.start()
    print(process.pid, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_parent_killed(tmp_path: Path) -> None:
    """When the client is killed, its UDP process ends; Ctrl-C alone, which is the prompt's, does not end it."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watch = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        if watch < 0:
            parent.kill()
            pytest.skip("needs Linux to watch a process that is no child")
        os.kill(pid, signal.SIGINT)
        assert not _ends(watch, 0.3)
        parent.kill()
        # Its output is a pipe to us, which the UDP process must not hold open either.
        assert parent.stdout.read() == b""
        assert _ends(watch, 10)
        os.close(watch)


def _ends(watch: int, seconds: float) -> bool:
    import select  # noqa: PLC0415 - only here

    return bool(select.select([watch], [], [], seconds)[0])
