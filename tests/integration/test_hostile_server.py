"""The client and the library against a server that sends nonsense: a clear word, no harm, and no haste."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tessenger.client import Connection, ConnectionFailed, Message, RequestRefused
from tessenger.client.link import MAX_LINE, NONSENSE, UNCLEAR
from tessenger.wire.messages import (
    Answer,
    AnyRequest,
    Closing,
    Error,
    Groups,
    GroupsAnswer,
    Login,
    MsgTo,
    Ping,
    Pong,
    Resume,
    Seen,
    Sent,
    Sync,
    Welcome,
)
from tests.support.fake_server import AT, PATIENCE, FakeServer
from tests.support.person import Person
from tests.support.piped_client import PipedClient
from tests.support.pty_terminal import ENTER

BREAKING = {
    "depth": b'{"type":"message","seq":7,"at":1,"from":"bbb","text":"x","zz":' + b'{"a":' * 3_000 + b"\n",
    "text": b'{"type":"message","seq":7,"at":1,"from":"bbb","text":"\xff"}\n',
    "protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "line without an end": b'{"type":"message","seq":7,"at":1,"from":"bbb","text":"' + b"x" * (MAX_LINE + 1),
}
"""What ends a connection."""

SKIPPED = b"".join(
    b'{"type":"message","from":"bbb","text":"absurd",%b}\n' % values
    for values in (b'"seq":9223372036854775807,"at":1', b'"seq":1,"at":' + b"9" * 4_000, b'"seq":-5,"at":1', b'"seq":1')
)
"""What is passed over."""

ESCAPES = "\x1b]0;pwn\x07\x9b31m\u202eabc\r\x08"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


def connect(server: FakeServer, folder: Path) -> Connection:
    """Return a connection as aaa that waits to be entered."""
    return Connection.connect("127.0.0.1", server.port, user="aaa", password="123", tls=False, state_dir=folder)


def id_of(request: AnyRequest) -> int:
    """Return the number that an answer has to name."""
    assert not isinstance(request, Seen)
    return request.id


async def text(chat: Connection) -> str:
    """Return the next message."""
    async with asyncio.timeout(PATIENCE):
        event = await anext(chat)
    assert isinstance(event, Message)
    return event.text


@pytest.mark.parametrize("nonsense", BREAKING.values(), ids=BREAKING)
def test_the_library_resumes_behind_nonsense(server: FakeServer, tmp_path: Path, nonsense: bytes) -> None:
    """Over another connection, and goes on with what comes there."""

    async def scenario() -> None:
        async with connect(server, tmp_path) as chat:
            await asyncio.to_thread(server.push_raw, "aaa", nonsense)
            await asyncio.to_thread(server.expect, Resume)
            await asyncio.to_thread(server.say, "aaa", "still here")
            assert await text(chat) == "still here"

    asyncio.run(scenario())


def test_events_that_make_no_sense_are_passed_over(server: FakeServer, tmp_path: Path) -> None:
    """The connection goes on."""

    async def scenario() -> None:
        async with connect(server, tmp_path) as chat:
            await asyncio.to_thread(server.push_raw, "aaa", SKIPPED)
            await asyncio.to_thread(server.say, "aaa", "still here")
            assert await text(chat) == "still here"
        assert not server.has_got(Resume)

    asyncio.run(scenario())


def test_answers_that_make_no_sense_are_errors(server: FakeServer, tmp_path: Path) -> None:
    """Of those that are documented, and each for whoever has asked."""

    def odd(request: AnyRequest) -> list[Answer]:
        return [Sent(id_of(request), -1, AT)]

    def other(request: AnyRequest) -> list[Answer]:
        return [Welcome(id_of(request), "mallory", "stolen", 9, server.limits)]

    def endless(request: AnyRequest) -> list[Answer]:
        return [GroupsAnswer(id_of(request), [], more=True), Pong(id_of(request))]

    server.script |= {MsgTo: odd, Sync: other, Groups: endless}

    async def scenario() -> None:
        async with connect(server, tmp_path) as chat, asyncio.timeout(PATIENCE):
            with pytest.raises(RequestRefused, match="does not understand") as refused:
                await chat.send("bbb", "hi")
            assert refused.value.code == "unknown_outcome"
            with pytest.raises(ConnectionFailed, match="answered a request with Welcome"):
                await chat.sync()
            assert chat.user == "aaa"
            with pytest.raises(RequestRefused, match="no end, or parts that do not belong together"):
                await chat.groups()
            await chat.ping()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"user": "../../x"}, UNCLEAR),
        ({"user": ESCAPES}, UNCLEAR),
        ({"seq": -1}, UNCLEAR),
        ({"token": "x" * 300}, UNCLEAR),
    ],
)
def test_a_welcome_that_makes_no_sense(
    server: FakeServer, tmp_path: Path, fields: dict[str, object], problem: str
) -> None:
    """Is no welcome: nothing is kept under a name that leaves its folder."""

    def welcome(request: AnyRequest) -> list[Answer]:
        values = {"re": id_of(request), "user": "aaa", "token": "t", "seq": 0, "limits": server.limits} | fields
        return [Welcome(**values)]  # type: ignore[arg-type]  # that is the point

    server.script[Login] = welcome

    async def scenario() -> None:
        with pytest.raises(ConnectionFailed) as failed:
            async with connect(server, tmp_path):
                pass
        assert str(failed.value) == problem

    asyncio.run(scenario())


def test_events_before_anybody_has_signed_in(tmp_path: Path) -> None:
    """Would be kept for somebody who may never come; nobody is asked who they are there."""
    with FakeServer(greeting=b'{"type":"message","seq":1,"at":1,"from":"b","text":"early"}\n') as server:
        with PipedClient(server.port, tmp_path, "--no-tls") as client:
            assert client.rest() == []
        assert client.process.returncode == 1
        assert client.errors == f"tessenger-client: {NONSENSE}\n"


def test_a_server_that_goes_on_with_nonsense_is_called_less_and_less_often(server: FakeServer, tmp_path: Path) -> None:
    """Each connection that breaks soon after it was taken up doubles the pause before the next one."""
    resumes: list[float] = []

    async def scenario() -> None:
        async with connect(server, tmp_path) as chat:
            for _ in range(5):
                await asyncio.to_thread(server.push_raw, "aaa", b"nonsense\n")
                await asyncio.to_thread(server.expect, Resume)
                resumes.append(time.monotonic())
                await chat.ping()

    asyncio.run(scenario())
    pauses = [after - before for before, after in pairwise(resumes)]
    assert all(pause > 0.05 * 2 ** (number + 1) for number, pause in enumerate(pauses)), pauses


def test_the_client_says_what_is_wrong_and_goes_on(server: FakeServer, tmp_path: Path) -> None:
    """In words, whatever comes: no traceback, and nothing that steers a terminal."""
    server.script[Ping] = lambda request: [Sent(id_of(request), 1, AT)]
    with PipedClient(server.port, tmp_path, "--no-tls") as client:
        client.sign_in()
        for nonsense in BREAKING.values():
            server.push_raw("aaa", SKIPPED + nonsense)
            server.expect(Resume)
            client.type("/msgto bbb hi")
            client.answer()
        server.hang_up(Error("too_slow", ESCAPES))
        server.expect(Resume)
        client.type("/msgto bbb still here", "/logout")
        client.rest()
        assert client.process.returncode == 0
        assert "absurd" not in "".join(client.lines)
        notices = client.errors
    assert notices.count(f"{NONSENSE} Connecting again ...\nConnected again.\n") == 3
    assert notices.count("The server sent a line without an end. Connecting again ...\nConnected again.\n") == 1
    assert "Traceback" not in notices
    assert notices.replace("\n", "").isprintable()


def test_a_person_at_a_terminal_stays_in_the_conversation(server: FakeServer, tmp_path: Path) -> None:
    """What they had begun to type is still there, and what comes behind the nonsense is shown."""
    person = Person(server.port, tmp_path, "--no-tls")
    with person.terminal:
        terminal = person.sign_in()
        terminal.type("msgto bbb half")
        terminal.until_line("> msgto bbb half")
        server.push_raw("aaa", SKIPPED + BREAKING["depth"])
        server.expect(Resume)
        server.hang_up(Closing(ESCAPES))
        server.expect(Resume)
        terminal.type(" a line" + ENTER)
        assert server.expect(MsgTo).text == "half a line"
        server.say("aaa", "still here")
        terminal.until_shown("bbb: still here")
        terminal.until_shown(NONSENSE)
        assert "absurd" not in terminal.text()
        assert b"pwn\x07" not in terminal.raw
