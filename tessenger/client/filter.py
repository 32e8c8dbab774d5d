"""The client in a pipe: one command a line in, plain flushed lines out. Runs in the client; imports no prompt_toolkit.

A prompt is a line of its own, a message stays one line, notices go to standard error. At the end of the input the
client logs out, once every command is answered and its own uploads have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence

from tessenger.client import render
from tessenger.client.channel import Channel
from tessenger.client.reconnect import Patience
from tessenger.client.session import Chat
from tessenger.wire.messages import GroupMessage, Message, Unread

READ_SIZE = 65_536
QUEUED_LINES = 1_000
"""Lines read ahead of what was carried out; then reading waits."""


RESUME_SECONDS = 15.0
"""How long a broken connection is resumed: long enough for a worker or the server to be started again, and no script
hangs for long where the server is gone. A server that says that it stops ends the filter at once."""


class LineSplitter:
    """Bytes in any fragmentation in, lines of text out. Pure."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes; b"" is the end of the input, which ends the last line too."""
        if not data:
            lines, self._rest = [self._rest] if self._rest else [], b""
        else:
            *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]


class LineReader:
    """Lines of a file descriptor, whatever it is: pipe, file, terminal. A thread reads, so nothing waits for it.

    The thread is a daemon: at exit it may still hang in a read that never ends.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
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

    def _read(self) -> None:
        splitter = LineSplitter()
        data = b"-"
        while data:
            try:
                data = os.read(self.descriptor, READ_SIZE)
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


class Filter:
    """The front end for pipes."""

    patience = Patience(RESUME_SECONDS)

    def __init__(
        self, lines: LineReader, write: Callable[[str], None], write_notice: Callable[[str], None], *, asks: bool
    ) -> None:
        self.asks = asks
        self._user = ""
        self._lines = lines
        self._write = write
        self._write_notice = write_notice

    def say(self, text: str) -> None:
        """Print a line."""
        self._write(text + "\n")

    async def ask(self, prompt: str, *, secret: bool) -> str:
        """Print the prompt as a line and read one; a terminal (whose output is piped) does not echo a secret."""
        with _no_echo(self._lines.descriptor) if secret else contextlib.nullcontext():
            self.say(prompt)
            line = await self._lines.line()
        if line is None:
            raise EOFError
        return line

    def show(self, text: str) -> None:
        """Print an answer or an event, and the prompt line again, as the original did."""
        self._write(f"{text}\n\n{render.PROMPT}\n")

    def message(self, event: Message | GroupMessage) -> None:
        """Print a message on one line."""
        self.show(render.one_line(render.heard(event)))

    def unread(self, event: Unread) -> None:
        """Print what stands above the messages of an absence."""
        self.show(render.unread(event))

    def look_back(self, events: Sequence[Message | GroupMessage]) -> None:
        """Print old messages, one a line."""
        self.show("\n".join(render.one_line(render.said(event, self._user)) for event in events))

    def notice(self, text: str) -> None:
        """Print to standard error."""
        self._write_notice(text + "\n")

    def changed(self) -> None:
        """A pipe shows no progress."""

    def signed_in(self, user: str) -> None:
        """Remember whose messages those of a history are."""
        self._user = user

    async def converse(self, chat: Chat, connection: Channel, server: str) -> None:
        """Carry lines out until the input or the session ends."""
        while (line := await self._lines.line()) is not None:
            await chat.execute(line)
        await chat.settled()
        await chat.uploaded()

    def finish(self) -> None:
        """Every line was flushed already."""


@contextlib.contextmanager
def _no_echo(descriptor: int) -> Iterator[None]:
    if not os.isatty(descriptor):
        yield
        return
    modes = termios.tcgetattr(descriptor)
    silent = modes.copy()
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)


def over_pipes(*, asks: bool) -> Filter:
    """Return the front end for this process's standard input and output; `asks`: a person is at both ends."""
    return Filter(LineReader(sys.__stdin__.fileno() if sys.__stdin__ else 0), _to_stdout, _to_stderr, asks=asks)


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
