"""How bench/transfer.py hands over one file: each way of it, timed from the command to the end, with its cost.

Every one writes a fresh file, which is compared with what was sent. CPU is that of all processes of both ends.
"""

from __future__ import annotations

import asyncio
import filecmp
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tessenger.client.receiver_messages import Done
from tessenger.transfer.blocks import CUTS, TAG, block_count, block_length, segment_count
from tests.support.impaired_path import ImpairedPath
from tests.support.piped_client import PipedClient
from tests.support.server_process import ServerProcess, children_of, running_server
from tests.support.udp_process import offer, running

LINE = 1_452
PAYLOAD = 1_434
"""Of a datagram of 1,452 bytes: 18 are header."""
SECONDS_PER_PATH = 15.0
"""How long something slow is watched on a path before its speed is taken from what has arrived."""
CLIENT = [sys.executable, "-m", "tessenger", "client"]
TOP = Path(__file__).parents[1]


class Result(NamedTuple):
    """Speed in bytes a second, processor seconds for each 10^9 bytes (0: not known).

    `again` is the share of its datagrams that the sender sent beyond what the file takes, counted at the path: repeats,
    and the few of handshake and probing too (0: not known).
    """

    speed: float
    cpu: float = 0.0
    again: float = 0.0


class BadPath(NamedTuple):
    """A path: its name, the settings of impair.c, and how many bytes are handed over."""

    name: str
    settings: dict[str, float]
    size: int

    @property
    def left(self) -> float:
        """What the line and the loss leave for the file, in bytes a second."""
        return self.settings["rate"] * (1 - self.settings.get("loss", 0.0)) * PAYLOAD / LINE


# ---- processor time ----


def _family(pids: Iterable[int]) -> set[int]:
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children_of(pid)
    return found


def _cpu(pids: Iterable[int]) -> float:
    """Return the processor seconds so far of these processes and all below them."""
    ticks = 0
    for pid in _family(pids):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# ---- Tessenger ----


def ours_with_clients(folder: Path, path: Path) -> Result:
    """Two clients in pipes, signed in to a server, one of which sends the other a file."""
    size = path.stat().st_size
    with running_server(folder / "server") as server:
        homes = [folder / name for name in ("aaa", "bbb")]
        for home in homes:
            home.mkdir()
        env = {"TESSENGER_TRANSFER_AUTO_ACCEPT_BELOW": str(2**50)}
        env |= {f"TESSENGER_TRANSFER_UNASKED_BYTES{whose}": "0" for whose in ("", "_PER_SENDER")}
        with (
            PipedClient(server.port, homes[0], command=CLIENT, env=env) as aaa,
            PipedClient(server.port, homes[1], command=CLIENT, env=env) as bbb,
        ):
            aaa.sign_in("aaa")
            bbb.sign_in("bbb")
            pids = _of(server, aaa, bbb)
            cpu, start = _cpu(pids), time.monotonic()
            aaa.type(f"p2pvideo bbb {path}")
            answer = aaa.answer()
            took, cpu = time.monotonic() - start, _cpu(pids) - cpu
            if answer != [f"{path.name} has been uploaded."]:
                raise RuntimeError(f"the file was not uploaded: {answer}")
        _compare(path, homes[1] / "downloads" / path.name)
    return Result(size / took, cpu / size * 1e9)


def _of(server: ServerProcess, *clients: PipedClient) -> list[int]:
    return [server.process.pid, *(client.process.pid for client in clients)]


def ours_with_udp_processes(
    folder: Path, path: Path, bad: BadPath | None = None, *, offload: bool = True, max_datagram: int = 65_507
) -> Result:
    """Two UDP processes without the chat around them, with a bad path in between where one is given."""
    return asyncio.run(_ours(folder, path, path.stat().st_size, bad, offload, max_datagram))


async def _ours(folder: Path, path: Path, size: int, bad: BadPath | None, offload: bool, max_datagram: int) -> Result:
    options = {"offload": offload, "max_datagram": max_datagram}
    async with running(folder / "a", **options) as sender, running(folder / "b", **options) as receiver:
        ports = sender.process.port, receiver.process.port
        between = ImpairedPath(folder.parent, [ports], **bad.settings) if bad else None
        pids = [pid for pid in (sender.process.pid, receiver.process.pid) if pid]
        cpu, start = _cpu(pids), time.monotonic()
        transfer = await offer(sender, receiver, path, via=between.ports[0] if between else None)
        await sender.hears(transfer, Done, 600)
        took, cpu = time.monotonic() - start, _cpu(pids) - cpu
        done = await receiver.hears(transfer, Done)
        again = 0.0
        if between:
            again = max(0.0, 1 - _datagrams(size) / between.stats().arrived)
            between.process.communicate()
    _compare(path, Path(done.path))
    return Result(size / took, cpu / size * 1e9, again)


def _datagrams(size: int) -> int:
    """Return how many datagrams of at most `LINE` bytes a file takes."""
    cut = CUTS.index(LINE)
    return sum(segment_count(block_length(size, block) + TAG, cut) for block in range(block_count(size)))


# ---- the others ----


def rival(python: Path, name: str, folder: Path, path: Path, bad: BadPath | None = None) -> Result:
    """One of bench/rivals.py. Where it takes long on a bad path, what has arrived by then counts."""
    command = [str(python), "-m", "bench.rivals", name]
    size, landed = path.stat().st_size, folder / "landed"
    certificates = [sys.executable, "-m", "bench.rivals", "make-certificate", str(folder)]
    subprocess.run(certificates, check=True, cwd=TOP)
    with subprocess.Popen([*command, "receive", str(folder)], stdout=subprocess.PIPE, text=True, cwd=TOP) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        between = ImpairedPath(folder.parent, [(0, port)], **bad.settings) if bad else None
        target = between.ports[0][0] if between else port
        before, start = _cpu([receiver.pid]), time.monotonic()
        sending = [*command, "send", str(folder), str(target), str(path)]
        with subprocess.Popen(sending, cwd=TOP, stderr=subprocess.DEVNULL) as sender:
            result = _watch(receiver, sender, before, start, size, landed, bounded=bad is not None)
        if between:
            between.process.communicate()
        receiver.kill()
    if result.cpu:
        _compare(path, landed)
    return result


def rival_on(python: Path | None, name: str, path: Path, bad: BadPath | None, folder: Path) -> Result:
    """Run `rival` with this Python, or the one that runs this."""
    return rival(python or Path(sys.executable), name, folder, path, bad)


def _watch(
    receiver: subprocess.Popen[str], sender: subprocess.Popen[bytes], before: float, start: float, size: int,
    landed: Path, *, bounded: bool,
) -> Result:  # fmt: skip
    """Wait for the sender, which ends when everything was confirmed, but no longer than is worth it."""
    cpu = 0.0
    while True:
        now = time.monotonic()
        if sender.poll() is not None:
            if sender.returncode:
                raise RuntimeError("it failed")
            # What starting Python cost is in the sender's time and not in the others'; it is a tenth of a second.
            return Result(size / (now - start), cpu / size * 1e9)
        if bounded and now - start > SECONDS_PER_PATH:
            sender.kill()
            return Result(landed.stat().st_size / (now - start) if landed.exists() else 0.0)
        if os.path.exists(f"/proc/{sender.pid}/stat"):  # noqa: PTH110 - it may be gone by then
            cpu = _cpu([receiver.pid, sender.pid]) - before
        time.sleep(0.002)


def iperf3(seconds: float = 3.0) -> Result:
    """Datagrams of 1,400 bytes that arrive, with neither encryption nor a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ["iperf3", "-s", "-1", "-p", port, "--forceflush"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        while "listening" not in server.stdout.readline():
            if server.poll() is not None:
                raise RuntimeError("its server does not start")
        said = subprocess.run(
            ["iperf3", "-c", "127.0.0.1", "-p", port, "-u", "-l", "1400", "-b", "0", "-t", str(seconds), "-J"],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        server.communicate(timeout=10)
    total = json.loads(said)["end"]["sum"]
    return Result(total["bits_per_second"] / 8 * (1 - total["lost_percent"] / 100))


def _compare(sent: Path, landed: Path) -> None:
    if not filecmp.cmp(sent, landed, shallow=False):
        raise RuntimeError(f"{landed} is not what was sent")
