"""A worker's end of its line to the acceptor: accepted sockets come in, what became of them goes back. In workers.

What is told has a line of text each: `+ADDRESS` a connection that this worker serves already, `=` those were all,
`.COUNT` so many sockets were taken, `-ADDRESS` a connection is gone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

from tessenger.server import acceptor, roles

TAKEN_AT_ONCE = 64
"""Sockets taken before connections are served again."""

MAX_WAITING_BYTES = 4_194_304
"""What an acceptor that does not listen may leave waiting; beyond it the line is cut, and the next one told anew."""


class AcceptorLine:
    """The line to whichever process is the acceptor at the moment."""

    def __init__(
        self, served: Callable[[], Iterable[str]], take: Callable[[socket.socket, bytes], None],
        full: Callable[[], None],
    ) -> None:  # fmt: skip
        """`served` tells the addresses of all connections; `take` gets each new socket, and the word with it.

        `full` hears of a socket that could not be taken, for this process has no descriptors left.
        """
        self._loop = asyncio.get_running_loop()
        self._served = served
        self._take = take
        self._full = full
        self._line: socket.socket | None = None
        self._waiting = bytearray()
        self._meeting: asyncio.Task[None] | None = None

    def open(self, slot: int) -> None:
        """Let acceptors connect from now on."""
        path = roles.worker_socket(slot)
        roles.clear(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
        listening.bind(path)
        listening.listen()
        self._meeting = self._loop.create_task(self._meet(listening))

    def gone(self, address: str) -> None:
        """Tell that a connection is gone."""
        self._tell(f"-{address}\n")

    def close(self) -> None:
        """Take no more sockets."""
        if self._meeting is not None:
            self._meeting.cancel()
        self._leave()

    async def _meet(self, listening: socket.socket) -> None:
        with listening:
            while True:
                line, _ = await self._loop.sock_accept(listening)
                self._leave()
                line.setblocking(False)
                self._line = line
                self._tell("".join(f"+{address}\n" for address in self._served()) + f"{acceptor.TOLD}\n")
                if self._line is not None:
                    self._loop.add_reader(line, self._take_sockets)

    def _leave(self) -> None:
        if self._line is not None:
            self._loop.remove_reader(self._line)
            self._loop.remove_writer(self._line)
            self._line.close()
            self._line = None
            self._waiting.clear()

    def _tell(self, text: str) -> None:
        if self._line is None:
            return
        idle = not self._waiting
        self._waiting += text.encode()
        if idle:
            self._send()

    def _send(self) -> None:
        """Send what waits. An acceptor that is gone is left, and learns everything anew when another one comes."""
        assert self._line is not None  # it is what became writable
        try:
            sent = self._line.send(self._waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._leave()
            return
        del self._waiting[:sent]
        if len(self._waiting) > MAX_WAITING_BYTES:
            self._leave()
        elif self._waiting:
            self._loop.add_writer(self._line, self._send)
        else:
            self._loop.remove_writer(self._line)

    def _take_sockets(self) -> None:
        assert self._line is not None  # it is what became readable
        taken = 0
        while taken < TAKEN_AT_ONCE:
            try:
                word, descriptors, _, _ = socket.recv_fds(self._line, 1, 1)
            except BlockingIOError:
                break
            except OSError:
                word, descriptors = b"", []
            for descriptor in descriptors:
                # With type and protocol given, Python does not ask the system for them.
                self._take(socket.socket(type=socket.SOCK_STREAM, proto=0, fileno=descriptor), word)
            if not word or not descriptors:
                if word:  # the connection is lost; the acceptor counts anew on a line of its own
                    self._full()
                self._leave()
                return
            taken += 1
        if taken:
            self._tell(f".{taken}\n")
