"""`tessenger.client.Connection`, the library, against a scripted server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.client import Connection, ConnectionFailed, Message, RequestRefused, SessionOver, SignInDenied, inbox
from tessenger.client.position import Position, position_path
from tessenger.errors import ConfigError
from tessenger.wire.messages import (
    ActiveUser,
    ActiveUsers,
    Answer,
    AnyRequest,
    Denied,
    Error,
    GroupLeft,
    GroupLine,
    Invitation,
    Login,
    Logout,
    MsgTo,
    Ping,
    Pong,
    Replaced,
    Resume,
    Seen,
    Sent,
    Unread,
    UserLine,
    Welcome,
)
from tests.support.fake_server import AT, PATIENCE, FakeServer
from tests.support.server_process import ServerProcess, running_server

TOP = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the library keeps things."""
    return tmp_path / "state"


def connect(server: FakeServer, state: Path, *, password: str = "123", queue: int = 1_000) -> Connection:
    """Return a connection as aaa that waits to be entered."""
    return Connection.connect(
        "127.0.0.1", server.port, user="aaa", password=password, tls=False, state_dir=state, queue=queue
    )


def person(server: ServerProcess, folder: Path, user: str) -> Connection:
    """Return a connection to a real server that waits to be entered."""
    return Connection.connect("127.0.0.1", server.port, user=user, password="123", state_dir=folder / user)


async def texts(chat: Connection, count: int) -> list[str]:
    """Read so many messages."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            event = await anext(chat)
            assert isinstance(event, Message)
            found.append(event.text)
    return found


def test_requests_are_methods(server: FakeServer, state: Path) -> None:
    """Each returns its typed answer; leaving the block signs out."""

    async def scenario() -> None:
        async with connect(server, state) as chat:
            assert (chat.user, chat.state) == ("aaa", "connected")
            assert (await chat.send("bbb", "hi")).at == AT
            assert (await chat.create_group("g", "bbb")).group == "g"
            assert (await chat.join_group("g")).members == ["aaa", "bbb"]
            assert (await chat.send_group("g", "hi all")).seq == 2
            assert [line.user for line in await chat.active_users()] == ["aaa"]
            assert (await chat.names()).users == ["aaa", "bbb"]
            await chat.ping()
            await chat.sync()
            assert (await chat.request(Ping(0), Pong)).re > 0
        assert chat.state == "offline"

    asyncio.run(scenario())
    assert server.expect(Login).udp_port == 0
    server.expect(Logout)


def test_groups_and_people_are_methods_too(tmp_path: Path) -> None:
    """With a real server, from a private group's making to its last member."""

    async def scenario(server: ServerProcess) -> None:
        waiting = asyncio.timeout(PATIENCE)
        async with waiting, person(server, tmp_path, "aaa") as aaa, person(server, tmp_path, "bbb") as bbb:
            assert (await aaa.create_group("board", private=True)).members == ["aaa"]
            with pytest.raises(RequestRefused) as refused:
                await bbb.join_group("board")
            assert refused.value.code == "unknown_group"
            assert (await aaa.invite("board", "bbb")).user == "bbb"
            assert isinstance(await anext(bbb), Invitation)
            assert (await bbb.join_group("board")).members == ["aaa", "bbb"]
            members = await bbb.members("board")
            assert (members.creator, [line.user for line in members.members]) == ("aaa", ["aaa", "bbb"])
            assert await bbb.groups() == [GroupLine("board", 2, joined=True, private=True)]
            await bbb.away("lunch")
            known = await aaa.whois("bbb")
            assert (known.user, known.away, known.groups) == ("bbb", "lunch", ["board"])
            await bbb.away()
            assert not (await aaa.whois("bbb")).away
            assert (await aaa.remove("board", "bbb")).user == "bbb"
            assert isinstance(await anext(bbb), GroupLeft)
            assert (await aaa.leave_group("board")).group == "board"
            assert await aaa.groups() == []

    with running_server(tmp_path) as server:
        asyncio.run(scenario(server))


def test_refusals_are_exceptions(server: FakeServer, state: Path) -> None:
    """With the server's code and words; the session goes on. An answer of another kind is one too."""

    async def scenario() -> None:
        async with connect(server, state) as chat:
            with pytest.raises(RequestRefused, match="user zzz not online") as refused:
                await chat.send("zzz", "hi")
            assert refused.value.code == "not_online"
            with pytest.raises(ConnectionFailed, match="answered a request with Pong"):
                await chat.request(Ping(0), Sent)
            await chat.ping()

    asyncio.run(scenario())


def test_a_request_that_is_too_long_is_not_sent(server: FakeServer, state: Path) -> None:
    """The server would close the connection, and the library send it again, for ever."""

    async def scenario() -> None:
        async with connect(server, state) as chat:
            with pytest.raises(RequestRefused, match="at most 65536 bytes") as refused:
                await chat.send("bbb", "x" * 65_536)
            assert refused.value.code == "line_too_long"
            await chat.ping()

    asyncio.run(scenario())
    assert not server.has_got(MsgTo)


def test_a_wrong_password(server: FakeServer, state: Path) -> None:
    """The sign-in fails with the code."""

    async def scenario() -> None:
        with pytest.raises(SignInDenied, match="Invalid password") as denied:
            await connect(server, state, password="x").__aenter__()
        assert denied.value.code == "invalid_password"

    asyncio.run(scenario())


def test_nobody_listening(server: FakeServer, state: Path) -> None:
    """An `OSError` that everybody knows."""
    server.stop()

    async def scenario() -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(server, state).__aenter__()

    asyncio.run(scenario())


def test_without_tls_only_on_this_machine() -> None:
    """A password never crosses a network in clear."""
    with pytest.raises(ConfigError, match="is not on this machine"):
        Connection.connect("chat.example.org", user="aaa", password="123", tls=False)


def test_lists_are_put_together(server: FakeServer, state: Path) -> None:
    """An answer in several parts is one."""

    def in_parts(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, ActiveUser)
        lines = [UserLine(f"u{n}", "127.0.0.1", 0, AT) for n in range(5)]
        return [
            ActiveUsers(request.id, lines[:2], more=True), ActiveUsers(request.id, lines[2:4], more=True),
            ActiveUsers(request.id, lines[4:]),
        ]  # fmt: skip

    server.script[ActiveUser] = in_parts

    async def scenario() -> None:
        async with connect(server, state) as chat:
            assert [line.user for line in await chat.active_users()] == ["u0", "u1", "u2", "u3", "u4"]
            assert chat.state == "connected"

    asyncio.run(scenario())


def test_events_come_in_order_and_are_counted_as_read_when_dealt_with(server: FakeServer, state: Path) -> None:
    """The event that is being handled is not told as seen; the next turn of the loop says that it was dealt with."""

    async def scenario() -> None:
        async with connect(server, state) as chat:
            for number in range(3):
                server.say("aaa", f"m{number}")
            assert await texts(chat, 3) == ["m0", "m1", "m2"]
            path = position_path(state, f"127.0.0.1:{server.port}", "aaa")
            assert path is not None
            chat._channel.tell_seen()
            assert Position(path, "").seq == 2
        assert Position(path, "").seq == 3

    asyncio.run(scenario())
    assert server.expect(Seen).seq == 2
    assert server.expect(Seen).seq == 3
    server.expect(Logout)


def test_the_next_run_says_how_far_it_had_read(server: FakeServer, state: Path) -> None:
    """The number that was saved goes into the sign-in."""

    async def scenario() -> None:
        async with connect(server, state) as chat:
            server.say("aaa", "one")
            await texts(chat, 1)
        async with connect(server, state):
            pass

    asyncio.run(scenario())
    assert [login.after for login in server.logins] == [None, 1]


def test_what_was_not_dealt_with_is_not_signed_away(server: FakeServer, state: Path) -> None:
    """An exception in the middle of an event only disconnects: the server keeps that event and those behind it."""

    async def scenario() -> None:
        async def handle() -> None:
            async with connect(server, state) as chat:
                for number in range(3):
                    server.say("aaa", f"m{number}")
                await texts(chat, 2)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await handle()
        path = position_path(state, f"127.0.0.1:{server.port}", "aaa")
        assert path is not None
        assert Position(path, "").seq == 1

    asyncio.run(scenario())
    assert not server.has_got(Logout)


def test_after_a_long_absence_it_signs_in_again(server: FakeServer, state: Path) -> None:
    """A request that was sent may have been carried out, and fails; one that waited for a connection is sent now."""
    let_in = threading.Event()

    def resume(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Resume)
        if not let_in.is_set():
            return [Denied(request.id, "unavailable", "Try again.")]
        return [Denied(request.id, "session_expired", "Your session is over.")]

    server.script[Resume] = resume
    server.script[MsgTo] = lambda request: []

    async def scenario() -> None:
        async with connect(server, state) as chat:
            server.say("aaa", "m1")
            assert await texts(chat, 1) == ["m1"]
            sent = asyncio.ensure_future(chat.send("bbb", "sent"))
            await asyncio.to_thread(server.expect, MsgTo)
            server.drop("aaa")
            await asyncio.to_thread(server.expect, Resume)
            waiting = asyncio.ensure_future(chat.send("bbb", "waiting"))
            await asyncio.to_thread(server.expect, Resume)
            del server.script[MsgTo]
            let_in.set()
            with pytest.raises(RequestRefused, match="may or may not") as refused:
                await sent
            assert refused.value.code == "unknown_outcome"
            assert (await waiting).at == AT
            server.say("aaa", "m2")
            assert await texts(chat, 1) == ["m2"]

    asyncio.run(scenario())
    first, again = server.logins
    assert (first.after, first.unless_online) == (None, False)
    assert (again.after, again.unless_online) == (1, True)
    waited = server.expect(MsgTo)
    assert waited.text == "waiting"
    assert waited.id > again.id


def test_a_real_session_that_is_over_begins_anew(tmp_path: Path) -> None:
    """Without any grace, each break ends the session: two people whose workers die go on talking."""

    async def scenario(server: ServerProcess) -> None:
        waiting = asyncio.timeout(3 * PATIENCE)
        async with waiting, person(server, tmp_path, "aaa") as aaa, person(server, tmp_path, "bbb") as bbb:
            for number in range(3):
                for slot in (1, 2):
                    await asyncio.to_thread(server.kill_role, f"worker {slot}")
                while True:
                    try:
                        await aaa.send("bbb", f"m{number}")
                        break
                    except RequestRefused as refused:  # on its way when the session ended, or bbb is not back yet
                        if refused.code not in {"unknown_outcome", "not_online"}:
                            raise
                        await bbb.ping()
            async for event in bbb:
                if isinstance(event, Message) and event.text == "m2":
                    break

    with running_server(tmp_path, config="[sessions]\ngrace_seconds = 0\n") as server:
        asyncio.run(scenario(server))


def test_a_broken_connection_is_resumed_by_itself(server: FakeServer, state: Path) -> None:
    """With the token, behind the last event; what was not answered is sent again under its number."""
    resumed: list[Resume] = []
    asked: list[int] = []

    def resume(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Resume)
        resumed.append(request)
        events = [Message(number, "bbb", f"m{number}", AT) for number in (1, 2, 3)]
        return [Welcome(request.id, "aaa", "token-2", 3, server.limits), *events]

    def answer_the_second_time(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, MsgTo)
        asked.append(request.id)
        return [Sent(request.id, 9, AT)] if len(asked) > 1 else []

    server.script[Resume] = resume
    server.script[MsgTo] = answer_the_second_time

    async def scenario() -> None:
        async with connect(server, state) as chat:
            server.say("aaa", "m1")
            assert await texts(chat, 1) == ["m1"]
            sending = asyncio.ensure_future(chat.send("bbb", "hi"))
            await asyncio.to_thread(server.expect, MsgTo)
            server.drop("aaa")
            assert (await sending).seq == 9
            assert await texts(chat, 2) == ["m2", "m3"]

    asyncio.run(scenario())
    assert (resumed[0].token, resumed[0].after) == ("token-aaa", 1)
    assert asked == [asked[0]] * 2


def test_a_session_that_is_taken_over_ends_the_loop(server: FakeServer, state: Path) -> None:
    """What came before is still read; then the server's words, for requests too."""

    async def scenario() -> None:
        async with connect(server, state) as chat:
            server.push("aaa", Message(1, "bbb", "last", AT), Replaced("You have signed in from another place."))
            assert await texts(chat, 1) == ["last"]
            with pytest.raises(SessionOver, match="another place"):
                await anext(chat)
            with pytest.raises(SessionOver, match="another place"):
                await chat.ping()

    asyncio.run(scenario())
    assert not server.has_got(Logout)


def test_the_loop_ends_after_a_logout(server: FakeServer, state: Path) -> None:
    """`async for` just ends."""

    async def scenario() -> list[object]:
        async with connect(server, state) as chat:
            await chat.log_out()
            return [event async for event in chat]

    assert asyncio.run(scenario()) == []


class Flood:
    """A journal of messages for aaa, sent at the sign-in and again at each resume from where that says."""

    def __init__(self, server: FakeServer, count: int, padding: str = "") -> None:
        self.resumed: list[int] = []
        self._server = server
        self._all = [Message(seq, "bbb", f"m{seq}{padding}", AT) for seq in range(1, count + 1)]
        server.script[Login] = self._login
        server.script[Resume] = self._resume

    def _welcome(self, re: int) -> list[Answer]:
        return [Welcome(re, "aaa", "token-aaa", len(self._all), self._server.limits)]

    def _login(self, request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [*self._welcome(request.id), Unread(len(self._all)), *self._all]

    def _resume(self, request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Resume)
        self.resumed.append(request.after)
        return [*self._welcome(request.id), *self._all[request.after :]]


def test_a_slow_reader_keeps_a_bounded_number_of_events(server: FakeServer, state: Path) -> None:
    """With a request for each event, which must be read for behind the flood: nothing is lost, doubled or piled up."""
    count, queue = 5_000, 100
    flood = Flood(server, count)
    most = 0

    async def scenario() -> list[str]:
        nonlocal most
        found: list[str] = []
        async with asyncio.timeout(PATIENCE), connect(server, state, queue=queue) as chat:
            while len(found) < count:
                event = await anext(chat)
                if isinstance(event, Message):
                    found.append(event.text)
                    if len(found) % 50 == 0:
                        await chat.ping()
                most = max(most, len(chat._inbox._events))
        return found

    assert asyncio.run(scenario()) == [f"m{seq}" for seq in range(1, count + 1)]
    assert most <= 4 * queue
    assert flood.resumed == sorted(flood.resumed)
    assert flood.resumed, "the bound was never reached"


def test_long_texts_count_by_their_length(server: FakeServer, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few messages of many characters are as much as many short ones."""
    monkeypatch.setattr(inbox, "QUEUE_BYTES", 100_000)
    flood = Flood(server, 400, "x" * 5_000)
    most = 0

    async def scenario() -> int:
        nonlocal most
        found = 0
        async with asyncio.timeout(PATIENCE), connect(server, state) as chat:
            while found < 400:
                event = await anext(chat)
                if isinstance(event, Message):
                    found += 1
                    if found % 10 == 0:
                        await chat.ping()
                most = max(most, sum(len(e.text) for e, _ in chat._inbox._events if isinstance(e, Message)))
        return found

    assert asyncio.run(scenario()) == 400
    assert most <= 400_000 + 5_010
    assert flood.resumed, "the bound was never reached"


def test_a_reader_that_only_reads_slowly_pauses_the_connection(server: FakeServer, state: Path) -> None:
    """While no answer is waited for, the connection itself is paused: no event is fetched twice."""
    queue = 1_000
    flood = Flood(server, 0)

    async def scenario() -> None:
        async with connect(server, state, queue=queue) as chat:
            assert isinstance(await anext(chat), Unread)
            server.push("aaa", *(Message(seq, "bbb", f"m{seq}", AT) for seq in range(1, queue + 1)))
            async with asyncio.timeout(PATIENCE):
                while chat._channel._link is None or chat._channel._link.is_reading:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
            server.push("aaa", *(Message(seq, "bbb", f"m{seq}", AT) for seq in range(queue + 1, 2 * queue + 1)))
            assert await texts(chat, 2 * queue) == [f"m{seq}" for seq in range(1, 2 * queue + 1)]

    asyncio.run(scenario())
    assert flood.resumed == []


def test_an_error_of_the_connection_is_its_reason(server: FakeServer, state: Path) -> None:
    """Where the session cannot be resumed, the loop ends with the server's last word."""
    server.script[Resume] = lambda request: [Error("removed", "Your account was removed.")]

    async def scenario() -> None:
        connection = Connection.connect(
            "127.0.0.1", server.port, user="aaa", password="123", tls=False, state_dir=state, resume_seconds=0
        )
        async with connection as chat:
            server.hang_up(Error("removed", "Your account was removed."))
            with pytest.raises(SessionOver, match="Your account was removed"):
                await anext(chat)

    asyncio.run(scenario())


def test_it_needs_no_terminal_and_no_process(server: FakeServer, tmp_path: Path) -> None:
    """Neither prompt_toolkit nor multiprocessing is imported by a program that uses it."""
    program = f"""
import asyncio, sys
from tessenger.client import Connection
async def main():
    async with Connection.connect("127.0.0.1", {server.port}, user="aaa", password="123", tls=False,
                                  state_dir={str(tmp_path)!r}) as chat:
        await chat.ping()
asyncio.run(main())
print(sorted(name for name in sys.modules if name in ("prompt_toolkit", "multiprocessing", "uvloop")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_is_not_there_is_said_as_usual() -> None:
    """A name that the package does not have is an `AttributeError`."""
    import tessenger.client  # noqa: PLC0415

    with pytest.raises(AttributeError, match="no attribute 'Conection'"):
        _ = tessenger.client.Conection
