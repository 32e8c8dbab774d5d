"""Real UDP processes without the chat around them: started, told to send and to receive, and listened to."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tessenger.client.receiver_messages import (
    AnyFromReceiver,
    Done,
    Failed,
    Opened,
    OpenFile,
    Progress,
    Ready,
    ReceiveFile,
    SendFile,
)
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.receiver_process import ReceiverProcess

DEADLINE = 30.0
Message = TypeVar("Message")
LOOPBACK = "127.0.0.1"


class Client:
    """A UDP process with what it has said, sorted by transfer."""

    def __init__(self, process: ReceiverProcess) -> None:
        self.process = process
        self.said: dict[str, list[AnyFromReceiver]] = {}
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.process:
            async with self._changed:
                self.said.setdefault(getattr(message, "transfer", ""), []).append(message)
                self._changed.notify_all()

    async def hears(self, transfer: str, kind: type[Message], seconds: float = DEADLINE) -> Message:
        """Return the first message of a kind about a transfer, once it comes; fail on a failure that is not awaited."""

        def found() -> Message | None:
            for message in self.said.get(transfer, []):
                if isinstance(message, kind):
                    return message
                assert not isinstance(message, Failed), message
            return None

        async with self._changed:
            async with asyncio.timeout(seconds):
                await self._changed.wait_for(lambda: found() is not None)
        message = found()
        assert message is not None
        return message

    async def waits_for(self, condition: Callable[[], bool]) -> None:
        """Return once something that was said makes `condition` true."""
        async with self._changed, asyncio.timeout(DEADLINE):
            await self._changed.wait_for(condition)

    async def moves(self, transfer: str) -> None:
        """Return once some of the file is known to have arrived."""
        async with self._changed:
            async with asyncio.timeout(DEADLINE):
                await self._changed.wait_for(
                    lambda: any(isinstance(each, Progress) and each.done for each in self.said.get(transfer, []))
                )

    async def close(self) -> None:
        """End the process."""
        await self.process.close()
        await self._task


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[Client]:
    """Run a UDP process that receives into `folder`."""
    options = {"bind_host": LOOPBACK, "log_path": str(folder.parent / f"{folder.name}.log"), **options}
    process = ReceiverProcess(ReceiverOptions(download_dir=str(folder), **options))
    await process.start()
    client = Client(process)
    try:
        yield client
    finally:
        await client.close()
        check_log(Path(options["log_path"]))


def check_log(log: Path) -> None:
    """Fail if the UDP process had a fault, which it would have written to its log."""
    assert not log.read_text(), log.read_text()


async def offer(
    sender: Client, receiver: Client, path: Path, *, via: tuple[int, int] | None = None, called: str = "",
    **changed: Any,
) -> str:  # fmt: skip
    """Have `path` offered, as `called`, and accepted; return the transfer's id.

    `via` are the ports at which a path in between takes what the sender and what the receiver sends.
    """
    transfer = secrets.token_hex(8)
    sender.process.send(OpenFile(transfer, bytes(path), called))
    opened = await sender.hears(transfer, Opened)
    fields = {"name": opened.name, "size": opened.size, **changed}
    to_receiver, to_sender = via or (receiver.process.port, sender.process.port)
    receiver.process.send(ReceiveFile(transfer, "aaa", "bbb", key=opened.key, host=LOOPBACK, port=to_sender, **fields))
    ready = await receiver.hears(transfer, Ready)
    sender.process.send(SendFile(transfer, "aaa", "bbb", ready.key, LOOPBACK, to_receiver))
    return transfer


async def hand_over(sender: Client, receiver: Client, path: Path) -> Path:
    """Send `path`, check that it arrived, and return where."""
    transfer = await offer(sender, receiver, path)
    sent, received = await asyncio.gather(sender.hears(transfer, Done), receiver.hears(transfer, Done))
    assert sent.path == str(path)
    assert sent.size == received.size
    assert sent.code == received.code
    check_same(path, Path(received.path))
    return Path(received.path)


def check_same(path: Path, landed: Path) -> None:
    """Fail if a file arrived differently from what it was."""
    assert landed.read_bytes() == path.read_bytes()


def together(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Run a test in an event loop of its own."""

    def run(tmp_path: Path) -> None:
        asyncio.run(asyncio.wait_for(test(tmp_path), 55))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def names(folder: Path) -> list[str]:
    """Return what is in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, size: int) -> Path:
    """Write a file of random bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path
