"""Hand over files in several ways, side by side on this machine, and compare speed and cost.

    python -m bench.transfer                     everything, some minutes
    python -m bench.transfer --loopback --size 1024
    python -m bench.transfer --paths --chart docs/transfer-loss.svg

On loopback: Tessenger (two real clients of a real server, from the command to `has been uploaded`), TLS 1.3 over TCP
with Python's own `ssl`, aioquic, qh3, and `iperf3 -u -l 1400`, which only counts datagrams; then Tessenger without the
kernel's offload in datagrams of 1,400 bytes. Over bad paths: Tessenger (two UDP processes), aioquic and qh3 through
the program of bench/impair.c. Every one writes a fresh file, which is compared. TCP and iperf3 cannot go through it.

aioquic and qh3 are installed into a temporary environment (or `--rivals PYTHON` has them); what is not there is left
out, and said to be. CPU is that of all processes of both ends. Linux only, as it reads /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import filecmp
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.loss_chart import draw
from tessenger.client.receiver_messages import Done
from tests.support.impaired_path import COMPILER, ImpairedPath
from tests.support.piped_client import PipedClient
from tests.support.server_process import ServerProcess, children_of, running_server
from tests.support.udp_process import offer, running

MB = 1_000_000
LINE = 1_452
PAYLOAD = 1_434
"""Of a datagram of 1,452 bytes: 18 are header."""
SECONDS_PER_PATH = 15.0
"""How long something slow is watched on a path before its speed is taken from what has arrived."""
LOSSES = (0.0, 0.001, 0.01, 0.05, 0.2)
CLIENT = [sys.executable, "-m", "tessenger", "client"]
TOP = Path(__file__).parents[1]


class Result(NamedTuple):
    """Speed in bytes a second, processor seconds for each 10^9 bytes (0: not known)."""

    speed: float
    cpu: float = 0.0


class BadPath(NamedTuple):
    """A path: its name, the settings of impair.c, and how many bytes are handed over."""

    name: str
    settings: dict[str, float]
    size: int

    @property
    def left(self) -> float:
        """What the line and the loss leave for the file, in bytes a second."""
        return self.settings["rate"] * (1 - self.settings.get("loss", 0.0)) * PAYLOAD / LINE


def _line(megabits: float, size: int, name: str, **settings: float) -> BadPath:
    rate = megabits * 125_000
    return BadPath(name, {"delay": 0.025, "rate": rate, "queue": max(1e6, rate / 20), **settings}, size)


PATHS = (
    *(_line(100, 100 * MB, f"100 Mbit/s, 50 ms, {loss:.1%} lost", loss=loss) for loss in LOSSES),
    *(_line(500, 256 * MB, f"500 Mbit/s, 50 ms, {loss:.1%} lost", loss=loss) for loss in LOSSES[:3]),
    _line(100, 100 * MB, "100 Mbit/s, 50 ms, jitter 0 to 10 ms", jitter=0.01),
    _line(100, 100 * MB, "100 Mbit/s, 50 ms, 1 % reordered by 25 ms", reorder=0.01, reorder_by=0.025),
    _line(100, 100 * MB, "100 Mbit/s, 50 ms, queue 128 KiB", queue=131_072),
    _line(100, 100 * MB, "100 Mbit/s, 50 ms, 10 % twice", repeat=0.1),
)


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
        if between:
            between.process.communicate()
    _compare(path, Path(done.path))
    return Result(size / took, cpu / size * 1e9)


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


def _rival_on(python: Path | None, name: str, path: Path, bad: BadPath | None, folder: Path) -> Result:
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


# ---- the command ----


class Bench:
    """What is run, in `folder`, and what came of it."""

    def __init__(self, folder: Path, rivals: Path | None, missing: dict[str, str]) -> None:
        self.folder = folder
        self.rivals = rivals
        self.missing = missing
        self._runs = 0

    def measure(self, name: str, run: Callable[[Path], Result], rounds: int = 1) -> Result | None:
        """Run in a fresh folder, as often as told; return and print the median."""
        results = []
        for _ in range(rounds):
            self._runs += 1
            folder = self.folder / f"run{self._runs}"
            folder.mkdir()
            try:
                results.append(run(folder))
            except (RuntimeError, subprocess.SubprocessError, OSError, TimeoutError, AssertionError) as error:
                print(f"  {name}: failed: {error}", flush=True)
                return None
            finally:
                shutil.rmtree(folder)
        return Result(statistics.median(r.speed for r in results), statistics.median(r.cpu for r in results))

    def file(self, size: int) -> Path:
        """Return a file of random bytes, which is in the page cache."""
        path = self.folder / f"{size}.bin"
        if not path.exists():
            with path.open("wb") as file:
                for start in range(0, size, 1 << 24):
                    file.write(os.urandom(min(1 << 24, size - start)))
        return path

    def others(self) -> list[str]:
        """Return which libraries there are to compare with."""
        return [] if self.rivals is None else [name for name in ("aioquic", "qh3") if name not in self.missing]


def loopback(bench: Bench, size: int, rounds: int) -> None:
    """Compare everything on loopback."""
    path, small = bench.file(size), bench.file(min(size, 100 * MB))
    python = Path(sys.executable)
    found: dict[str, Result | None] = {}
    ours = "Tessenger, two clients"
    found[ours] = bench.measure(ours, lambda f: ours_with_clients(f, path), rounds)
    found["TLS 1.3 over TCP, Python"] = bench.measure("tls", lambda f: rival(python, "tls", f, path), rounds)
    for name in bench.others():
        found[name] = bench.measure(name, partial(_rival_on, bench.rivals, name, small, None))
    short = "Tessenger, no offload, 1,400-byte datagrams"
    found[short] = bench.measure(
        short, lambda f: ours_with_udp_processes(f, small, offload=False, max_datagram=1_400), rounds
    )
    if shutil.which("iperf3"):
        found["iperf3 -u -l 1400"] = bench.measure("iperf3", lambda _: iperf3(), rounds)
    print(f"\nOn loopback, {size:,} bytes (aioquic, qh3 and without offload: {small.stat().st_size:,})\n")
    print("| | MB/s | CPU s/GB | Tessenger is faster by |\n|---|---|---|---|")
    best = found[ours]
    for name, result in found.items():
        if result is not None and best is not None:
            cpu = f"{result.cpu:.2f}" if result.cpu else "not measured"
            print(f"| {name} | {result.speed / MB:,.0f} | {cpu} | {best.speed / result.speed:.2f} |")
    plain, reference = found[short], found.get("iperf3 -u -l 1400")
    if plain and reference:
        print(f"\nWithout offload: {plain.speed / reference.speed:.2f} times iperf3 -u -l 1400.")


def bad_paths(bench: Bench, chart: Path | None) -> None:
    """Compare over bad paths, and draw throughput against loss."""
    others = bench.others()
    series: dict[str, list[float]] = {name: [] for name in ("Tessenger", *others)}
    print(f"\n| path | Tessenger, MB/s | of what is left | CPU s/GB |{''.join(f' {n} | ratio |' for n in others)}")
    print("|---|---|---|---|" + "---|---|" * len(others), flush=True)
    for number, bad in enumerate(PATHS):
        path = bench.file(bad.size)
        result = bench.measure("Tessenger", partial(ours_with_udp_processes, path=path, bad=bad))
        if result is None:
            continue
        cells = [bad.name, f"{result.speed / MB:.2f}", f"{result.speed / bad.left:.1%}", f"{result.cpu:.1f}"]
        series["Tessenger"].append(result.speed / MB)
        for name in others:
            theirs = bench.measure(name, partial(_rival_on, bench.rivals, name, path, bad))
            speed = theirs.speed if theirs else 0.0
            series[name].append(speed / MB)
            cells += [f"{speed / MB:.2f}", f"{result.speed / speed:.0f}" if speed else "none arrived"]
        print(f"| {' | '.join(cells)} |", flush=True)
        if chart and number == len(LOSSES) - 1:
            left = [each.left / MB for each in PATHS[: len(LOSSES)]]
            points = {name: values[: len(LOSSES)] for name, values in series.items()}
            chart.write_text(draw(LOSSES, {"what the line and the loss leave": left, **points}))


def _environment(folder: Path) -> tuple[Path | None, dict[str, str]]:
    """Install what is compared with into an environment of its own; return its Python, and what is missing."""
    place, missing = folder / "rivals", {}
    venv.create(place, with_pip=True)
    for name in ("aioquic", "qh3"):
        if subprocess.run([place / "bin" / "pip", "install", "-q", name], capture_output=True, check=False).returncode:
            missing[name] = "it cannot be installed here"
    return place / "bin" / "python", missing


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loopback", action="store_true", help="only on loopback")
    parser.add_argument("--paths", action="store_true", help="only over bad paths")
    parser.add_argument("--size", type=int, default=1024, help="MiB on loopback")
    parser.add_argument("--rounds", type=int, default=3, help="rounds on loopback, of which the median counts")
    parser.add_argument("--rivals", type=Path, help="a Python that has aioquic and qh3")
    parser.add_argument("--alone", action="store_true", help="without aioquic and qh3")
    parser.add_argument("--chart", type=Path, help="where to draw throughput against loss, as SVG")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessenger-bench-") as name:
        folder = Path(name)
        rivals, missing = options.rivals, {}
        if options.alone:
            missing = dict.fromkeys(("aioquic", "qh3"), "it was not asked for")
        elif rivals is None:
            rivals, missing = _environment(folder)
        if not shutil.which("iperf3"):
            missing["iperf3"] = "it is not installed"
        if COMPILER is None:
            missing["bad paths"] = "there is no C compiler"
        bench = Bench(folder, rivals, missing)
        if options.loopback or not options.paths:
            loopback(bench, options.size << 20, options.rounds)
        if (options.paths or not options.loopback) and COMPILER:
            bad_paths(bench, options.chart)
        for what, why in missing.items():
            print(f"\nLeft out: {what}, as {why}.")


if __name__ == "__main__":
    main()
