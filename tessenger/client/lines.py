"""Where a filter's lines come from: a file descriptor that a thread reads, or the command line. Runs in the client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

READ_SIZE = 65_536
QUEUED_LINES = 1_000
"""Lines read ahead of what was carried out; then reading waits."""


class Lines(Protocol):
    """A source of lines."""

    @property
    def is_terminal(self) -> bool:
        """Whether a person types the answers to questions."""

    async def line(self) -> str | None:
        """Return the next command without its line end, or None at the end."""

    async def answer(self) -> str | None:
        """Return the next answer to a question, or None at the end of the input."""

    def hidden(self) -> AbstractContextManager[None]:
        """Let a terminal echo nothing."""


class ListedLines:
    """Commands that are known from the beginning; answers to questions still come from standard input."""

    def __init__(self, commands: Sequence[str], answers: Callable[[], LineReader]) -> None:
        self._commands = deque(commands)
        self._make_input = answers
        self._input: LineReader | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person types the answers."""
        return self._answers.is_terminal

    async def line(self) -> str | None:
        """Return the next command."""
        return self._commands.popleft() if self._commands else None

    async def answer(self) -> str | None:
        """Return a line of standard input, which is not read before that."""
        return await self._answers.line()

    def hidden(self) -> AbstractContextManager[None]:
        """Let a terminal echo nothing."""
        return self._answers.hidden()

    @property
    def _answers(self) -> LineReader:
        if self._input is None:
            self._input = self._make_input()
        return self._input


class LineSplitter:
    """Bytes in any fragmentation in, lines of text out, without a byte order mark before the first. Pure."""

    def __init__(self) -> None:
        self._rest = b""
        self._encoding = "utf-8-sig"  # some programs mark a file of UTF-8 at its beginning

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes; b"" is the end of the input, which ends the last line too."""
        if not data:
            lines, self._rest = [self._rest] if self._rest else [], b""
        else:
            *lines, self._rest = (self._rest + data).split(b"\n")
        texts: list[str] = []
        for line in lines:
            texts.append(line.removesuffix(b"\r").decode(self._encoding, "replace"))
            self._encoding = "utf-8"
        return texts


class LineReader:
    """Lines of a file descriptor, whatever it is: pipe, file, terminal. A thread reads, so nothing waits for it.

    The thread is a daemon: at exit it may still hang in a read that never ends.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_terminal = os.isatty(descriptor)
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(QUEUED_LINES)
        self._ended = False
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    async def line(self) -> str | None:
        """Return the next line without its end, or None at the end of the input."""
        if self._ended:
            return None
        line = await self._lines.get()
        self._room.release()
        self._ended = line is None
        return line

    async def answer(self) -> str | None:
        """Return the next line likewise."""
        return await self.line()

    def hidden(self) -> AbstractContextManager[None]:
        """Let a terminal echo nothing."""
        return _no_echo(self._descriptor) if self.is_terminal else contextlib.nullcontext()

    def _read(self) -> None:
        splitter = LineSplitter()
        data = b"-"
        while data:
            try:
                data = os.read(self._descriptor, READ_SIZE)
            except OSError:
                data = b""  # a closed or broken input has ended
            for line in splitter.feed(data):
                self._put(line)
        self._put(None)

    def _put(self, line: str | None) -> None:
        self._room.acquire()
        try:
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
        except RuntimeError:
            raise SystemExit from None  # the loop is closed: the client has ended meanwhile


@contextlib.contextmanager
def _no_echo(descriptor: int) -> Iterator[None]:
    modes = termios.tcgetattr(descriptor)
    silent = modes.copy()
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)
