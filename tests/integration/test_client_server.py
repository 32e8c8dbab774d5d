"""The real client with the real server, TLS on and the real UDP process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fake_server import FakeServer
from tests.support.piped_client import PATIENCE, PipedClient, environment
from tests.support.pty_terminal import CTRL_D, ENTER, TAB, PtyTerminal
from tests.support.server_process import ServerProcess, children_of, is_running, running_server, title_of

CLIENT = [sys.executable, "-m", "tessenger", "client"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with TLS, for aaa, bbb, ccc and ddd."""
    with running_server(tmp_path / "server") as process:
        yield process


def home(tmp_path: Path, user: str) -> Path:
    """Return a home directory of someone's own."""
    path = tmp_path / user
    path.mkdir()
    return path


def test_two_people_chat_and_send_a_file(server: ServerProcess, tmp_path: Path) -> None:
    """Signing in, a message both ways, a group, a file, and out again, through TLS and UDP."""
    with (
        PipedClient(server.port, home(tmp_path, "aaa"), command=CLIENT) as aaa,
        PipedClient(server.port, home(tmp_path, "bbb"), command=CLIENT) as bbb,
    ):
        aaa.sign_in("aaa")
        bbb.sign_in("bbb")
        aaa.type("msgto bbb Bye, Welcome, blocked 👋")
        (sent,) = aaa.answer()
        time = sent.removeprefix("message sent at ")
        assert bbb.answer() == [f"{time}, aaa: Bye, Welcome, blocked 👋"]
        bbb.type("creategroup g aaa")
        assert bbb.answer() == ["Group chat created g"]
        aaa.type("joingroup g")
        assert aaa.answer() == ["You have already joined Groupchat g"]
        (tmp_path / "aaa" / "my example1.mp4").write_bytes(os.urandom(200_000))
        aaa.type("p2pvideo bbb 'my example1.mp4'")
        aaa.end_input()
        assert aaa.answer() == ["my example1.mp4 has been uploaded."]
        assert bbb.answer() == ["Received my example1.mp4 from aaa"]
        assert aaa.rest() == ["Bye, aaa!"]
        assert aaa.process.returncode == 0
        received = tmp_path / "bbb" / "downloads" / "my example1.mp4"
        assert received.read_bytes() == (tmp_path / "aaa" / "my example1.mp4").read_bytes()


def test_the_servers_key_is_pinned(server: ServerProcess, tmp_path: Path) -> None:
    """A notice the first time, silence the second, a refusal when another key is pinned."""
    mine = home(tmp_path, "aaa")
    with PipedClient(server.port, mine, command=CLIENT) as first:
        first.sign_in()
        assert f"New server 127.0.0.1:{server.port}, its key sha256:" in first.errors
    with PipedClient(server.port, mine, command=CLIENT) as second:
        second.sign_in()
        assert second.errors == ""
    known = mine / "state" / "known_servers"
    known.write_text(f"# mine\n127.0.0.1:{server.port} sha256:other\n")
    with PipedClient(server.port, mine, command=CLIENT) as third:
        assert third.rest() == []
        assert third.process.returncode == 1
        assert "has changed: it was sha256:other, now it is sha256:" in third.errors
        assert f"remove line 2 of {known}" in third.errors


def test_a_server_without_tls_is_refused(tmp_path: Path) -> None:
    """The password is not sent in clear because somebody answers so."""
    with FakeServer(greeting=b"not TLS at all\n") as plain, PipedClient(plain.port, tmp_path, command=CLIENT) as client:
        assert client.rest() == []
        assert client.process.returncode == 1
        assert "No TLS connection" in client.errors
        assert plain.logins == []


def test_a_server_with_tls_gets_no_password_in_clear(server: ServerProcess, tmp_path: Path) -> None:
    """Whoever says --no-tls there is told so before they are asked for anything."""
    with PipedClient(server.port, home(tmp_path, "aaa"), "--no-tls", command=CLIENT) as client:
        assert client.rest() == []
        assert client.process.returncode == 1
        assert "needs a client without --no-tls" in client.errors


def test_a_terminal_and_a_file(server: ServerProcess, tmp_path: Path) -> None:
    """The REPL completes a name that the server knows, and receives a file."""
    mine, theirs = home(tmp_path, "aaa"), home(tmp_path, "bbb")
    (theirs / "a.mp4").write_bytes(b"video")
    command = [*CLIENT, "127.0.0.1", str(server.port)]
    with (
        PtyTerminal(command, env=environment(mine), cwd=mine) as terminal,
        PipedClient(server.port, theirs, command=CLIENT) as bbb,
    ):
        bbb.sign_in("bbb")
        terminal.until_line("Username:")
        terminal.type("aaa" + ENTER)
        terminal.until_line("Password:")
        terminal.type("123" + ENTER)
        terminal.until_line(">")
        terminal.type("/msgto bb" + TAB)
        terminal.until_line("> /msgto bbb")
        terminal.type("hi" + ENTER)
        terminal.until_shown("message sent at ")
        assert bbb.answer()[0].endswith(", aaa: hi")
        bbb.type("sendfile aaa a.mp4")
        terminal.until_shown("Received a.mp4 from bbb")
        assert (mine / "downloads" / "a.mp4").read_bytes() == b"video"
        terminal.type(CTRL_D)
        assert terminal.wait() == 0


def test_the_advertised_port_is_told_to_others(server: ServerProcess, tmp_path: Path) -> None:
    """With the address that the server sees: `--advertise` is where files are to go, and stands in offers."""
    options = ["--advertise", "files.example:40000"]
    with PipedClient(server.port, tmp_path, *options, command=CLIENT) as client:
        client.sign_in()
        client.type("activeuser")
        assert client.answer()[0].startswith("aaa, 127.0.0.1, 40000, ")


def test_a_udp_port_that_is_taken_ends_the_client(server: ServerProcess, tmp_path: Path) -> None:
    """Said in one line, before a password is asked for in vain."""
    with PipedClient(server.port, home(tmp_path, "aaa"), command=CLIENT) as first:
        first.sign_in()
        first.type("activeuser")
        port = first.answer()[0].split(", ")[2]
        theirs = home(tmp_path, "bbb")
        with PipedClient(server.port, theirs, command=CLIENT, env={"TESSENGER_CLIENT_UDP_PORT": port}) as second:
            second.rest()
            assert second.process.returncode == 1
            assert port in second.errors
            assert "Traceback" not in second.errors


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_file_process_ends_with_the_client(server: ServerProcess, tmp_path: Path, signum: signal.Signals) -> None:
    """Whatever happens to the client."""
    with PipedClient(server.port, tmp_path, command=CLIENT) as client:
        client.sign_in()
        pid = file_process(client)
        client.process.send_signal(signum)
        client.process.wait(PATIENCE)
        until(lambda: not is_running(pid))


def test_the_file_process_is_started_again(server: ServerProcess, tmp_path: Path) -> None:
    """After a kill -9 of it the chat goes on, and files arrive at the same port."""
    mine, theirs = home(tmp_path, "aaa"), home(tmp_path, "bbb")
    (theirs / "a.mp4").write_bytes(b"video")
    with (
        PipedClient(server.port, mine, command=CLIENT) as aaa,
        PipedClient(server.port, theirs, command=CLIENT) as bbb,
    ):
        aaa.sign_in("aaa")
        bbb.sign_in("bbb")
        old = file_process(aaa)
        os.kill(old, signal.SIGKILL)
        until(lambda: file_process(aaa) not in (0, old))
        bbb.type("sendfile aaa a.mp4")
        assert aaa.answer() == ["Received a.mp4 from bbb"]
        assert bbb.answer() == ["a.mp4 has been uploaded."]


def test_a_worker_that_is_killed_is_not_noticed_by_people(server: ServerProcess, tmp_path: Path) -> None:
    """Both clients resume with another worker, and what is sent in between arrives once and in order."""
    with (
        PipedClient(server.port, home(tmp_path, "aaa"), command=CLIENT) as aaa,
        PipedClient(server.port, home(tmp_path, "bbb"), command=CLIENT) as bbb,
    ):
        aaa.sign_in("aaa")
        bbb.sign_in("bbb")
        for worker in ("worker 1", "worker 2"):
            old = server.kill_role(worker)
            aaa.type(*[f"msgto bbb {worker} {number}" for number in range(20)])
            texts = [bbb.answer()[0].partition(": ")[2] for _ in range(20)]
            assert texts == [f"{worker} {number}" for number in range(20)]
            for _ in range(20):
                assert aaa.answer()[0].startswith("message sent at ")
            server.wait_for_replacement(worker, old)
        bbb.type("logout")
        assert bbb.rest() == ["Bye, bbb!"]


def file_process(client: PipedClient) -> int:
    """Return the pid of a client's UDP process, 0 while there is none."""
    children = children_of(client.process.pid)
    return next((pid for pid in children if title_of(pid) == "tessenger: udp receiver"), 0)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_shot_sends_a_file_and_waits_for_its_end(server: ServerProcess, tmp_path: Path) -> None:
    """`--exec`, with a real UDP process: status 0 once it has arrived, 1 where it cannot."""
    mine = home(tmp_path, "aaa")
    (mine / "a b.mp4").write_bytes(os.urandom(300_000))
    command = [*CLIENT, "--user", "aaa", "--exec", 'sendfile bbb "a b.mp4"', "127.0.0.1", str(server.port)]

    def send() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment(mine, {"TESSENGER_PASSWORD": "123"}), cwd=mine, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    with PipedClient(server.port, home(tmp_path, "bbb"), command=CLIENT) as bbb:
        bbb.sign_in("bbb")
        done = send()
        assert (done.returncode, done.stdout) == (0, "a b.mp4 has been uploaded.\n"), done.stderr
        assert bbb.answer() == ["Received a b.mp4 from aaa"]
        bbb.type("logout")
        bbb.rest()
    refused = send()
    assert refused.returncode == 1
    assert "user bbb not online" in refused.stdout + refused.stderr
