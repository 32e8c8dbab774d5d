"""The client as a line filter, through real pipes, against a scripted server."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.wire.messages import (
    Accept,
    Accepted,
    ActiveUser,
    ActiveUsers,
    Answer,
    AnyRequest,
    Cancel,
    Closing,
    Denied,
    DeniedCode,
    Error,
    GroupMessage,
    Limits,
    Login,
    Logout,
    Message,
    MsgTo,
    Offer,
    P2PVideo,
    Reject,
    Rejected,
    Replaced,
    Resume,
    Seen,
    Sent,
    UserLine,
    Welcome,
)
from tests.support.fake_server import AT, FakeServer, elsewhere, expired
from tests.support.piped_client import PROMPT, SCRIPTED, PipedClient, environment
from tests.support.pty_terminal import PtyTerminal

TIME = "10 November 2023 20:57:10"
KEY = "k" * 43


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def client(server: FakeServer, tmp_path: Path) -> Iterator[PipedClient]:
    """A client that has connected to it."""
    with PipedClient(server.port, tmp_path, "--no-tls") as piped:
        yield piped


def test_sign_in_prints_each_prompt_as_a_line(client: PipedClient) -> None:
    """From connecting to the first prompt, the words and lines of the original description."""
    client.type("aaa", "111", "aaa", "123")
    client.expect(PROMPT)
    assert client.lines == [
        "Please login",
        "Username: ",
        "Password: ",
        "Invalid password. Please try again.",
        "Username: ",
        "Password: ",
        "Welcome to TESSENGER!",
        "",
        PROMPT,
    ]


@pytest.mark.parametrize("code", ["blocked_now", "blocked"])
def test_a_blocked_account_ends_the_client(server: FakeServer, client: PipedClient, code: DeniedCode) -> None:
    """The server's words, then a failure, without another question."""

    def blocked(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [Denied(request.id, code, "Your account is blocked.")]

    server.script[Login] = blocked
    client.type("aaa", "123", "aaa", "123")
    assert client.rest() == ["Please login", "Username: ", "Password: ", "Your account is blocked."]
    assert client.process.returncode == 1
    assert len(server.logins) == 1


def test_input_that_ends_during_sign_in_is_a_failure(client: PipedClient) -> None:
    """A name without a password: nobody was signed in."""
    client.type("aaa")
    client.end_input()
    assert client.rest() == ["Please login", "Username: ", "Password: "]
    assert client.process.returncode == 1
    assert client.errors == "tessenger-client: The input ended before anyone signed in.\n"


def test_nobody_listening(tmp_path: Path) -> None:
    """The words of the original description on standard output, and a failure."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with PipedClient(port, tmp_path) as client:
        assert client.rest() == ["Connection refused!"]
        assert client.process.returncode == 1


def test_every_answer_word_for_word(client: PipedClient) -> None:
    """Each command of the original description, with and without slash."""
    client.sign_in()
    for typed, shown in [
        ("msgto bbb how are u ?", f"message sent at {TIME}"),
        ("/msgto zzz fair enough!", "user zzz not online"),
        ("activeuser", f"aaa, 127.0.0.1, 13000, {TIME}"),
        ("creategroup g aaa bbb ccc", "Group chat created g"),
        ("/joingroup g", "You have joined Groupchat g"),
        ("groupmsg g haha!", f"Group chat message sent at:{TIME}"),
        ("msgtoo bbb hi", "Unknown command msgtoo. Did you mean /msgto?"),
        ("msgto bbb", "/msgto needs TEXT. Usage: /msgto USER TEXT"),
        ("msgto bbb  ", "The message is empty."),
    ]:
        client.type(typed)
        assert client.answer() == [shown]
    client.type("/logout")
    assert client.rest() == ["Bye, aaa!"]
    assert client.process.returncode == 0
    assert client.errors == ""


def test_a_text_is_sent_as_it_was_typed(server: FakeServer, client: PipedClient) -> None:
    """Quotes, inner spaces, emoji and 9,000 characters arrive whole."""
    client.sign_in()
    text = '"it\'s"   two  spaces \\n 👋 ' + "ä" * 9_000
    client.type(f"msgto bbb {text}")
    assert server.expect(MsgTo).text == text


def test_messages_arrive_while_the_input_is_idle(server: FakeServer, client: PipedClient) -> None:
    """Private and group messages show at once, each on one line, cleaned, with the prompt line behind."""
    client.sign_in()
    server.say("aaa", "how are u ?")
    assert client.answer() == [f"{TIME}, bbb: how are u ?"]
    server.push("aaa", GroupMessage(server.number(), "g", "bbb", "two\nlines \x1b]0;title\x07", AT))
    assert client.answer() == [f"{TIME}, g, bbb: two␊lines ␛]0;title␇"]
    assert server.expect(Seen).seq == 2


def test_messages_right_behind_the_sign_in_come_after_the_welcome(server: FakeServer, client: PipedClient) -> None:
    """What arrives in one packet with the welcome is shown after it, and only once."""
    plausible = server._sign_in

    def welcome_and_more(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [*plausible(request), GroupMessage(7, "g", "bbb", "early", AT), GroupMessage(7, "g", "bbb", "early", AT)]

    server.script[Login] = welcome_and_more
    client.sign_in()
    assert client.answer() == [f"{TIME}, g, bbb: early"]
    client.type("logout")
    assert client.rest() == ["Bye, aaa!"]


def test_piped_commands_are_answered_in_order(client: PipedClient) -> None:
    """1,000 requests with answers of the client itself in between: each answer stands where its command stood."""
    client.sign_in()
    lines, shown = [], []
    for number in range(1_000):
        lines.append(f"msgto bbb {number}" if number % 10 else f"/nonsense{number}")
        shown.append(
            f"message sent at {TIME}" if number % 10 else f"Unknown command nonsense{number}. /help shows all commands."
        )
    client.type(*lines)
    client.end_input()
    output = [line for line in client.rest() if line not in ("", PROMPT)]
    assert output == [*shown, "Bye, aaa!"]
    assert client.process.returncode == 0


def test_a_file_as_standard_input(server: FakeServer, tmp_path: Path) -> None:
    """A script redirected from a file, the last line without an end, logs out by itself."""
    script = tmp_path / "script"
    script.write_text("aaa\r\n123\r\nmsgto bbb hi\r\nactiveuser")
    with script.open() as stdin:
        done = subprocess.run(
            [*SCRIPTED, "--no-tls", "127.0.0.1", str(server.port)],
            stdin=stdin, capture_output=True, text=True, env=environment(tmp_path), timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Bye, aaa!"
    assert f"message sent at {TIME}" in done.stdout
    assert server.expect(MsgTo).text == "hi"


def test_end_of_input_waits_for_answers(server: FakeServer, client: PipedClient) -> None:
    """The logout goes out after the last answer has come, however late."""
    held: list[AnyRequest] = []

    def hold(request: AnyRequest) -> list[Answer]:
        held.append(request)
        return []

    server.script[MsgTo] = hold
    client.sign_in()
    client.type("msgto bbb slow")
    client.end_input()
    request = server.expect(MsgTo)
    assert client.process.poll() is None
    server.push("aaa", Sent(request.id, 1, AT))
    server.expect(Logout)
    assert client.rest()[-1] == "Bye, aaa!"


def test_a_session_that_was_replaced_says_so(server: FakeServer, client: PipedClient) -> None:
    """The older of two sessions ends with the server's words and a failure."""
    client.sign_in()
    server.push("aaa", Replaced("You have signed in from another place."))
    assert client.rest() == ["You have signed in from another place."]
    assert client.process.returncode == 1


def test_a_server_that_stops_says_so(server: FakeServer, client: PipedClient) -> None:
    """The words of the server, then a failure."""
    client.sign_in()
    server.push("aaa", Closing("The server is shutting down."))
    server.drop("aaa")
    assert client.rest() == ["The server is shutting down."]
    assert client.process.returncode == 1


def test_a_server_that_is_gone_is_an_error(server: FakeServer, tmp_path: Path) -> None:
    """After a while of trying: one line on standard error, no traceback."""
    with PipedClient(server.port, tmp_path, "--no-tls", env={"RESUME_SECONDS": "0.5"}) as client:
        client.sign_in()
        server.stop()
        assert client.rest() == []
        lost = "The connection to the server was lost."
        assert client.errors == f"{lost} Connecting again ...\ntessenger-client: {lost}\n"
        assert client.process.returncode == 1


def test_a_broken_connection_is_resumed(server: FakeServer, client: PipedClient) -> None:
    """With the token, after the last event that came; what is shown already is not shown again."""
    client.sign_in()
    server.say("aaa", "one")
    assert client.answer() == [f"{TIME}, bbb: one"]
    resumed: list[Resume] = []

    def resume(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Resume)
        resumed.append(request)
        events = [Message(number, "bbb", text, AT) for number, text in enumerate(("one", "two", "three"), 1)]
        return [Welcome(request.id, "aaa", "token-2", 3, server.limits), *events]

    server.script[Resume] = resume
    server.drop("aaa")
    assert client.answer() == [f"{TIME}, bbb: two"]
    assert client.answer() == [f"{TIME}, bbb: three"]
    assert (resumed[0].token, resumed[0].after) == ("token-aaa", 1)
    client.type("logout")
    assert client.rest() == ["Bye, aaa!"]
    assert client.errors == "The connection to the server was lost. Connecting again ...\nConnected again.\n"


def test_what_was_not_answered_is_sent_again(server: FakeServer, client: PipedClient) -> None:
    """Under the same number, so that the server can tell a repeat; each answer is shown once and in order."""
    server.script[MsgTo] = lambda request: []
    client.sign_in()
    client.type("msgto bbb one", "msgto bbb two")
    first = [server.expect(MsgTo), server.expect(MsgTo)]
    del server.script[MsgTo]
    server.drop("aaa")
    server.expect(Resume)
    assert [server.expect(MsgTo), server.expect(MsgTo)] == first
    assert client.answer() == [f"message sent at {TIME}"]
    assert client.answer() == [f"message sent at {TIME}"]
    client.type("logout")
    assert client.rest() == ["Bye, aaa!"]


def test_a_session_that_cannot_be_resumed(server: FakeServer, client: PipedClient) -> None:
    """Nor begun anew, as the person has signed in elsewhere: the server's words, a failure."""
    client.sign_in()
    server.script[Resume] = expired
    server.script[Login] = elsewhere
    server.drop("aaa")
    assert client.rest() == ["You are elsewhere."]
    assert client.process.returncode == 1


def test_who_leaves_while_the_session_ends_does_not_come_back(server: FakeServer, client: PipedClient) -> None:
    """A logout that was under way is not turned into a sign-in."""
    client.sign_in()
    server.script[Logout] = lambda request: []
    server.script[Resume] = expired
    client.type("logout")
    server.expect(Logout)
    server.drop("aaa")
    assert client.rest() == ["Your session is over."]
    assert len(server.logins) == 1


def test_errors_of_the_connection_are_shown_while_signing_in(server: FakeServer, client: PipedClient) -> None:
    """Someone who takes too long for the password is told why the server hangs up."""
    client.type("aaa")
    client.expect("Password: ")
    server.hang_up(Error("login_timeout", "Nobody signed in within 60 seconds."))
    client.rest()
    assert client.errors == "tessenger-client: Nobody signed in within 60 seconds.\n"
    assert client.process.returncode == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_log_out(server: FakeServer, client: PipedClient, signum: signal.Signals) -> None:
    """A client that is told to end signs out first, and ends with the customary status."""
    client.sign_in()
    client.process.send_signal(signum)
    server.expect(Logout)
    client.rest()
    assert client.process.returncode == 128 + signum
    assert client.errors == ""


def test_a_signal_while_signing_in(client: PipedClient) -> None:
    """Nobody is signed in yet: it just ends."""
    client.expect("Username: ")
    client.process.terminate()
    client.rest()
    assert client.process.returncode == 128 + signal.SIGTERM
    assert client.errors == ""


def test_prompt_toolkit_is_not_imported(server: FakeServer, tmp_path: Path) -> None:
    """A filter does not pay for the REPL."""
    program = (
        "import sys; from tests.support import client_program; status = client_program.main();"
        " print('prompt_toolkit' in sys.modules); sys.exit(status)"
    )
    command = [sys.executable, "-c", program]
    with PipedClient(server.port, tmp_path, "--no-tls", command=command) as client:
        client.sign_in()
        client.type("logout")
        assert client.rest() == ["Bye, aaa!", "False"]


def test_sending_a_file(server: FakeServer, client: PipedClient, tmp_path: Path) -> None:
    """Offered, accepted, sent; the input has ended meanwhile, and the logout waits for the upload."""
    (tmp_path / "my example.mp4").write_bytes(b"video")
    client.sign_in()
    client.type('p2pvideo bbb "my example.mp4"')
    client.end_input()
    offer = server.expect(P2PVideo)
    assert (offer.to, offer.name, offer.size, offer.key) == ("bbb", "my example.mp4", 5, KEY)
    assert client.process.poll() is None
    server.push("aaa", Accepted(server.number(), AT, "bbb", offer.transfer, KEY, "127.0.0.1", 13_001))
    lines = [line for line in client.rest() if line not in ("", PROMPT)]
    assert lines == ["my example.mp4 has been uploaded.", "Bye, aaa!"]
    assert "5 B in 0.5 s" in client.errors


def test_an_offer_that_is_refused(server: FakeServer, client: PipedClient, tmp_path: Path) -> None:
    """The sender reads who refused and why."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    client.sign_in()
    client.type("sendfile bbb a.mp4")
    offer = server.expect(P2PVideo)
    server.push("aaa", Rejected(server.number(), AT, "bbb", offer.transfer, "no room"))
    assert client.answer() == ["bbb has refused a.mp4: no room."]


def test_receiving_a_file(server: FakeServer, client: PipedClient) -> None:
    """A small offer is taken by itself; where it was saved goes to standard error."""
    client.sign_in()
    server.push("aaa", Offer(server.number(), AT, "bbb", "0123456789abcdef", "example1.mp4", 5, KEY, "127.0.0.1", 9))
    assert server.expect(Accept).key == KEY
    assert client.answer() == ["Received example1.mp4 from bbb"]
    client.type("logout")
    client.rest()
    assert "downloads/example1.mp4" in client.errors


def test_a_large_file_is_refused_in_a_pipe(server: FakeServer, client: PipedClient) -> None:
    """Nobody can be asked: the configuration decides, and the sender is told why."""
    client.sign_in()
    size = 104_857_601
    server.push("aaa", Offer(server.number(), AT, "bbb", "0123456789abcdef", "big.mkv", size, KEY, "127.0.0.1", 9))
    assert server.expect(Reject).reason == "only files up to 104.9 MB are taken without asking"


def test_leaving_gives_open_transfers_up(server: FakeServer, client: PipedClient, tmp_path: Path) -> None:
    """An offer of someone who logs out is withdrawn before the logout."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    client.sign_in()
    client.type("sendfile bbb a.mp4")
    offer = server.expect(P2PVideo)
    client.type("logout")
    assert server.expect(Cancel).transfer == offer.transfer
    assert client.rest()[-1] == "Bye, aaa!"


def test_limits_of_the_server_are_known_before_sending(server: FakeServer, client: PipedClient) -> None:
    """The welcome says how long a text may be; a longer one stays here."""
    server.limits = Limits(line_bytes=2_048, text_bytes=1_000, group_members=5)
    client.sign_in()
    client.type("msgto bbb " + "ä" * 501)
    assert client.answer() == ["The message is too long: 1002 bytes, at most 1000 are allowed."]
    client.type("creategroup g " + " ".join(f"user{number:03}" for number in range(300)))
    assert client.answer() == ["This is too long for one line to the server (2048 bytes)."]


def test_files_that_cannot_be_sent(client: PipedClient, tmp_path: Path) -> None:
    """Each is told apart, and what is shown of a name is harmless."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    client.sign_in()
    client.type("p2pvideo bbb folder")
    assert client.answer() == ["folder is a directory, not a file."]
    for name, text in [
        ("missing.mp4", "There is no file missing.mp4."),
        ("pipe", "pipe is not a regular file."),
        ("a\x1bb", "There is no file a␛b."),
        ("''", "There is no file named by an empty path."),
        ("x" * 300, f"{'x' * 300} cannot be read: File name too long."),
    ]:
        client.type(f"sendfile bbb {name}")
        assert client.answer() == [text]


def test_a_terminal_without_unicode(server: FakeServer, tmp_path: Path) -> None:
    """Question marks, no traceback."""
    with PipedClient(server.port, tmp_path, "--no-tls", env={"PYTHONIOENCODING": "ascii"}) as client:
        client.sign_in()
        server.say("aaa", "grüße 👋")
        assert client.answer() == [f"{TIME}, bbb: gr??e ?"]


def test_a_password_typed_at_a_terminal_whose_output_is_piped(server: FakeServer, tmp_path: Path) -> None:
    """`client | tee log`: a filter, but the terminal does not echo the password."""
    line = shlex.join([*SCRIPTED, "--no-tls", "127.0.0.1", str(server.port)]) + " | cat"
    with PtyTerminal(["/bin/sh", "-c", line], env=environment(tmp_path), cwd=tmp_path) as terminal:
        terminal.until_shown("Username:")
        terminal.type("aaa\r")
        terminal.until_shown("Password:")
        terminal.type("123\r")
        terminal.until_shown("Welcome to TESSENGER!")
        assert "123" not in terminal.text()
        terminal.type("activeuser\r")
        terminal.until_shown("aaa, 127.0.0.1, 13000")
        assert "activeuser\n" in terminal.text()


def test_a_dumb_terminal_gets_plain_lines(server: FakeServer, tmp_path: Path) -> None:
    """No cursor codes where the terminal has no cursor, no echo of the password, and a person who can be asked."""
    command = [*SCRIPTED, "--no-tls", "127.0.0.1", str(server.port)]
    with PtyTerminal(command, env=environment(tmp_path), cwd=tmp_path, term="dumb") as terminal:
        terminal.until_shown("Username:")
        terminal.type("aaa\r")
        terminal.until_shown("Password:")
        terminal.type("123\r")
        terminal.until_shown("Welcome to TESSENGER!")
        server.push("aaa", Offer(server.number(), AT, "bbb", "0" * 16, "big.mkv", 2 * 10**9, KEY, "127.0.0.1", 9))
        terminal.until_shown("bbb offers big.mkv (2.0 GB): /accept 1 or /reject 1")
        terminal.type("logout\r")
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.raw
        assert b"123" not in terminal.raw


def test_a_busy_server_is_asked_again(server: FakeServer, client: PipedClient) -> None:
    """While the part of the server that knows passwords is being replaced, nobody has to type theirs again."""

    def busy_once(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        del server.script[Login]
        return [Denied(request.id, "unavailable", "The server is busy. Please try again in a moment.")]

    server.script[Login] = busy_once
    client.sign_in()
    assert [login.password for login in server.logins] == ["123", "123"]
    assert "busy" not in "".join(client.lines)


def test_a_fault_of_the_client_itself_is_one_line(server: FakeServer, tmp_path: Path) -> None:
    """An exception in a callback ends the session with words instead of a traceback."""
    program = (
        "import sys; from tests.support import client_program; from tessenger.client import render;"
        " render.message = lambda event: 1 // 0; sys.exit(client_program.main())"
    )
    with PipedClient(server.port, tmp_path, "--no-tls", command=[sys.executable, "-c", program]) as client:
        client.sign_in()
        server.say("aaa", "hi")
        client.rest()
        assert client.process.returncode == 1
        assert client.errors.startswith("tessenger-client: An error in Tessenger itself ended the session: ZeroDiv")
        assert "Traceback" not in client.errors


def test_a_long_list_comes_in_parts_and_is_shown_as_one(server: FakeServer, client: PipedClient) -> None:
    """Only the very last line is without a full stop, and the answer to the next command waits for its turn."""

    def parts(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, ActiveUser)
        lines = [UserLine(f"user{number}", "10.0.0.1", 13_000 + number, AT) for number in range(3)]
        return [ActiveUsers(request.id, lines[:2], more=True), ActiveUsers(request.id, lines[2:])]

    server.script[ActiveUser] = parts
    client.sign_in()
    client.type("activeuser", "msgto bbb hi")
    assert client.answer() == [
        f"user0, 10.0.0.1, 13000, {TIME}.",
        f"user1, 10.0.0.1, 13001, {TIME}.",
        f"user2, 10.0.0.1, 13002, {TIME}",
    ]
    assert client.answer() == [f"message sent at {TIME}"]
