"""A program in a pseudo-terminal, with a terminal emulator (pyte) that shows what a person would see.

Nothing here sleeps to let things happen: a test waits, with a deadline, until the screen looks as it expects.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

PATIENCE = 20.0
"""Seconds that a test waits for something that must appear."""

CTRL_C = "\x03"
CTRL_D = "\x04"
CTRL_R = "\x12"
ENTER = "\r"
TAB = "\t"
UP = "\x1b[A"
LEFT = "\x1b[D"


class _Window(pyte.HistoryScreen):
    """An emulator that answers when it is asked where its cursor is."""

    def __init__(self, columns: int, rows: int, reply: Callable[[str], None]) -> None:
        super().__init__(columns, rows, history=100_000, ratio=0.5)
        self._reply = reply

    def write_process_input(self, data: str) -> None:
        """Send an answer to the program."""
        self._reply(data)


class PtyTerminal:
    """A terminal window of `columns` by `rows` with a program in it; its scrollback is kept."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, columns: int = 80, rows: int = 24,
        term: str = "xterm-256color",
    ) -> None:  # fmt: skip
        self._screen = _Window(columns, rows, self._reply)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.child: pexpect.spawn[bytes] = pexpect.spawn(
            command[0], list(command[1:]), env={**env, "TERM": term}, cwd=str(cwd), timeout=PATIENCE,
            dimensions=(rows, columns),
        )  # fmt: skip
        self.child.delaybeforesend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.child.isalive():  # pexpect would try gentler signals first, and give up soon on a busy machine
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        self.child.close()

    def type(self, text: str) -> None:
        """Press keys."""
        self.child.send(text)

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a person does with the mouse."""
        self._screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let the program run until `condition` holds, or fail with what is on the screen."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}; the screen:\n{self.text()}")
            if not self._read() and not condition():
                raise AssertionError(f"{what}, but the program has ended; the screen:\n{self.text()}")

    def until_shown(self, text: str) -> None:
        """Let the program run until `text` is on the screen or above it."""
        self.until(lambda: text in self.text(), f"{text!r} did not appear")

    def until_line(self, text: str) -> None:
        """Let the program run until the line with the cursor is `text`, but for blanks at its end."""
        self.until(lambda: self.cursor_line() == text, f"the cursor's line did not become {text!r}")

    def wait(self) -> int | None:
        """Let the program end; return its exit status, None after a signal."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"the program did not end; the screen:\n{self.text()}"
        self.child.wait()
        status: int | None = self.child.exitstatus
        return status

    def hang_up(self) -> None:
        """Close the window: the program gets SIGHUP, and its terminal is gone. Waits for its end."""
        terminal: Any = vars(self.child)["ptyproc"]  # which the type stubs do not know
        terminal.fileobj.close()
        terminal.wait()

    def lines(self) -> list[str]:
        """Return what is on the screen, top to bottom."""
        return [line.rstrip() for line in self._screen.display]

    def cursor_line(self) -> str:
        """Return the line with the cursor."""
        return self.lines()[self._screen.cursor.y]

    def toolbar(self) -> str:
        """Return the last line that is not empty."""
        return next((line for line in reversed(self.lines()) if line), "")

    def line_below_cursor(self) -> str:
        """Return the line below the one with the cursor; "" below the last one."""
        return "".join(self.lines()[self._screen.cursor.y + 1 :][:1])

    @property
    def cursor_column(self) -> int:
        """Where the cursor stands in its line, from 0."""
        column: int = self._screen.cursor.x
        return column

    def text(self) -> str:
        """Return the scrollback and the screen; a line that was wrapped is two here."""
        columns = range(self._screen.columns)
        above = ["".join(line[x].data for x in columns).rstrip() for line in self._screen.history.top]
        return "\n".join([*above, *self.lines()])

    def _read(self) -> bool:
        """Read for a moment; tell whether the program is still there."""
        try:
            data = self.child.read_nonblocking(65_536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(data)
        return True

    def _reply(self, data: str) -> None:
        with contextlib.suppress(OSError):  # the program has ended meanwhile
            self.child.send(data)
