"""Keys and signals in a pseudo-terminal, with the real UDP process where that matters."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.wire.messages import Cancel, Logout, MsgTo, Names, P2PVideo
from tests.support.deadline import until
from tests.support.fake_server import FakeServer
from tests.support.faults import wait_for_state
from tests.support.person import Person
from tests.support.piped_client import SCRIPTED, environment
from tests.support.process_memory import holds
from tests.support.pty_terminal import CTRL_C, CTRL_D, ENTER, PtyTerminal
from tests.support.server_process import children_of, is_running, title_of

CLIENT = [sys.executable, "-m", "tessenger", "client"]
CTRL_Z = "\x1a"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def terminal(server: FakeServer, tmp_path: Path) -> Iterator[PtyTerminal]:
    """The terminal of someone who has signed in, with a scripted file process."""
    person = Person(server.port, tmp_path, "--no-tls")
    with person.terminal:
        yield person.sign_in()


@pytest.fixture
def whole(server: FakeServer, tmp_path: Path) -> Iterator[PtyTerminal]:
    """The same with the real UDP process."""
    person = Person(server.port, tmp_path, "--no-tls", command=CLIENT)
    with person.terminal:
        yield person.sign_in()


def udp_process(terminal: PtyTerminal) -> int:
    """Return the pid of the client's UDP process, 0 while there is none."""
    assert terminal.child.pid is not None
    return next((pid for pid in children_of(terminal.child.pid) if title_of(pid) == "tessenger: udp receiver"), 0)


def is_sane(terminal: PtyTerminal) -> bool:
    """Tell whether the terminal echoes, reads lines and knows Ctrl-C, as before the client."""
    local: int = termios.tcgetattr(terminal.child.child_fd)[3]
    return all(local & mode for mode in (termios.ECHO, termios.ICANON, termios.ISIG))


def test_ctrl_c_cancels_an_upload(server: FakeServer, terminal: PtyTerminal, tmp_path: Path) -> None:
    """On an empty line; a line that is being typed is cleared first, and what follows is the way out."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    terminal.type("/p2pvideo bbb a.mp4" + ENTER)
    server.expect(P2PVideo)
    terminal.until_shown("a.mp4 to bbb offered")
    terminal.type("half a line")
    terminal.until_line("> half a line")
    terminal.type(CTRL_C)
    terminal.until_line(">")
    assert not server.has_got(Cancel)
    terminal.type(CTRL_C)
    assert server.expect(Cancel).to == "bbb"
    terminal.until_shown("a.mp4 has been cancelled.")
    terminal.type(CTRL_C)
    terminal.until_shown("Press Ctrl-C again")
    terminal.type(CTRL_C)
    server.expect(Logout)
    assert terminal.wait() == 0


def test_suspending(server: FakeServer, tmp_path: Path) -> None:
    """Ctrl-Z gives the terminal to the shell as it was; back in the foreground the line is there again."""
    shell = PtyTerminal(["bash", "--norc", "-i"], env={**environment(tmp_path), "PS1": "shell: "}, cwd=tmp_path)
    with shell:
        shell.until_line("shell:")
        shell.type(shlex.join([*SCRIPTED, "--no-tls", "127.0.0.1", str(server.port)]) + ENTER)
        shell.until_line("Username:")
        shell.type("aaa" + ENTER)
        shell.until_line("Password:")
        shell.type("123" + ENTER)
        shell.until_line(">")
        shell.type("msgto bbb half a li")
        shell.until_line("> msgto bbb half a li")
        shell.type(CTRL_Z)
        shell.until_line("shell:")
        assert "Stopped" in shell.text()
        shell.type("echo $((6 * 7)) is echoed" + ENTER)
        shell.until_shown("42 is echoed")
        server.say("aaa", "meanwhile")
        shell.type("fg" + ENTER)
        shell.until_line("> msgto bbb half a li")
        shell.until_shown("bbb: meanwhile")
        shell.type("ne" + ENTER)
        assert server.expect(MsgTo).text == "half a line"
        shell.type(CTRL_D)
        shell.until_line("shell:")
        assert "Bye, aaa!" in shell.text()


def test_a_stop_without_a_warning(server: FakeServer, terminal: PtyTerminal) -> None:
    """SIGSTOP, and a shell that uses the terminal meanwhile: afterwards keys are keys again, and the line is there."""
    terminal.type("msgto bbb half")
    terminal.until_line("> msgto bbb half")
    assert terminal.child.pid is not None
    os.kill(terminal.child.pid, signal.SIGSTOP)
    wait_for_state(terminal.child.pid, "T")
    modes = termios.tcgetattr(terminal.child.child_fd)
    modes[0] |= termios.ICRNL
    modes[3] |= termios.ECHO | termios.ICANON | termios.ISIG
    termios.tcsetattr(terminal.child.child_fd, termios.TCSANOW, modes)
    assert is_sane(terminal)
    os.kill(terminal.child.pid, signal.SIGCONT)
    until(lambda: not is_sane(terminal), "the terminal stays as the shell has left it")
    terminal.type(" done" + ENTER)
    assert server.expect(MsgTo).text == "half done"
    terminal.type(CTRL_C + CTRL_D)
    assert terminal.wait() == 0
    assert is_sane(terminal)


def test_a_resize_draws_the_line_anew(server: FakeServer, terminal: PtyTerminal) -> None:
    """Narrower and wider, what is typed and what comes then has the new width."""
    terminal.type("msgto bbb half a li")
    terminal.until_line("> msgto bbb half a li")
    for columns in (40, 120):
        terminal.resize(columns, 24)
        server.say("aaa", f"{columns} " + "word " * 30)
        terminal.until_shown(f"bbb: {columns}")
        terminal.until_line("> msgto bbb half a li")
        assert max(map(len, terminal.lines())) <= columns
    terminal.type("ne" + ENTER)
    assert server.expect(MsgTo).text == "half a line"


def test_a_closed_window_ends_everything(server: FakeServer, whole: PtyTerminal) -> None:
    """SIGHUP: signed out, and the UDP process is gone too."""
    pid = udp_process(whole)
    assert pid
    whole.hang_up()
    server.expect(Logout)
    until(lambda: not is_running(pid), "the UDP process still runs")


def test_a_killed_udp_process_is_started_again(server: FakeServer, whole: PtyTerminal, tmp_path: Path) -> None:
    """The line stays as it is, and files can be sent again."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    whole.type("/p2pvideo bbb a.m")
    whole.until_line("> /p2pvideo bbb a.m")
    killed = udp_process(whole)
    os.kill(killed, signal.SIGKILL)
    until(lambda: udp_process(whole) not in (0, killed), "no other UDP process was started")
    whole.type("p4" + ENTER)
    assert server.expect(P2PVideo).name == "a.mp4"
    whole.type(CTRL_D)
    assert whole.wait() == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux to look into a process")  # noqa: PTH110
def test_the_udp_process_knows_no_secret(server: FakeServer, tmp_path: Path) -> None:
    """Neither the password nor the session's token is in it, even when it was started after the sign-in."""
    server.password = "correct horse battery staple"
    secrets = [server.password.encode(), b"token-aaa"]
    person = Person(
        server.port, tmp_path, "--no-tls", "--user", "aaa", command=CLIENT,
        env={"TESSENGER_PASSWORD": server.password},
    )  # fmt: skip
    with person.terminal as terminal:
        terminal.until_line(">")
        assert terminal.child.pid is not None
        assert holds(terminal.child.pid, secrets[1]), "the token could not be found even where it is"
        first = udp_process(terminal)
        assert [secret for secret in secrets if holds(first, secret)] == []
        os.kill(first, signal.SIGKILL)
        until(lambda: udp_process(terminal) not in (0, first), "no other UDP process was started")
        assert [secret for secret in secrets if holds(udp_process(terminal), secret)] == []


@pytest.mark.parametrize("ending", [CTRL_D, CTRL_C + CTRL_C, "/logout" + ENTER])
def test_the_terminal_is_given_back(terminal: PtyTerminal, ending: str) -> None:
    """After each way to leave it is as it was."""
    assert not is_sane(terminal)
    terminal.type(ending)
    terminal.until_shown("Bye, aaa!")
    until(lambda: is_sane(terminal), "the terminal's modes were not given back")
    assert terminal.wait() == 0


def test_logging_out_without_a_connection(server: FakeServer, terminal: PtyTerminal) -> None:
    """The command does not wait for the server to come back."""
    server.stop()
    terminal.until_shown("| reconnecting")
    terminal.type("/logout" + ENTER)
    assert terminal.wait() == 0
    assert "The server could not be told that you leave" in terminal.text()


def test_logging_out_while_an_answer_is_due(server: FakeServer, tmp_path: Path) -> None:
    """Nor does it wait for what was asked before the server was gone, by the client itself for one."""
    server.script[Names] = lambda request: []
    person = Person(server.port, tmp_path, "--no-tls")
    with person.terminal as terminal:
        person.sign_in()
        server.expect(Names)
        server.stop()
        terminal.until_shown("| reconnecting")
        terminal.type("/logout" + ENTER)
        assert terminal.wait() == 0
        assert "The server could not be told that you leave" in terminal.text()


def test_leaving_with_requests_that_nobody_answers(server: FakeServer, terminal: PtyTerminal) -> None:
    """The server is gone and lines wait for it: the second Ctrl-D leaves all the same."""
    server.stop()
    terminal.until_shown("| reconnecting")
    terminal.type("msgto bbb hi" + ENTER + "/activeuser" + ENTER + CTRL_D + CTRL_D)
    assert terminal.wait() == 0
    assert "Traceback" not in terminal.text()
