"""The load of the benchmarks: it counts exactly, and no server that errs gets past it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.people import COMPILER, LoadError, People, compiled
from bench.process_tree import anonymous_kb, cpu_seconds

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the load and what it costs are measured on Linux only"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]

PATIENCE = 2.0
"""Seconds that the load waits for what never comes."""

DEADLINE = 20.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the load."""
    return compiled(tmp_path_factory.mktemp("load"))[0]


class ErringServer:
    """One pair of people, who speak the naive server's protocol; what is due is said by `passed_on(lines)`."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(DEADLINE)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """Return what the listener gets of what the talker has said."""
        return lines

    def _serve(self) -> None:
        with self._listening:
            people = {}
            for _ in range(2):
                connection, _ = self._listening.accept()
                connection.settimeout(DEADLINE)
                file = connection.makefile("rb")
                people[file.readline().split()[1]] = connection, file
                connection.sendall(b"Welcome to TESSENGER!\n")
        (talker, heard), (listener, other) = people[b"s0"], people[b"r0"]
        with talker, heard, listener, other:
            try:
                while line := heard.readline():
                    said = [line, heard.readline()]
                    listener.sendall(b"".join(b"now, s0: " + text.split(b" ", 2)[2] for text in self.passed_on(said)))
            except ConnectionError:
                pass  # the load has seen enough

    def join(self) -> None:
        """Wait for its end, which comes with that of the load."""
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


class Losing(ErringServer):
    """Loses the second message of two."""

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """See above."""
        return lines[:1]


class Repeating(ErringServer):
    """Passes one on twice."""

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """See above."""
        return [*lines, lines[1]]


class Reordering(ErringServer):
    """Exchanges two."""

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """See above."""
        return lines[::-1]


class Damaging(ErringServer):
    """Changes the last letter of one."""

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """See above."""
        return [lines[0], lines[1][:-2] + b"!\n"]


class Cutting(ErringServer):
    """Cuts the end of one off."""

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """See above."""
        return [lines[0], lines[1][:-9] + b"\n"]


class Lengthening(ErringServer):
    """Adds to the end of one."""

    def passed_on(self, lines: list[bytes]) -> Sequence[bytes]:
        """See above."""
        return [lines[0], lines[1][:-1] + b"x\n"]


def talk(program: Path, server: ErringServer) -> int:
    """Let one pair talk for a moment, with two messages under way; return how many have arrived."""
    try:
        with People(program, "line", server.port, None, PATIENCE) as people:
            people.pairs(1, 2)
            return people.direct(0, 1, 2, 0.05).delivered
    finally:
        server.join()


def test_a_server_that_makes_no_mistake_passes(program: Path) -> None:
    """Two messages at a time, all of which arrive."""
    assert talk(program, ErringServer()) >= 2


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Losing, "'damaged': 0, 'repeated': 0, 'skipped': 0"),
        (Repeating, "'repeated': [1-9]"),
        (Reordering, "'skipped': [1-9]"),
        (Damaging, "'damaged': [1-9]"),
        (Cutting, "'damaged': [1-9]"),
        (Lengthening, "'damaged': [1-9]"),
    ],
)
def test_a_mistake_is_found_and_named(program: Path, kind: type[ErringServer], what: str) -> None:
    """Whatever a server does wrong, its figures do not count."""
    with pytest.raises(LoadError, match=what):
        talk(program, kind())


def test_the_time_of_processes_that_have_ended_is_counted() -> None:
    """A child that has used 0.2 s of processor time and was waited for is still in its parent's account."""
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cpu_seconds(process.pid) >= 0.18  # in hundredths, rounded down for each of user and system
        process.communicate(b"\n", DEADLINE)


def test_memory_of_all_processes_below_is_counted() -> None:
    """20 MB of a child of a child."""
    grandchild = "x = b'x' * 20_000_000\nprint(flush=True)\ninput()"
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {grandchild!r}])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert anonymous_kb(process.pid) > 20_000_000 / 1_024
        process.communicate(b"\n", DEADLINE)
