"""The load: the program of bench/load.c, compiled when needed, told what to do, and asked what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

SOURCE = Path(__file__).with_name("load.c")
COMPILER = shutil.which("cc")
DEADLINE = 150.0
"""Seconds after which an answer counts as never coming; the program itself gives up long before."""


class LoadError(Exception):
    """The load could not be made, or the server did not do what it must."""


class Stretch(NamedTuple):
    """What came of a stretch of messages: seconds until the last one arrived; latencies in µs, of a paced load."""

    sent: int
    delivered: int
    seconds: float
    busy: float
    """The share of a processor that the load itself took: near 1 it is the bottleneck."""
    p50: float
    p99: float
    late_p99: float
    """How late messages were sent, in µs: what of a latency is the load's own."""


def compiled(folder: Path) -> tuple[Path, bool]:
    """Return the program, compiled in `folder`, and whether it can speak TLS: it can where OpenSSL's headers are."""
    if COMPILER is None:
        raise LoadError("there is no C compiler (cc)")
    program = folder / "load"
    plain = [COMPILER, "-O2", "-o", str(program), str(SOURCE)]
    tls = not subprocess.run([*plain, "-DWITH_TLS", "-lssl", "-lcrypto"], capture_output=True, check=False).returncode
    if not tls:
        subprocess.run(plain, check=True)
    return program, tls


def cores() -> tuple[int, int] | None:
    """Return the processor for the server and the one for the load; None where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else None


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Let what is started inside run on this processor alone, with all that it starts in turn."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class People:
    """Many people who talk through one server; see bench/load.c."""

    def __init__(self, program: Path, protocol: str, port: int, core: int | None, patience: float = 5.0) -> None:
        """Start without anybody; `core` is the processor that this runs on.

        What has not come `patience` seconds after the last arrival counts as lost.
        """
        self.count = 0
        """People who have signed in."""
        with on_core(core):
            self._process = subprocess.Popen(
                [program, protocol, str(port), str(patience)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )

    @property
    def pid(self) -> int:
        """The process of the load."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def pairs(self, count: int, at_once: int) -> float:
        """Let so many more pairs sign in; return the seconds that it took."""
        return self._come(f"pairs {count} {at_once}", 2 * count)

    def group(self, listeners: int, at_once: int) -> float:
        """Let a group with one talker come; return the seconds that it took."""
        return self._come(f"group {listeners} {at_once}", listeners + 1)

    def direct(self, first: int, count: int, window: int, seconds: float) -> Stretch:
        """Let pairs talk, each with `window` messages under way."""
        return self._talk(f"direct {first} {count} {window} {seconds}")

    def once(self, first: int, count: int) -> Stretch:
        """Let each of these pairs say one thing."""
        return self._talk(f"once {first} {count}")

    def fan(self, window: int, seconds: float) -> Stretch:
        """Let the group's talker talk, with `window` messages under way until everyone has them."""
        return self._talk(f"fan {window} {seconds}")

    def paced(self, first: int, count: int, rate: int, seconds: float) -> Stretch:
        """Let pairs say `rate` things a second in all."""
        return self._talk(f"paced {first} {count} {rate} {seconds}")

    def _come(self, command: str, expected: int) -> float:
        answer = self._ask(command)
        if answer["people"] != expected:
            raise LoadError(f"{command}: only {answer['people']} of {expected} came ({answer['trouble']})")
        if answer["strays"]:
            raise LoadError(f"{command}: {answer['strays']} messages came that nobody had sent")
        self.count += expected
        return float(answer["seconds"])

    def _talk(self, command: str) -> Stretch:
        answer = self._ask(command)
        if not answer["exact"]:
            raise LoadError(f"{command}: not every message arrived once, whole and in order: {answer}")
        if not answer["delivered"]:
            raise LoadError(f"{command}: nothing arrived")
        return Stretch(*(answer[field] for field in Stretch._fields))

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        guard = threading.Timer(DEADLINE, self._process.kill)
        guard.start()
        try:
            self._process.stdin.write(f"{command}\n")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            guard.cancel()
        if not line:
            raise LoadError(f"{command}: the load ended, with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
