"""The look into a process's memory by which tests tell that a secret is not there."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.process_memory import holds

PAGE = mmap.PAGESIZE
MAPPER = """
import mmap, sys
files = [open(path, "r+b") for path in sys.argv[1:]]
areas = [mmap.mmap(file.fileno(), 0) for file in files]
print("mapped", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux to look into a process")


@contextmanager
def _mapping(*paths: Path) -> Iterator[int]:
    """Run a process that has these files in its memory, without having read them."""
    command = [sys.executable, "-c", MAPPER, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mapped\n"
        yield process.pid


@pytest.mark.parametrize("left", [0, 1])
def test_pages_that_cannot_be_read_are_passed_over(tmp_path: Path, left: int) -> None:
    """As where an area is given back while it is read; what is beside them is still looked at."""
    beside, cut = tmp_path / "beside", tmp_path / "cut"
    beside.write_bytes(b"in another area".ljust(PAGE))
    cut.write_bytes(b"on the first page".ljust(PAGE) + b"on the second page".ljust(PAGE))
    with _mapping(beside, cut, beside) as pid:
        assert holds(pid, b"on the second page")
        os.truncate(cut, left * PAGE)  # what is mapped behind the end of a file cannot be read
        assert not holds(pid, b"on the second page")
        assert holds(pid, b"on the first page") == bool(left)
        assert holds(pid, b"in another area")


def test_the_environment_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process may be given a secret there."""
    path = tmp_path / "page"
    path.write_bytes(bytes(PAGE))
    monkeypatch.setenv("TESSENGER_PASSWORD", "correct horse")
    with _mapping(path) as pid:
        assert holds(pid, b"correct horse")
        assert not holds(pid, b"battery staple")
