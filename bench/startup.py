"""What it costs to start the client: CPU time until there is something to see. `python -m bench.startup`.

Starts a server, then the client some times each way; prints the median of user and system time of its main process, and
which imports the terminal client spends most on (`-X importtime`, its own modules and theirs together).
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.piped_client import environment
from tests.support.pty_terminal import ENTER, PtyTerminal
from tests.support.server_process import running_server

TIMES = 7
CLIENT = [sys.executable, "-m", "tessenger", "client"]
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, in steps of a clock tick (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def to_the_prompts(port: int, home: Path) -> tuple[float, float]:
    """Start the client in a terminal; return its CPU time at `Username:` and at the first command line."""
    with PtyTerminal([*CLIENT, "127.0.0.1", str(port)], env=environment(home), cwd=home) as terminal:
        terminal.until_shown("Username:")
        first = cpu_seconds(terminal.child.pid)
        terminal.type("aaa" + ENTER)
        terminal.until_shown("Password:")
        terminal.type("123" + ENTER)
        terminal.until_shown("connected")
        return first, cpu_seconds(terminal.child.pid)


def to_the_end(home: Path, *options: str) -> float:
    """Run the client to its end; return the CPU time of it and all its processes."""
    before = os.times()
    variables = {"TESSENGER_PASSWORD": "123"}
    subprocess.run([*CLIENT, *options], env=environment(home, variables), cwd=home, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def imports() -> Counter[str]:
    """Return the microseconds that importing the terminal client spends in each package."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import tessenger.client.cli, tessenger.client.repl, ssl"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spent: Counter[str] = Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", done.stderr):
        package = name.split(".")[0]
        known = package in {"tessenger", "prompt_toolkit", "msgspec", "asyncio", "ssl", "platformdirs", "wcwidth"}
        spent[package if known else "the rest of Python"] += int(own)
    return spent


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, running_server(Path(name) / "server") as server:
        home = Path(name) / "home"
        home.mkdir()
        prompts = [to_the_prompts(server.port, home) for _ in range(TIMES)]
        address = ("127.0.0.1", str(server.port))
        one_shot = ("--user", "aaa", "--exec", "activeuser", *address)
        ways: dict[str, Callable[[], float]] = {
            "--version": lambda: to_the_end(home, "--version"),
            "--exec, to its end": lambda: to_the_end(home, *one_shot),
        }
        print(f"terminal, to Username:          {statistics.median(first for first, _ in prompts):.3f} s")
        print(f"terminal, to the command line:  {statistics.median(second for _, second in prompts):.3f} s")
        for way, run in ways.items():
            print(f"{way:<32}{statistics.median(run() for _ in range(TIMES)):.3f} s")
    print("imports of the terminal client, ms: ", end="")
    print(", ".join(f"{package} {spent / 1000:.0f}" for package, spent in imports().most_common()))


if __name__ == "__main__":
    main()
