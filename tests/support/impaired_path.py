"""A bad network path between real UDP ports on this machine: the program of bench/impair.c, compiled when needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

SOURCE = Path(__file__).parents[2] / "bench" / "impair.c"
COMPILER = shutil.which("cc")


class Stats(NamedTuple):
    """What happened to the datagrams from left to right. `flows`: bytes that were forwarded, of each flow."""

    arrived: int
    lost: int
    overflowed: int
    too_long: int
    forwarded: int
    flows: tuple[int, ...]


def compiled(folder: Path) -> Path:
    """Return the program, compiled in `folder` unless it is there already."""
    program = folder / "impair"
    if not program.exists():
        assert COMPILER, "there is no C compiler here"
        subprocess.run([COMPILER, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


class ImpairedPath:
    """A running path. `flows`: the left and the right UDP port of each; `settings` as impair.c names them.

    `ports` has, for each flow, where the left end sends to, and where the right end does.
    """

    def __init__(self, folder: Path, flows: list[tuple[int, int]], **settings: float) -> None:
        command = [str(compiled(folder))]
        for name, value in settings.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        for left, right in flows:
            command += ["--flow", f"{left}:{right}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        ports = [int(port) for port in self._answer("ready")]
        self.ports = list(zip(ports[::2], ports[1::2], strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.communicate(timeout=10)

    def _answer(self, word: str) -> list[str]:
        assert self.process.stdout is not None
        first, *rest = self.process.stdout.readline().split()
        assert first == word
        return rest

    def tell(self, line: str) -> None:
        """Change something: a line as impair.c describes them."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")

    def rebind(self) -> None:
        """Give the right ends another address in the eyes of the left ones."""
        self.tell("rebind")
        self._answer("rebound")

    def stats(self) -> Stats:
        """Return what has happened so far."""
        self.tell("stats")
        words = self._answer("stats")
        arrived, lost, overflowed, too_long, forwarded = (int(word) for word in words[1:10:2])
        return Stats(arrived, lost, overflowed, too_long, forwarded, tuple(int(word) for word in words[11:]))
