"""The client's handle on its UDP process, for asyncio. Runs in the client's main process."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections import deque
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection

from tessenger.client.receiver import run_receiver
from tessenger.client.receiver_messages import (
    AnyFromReceiver,
    CannotRun,
    Started,
    Stop,
    ToReceiver,
    decode_from_receiver,
    encode,
)
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.errors import TransferError

START_SECONDS = 20.0
CLOSE_SECONDS = 3.0


class ReceiverProcess:
    """The UDP process: `start` it, `send` it what to do, iterate over what it says, `close` it.

    The iteration ends when the process has ended; `failed` then says whether nobody had asked for that.
    """

    def __init__(self, options: ReceiverOptions) -> None:
        self._options = options
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._came: deque[AnyFromReceiver] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._closing = False
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The process's id, once it was started."""
        return self._process.pid if self._process else None

    @property
    def failed(self) -> bool:
        """Whether the process ended without having been asked to."""
        return self._ended and not self._closing

    async def start(self) -> int:
        """Start the process and return its UDP port. Raises `TransferError` where it cannot work here."""
        ours, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=run_receiver, args=(theirs, self._options), name="udp receiver", daemon=True
        )
        self._process.start()
        theirs.close()
        self.listen(ours)
        try:
            first = await asyncio.wait_for(self._next(), START_SECONDS)
        except TimeoutError:
            first = None
        if isinstance(first, Started):
            self.port = first.port
            return first.port
        await self.close()
        raise TransferError(first.reason if isinstance(first, CannotRun) else "the UDP process does not start")

    def listen(self, pipe: Connection) -> None:
        """Hear what comes through our end of its pipe."""
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe.fileno(), self._read)

    def send(self, message: ToReceiver) -> None:
        """Ask for something. After the end of the process it goes nowhere: `failed` and the iteration tell."""
        if self._pipe is None:
            return
        try:
            self._pipe.send_bytes(encode(message))
        except OSError:
            self._end()

    async def __aiter__(self) -> AsyncIterator[AnyFromReceiver]:
        while (message := await self._next()) is not None:
            yield message

    async def _next(self) -> AnyFromReceiver | None:
        while not self._came:
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._came.popleft()

    def _read(self) -> None:
        assert self._pipe is not None
        try:
            while self._pipe.poll():
                self._came.append(decode_from_receiver(self._pipe.recv_bytes()))
        except (EOFError, OSError, TransferError):
            self._end()
        self._wake.set()

    def _end(self) -> None:
        """Note that the process is gone."""
        if self._pipe is not None:
            assert self._loop is not None
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None
        self._ended = True
        self._wake.set()

    async def close(self) -> None:
        """End the process: it tells its peers, and has three seconds for that."""
        self._closing = True
        process = self._process
        if process is None:
            return
        self.send(Stop())
        deadline = asyncio.get_running_loop().time() + CLOSE_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                async for _ in self:
                    pass
        self._end()
        await asyncio.to_thread(process.join, 1.0)
        if process.is_alive():
            process.kill()
            await asyncio.to_thread(process.join)
        process.close()
        self._process = None
