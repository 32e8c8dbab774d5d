"""A real server in a folder and on a port of its own, for integration tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

DEADLINE = 20.0
"""Seconds after which something that was waited for counts as never coming."""

RELOADED = "tessenger-server: reloaded"

USERS = "aaa 123\nbbb 123\nccc 123\nddd 123\n"


class ServerProcess:
    """`tessenger-server` as a child process; its console is read line by line."""

    def __init__(
        self, folder: Path, *options: str, config: str = "", users: str = USERS, workers: int = 2, port: int = 0,
        variables: Mapping[str, str] | None = None, host: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        """Start it; `config` is config.toml's text, `variables` go into its environment. Waits until it listens."""
        self.folder = folder
        self.data_dir = folder / "data"
        self.credentials = folder / "credentials.txt"
        self.config = folder / "config.toml"
        folder.mkdir(parents=True, exist_ok=True)
        if not self.credentials.exists():
            self.credentials.write_text(users)
        self.config.write_text(config)
        self.lines: list[str] = []
        self._arrived = threading.Condition()
        command = [sys.executable, "-m", "tessenger", "server", host, str(port)]
        command += ["--config", str(self.config), "--workers", str(workers), *options]
        self.errors = (folder / "stderr.txt").open("ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TESSENGER_")} | {
            "PYTHONPATH": str(ROOT),
            **(variables or {}),
        }
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            line = self.wait_for(lambda line: line.startswith("Listening on "))
        except AssertionError:
            self.kill()
            raise
        self.port = int(line.partition(" with ")[0].rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as console:
            for line in console:
                with self._arrived:
                    self.lines.append(line.rstrip("\n"))
                    self._arrived.notify_all()
        with self._arrived:
            self._arrived.notify_all()

    def wait_for(self, matches: str | Callable[[str], bool]) -> str:
        """Return the first console line that matches, waiting for it."""
        is_it = matches if callable(matches) else matches.__eq__
        deadline = time.monotonic() + DEADLINE
        with self._arrived:
            while True:
                found = next((line for line in self.lines if is_it(line)), None)
                if found is not None:
                    return found
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"no such line on the console\n{self.report()}")
                self._arrived.wait(0.1)

    def wait_for_error(self, text: str, times: int = 1) -> None:
        """Wait until standard error has this so many times."""
        deadline = time.monotonic() + DEADLINE
        while (self.folder / "stderr.txt").read_text().count(text) < times:
            assert self.process.poll() is None, self.report()
            assert time.monotonic() < deadline, f"{text!r} is not said\n{self.report()}"
            time.sleep(0.01)

    def reload(self) -> None:
        """Let it read credentials and limits again, and wait until it has."""
        before = (self.folder / "stderr.txt").read_text().count(RELOADED)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_error(RELOADED, before + 1)

    def report(self) -> str:
        """Return everything that the processes of this server have said, for a failed test."""
        parts = ["--- console ---", *self.lines, "--- standard error ---", (self.folder / "stderr.txt").read_text()]
        for name in ("error.log", "userlog.txt"):
            path = self.data_dir / name
            if path.exists():
                parts += [f"--- {name} ---", path.read_text()]
        return "\n".join(parts)

    def pid_of(self, title: str) -> int:
        """Return the process of a role, waiting for it to name itself: "worker 1", "logger", "manager", "acceptor"."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            for pid in children_of(self.process.pid):
                if title_of(pid) == f"tessenger: {title}":
                    return pid
            time.sleep(0.01)
        raise AssertionError(f"no process is called {title}\n{self.report()}")

    def kill_role(self, title: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a role's process, and return its pid."""
        pid = self.pid_of(title)
        os.kill(pid, number)
        return pid

    def wait_for_replacement(self, title: str, old: int) -> int:
        """Return the pid of the process that fills a role after `old`."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            pid = self.pid_of(title)
            if pid != old:
                return pid
            time.sleep(0.01)
        raise AssertionError(f"{title} was not replaced\n{self.report()}")

    def stop(self) -> int:
        """Stop it in good order and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        self.errors.close()
        return status

    def kill(self) -> None:
        """Kill the supervisor; the other processes notice and end."""
        children = list(children_of(self.process.pid))
        self.process.kill()
        self.process.wait(DEADLINE)
        left = outliving(children)
        self._reader.join(DEADLINE)
        self.errors.close()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes outlived their supervisor: {left}\n{self.report()}"


@contextmanager
def running_server(
    folder: Path, *options: str, config: str = "", users: str = USERS, workers: int = 2, port: int = 0
) -> Iterator[ServerProcess]:
    """A server for one test; what its processes said is shown if the test fails."""
    server = ServerProcess(folder, *options, config=config, users=users, workers=workers, port=port)
    try:
        yield server
    except BaseException:
        print(server.report())
        server.kill()
        raise
    else:
        assert server.stop() == 0, server.report()


def children_of(pid: int) -> Iterator[int]:
    """The pids of a process's children, from /proc."""
    for process in Path("/proc").glob("[0-9]*"):  # and no deeper, which fails where one ends meanwhile
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            yield int(process.name)


def title_of(pid: int) -> str:
    """The command line of a process, as `ps` shows it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def outliving(pids: Sequence[int]) -> list[int]:
    """Wait for processes to end, and return those that did not."""
    deadline = time.monotonic() + DEADLINE
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
