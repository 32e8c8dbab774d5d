"""What makes no sense between the server's processes: whoever gets it says so in the error log, and goes on."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from tessenger.chat.ports import Worker
from tessenger.errors import TessengerError
from tessenger.server import admin, control, frames, manager, roles
from tessenger.server.acceptor import MAX_TOLD, WorkerLine
from tessenger.server.log_link import LogLink
from tessenger.state.memory import MemoryState
from tests.unit.server.test_frames import NONSENSE

DEADLINE = 20.0


@pytest.fixture(autouse=True)
def _in_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets have relative names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def logger() -> Iterator[socket.socket]:
    """Where a logger listens."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(roles.LOGGER_SOCKET)
        listening.listen()
        listening.settimeout(DEADLINE)
        yield listening


def followed(logger: socket.socket, answer: bytes) -> frames.Follow:
    """Take a follower's connection, answer it, and wait until it is closed; return how it began."""
    connection, _ = logger.accept()
    with connection:
        connection.settimeout(DEADLINE)
        (follow,) = frames.for_logger().feed(connection.recv(1_000))
        connection.sendall(answer)
        assert connection.recv(1_000) == b""
    assert isinstance(follow, frames.Follow)
    return follow


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_a_worker_comes_back_to_a_logger_that_sends_nonsense(
    logger: socket.socket, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """And follows from where it was."""

    async def scenario() -> None:
        link = LogLink(Worker(1, 1), 7, lambda _: None)
        connected = asyncio.ensure_future(link.connect())
        begun = frames.encode(frames.Following(0))
        async with asyncio.timeout(DEADLINE):
            assert await asyncio.to_thread(followed, logger, begun + nonsense) == frames.Follow(1, 1, 7)
            connection, _ = await asyncio.to_thread(logger.accept)
            with connection:
                connection.sendall(begun + frames.encode(frames.CaughtUp()))
                await connected
        link.close()

    asyncio.run(scenario())
    assert "the logger sent what is no frame" in caplog.text


class Still:
    """A shared state to which nothing happens."""

    seq = 7


def test_the_manager_comes_back_to_a_logger_that_sends_nonsense(logger: socket.socket) -> None:
    """The thread that follows the log does not end with it."""
    process = multiprocessing.get_context("fork").Process(
        target=manager.follow, args=(3, cast(MemoryState, Still())), daemon=True
    )
    process.start()
    try:
        for nonsense in NONSENSE.values():
            assert followed(logger, nonsense) == frames.Follow(0, 3, 7)
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("told", [b".x\n", b".\n", b"." + b"9" * 5_000 + b"\n", b"+\xff\n", b"+" * (MAX_TOLD + 2)])
def test_a_worker_that_tells_nonsense_is_asked_anew(told: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The acceptor takes its line for lost: over the next one it is told everything again."""
    line = WorkerLine(1)
    line.socket, worker = socket.socketpair()
    with line.socket, worker:
        worker.sendall(b"+127.0.0.1\n=\n")
        assert line.listen(0)
        worker.sendall(told)
        assert not line.listen(0)
    line.lost()
    assert not line.told
    assert ("told what makes no sense" in caplog.text) == told.endswith(b"\n")


def test_a_message_that_cannot_be_decoded_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """The next one is heard, and the end."""
    ours, theirs = multiprocessing.Pipe()
    for nonsense in (b"", b"nonsense", b"\x80\x04cno\nwhere\n.", b"\x80\x04]" + b"]" * 1_000, b"\x80\x04K."):
        theirs.send_bytes(nonsense)
        assert roles.heard(ours) is None, nonsense
    theirs.send(control.Stop())
    assert roles.heard(ours) == control.Stop()
    theirs.close()
    assert roles.heard(ours) == roles.Gone()
    assert caplog.text.count("a message on a control pipe cannot be decoded") == 5


def _refuse(request: admin.Redact) -> admin.Reply:
    raise AssertionError(request)


@pytest.mark.parametrize(
    "line", [b"[" * 5_000, b"\xff", b'{"type":"redact","seq":"\xff"}', b'{"type":"redact","seq":0}', b"x" * 100_000]
)
def test_an_administrator_who_asks_nonsense_is_told_so(line: bytes) -> None:
    """In the way of an answer."""

    async def scenario() -> bytes:
        async with asyncio.timeout(DEADLINE), await admin.listen(_refuse):
            reader, writer = await asyncio.open_unix_connection(roles.ADMIN_SOCKET)
            writer.write(line + b"\n")
            answer = await reader.readline()
            writer.close()
            return answer

    reply = msgspec.json.decode(asyncio.run(scenario()), type=admin.Reply)
    assert isinstance(reply, admin.Refused)
    assert reply.text.startswith("no valid request: ")


def test_a_server_that_answers_an_administrator_nonsense(tmp_path: Path) -> None:
    """Is said in a line."""

    async def scenario() -> str:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b'{"x":' * 5_000 + b"\n")
            writer.close()

        async with asyncio.timeout(DEADLINE), await asyncio.start_unix_server(talk, roles.ADMIN_SOCKET):
            return await asyncio.to_thread(_complaint, lambda: admin.ask(tmp_path, admin.Redact(1)))

    assert asyncio.run(scenario()) == "the server's answer makes no sense: it is nested too deeply"


def _complaint(work: Callable[[], object]) -> str:
    with pytest.raises(TessengerError) as problem:
        work()
    return str(problem.value)
