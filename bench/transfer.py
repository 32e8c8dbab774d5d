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
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.handover import BadPath, Result, iperf3, ours_with_clients, ours_with_udp_processes, rival, rival_on
from bench.loss_chart import draw
from tests.support.impaired_path import COMPILER

MB = 1_000_000
LOSSES = (0.0, 0.001, 0.01, 0.05, 0.2)


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
            os.sync()  # no run pays for what those before it, or the making of the file, have left to be written
            try:
                results.append(run(folder))
            except (RuntimeError, subprocess.SubprocessError, OSError, TimeoutError, AssertionError) as error:
                print(f"  {name}: failed: {error}", flush=True)
                return None
            finally:
                shutil.rmtree(folder)
        return Result(*(statistics.median(values) for values in zip(*results, strict=True)))

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
        found[name] = bench.measure(name, partial(rival_on, bench.rivals, name, small, None))
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


def bad_paths(bench: Bench, chart: Path | None, only: str) -> None:
    """Compare over bad paths whose name has `only` in it, and draw throughput against loss."""
    others = bench.others()
    series: dict[str, list[float]] = {name: [] for name in ("Tessenger", *others)}
    columns = ["path", "Tessenger, MB/s", "of what is left", "sent again", "CPU s/GB"]
    columns += [column for name in others for column in (name, "ratio")]
    print(f"\n| {' | '.join(columns)} |")
    print(f"|{'---|' * len(columns)}", flush=True)
    for number, bad in enumerate(PATHS):
        if only not in bad.name:
            continue
        path = bench.file(bad.size)
        result = bench.measure("Tessenger", partial(ours_with_udp_processes, path=path, bad=bad))
        if result is None:
            continue
        cells = [bad.name, f"{result.speed / MB:.2f}", f"{result.speed / bad.left:.1%}"]
        cells += [f"{result.again:.1%}", f"{result.cpu:.1f}"]
        series["Tessenger"].append(result.speed / MB)
        for name in others:
            theirs = bench.measure(name, partial(rival_on, bench.rivals, name, path, bad))
            speed = theirs.speed if theirs else 0.0
            series[name].append(speed / MB)
            cells += [f"{speed / MB:.2f}", f"{result.speed / speed:.0f}" if speed else "none arrived"]
        print(f"| {' | '.join(cells)} |", flush=True)
        if chart and not only and number == len(LOSSES) - 1:
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
    parser.add_argument("--only", default="", metavar="TEXT", help="only bad paths with this in their name")
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
            bad_paths(bench, options.chart, options.only)
        for what, why in missing.items():
            print(f"\nLeft out: {what}, as {why}.")


if __name__ == "__main__":
    main()
