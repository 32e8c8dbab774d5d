"""Faults on purpose: a server whose processes can be struck at named points, and what else can go wrong around them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Literal

from tessenger.server.faults import VARIABLE, Point
from tests.support.server_process import DEADLINE, USERS, ServerProcess, children_of

PLAIN = '[console]\nlevel = "events"\n[limits]\nmessages_per_second = 0\nlogins_per_second = 0\n'
"""A configuration without rates, whose console leaves messages out."""

_serials = count(1)


class Faults:
    """The faults of one server, one at a time."""

    def __init__(self, folder: Path) -> None:
        """`folder` is there as long as the server runs."""
        self._armed = folder / "fault"
        self._struck = folder / "fault.struck"
        self.variables = {VARIABLE: str(self._armed)}

    def arm(self, point: Point, action: Literal["kill", "stop", "hold"], *, arrival: int = 1) -> None:
        """Let the process that comes to `point` next, or as the `arrival`th, be struck there."""
        self._struck.unlink(missing_ok=True)
        draft = self._armed.with_name("fault.draft")
        draft.write_text(f"{point} {action} {arrival} {next(_serials)}")
        draft.rename(self._armed)

    def wait_until_struck(self) -> None:
        """Wait for a process to come to the armed point."""
        deadline = time.monotonic() + DEADLINE
        while not self._struck.exists():
            assert time.monotonic() < deadline, "no process came to the armed point"
            time.sleep(0.002)

    def disarm(self) -> None:
        """Let nobody be struck, and nobody be held."""
        self._armed.unlink(missing_ok=True)
        self._struck.unlink(missing_ok=True)

    def release(self) -> None:
        """Let a thread that is held go on."""
        self._struck.unlink()


@contextmanager
def faulty_server(
    folder: Path, *, config: str = PLAIN, users: str = USERS, workers: int = 2
) -> Iterator[tuple[ServerProcess, Faults]]:
    """A server without TLS for one test, and its faults; what its processes said is shown if the test fails."""
    folder.mkdir(parents=True, exist_ok=True)
    faults = Faults(folder)
    server = ServerProcess(
        folder, "--no-tls", config=config, users=users, workers=workers, variables=faults.variables
    )  # fmt: skip
    try:
        yield server, faults
    except BaseException:
        print(server.report())
        faults.disarm()
        for pid in children_of(server.process.pid):
            os.kill(pid, signal.SIGCONT)
        server.kill()
        raise
    else:
        assert server.stop() == 0, server.report()


def restart(server: ServerProcess) -> None:
    """Let `server`, which was killed, be another one on the same data and port; without rates, faults and TLS."""
    again = ServerProcess(server.folder, "--no-tls", config=PLAIN, port=server.port)
    vars(server).update(vars(again))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process (SIGSTOP) for a while."""
    os.kill(pid, signal.SIGSTOP)
    wait_for_state(pid, "T")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_for_state(pid: int, state: str) -> None:
    """Wait until a process is in this state, as in /proc: "T" is stopped."""
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != state:
        assert time.monotonic() < deadline, f"process {pid} never came to state {state}"
        time.sleep(0.002)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
