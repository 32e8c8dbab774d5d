"""The background UDP process as the chat sees it, and as it is kept running. Runs in the client's main process.

It is started before a prompt takes the terminal and started again when it dies; then every transfer that it knew is
lost, which one `ProcessDied` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from tessenger.client.receiver_messages import AnyFromReceiver, AnyToReceiver, Failed, Started, Stop
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.errors import TransferError

if TYPE_CHECKING:
    from tessenger.client.receiver_process import ReceiverProcess

STEADY_SECONDS = 60.0
"""A process that lived as long as this is started again at once; one that dies young waits longer each time."""

LONGEST_WAIT_SECONDS = 30.0


class ProcessDied(Struct, frozen=True):
    """The UDP process ended unexpectedly; another one is on its way."""


Report = AnyFromReceiver | ProcessDied


class FileProcess(Protocol):
    """What moves files."""

    async def start(self, on_report: Callable[[Report], None]) -> int:
        """Start it and return its UDP port, or raise `TransferError`. `on_report` is called on the event loop."""

    def send(self, message: AnyToReceiver) -> None:
        """Ask it for something."""

    async def stop(self) -> None:
        """End it."""


class NoFiles:
    """In the place of a process, for a client that moves no files: others are told that it takes none."""

    async def start(self, on_report: Callable[[Report], None]) -> int:
        """Return port 0."""
        return 0

    def send(self, message: AnyToReceiver) -> None:
        """Nobody asks."""
        raise AssertionError(message)

    async def stop(self) -> None:
        """There is nothing to end."""


class KeptRunning:
    """The UDP process, with a successor on the same port whenever it dies."""

    def __init__(self, options: ReceiverOptions) -> None:
        self._options = options
        self._process: ReceiverProcess | None = None
        self._on_report: Callable[[Report], None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process else None

    async def start(self, on_report: Callable[[Report], None]) -> int:
        """Start it; the port stays the same for all successors, as others have been told of it."""
        self._on_report = on_report
        process = await self._launch()
        self._options = replace(self._options, udp_port=process.port)
        self._keeper = asyncio.ensure_future(self._keep(process))
        return process.port

    def send(self, message: AnyToReceiver) -> None:
        """Ask for something; while no process runs the answer is a failure."""
        if self._process is not None:
            self._process.send(message)
        elif not isinstance(message, Stop):
            failed = Failed(message.transfer, "the file process is being started again")
            asyncio.get_running_loop().call_soon(self._report, failed)

    async def stop(self) -> None:
        """End it for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._process is not None:
            process, self._process = self._process, None
            await process.close()

    async def _launch(self) -> ReceiverProcess:
        from tessenger.client.receiver_process import ReceiverProcess  # noqa: PLC0415 - its imports cost 50 ms

        self._process = ReceiverProcess(self._options)
        try:
            await self._process.start()
        except TransferError:
            self._process = None
            raise
        return self._process

    async def _keep(self, process: ReceiverProcess) -> None:
        """Pass reports on, and replace a process that has died."""
        loop = asyncio.get_running_loop()
        wait = 0.0
        while True:
            started = loop.time()
            async for report in process:
                if not isinstance(report, Started):
                    self._report(report)
            self._process = None
            await process.close()
            self._report(ProcessDied())
            wait = 0.0 if loop.time() - started >= STEADY_SECONDS else min(LONGEST_WAIT_SECONDS, wait * 2 + 0.1)
            process = await self._relaunch(wait)

    async def _relaunch(self, wait: float) -> ReceiverProcess:
        while True:
            await asyncio.sleep(wait)
            try:
                return await self._launch()
            except TransferError:
                wait = min(LONGEST_WAIT_SECONDS, wait * 2 + 0.1)  # its port may be free again soon

    def _report(self, report: Report) -> None:
        if self._on_report is not None:
            self._on_report(report)
