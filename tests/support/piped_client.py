"""A client in a pipe, driven line by line with deadlines."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

TOP = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
PROMPT = (
    "Enter one of the following commands "
    "(/msgto, /activeuser, /creategroup, /joingroup, /groupmsg, /logout, /p2pvideo):"
)
SCRIPTED = [sys.executable, str(TOP / "tests/support/client_program.py")]
"""The client with a scripted file process."""


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a client of a test runs in: state and downloads in `home`, UTC, no config of this machine."""
    return {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": str(TOP),
        "TZ": "UTC",
        "TESSENGER_CLIENT_STATE_DIR": str(home / "state"),
        "TESSENGER_TRANSFER_DOWNLOAD_DIR": str(home / "downloads"),
        **(extra or {}),
    }


class PipedClient:
    """A running client whose standard streams are pipes."""

    def __init__(
        self,
        port: int,
        home: Path,
        *options: str,
        command: Sequence[str] = SCRIPTED,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*command, *options, "127.0.0.1", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(home, env), cwd=home, text=True, encoding="utf-8", bufsize=1,
        )  # fmt: skip
        self.lines: list[str] = []
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._arrived.put), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self._keep_error), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what a killed client had not read
            self.process.stdin.close()
        for reader in self._readers:
            reader.join(PATIENCE)

    def type(self, *lines: str) -> None:
        """Write lines to the client."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Close its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def sign_in(self, user: str = "aaa", password: str = "123") -> None:
        """Sign in and wait for the first prompt."""
        self.type(user, password)
        self.expect("Welcome to TESSENGER!")
        self.expect(PROMPT)

    def expect(self, wanted: str) -> list[str]:
        """Read on until the line `wanted` has come; return the lines before it."""
        before: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{wanted!r} did not come: {self.report()}") from None
            if line is None:
                raise AssertionError(f"the output ended without {wanted!r}: {self.report()}")
            self.lines.append(line)
            if line == wanted:
                return before
            before.append(line)

    def answer(self) -> list[str]:
        """Return the lines up to the next prompt line, without the empty one before it."""
        lines = self.expect(PROMPT)
        assert lines, self.report()
        assert lines[-1] == "", self.report()
        return lines[:-1]

    def rest(self) -> list[str]:
        """Wait for the end of the client and return the lines that still came."""
        self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        lines: list[str] = []
        while not self._arrived.empty():
            line = self._arrived.get()
            if line is not None:
                lines.append(line)
        self.lines += lines
        return lines

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return "".join(self._errors)

    def report(self) -> str:
        """Everything it said, for the message of a failed test."""
        return f"output {self.lines}, errors {self.errors!r}, status {self.process.poll()}"

    def _keep_error(self, line: str | None) -> None:
        if line is not None:
            self._errors.append(line + "\n")

    def _read(self, stream: IO[str], put: Callable[[str | None], None]) -> None:
        with stream:
            for line in stream:
                put(line.removesuffix("\n"))
        put(None)
