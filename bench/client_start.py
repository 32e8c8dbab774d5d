"""CPU time of the client from its start to the first prompt, in a pseudo-terminal: `python -m bench.client_start`.

The client connects to a scripted server on this machine. Its own process and its UDP process are counted apart: the
second starts beside the first while the person types their name.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.fake_server import FakeServer
from tests.support.person import Person
from tests.support.server_process import children_of, title_of

CLIENT = [sys.executable, "-m", "tessenger", "client"]
RUNS = 9
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def one_start(port: int, home: Path) -> tuple[float, float, float]:
    """Start a client; return seconds until the prompt, CPU seconds of the client, and of its UDP process by then."""
    begin = time.perf_counter()
    person = Person(port, home, "--no-tls", command=CLIENT)
    with person.terminal as terminal:
        terminal.until_line("Username:")
        wall = time.perf_counter() - begin
        pid = terminal.child.pid
        assert pid is not None
        beside = sum(cpu_seconds(child) for child in children_of(pid) if "resource_tracker" not in title_of(child))
        return wall, cpu_seconds(pid), beside


def main() -> None:
    """Start the client several times and print the medians."""
    with FakeServer() as server, tempfile.TemporaryDirectory() as home:
        one_start(server.port, Path(home))  # the first one compiles and reads from the disk
        runs = [one_start(server.port, Path(home)) for _ in range(RUNS)]
    wall, cpu, beside = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f"{RUNS} starts, medians: prompt after {wall:.2f} s, {cpu:.2f} s CPU; UDP process {beside:.2f} s CPU by then")


if __name__ == "__main__":
    main()
