"""The client for scripts: --user, --password-file, --exec and --json, through real pipes, against a scripted server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tessenger.wire.messages import (
    Accepted,
    Answer,
    AnyRequest,
    Denied,
    GroupMessage,
    Login,
    Logout,
    Message,
    MsgTo,
    P2PVideo,
    Rejected,
    Replaced,
    Resume,
    Welcome,
)
from tests.support.fake_server import AT, FakeServer
from tests.support.person import Person
from tests.support.piped_client import PATIENCE, SCRIPTED, PipedClient, environment
from tests.support.pty_terminal import PtyTerminal

TIME = "10 November 2023 20:57:10"
KEY = "k" * 43
WITH_PASSWORD = {"TESSENGER_PASSWORD": "123"}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


def run(
    port: int, home: Path, *options: str, typed: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end; without `typed` its standard input is closed."""
    return subprocess.run(
        [*SCRIPTED, "--no-tls", *options, "127.0.0.1", str(port)],
        input=typed, stdin=None if typed is not None else subprocess.DEVNULL, capture_output=True, text=True,
        env=environment(home, WITH_PASSWORD if env is None else env), cwd=home, timeout=PATIENCE, check=False,
    )  # fmt: skip


def objects(output: str) -> list[dict[str, Any]]:
    """Return the objects of JSON lines."""
    return [json.loads(line) for line in output.splitlines()]


# ---- one shot ----


def test_one_shot(server: FakeServer, tmp_path: Path) -> None:
    """Sign in, run, log out: the answers on standard output and nothing else, status 0. It takes no files."""
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "msgto bbb done", "--exec", "/activeuser")
    assert done.stdout == f"message sent at {TIME}\naaa, 127.0.0.1, 13000, {TIME}\n"
    assert (done.returncode, done.stderr) == (0, "")
    login = server.expect(Login)
    assert (login.user, login.udp_port) == ("aaa", 0)
    assert server.expect(MsgTo).text == "done"
    server.expect(Logout)


def test_one_shot_that_is_refused(server: FakeServer, tmp_path: Path) -> None:
    """The server's words on standard error, status 1; what follows is done all the same."""
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "msgto zzz hi", "--exec", "msgto bbb hi")
    assert (done.stdout, done.stderr) == (f"message sent at {TIME}\n", "user zzz not online\n")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ignore AAA", "You cannot ignore yourself."),
        ("set nonsense 1", "There is no setting nonsense. /set shows them."),
        ("notify perhaps", '/set: notify = \'perhaps\': must be "all" or "mentions" or "off" or "private"'),
        ("help mgsto", "Unknown command mgsto. Did you mean /msgto?"),
        ("accept 7", "There is no offer 7. /transfers shows them."),
        ("cancel 7", "There is no transfer 7 to cancel. /transfers shows them."),
        ("away " + "x" * 300, "That is too long: at most 255 characters."),
    ],
)
def test_what_the_client_itself_refuses_fails_too(server: FakeServer, tmp_path: Path, line: str, reason: str) -> None:
    """On standard error, status 1, as what the server refuses."""
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", line)
    assert (done.stdout, done.stderr) == ("", f"{reason}\n")
    assert done.returncode == 1


def test_one_shot_with_a_wrong_password(server: FakeServer, tmp_path: Path) -> None:
    """Nothing is asked again: the server's words, status 3."""
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "activeuser", env={"TESSENGER_PASSWORD": "x"})
    assert (done.stdout, done.stderr) == ("", "Invalid password. Please try again.\n")
    assert done.returncode == 3
    assert len(server.logins) == 1


def test_one_shot_without_a_server(tmp_path: Path) -> None:
    """One line on standard error, status 3."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = run(port, tmp_path, "--user", "aaa", "--exec", "activeuser")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "tessenger-client: Connection refused!\n")


def test_one_shot_whose_session_is_taken_over(server: FakeServer, tmp_path: Path) -> None:
    """The session's end by the server is a failure of the connection: status 3."""
    server.script[MsgTo] = lambda request: [Replaced("You have signed in from another place.")]
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "msgto bbb hi")
    assert (done.stdout, done.stderr) == ("", "You have signed in from another place.\n")
    assert done.returncode == 3


def test_a_mistake_does_nothing_at_all(server: FakeServer, tmp_path: Path) -> None:
    """The commands are looked at before anyone connects: status 2."""
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "msgto bbb hi", "--exec", "mgsto bbb hi")
    assert done.returncode == 2
    assert done.stderr == "tessenger-client: Unknown command mgsto. Did you mean /msgto?\n"
    assert server.logins == []


def test_one_shot_reads_the_password_from_a_pipe(server: FakeServer, tmp_path: Path) -> None:
    """`pass show chat | tessenger-client --user aaa --exec ...`: no prompt, one line read."""
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "msgto bbb hi", typed="123\nmore\n", env={})
    assert (done.returncode, done.stdout) == (0, f"message sent at {TIME}\n")


def test_one_shot_with_a_password_file(server: FakeServer, tmp_path: Path) -> None:
    """A file that others can read is warned about, and used."""
    secret = tmp_path / "secret"
    secret.write_text("123\n")
    secret.chmod(0o644)
    options = ("--user", "aaa", "--password-file", "secret", "--exec", "msgto bbb hi")
    done = run(server.port, tmp_path, *options, env={})
    assert (done.returncode, done.stdout) == (0, f"message sent at {TIME}\n")
    assert done.stderr == f"tessenger-client: Others can read the password in {secret}: chmod 600 {secret}\n"


def test_messages_that_wait_are_printed(server: FakeServer, tmp_path: Path) -> None:
    """Signing out counts everything as read, so it is printed before."""
    plausible = server._sign_in

    def welcome_and_more(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [*plausible(request), Message(server.number(), "bbb", "early", AT)]

    server.script[Login] = welcome_and_more
    done = run(server.port, tmp_path, "--user", "aaa", "--exec", "msgto bbb hi")
    assert done.stdout == f"{TIME}, bbb: early\nmessage sent at {TIME}\n"
    assert done.returncode == 0


@pytest.mark.parametrize("refused", [False, True])
def test_a_file_in_one_shot_is_waited_for(server: FakeServer, tmp_path: Path, *, refused: bool) -> None:
    """The status tells whether it arrived."""
    (tmp_path / "a b.mp4").write_bytes(b"video")
    options = ("--no-tls", "--user", "aaa", "--exec", 'sendfile bbb "a b.mp4"')
    with PipedClient(server.port, tmp_path, *options, env=WITH_PASSWORD) as client:
        assert server.expect(Login).udp_port == 13_000
        offer = server.expect(P2PVideo)
        assert client.process.poll() is None
        if refused:
            server.push("aaa", Rejected(server.number(), AT, "bbb", offer.transfer, "no room"))
            assert client.rest() == ["bbb has refused a b.mp4: no room."]
        else:
            server.push("aaa", Accepted(server.number(), AT, "bbb", offer.transfer, KEY, "127.0.0.1", 13_001))
            assert client.rest() == ["a b.mp4 has been uploaded."]
        assert client.process.returncode == int(refused)


def test_a_signal_ends_one_shot_with_its_status(server: FakeServer, tmp_path: Path) -> None:
    """As it ends every program."""
    server.script[MsgTo] = lambda request: []
    options = ("--no-tls", "--user", "aaa", "--exec", "msgto bbb hi")
    with PipedClient(server.port, tmp_path, *options, env=WITH_PASSWORD) as client:
        server.expect(MsgTo)
        client.process.send_signal(signal.SIGTERM)
        server.expect(Logout)
        client.rest()
        assert client.process.returncode == 128 + signal.SIGTERM


# ---- a filter that was told who signs in ----


def test_a_filter_with_a_user_asks_for_the_password_alone(server: FakeServer, tmp_path: Path) -> None:
    """The rest is the filter as it always was."""
    done = run(server.port, tmp_path, "--user", "aaa", typed="123\nmsgto bbb hi\n", env={})
    assert done.stdout.splitlines()[:3] == ["Please login", "Password: ", "Welcome to TESSENGER!"]
    assert done.stdout.splitlines()[-1] == "Bye, aaa!"
    assert done.returncode == 0


def test_a_filter_that_knows_everything_prints_no_prompts(server: FakeServer, tmp_path: Path) -> None:
    """Answers on standard output, refusals on standard error; a refusal is no failure of the filter."""
    done = run(server.port, tmp_path, "--user", "aaa", typed="msgto bbb hi\n/xyzzy\nmsgto zzz hi\nactiveuser\n")
    assert done.stdout == f"message sent at {TIME}\naaa, 127.0.0.1, 13000, {TIME}\n"
    assert done.stderr == "Unknown command xyzzy. /help shows all commands.\nuser zzz not online\n"
    assert done.returncode == 0


def test_the_password_reaches_no_other_process(server: FakeServer, tmp_path: Path) -> None:
    """It is in no argument, and the processes that the client starts do not inherit it."""
    program = (
        "import os, sys; from tests.support import client_program as p; from tessenger.client import cli;"
        " p.ScriptedFiles.stop = lambda self: p.asyncio.sleep(0, print('TESSENGER_PASSWORD' in os.environ));"
        " sys.exit(p.main())"
    )
    with PipedClient(
        server.port, tmp_path, "--no-tls", "--user", "aaa", command=[sys.executable, "-c", program], env=WITH_PASSWORD
    ) as client:
        assert b"123" not in Path(f"/proc/{client.process.pid}/cmdline").read_bytes().split(b"\0")
        client.end_input()
        assert client.rest() == ["False"]
        assert client.process.returncode == 0


# ---- JSON ----


def test_json_is_what_comes_over_the_wire(server: FakeServer, tmp_path: Path) -> None:
    """Answers and events, one object a line, in order; the token of the session is not among it."""
    with PipedClient(server.port, tmp_path, "--no-tls", "--json", "--user", "aaa", env=WITH_PASSWORD) as client:
        server.expect(Login)
        server.say("aaa", "grüße \x1b]0;x\x07")
        client.type("msgto bbb hi")
        server.expect(MsgTo)
        server.push("aaa", GroupMessage(server.number(), "g", "bbb", "all", AT))
        client.end_input()
        found = objects("\n".join(client.rest()))
        assert [o["type"] for o in found] == ["welcome", "message", "sent", "groupmessage", "bye"]
        assert "token" not in found[0]
        assert found[1] == {
            "type": "message", "seq": 1, "from": "bbb", "text": "grüße \x1b]0;x\x07", "at": AT, "to": ""
        }  # fmt: skip
        assert "\\u00fc\\u00dfe \\u001b]0;x\\u0007" in "".join(client.lines)
        assert client.process.returncode == 0
        assert client.errors == ""


def test_json_refusals(server: FakeServer, tmp_path: Path) -> None:
    """Those of the server as they are, those of the client with the code `usage`; what it says itself is a `text`."""
    done = run(server.port, tmp_path, "--json", "--user", "aaa", typed="msgto zzz hi\n/xyzzy\nhelp msgto\n")
    refused, mistake, text = objects(done.stdout)[1:-1]
    assert (refused["code"], refused["text"]) == ("not_online", "user zzz not online")
    assert mistake == {
        "type": "error", "code": "usage", "text": "Unknown command xyzzy. /help shows all commands."
    }  # fmt: skip
    assert text["type"] == "text"
    assert text["text"].startswith("/msgto USER TEXT")
    assert done.returncode == 0


def test_json_with_exec(server: FakeServer, tmp_path: Path) -> None:
    """Both at once: the status says that something was refused."""
    done = run(server.port, tmp_path, "--json", "--user", "aaa", "--exec", "msgto zzz hi")
    assert [o["type"] for o in objects(done.stdout)] == ["welcome", "error", "bye"]
    assert (done.returncode, done.stderr) == (1, "")


def test_json_asks_silently(server: FakeServer, tmp_path: Path) -> None:
    """Without --user the first two lines are name and password, without any prompt."""
    done = run(server.port, tmp_path, "--json", typed="aaa\n123\nactiveuser\n", env={})
    assert [o["type"] for o in objects(done.stdout)] == ["welcome", "activeusers", "bye"]
    assert (done.returncode, done.stderr) == (0, "")


def test_json_in_a_terminal_asks_a_person(server: FakeServer, tmp_path: Path) -> None:
    """For the password, which is not echoed; what comes is JSON there too."""
    command = [*SCRIPTED, "--no-tls", "--json", "--user", "aaa", "127.0.0.1", str(server.port)]
    with PtyTerminal(command, env=environment(tmp_path), cwd=tmp_path, columns=200) as terminal:
        terminal.until_shown("Password:")
        terminal.type("123\r")
        terminal.until_shown('{"type":"welcome"')
        assert b"123" not in terminal.raw.partition(b'{"type"')[0]
        terminal.type("logout\r")
        assert terminal.wait() == 0


def test_json_of_a_wrong_password(server: FakeServer, tmp_path: Path) -> None:
    """What the server said, then what that means; status 3."""
    server.script[Login] = lambda request: [Denied(request.id, "blocked", "Your account is blocked.")]  # type: ignore[union-attr]
    done = run(server.port, tmp_path, "--json", "--user", "aaa", typed="")
    denied, error = objects(done.stdout)
    assert denied["code"] == "blocked"
    assert (error["type"], error["code"]) == ("error", "connection_failed")
    assert done.returncode == 3


def test_json_of_a_session_that_was_taken_over(server: FakeServer, tmp_path: Path) -> None:
    """The end of the session is an object too."""
    server.script[MsgTo] = lambda request: [Replaced("You have signed in from another place.")]
    done = run(server.port, tmp_path, "--json", "--user", "aaa", typed="msgto bbb hi\n")
    assert objects(done.stdout)[-1] == {
        "type": "error", "code": "session_over", "text": "You have signed in from another place."
    }  # fmt: skip
    assert done.returncode == 3


def test_json_of_a_transfer(server: FakeServer, tmp_path: Path) -> None:
    """Each state of a file is an object."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    options = ("--no-tls", "--json", "--user", "aaa", "--exec", "sendfile bbb a.mp4")
    with PipedClient(server.port, tmp_path, *options, env=WITH_PASSWORD) as client:
        offer = server.expect(P2PVideo)
        server.push("aaa", Accepted(server.number(), AT, "bbb", offer.transfer, KEY, "127.0.0.1", 13_001))
        transfers = [o for o in objects("\n".join(client.rest())) if o["type"] == "transfer"]
        assert [t["state"] for t in transfers][-1] == "done"
        assert {(t["transfer"], t["peer"], t["name"], t["outgoing"]) for t in transfers} == {
            (offer.transfer, "bbb", "a.mp4", True)
        }
        assert client.process.returncode == 0


def test_json_shows_nothing_twice_after_a_break(server: FakeServer, tmp_path: Path) -> None:
    """Events that a resumed session brings again are not written again."""

    def resume(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Resume)
        events = [Message(number, "bbb", f"m{number}", AT) for number in (1, 2)]
        return [Welcome(request.id, "aaa", "token-2", 2, server.limits), *events]

    server.script[Resume] = resume
    with PipedClient(server.port, tmp_path, "--no-tls", "--json", "--user", "aaa", env=WITH_PASSWORD) as client:
        server.expect(Login)
        server.say("aaa", "m1")
        server.drop("aaa")
        server.expect(Resume)
        client.end_input()
        found = objects("\n".join(client.rest()))
        assert [o["text"] for o in found if o["type"] == "message"] == ["m1", "m2"]


# ---- how far somebody has read ----


def killed(client: PipedClient) -> None:
    """End it as a power cut would."""
    os.kill(client.process.pid, signal.SIGKILL)
    client.process.wait(PATIENCE)


def test_a_client_that_was_killed_goes_on_where_it_was(server: FakeServer, tmp_path: Path) -> None:
    """What it had printed is saved at once after a silence; the next sign-in says so."""
    with PipedClient(server.port, tmp_path, "--no-tls", "--user", "aaa", env=WITH_PASSWORD) as client:
        server.say("aaa", "one")
        client.expect(f"{TIME}, bbb: one")
        wait_until_saved(tmp_path, 1)
        killed(client)
    run(server.port, tmp_path, "--user", "aaa", typed="")
    assert [login.after for login in server.logins] == [None, 1]


def wait_until_saved(home: Path, seq: int) -> None:
    """Wait for the number in the file, which follows the line at once."""
    deadline = time.monotonic() + PATIENCE
    while not any(path.read_text().startswith(f"{seq} ") for path in (home / "state" / "shown").glob("*aaa")):
        assert time.monotonic() < deadline, "it was not saved"
        time.sleep(0.005)


def test_a_terminal_that_was_killed_goes_on_where_it_was(server: FakeServer, tmp_path: Path) -> None:
    """What was on the screen is saved, not what was only received."""
    person = Person(server.port, tmp_path, "--no-tls")
    with person.terminal as terminal:
        person.sign_in()
        server.say("aaa", "one")
        terminal.until_shown("one")
        wait_until_saved(tmp_path, 1)
        terminal.child.kill(signal.SIGKILL)
        assert terminal.wait() is None
    again = Person(server.port, tmp_path, "--no-tls")
    with again.terminal:
        again.sign_in()
    assert [login.after for login in server.logins] == [None, 1]
