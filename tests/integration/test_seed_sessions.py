"""The sessions of the original description, played through pipes against a real server with four workers and TLS."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.piped_client import PipedClient
from tests.support.server_process import ServerProcess, running_server

CLIENT = [sys.executable, "-m", "tessenger", "client"]
TIME = r"\d{1,2} [A-Z][a-z]+ \d{4} \d\d:\d\d:\d\d"

Join = Callable[..., PipedClient]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with four workers; blocks last five seconds."""
    with running_server(tmp_path / "server", workers=4, config="[auth]\nblock_seconds = 5\n") as server:
        yield server


@pytest.fixture
def join(server: ServerProcess, tmp_path: Path) -> Iterator[Join]:
    """Start a client in a folder of its own, signed in where a user is named."""
    with ExitStack() as clients:

        def start(user: str = "", folder: str = "") -> PipedClient:
            home = tmp_path / (folder or user or "client")
            home.mkdir(exist_ok=True)
            client = clients.enter_context(PipedClient(server.port, home, command=CLIENT))
            if user:
                client.sign_in(user)
            return client

        yield start


def only(lines: list[str]) -> str:
    """The one line of an answer."""
    assert len(lines) == 1, lines
    return lines[0]


def assert_console(server: ServerProcess, *patterns: str) -> None:
    """The console has lines that match these patterns, in this order; waits for the last one."""
    server.wait_for(lambda line: re.fullmatch(patterns[-1], line) is not None)
    lines = iter(server.lines)
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line) for line in lines), f"{pattern!r} is missing\n{server.report()}"


def test_failed_logins(server: ServerProcess, join: Join) -> None:
    """Three wrong passwords block the account, the right one does not help meanwhile, and later it does."""
    client = join(folder="first")
    waiting = [join(folder="wrong"), join(folder="right")]  # started now: a busy machine takes its time for that
    for other in waiting:
        other.expect("Username: ")
    assert client.expect("Username: ") == ["Please login"]
    client.type("aaa", "111")
    assert client.expect("Username: ") == ["Password: ", "Invalid password. Please try again."]
    client.type("aaa", "111")
    assert client.expect("Username: ") == ["Password: ", "Invalid password. Please try again."]
    client.type("aaa", "111")
    blocked = "Invalid details. Your account has been blocked. Please try again later."
    assert client.rest() == ["Password: ", blocked]
    assert client.process.returncode != 0

    for again, password in zip(waiting, ("111", "123"), strict=True):
        again.type("aaa", password)
        assert again.rest()[-1] == "Your account is blocked due to multiple login failures. Please try again later."
        assert again.process.returncode != 0

    server.wait_for("has been unblocked aaa")
    join("aaa", "later")
    assert_console(
        server,
        "has reached maximum failed attempts aaa",
        "has been blocked for 5 seconds aaa",
        "has been unblocked aaa",
        ">> aaa is online",
    )
    assert server.lines.count("has been unblocked aaa") == 1


def test_activeuser(server: ServerProcess, join: Join) -> None:
    """The list of who is online, in the order of sign-in, a full stop behind every line but the last."""
    aaa = join("aaa")
    aaa.type("activeuser")
    assert re.fullmatch(rf"aaa, 127\.0\.0\.1, \d+, {TIME}", only(aaa.answer()))
    join("bbb")
    aaa.type("/activeuser")
    first, second = aaa.answer()
    assert re.fullmatch(rf"aaa, 127\.0\.0\.1, \d+, {TIME}\.", first)
    assert re.fullmatch(rf"bbb, 127\.0\.0\.1, \d+, {TIME}", second)
    assert_console(
        server, ">> aaa issued activeuser command", ">> Return active user list:", re.escape(first), re.escape(second)
    )


def test_private_messages_and_logout(server: ServerProcess, join: Join) -> None:
    """Messages to and fro, one with words that the original took for commands, and to someone who has left."""
    bbb, aaa = join("bbb"), join("aaa")
    aaa.type("msgto bbb how are u ?")
    sent = re.fullmatch(rf"message sent at ({TIME})", only(aaa.answer()))
    assert sent is not None
    assert only(bbb.answer()) == f"{sent[1]}, aaa: how are u ?"
    bbb.type("msgto aaa good, how about you?")
    assert only(bbb.answer()).startswith("message sent at ")
    assert re.fullmatch(rf"{TIME}, bbb: good, how about you\?", only(aaa.answer()))
    aaa.type("msgto bbb Bye, blocked, error, Welcome: p2pvideo is 2,048 bytes" + "!" * 3000)
    assert only(aaa.answer()).startswith("message sent at ")
    assert only(bbb.answer()).endswith("p2pvideo is 2,048 bytes" + "!" * 3000)
    aaa.type("logout")
    assert aaa.rest() == ["Bye, aaa!"]
    assert aaa.process.returncode == 0
    bbb.type("msgto aaa fair enough!")
    assert only(bbb.answer()) == "user aaa not online"
    bbb.end_input()
    assert bbb.rest() == ["Bye, bbb!"]
    assert bbb.process.returncode == 0
    assert_console(
        server,
        ">> bbb is online",
        ">> aaa is online",
        ">> aaa issued msgto command",
        rf'>> aaa message to bbb "how are u \?" at {TIME}',
        ">> bbb issued msgto command",
        rf'>> bbb message to aaa "good, how about you\?" at {TIME}',
        ">> aaa issued logout command",
        ">> aaa logout",
        ">> bbb issued msgto command",
        ">> bbb issued logout command",
        ">> bbb logout",
    )
    log = (server.data_dir / "messagelog.txt").read_text().splitlines()
    assert re.fullmatch(rf"\d+; {TIME}; aaa; bbb; how are u \?", log[0])


def test_groups(server: ServerProcess, join: Join) -> None:
    """Three people in a group; joining twice, and creating it twice."""
    ccc, bbb, aaa = join("ccc"), join("bbb"), join("aaa")
    aaa.type("creategroup g aaa bbb ccc")
    assert only(aaa.answer()) == "Group chat created g"
    bbb.type("joingroup g")
    assert only(bbb.answer()) == "You have already joined Groupchat g"
    ccc.type("creategroup g aaa bbb ccc")
    assert only(ccc.answer()) == "Failed to create the group chat g: g exists!"
    ccc.type("groupmsg g I wanna create a group for us, and found it exists already")
    assert re.fullmatch(rf"Group chat message sent at:{TIME}", only(ccc.answer()))
    for member in (aaa, bbb):
        text = only(member.answer())
        assert re.fullmatch(rf"{TIME}, g, ccc: I wanna create a group for us, and found it exists already", text)
    bbb.type("groupmsg g haha!")
    assert re.fullmatch(rf"Group chat message sent at:{TIME}", only(bbb.answer()))
    for member in (aaa, ccc):
        assert re.fullmatch(rf"{TIME}, g, bbb: haha!", only(member.answer()))
    aaa.type("logout")
    assert aaa.rest() == ["Bye, aaa!"]
    bbb.type("groupmsg g maybe next time!")
    assert only(bbb.answer()).startswith("Group chat message sent at:")
    assert re.fullmatch(rf"{TIME}, g, bbb: maybe next time!", only(ccc.answer()))
    assert_console(
        server,
        ">> aaa issued creategroup command",
        ">> Group chat room has been created, room name: g, user in this room are: aaa,bbb,ccc",
        ">> bbb issued joingroup command",
        ">> ccc issued creategroup command",
        ">> Return message Groupname g already exists.",
        ">> ccc issued groupmsg command",
        rf'>> ccc sent a message in group chat g:{TIME}: "I wanna create a group for us, and found it exists already"',
        ">> bbb issued groupmsg command",
        rf'>> bbb sent a message in group chat g:{TIME}: "haha!"',
        ">> aaa issued logout command",
        ">> aaa logout",
        ">> bbb issued groupmsg command",
        rf'>> bbb sent a message in group chat g:{TIME}: "maybe next time!"',
    )
    log = (server.data_dir / "g_messagelog.txt").read_text().splitlines()
    assert [line.split("; ")[2:] for line in log][1] == ["bbb", "haha!"]


def test_p2pvideo(server: ServerProcess, join: Join, tmp_path: Path) -> None:
    """A video goes from one client to the other, and arrives as it was."""
    aaa, bbb = join("aaa"), join("bbb")
    video = bytes(range(256)) * 4_000
    (tmp_path / "aaa" / "example1.mp4").write_bytes(video)
    aaa.type("p2pvideo bbb example1.mp4")
    assert only(aaa.answer()) == "example1.mp4 has been uploaded."
    assert only(bbb.answer()) == "Received example1.mp4 from aaa"
    assert (tmp_path / "bbb" / "downloads" / "example1.mp4").read_bytes() == video
    assert_console(server, ">> aaa is online", ">> bbb is online", ">> aaa issued p2pvideo command")


def test_a_wide_message_arrives_whole(join: Join) -> None:
    """9,000 characters, emoji among them, arrive as one message."""
    aaa, bbb = join("aaa"), join("bbb")
    text = " ".join(["wide 👩‍🚀 message"] * 530)
    aaa.type(f"msgto bbb {text}")
    assert only(aaa.answer()).startswith("message sent at ")
    assert only(bbb.answer()).endswith(f", aaa: {text}")


@pytest.mark.parametrize("name", ["plain.mp4", "two words.mp4", "видео 视频.mp4", "empty.bin", ".hidden", "a" * 200])
def test_awkward_files(join: Join, tmp_path: Path, name: str) -> None:
    """Files with names that shells and disks dislike, an empty one among them, arrive under a name of their own."""
    aaa, bbb = join("aaa"), join("bbb")
    content = b"" if name == "empty.bin" else b"content of " + name.encode()
    (tmp_path / "aaa" / name).write_bytes(content)
    aaa.type(f"sendfile bbb '{name}'")
    assert only(aaa.answer()) == f"{name} has been uploaded."
    assert only(bbb.answer()) == f"Received {name} from aaa"
    (landed,) = (tmp_path / "bbb" / "downloads").iterdir()
    assert landed.read_bytes() == content
