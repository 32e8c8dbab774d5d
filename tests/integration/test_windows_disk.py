"""The disk: what `durability` promises, seen from outside the logger, and a disk that is full or refuses writes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.deadline import until
from tests.support.faults import PLAIN, faulty_server
from tests.support.persistent_person import Person, check_exactly_once, people
from tests.support.server_process import DEADLINE, ServerProcess

STRACE = shutil.which("strace")

LASTING_SECONDS = 1.2
"""A logger that waits for room has tried again twice in this time."""


# ---- what a commit means ----


@contextmanager
def traced(pid: int, path: Path) -> Iterator[None]:
    """Write the system calls of a process to `path` that say when data is written, synced and sent."""
    assert STRACE is not None
    command = [STRACE, "-f", "-y", "-s", "32", "-e", "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"]
    tracer = subprocess.Popen(
        [*command, "-o", str(path), "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace may not look at other processes here: {said.strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # it lets the process go
        tracer.communicate(timeout=DEADLINE)


def steps(path: Path, pid: int) -> str:
    """Return what the logger's loop did: `w` a file of the journal's was written, `s` synced, `f` a worker was fed."""
    found = []
    for line in path.read_text(errors="replace").splitlines():
        if not line.startswith(f"{pid} "):
            continue  # the checkpointer's thread
        if "journal.db-wal>" in line or "journal.db-tail>" in line:
            found.append("s" if "sync(" in line else "w")
        elif "feed" in line:
            found.append("f")
    return "".join(found)


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("durability", ["process", "power"])
def test_with_power_everything_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path, durability: str) -> None:
    """Every feed of a committed batch comes behind a sync of what was written; with "process" nothing waits for one.

    And a sync is for a batch, not for a message.
    """
    config = f'{PLAIN}[journal]\ndurability = "{durability}"\n'
    trace = tmp_path / "trace"
    with faulty_server(tmp_path, config=config) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        logger = server.pid_of("logger")
        with traced(logger, trace):
            for n in range(5):
                aaa.say(f"alone {n}", "bbb")
                aaa.settle()
            aaa.say_all([(f"together {n}", ("bbb",), "") for n in range(300)])
            assert len(check_exactly_once(server, aaa, bbb)) == 305
    done = steps(trace, logger)
    assert "wf" in done if durability == "process" else "sf" in done, done
    if durability == "process":
        assert "s" not in done, done
    else:
        assert "wf" not in done, done
        assert 6 <= done.count("s") <= 30, done


# ---- a disk that takes no more ----


@contextmanager
def held_up(server: ServerProcess, aaa: Person, bbb: Person, words: str) -> Iterator[None]:
    """Expect within the block that senders wait without an error, the console having said why; and then, that it ends.

    What fits into what the journal's files have already, and may use again, is acknowledged before that.
    """
    aaa.say_all([(f"into the full disk {n} " + "x" * 45_000, ("bbb",), "") for n in range(40)])
    with ThreadPoolExecutor(1) as thread:
        settled = thread.submit(aaa.settle)
        until(lambda: any(line.startswith("The journal waits") for line in server.lines), "it is said that it waits")
        time.sleep(LASTING_SECONDS)
        before = dict(aaa.acknowledged)
        time.sleep(LASTING_SECONDS)
        assert aaa.acknowledged == before
        assert len(before) < 40
        assert bbb.ask("ping")["type"] == "pong"
        assert not settled.done()
        said = [line for line in server.lines if line.startswith("The journal waits")]
        assert len(said) == 1, said
        assert words in said[0]
        yield
        settled.result()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of 16 MiB."""
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tessenger-test", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root, where it may mount, can make a small disk")
    yield data
    subprocess.run(["umount", str(data)], check=True)


@pytest.mark.parametrize("killed", [False, True], ids=["waiting", "logger killed meanwhile"])
def test_a_full_disk_makes_senders_wait_and_loses_nothing(tmp_path: Path, small_disk: Path, killed: bool) -> None:
    """They are told nothing wrong; when there is room, everything goes on by itself, also with another logger."""
    with faulty_server(tmp_path) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        aaa.say("before", "bbb")
        aaa.settle()
        bbb.settle()
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4_096))
            except OSError:  # full, as it should be
                pass
        with held_up(server, aaa, bbb, "No space is left on the disk"):
            if killed:
                server.wait_for_replacement("logger", server.kill_role("logger"))  # it may find some room in its files
            filler.unlink()
        assert len(check_exactly_once(server, aaa, bbb)) == 41
        assert aaa.lost == bbb.lost == 0
        if not killed:
            assert "The journal is written again." in server.lines


def test_a_disk_that_refuses_writes_makes_senders_wait_and_loses_nothing(tmp_path: Path) -> None:
    """An error at a write, here of a file that must not grow: senders wait, and everything goes on when it is over."""
    with faulty_server(tmp_path) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        aaa.say("before", "bbb")
        aaa.settle()
        bbb.settle()
        logger = server.pid_of("logger")
        soft, hard = resource.prlimit(logger, resource.RLIMIT_FSIZE)
        resource.prlimit(logger, resource.RLIMIT_FSIZE, (4_096, hard))
        with held_up(server, aaa, bbb, "cannot be used"):
            resource.prlimit(logger, resource.RLIMIT_FSIZE, (soft, hard))
        assert len(check_exactly_once(server, aaa, bbb)) == 41
        assert server.pid_of("logger") == logger
