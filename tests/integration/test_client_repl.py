"""The client in a pseudo-terminal, against a scripted server: what a person at the keyboard sees."""

from __future__ import annotations

import re
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.wire.messages import (
    Answer,
    AnyRequest,
    Cancel,
    Denied,
    DeniedCode,
    Error,
    Login,
    Logout,
    Message,
    MsgTo,
    Names,
    NamesAnswer,
    Offer,
    Reject,
    Replaced,
    Resume,
    Unread,
    Welcome,
)
from tests.support.fake_server import AT, FakeServer, elsewhere, expired
from tests.support.person import Person
from tests.support.pty_terminal import CTRL_C, CTRL_D, CTRL_R, ENTER, LEFT, TAB, UP, PtyTerminal

TIME = "10 November 2023 20:57:10"
KEY = "k" * 43


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def person(server: FakeServer, tmp_path: Path) -> Iterator[Person]:
    """Someone in front of a window of 80 by 24."""
    someone = Person(server.port, tmp_path, "--no-tls")
    with someone.terminal:
        yield someone


@pytest.fixture
def terminal(person: Person) -> PtyTerminal:
    """The terminal of someone who has signed in."""
    return person.sign_in()


def test_the_password_is_not_echoed(server: FakeServer, terminal: PtyTerminal, tmp_path: Path) -> None:
    """Stars on the screen, and no trace of it in what the client keeps."""
    assert "Password: ***" in terminal.text()
    assert b"123" not in terminal.raw
    assert server.logins[0].password == "123"
    terminal.type("logout" + ENTER)
    assert terminal.wait() == 0
    kept = [path.read_text() for path in (tmp_path / "state").iterdir()]
    assert "123" not in "".join(kept)


def test_a_wrong_password_asks_again(person: Person) -> None:
    """On the same connection, in the words of the original description."""
    terminal = person.terminal
    terminal.until_line("Username:")
    terminal.type("aaa" + ENTER)
    terminal.until_line("Password:")
    terminal.type("999" + ENTER)
    terminal.until_shown("Invalid password. Please try again.")
    person.sign_in()


def test_the_long_prompt_is_shown_once_and_then_the_toolbar(server: FakeServer, terminal: PtyTerminal) -> None:
    """After that a short prompt and a line that says who and where one is."""
    terminal.until_shown(f"aaa@127.0.0.1:{server.port} | connected")
    terminal.type("msgto bbb hi" + ENTER)
    terminal.until_shown(f"message sent at {TIME}")
    assert terminal.text().count("Enter one of the following commands") == 1


def test_arriving_messages_leave_the_line_alone(server: FakeServer, terminal: PtyTerminal) -> None:
    """What is being typed and the cursor in it stay, however much arrives, and the messages stay whole and in order."""
    terminal.type("msgto bbb helo" + LEFT)
    terminal.until(lambda: terminal.cursor_column == 15, "the cursor did not move left")
    for number in range(300):
        server.say("aaa", f"message number {number}.")
    terminal.until_shown("message number 299.")
    terminal.until_line("> msgto bbb helo")
    assert terminal.cursor_column == 15
    terminal.type("l" + ENTER)
    assert server.expect(MsgTo).text == "hello"
    shown = re.findall(r"^10 November 2023 20:57:10, bbb: message number (\d+)\.$", terminal.text(), re.MULTILINE)
    assert shown == [str(number) for number in range(300)]


def test_typing_goes_on_during_a_burst(server: FakeServer, terminal: PtyTerminal) -> None:
    """10,000 messages at once: a line that is typed and sent meanwhile is sent before they are all shown."""
    server.push("aaa", *[Message(server.number(), "bbb", f"number {n}.", AT) for n in range(10_000)])
    terminal.until_shown("number 0.")
    terminal.type("msgto bbb still here" + ENTER)
    terminal.until(lambda: server.has_got(MsgTo), "the line was not sent")
    assert "number 9999." not in terminal.text()
    # Only what is on the screen: to go through the scrollback with each piece takes longer than all else.
    terminal.until(lambda: any("number 9999." in line for line in terminal.lines()), "the burst did not end")
    text = terminal.text()
    assert all(f"number {number}." in text for number in range(0, 10_000, 97))


def test_text_of_others_cannot_steer_the_terminal(server: FakeServer, terminal: PtyTerminal) -> None:
    """Escape sequences, bells, C1 controls and bidi overrides arrive visible and harmless."""
    server.say("aaa", "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202ee")
    terminal.until_shown("a␛]0;owned␇b␛[2Jc\ufffd31md\ufffde")
    assert b"owned\x07" not in terminal.raw


def test_a_message_of_several_lines_keeps_them(server: FakeServer, terminal: PtyTerminal) -> None:
    """In a terminal a line end is a line end; each line stands below the beginning of the text."""
    server.say("aaa", "first\nsecond")
    terminal.until_shown(f"{TIME}, bbb: first\n{' ' * 32}second\n")


def test_pasted_lines_are_one_message(server: FakeServer, terminal: PtyTerminal) -> None:
    """A bracketed paste goes into the line as it is, indentation and all."""
    terminal.type("msgto bbb \x1b[200~if x:\r    y()\x1b[201~" + ENTER)
    assert server.expect(MsgTo).text == "if x:\n    y()"


def test_completion_of_commands_and_names(server: FakeServer, terminal: PtyTerminal) -> None:
    """Tab completes a command, then a user that the server knows."""
    terminal.type("/msg" + TAB)
    terminal.until_line("> /msgto")
    terminal.type("b" + TAB)
    server.expect(Names)
    terminal.until_line("> /msgto bbb")
    terminal.type("hi" + ENTER)
    assert server.expect(MsgTo).to == "bbb"


def test_nobody_is_offered_to_write_to_themselves(server: FakeServer, terminal: PtyTerminal) -> None:
    """The server knows aaa and bbb; bbb is the only one to write to."""
    terminal.type("/msgto " + TAB)
    server.expect(Names)
    terminal.until_line("> /msgto bbb")


def test_who_writes_and_was_not_there_is_counted_soon(server: FakeServer, terminal: PtyTerminal) -> None:
    """Not only with the next poll, half a minute later."""
    terminal.until_shown("| 2 online")

    def names(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Names)
        return [NamesAnswer(request.id, ["aaa", "bbb", "ddd"], [])]

    server.script[Names] = names
    server.say("aaa", "I am new", sender="ddd")
    terminal.until_shown("| 3 online")


def test_several_completions_are_a_menu(terminal: PtyTerminal) -> None:
    """What they have in common is put in, Tab goes through them."""
    terminal.type("/a" + TAB)
    terminal.until_shown("/activeuser ")
    terminal.until_shown("Take a file or folder that was offered to you.")
    terminal.type(TAB)
    terminal.until_line("> /activeuser")


def test_a_menu_uses_the_window(terminal: PtyTerminal) -> None:
    """As many lines as there are; once it is closed the toolbar follows the prompt again."""
    terminal.type("/" + TAB)
    terminal.until(lambda: sum(" /" in line for line in terminal.lines()) > 20, "the menu does not use the window")
    assert "| connected |" in terminal.lines()[-1]
    terminal.type(CTRL_C)
    terminal.until(lambda: "| connected |" in terminal.line_below_cursor(), "the toolbar did not follow the prompt")


def test_completion_of_paths(terminal: PtyTerminal, tmp_path: Path) -> None:
    """A name with spaces is put into quotation marks."""
    (tmp_path / "my example.mp4").touch()
    terminal.type("/sendfile bbb my" + TAB)
    terminal.until_line("> /sendfile bbb 'my example.mp4'")


def test_history_lasts_from_session_to_session(server: FakeServer, person: Person, tmp_path: Path) -> None:
    """The last line comes back with the up key, and by searching; the file is private."""
    terminal = person.sign_in()
    terminal.type("msgto bbb remember me" + ENTER)
    server.expect(MsgTo)
    terminal.type("/activeuser" + ENTER)
    terminal.until_shown(f"aaa, 127.0.0.1, 13000, {TIME}")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    path = tmp_path / "state" / "history-aaa"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "msgto bbb remember me\n/activeuser\n"
    again = Person(server.port, tmp_path, "--no-tls")
    with again.terminal:
        terminal = again.sign_in()
        terminal.type(UP)
        terminal.until_line("> /activeuser")
        terminal.type(CTRL_C)
        terminal.until_line(">")
        terminal.type(CTRL_R + "remem")
        terminal.until_shown("msgto bbb remember me")


def test_a_damaged_history_does_no_harm(server: FakeServer, person: Person, tmp_path: Path) -> None:
    """Bytes that are no text, escapes and half lines: the REPL starts, and none of it reaches the terminal."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history-aaa").write_bytes(b"\xff\xfe\x1b]0;owned\x07\nmsgto bbb \\")
    terminal = person.sign_in()
    terminal.type(UP)
    terminal.until_shown("> msgto bbb")
    terminal.type(UP)
    terminal.until_shown("␛]0;owned␇")


def test_ctrl_c_clears_the_line_and_twice_leaves(server: FakeServer, terminal: PtyTerminal) -> None:
    """First the line, then a hint, then a logout; typing in between starts over."""
    terminal.type("msgto bbb oops")
    terminal.until_line("> msgto bbb oops")
    terminal.type(CTRL_C)
    terminal.until_line(">")
    terminal.type(CTRL_C)
    terminal.until_shown("Press Ctrl-C again or Ctrl-D to sign out and leave.")
    terminal.type("x")
    terminal.until_line("> x")
    terminal.type(CTRL_C)
    terminal.until_line(">")
    assert terminal.child.isalive()
    terminal.type(CTRL_C + CTRL_C)
    server.expect(Logout)
    assert terminal.wait() == 0
    assert "Bye, aaa!" in terminal.lines()


def test_ctrl_d_on_an_empty_line_logs_out(server: FakeServer, terminal: PtyTerminal) -> None:
    """As /logout."""
    terminal.type(CTRL_D)
    server.expect(Logout)
    assert terminal.wait() == 0
    assert "Bye, aaa!" in terminal.lines()


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_leaving_while_signing_in(person: Person, key: str) -> None:
    """Either key ends the client with a failure, and without a traceback."""
    person.terminal.until_line("Username:")
    person.terminal.type(key)
    assert person.terminal.wait() not in (0, None)
    assert "Traceback" not in person.terminal.text()


def test_a_replaced_session_ends_with_the_servers_words(server: FakeServer, terminal: PtyTerminal) -> None:
    """Even in the middle of a line."""
    terminal.type("msgto bbb half a li")
    terminal.until_line("> msgto bbb half a li")
    server.push("aaa", Replaced("You have signed in from another place."))
    assert terminal.wait() == 1
    assert "You have signed in from another place." in terminal.lines()


def test_a_removed_account_ends_the_client(server: FakeServer, terminal: PtyTerminal) -> None:
    """With the server's words: nobody comes back, to be told that the password is wrong."""
    server.push("aaa", Error("removed", "Your account has been removed. This session is over."))
    server.drop("aaa")
    assert terminal.wait() == 1
    assert "Your account has been removed. This session is over." in terminal.lines()
    assert not server.has_got(Resume)


@pytest.mark.parametrize("code", ["invalid_password", "blocked_now"])
def test_a_password_that_is_right_no_more(server: FakeServer, terminal: PtyTerminal, code: DeniedCode) -> None:
    """It was right before, so whoever comes back is told what has happened, and not to try it again."""

    def denied(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [Denied(request.id, code, "Invalid password. Please try again.")]

    server.script[Resume] = expired
    server.script[Login] = denied
    server.drop("aaa")
    assert terminal.wait() == 1
    terminal.until_shown("Your password has been changed meanwhile, or your account removed.")
    assert ("Please try again." in terminal.text()) is (code == "blocked_now")


def test_a_broken_connection_is_resumed(server: FakeServer, tmp_path: Path) -> None:
    """The toolbar says so, what is typed meanwhile waits, and the line stays."""
    person = Person(server.port, tmp_path, "--no-tls")
    with person.terminal as terminal:
        person.sign_in()
        server.stop()
        terminal.until_shown("| reconnecting")
        terminal.type("msgto bbb still there?" + ENTER + "half a li")
        terminal.until_line("> half a li")
        terminal.until_shown("> msgto bbb still there?  (not sent yet)")
        with FakeServer(port=server.port) as back:
            assert back.expect(Resume).token == "token-aaa"
            assert back.expect(MsgTo).text == "still there?"
            terminal.until_shown("Connected again.")
            terminal.until_shown(f"message sent at {TIME}")
            terminal.until_shown("| connected")
            terminal.until_line("> half a li")
            terminal.type(CTRL_C + CTRL_D)
            assert terminal.wait() == 0
            assert "Not sent yet, and lost" not in terminal.text()


def test_a_session_that_cannot_be_resumed(server: FakeServer, terminal: PtyTerminal) -> None:
    """Nor begun anew, as the person has signed in elsewhere: the server's words, a failure."""
    server.script[Resume] = expired
    server.script[Login] = elsewhere
    server.drop("aaa")
    assert terminal.wait() == 1
    assert "You are elsewhere." in terminal.lines()


def test_whoever_is_ignored_counts_nowhere(server: FakeServer, terminal: PtyTerminal) -> None:
    """Not among the unread; nor stands a line above messages of an absence none of which is shown."""
    server.offline.append("ccc")
    terminal.type("/talk ccc" + ENTER)
    terminal.until_shown("You talk to ccc now")
    server.say("aaa", "noise")
    terminal.until_shown("| new: bbb 1")
    terminal.type("/ignore bbb" + ENTER)
    terminal.until_shown("You ignore bbb from now on")
    terminal.until(lambda: "new: bbb" not in terminal.toolbar(), "bbb still counts")
    hidden, again, shown = (Message(server.number(), sender, f"from {sender}", AT) for sender in ("bbb", "bbb", "ccc"))
    server.script[Resume] = expired
    absences = [[Unread(1), hidden], [Unread(2), again, shown]]

    def welcome(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [Welcome(request.id, "aaa", "token-aaa", 9, server.limits), *absences.pop(0)]

    server.script[Login] = welcome
    server.drop("aaa")
    terminal.until_shown("Signed in again")
    server.drop("aaa")
    terminal.until_shown("ccc: from ccc")
    assert terminal.text().count("while you were away") == 1
    assert "Messages while you were away:" in terminal.text()
    assert "from bbb" not in terminal.text()


def test_after_a_long_absence_the_client_signs_in_again(server: FakeServer, terminal: PtyTerminal) -> None:
    """Behind what was shown, with the line that was begun; what was missed comes as at any sign-in."""
    server.say("aaa", "before")
    terminal.until_shown("bbb: before")
    first = server.expect(Login)
    missed = Message(server.number(), "bbb", "meanwhile", AT)
    server.script[Resume] = expired

    def welcome(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Login)
        return [Welcome(request.id, "aaa", "token-aaa", 9, server.limits), Unread(1), missed]

    server.script[Login] = welcome
    terminal.type("half a li")
    terminal.until_line("> half a li")
    server.drop("aaa")
    again = server.expect(Login)
    assert (again.user, again.password, again.udp_port) == ("aaa", "123", first.udp_port)
    assert (again.after, again.unless_online) == (1, True)
    terminal.until_shown("Signed in again, after a long absence.")
    terminal.until_shown("bbb: meanwhile")
    terminal.until_shown("| connected")
    terminal.until_line("> half a li")
    terminal.type(CTRL_C + CTRL_D)
    assert terminal.wait() == 0


def test_leaving_while_there_is_no_server(server: FakeServer, terminal: PtyTerminal) -> None:
    """Nobody can be told: the client leaves at once, says so, and nothing has failed."""
    server.stop()
    terminal.until_shown("| reconnecting")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert "The server could not be told that you leave; it notices by itself." in terminal.text()


@pytest.mark.parametrize("leaving", [CTRL_D, "/logout" + ENTER])
def test_lines_that_were_not_sent_are_named_before_they_are_lost(
    server: FakeServer, terminal: PtyTerminal, leaving: str
) -> None:
    """They look unsent as long as there is no connection. Leaving asks once; what needs no server does not count."""
    terminal.type("msgto bbb one" + ENTER)
    terminal.until_shown("message sent at")
    server.stop()
    terminal.until_shown("| reconnecting")
    terminal.type("msgto bbb two" + ENTER + "groupmsg g three" + ENTER + "set colours" + ENTER)
    terminal.until_shown("> msgto bbb two  (not sent yet)")
    terminal.until_shown("> groupmsg g three  (not sent yet)")
    terminal.type(leaving)
    terminal.until_shown("There is no connection. Not sent yet, and lost if you leave now:")
    terminal.until_shown("Once more leaves all the same.")
    shown = terminal.text()
    named = shown[shown.index("Not sent yet, and lost") :]
    assert "  msgto bbb two\n" in named
    assert "  groupmsg g three\n" in named
    assert "msgto bbb one" not in named
    terminal.type(ENTER if leaving != CTRL_D else CTRL_D)
    assert terminal.wait() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_signals_log_out_and_restore_the_terminal(
    server: FakeServer, terminal: PtyTerminal, signum: signal.Signals
) -> None:
    """A closed terminal or a kill signs out; the modes that the editor switched on are off again."""
    terminal.type("half a line")
    terminal.until_line("> half a line")
    terminal.child.kill(signum)
    server.expect(Logout)
    assert terminal.wait() == 128 + signum
    assert terminal.raw.rfind(b"\x1b[?2004h") < terminal.raw.rfind(b"\x1b[?2004l"), "bracketed paste stays on"


def test_an_offer_above_the_limit_is_asked_about(server: FakeServer, terminal: PtyTerminal) -> None:
    """The number in the question is what /reject takes."""
    big = Offer(server.number(), AT, "bbb", "0123456789abcdef", "big.mkv", 2_100_000_000, KEY, "127.0.0.1", 9)
    server.push("aaa", big)
    terminal.until_shown("bbb offers big.mkv (2.1 GB): /accept 1 or /reject 1")
    terminal.until_shown("1 offered to you")
    terminal.type("/reject 1" + ENTER)
    assert server.expect(Reject).transfer == "0123456789abcdef"
    terminal.until_shown("You have refused big.mkv from bbb.")


def test_a_small_file_is_saved_and_said_where(server: FakeServer, terminal: PtyTerminal) -> None:
    """The words of the original description, and behind them the place."""
    server.push("aaa", Offer(server.number(), AT, "bbb", "0123456789abcdef", "a.mp4", 5, KEY, "127.0.0.1", 9))
    terminal.until_shown("Received a.mp4 from bbb: 5 B in 0.5 s, saved as downloads/a.mp4")


def test_cancelling_an_offer(server: FakeServer, terminal: PtyTerminal, tmp_path: Path) -> None:
    """/transfers shows its number, /cancel takes it, the other side is told."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    terminal.type("/sendfile bbb a.mp4" + ENTER + "/transfers" + ENTER)
    terminal.until_shown("1. a.mp4 to bbb, offered: 5 B")
    terminal.type("/cancel 1" + ENTER)
    assert server.expect(Cancel).to == "bbb"
    terminal.until_shown("a.mp4 has been cancelled.")


def test_a_small_window(server: FakeServer, tmp_path: Path) -> None:
    """40 by 10: the line, the toolbar and the menu have room, and a resize draws them anew."""
    person = Person(server.port, tmp_path, "--no-tls", columns=40, rows=10)
    with person.terminal as terminal:
        person.sign_in()
        server.say("aaa", "how are u ?")
        terminal.until_shown(f"{TIME}, bbb: how are\n  u ?")
        terminal.until(lambda: terminal.toolbar().startswith(" aaa | connected"), "no toolbar below the line")
        terminal.type("/c" + TAB)
        terminal.until_shown("/creategroup")
        terminal.type(CTRL_C + "msgto bbb hi")
        terminal.until_line("> msgto bbb hi")
        terminal.resize(80, 24)
        terminal.until(lambda: " | connected | " in terminal.toolbar(), "no toolbar after the resize")
        terminal.until_line("> msgto bbb hi")


def test_the_sign_in_tells_the_udp_port(server: FakeServer, person: Person) -> None:
    """The file process's port goes out with the sign-in."""
    person.sign_in()
    assert server.expect(Login).udp_port == 13_000


def test_a_closed_window_signs_out(server: FakeServer, person: Person) -> None:
    """The terminal is gone, so nothing can be written any more; the logout goes out all the same."""
    terminal = person.sign_in()
    terminal.type("half a line")
    terminal.until_line("> half a line")
    terminal.hang_up()
    assert server.has_got(Logout)


def test_a_fault_of_the_client_itself_is_one_line(server: FakeServer, tmp_path: Path) -> None:
    """The session ends with words instead of a traceback, and the terminal is given back."""
    program = (
        "import sys; from tests.support import client_program; from tessenger.client import render;"
        " render.heading = lambda *a, **k: 1 // 0; sys.exit(client_program.main())"
    )
    person = Person(server.port, tmp_path, "--no-tls", command=[sys.executable, "-c", program])
    with person.terminal as terminal:
        person.sign_in()
        server.say("aaa", "hi")
        assert terminal.wait() == 1
        assert "An error in Tessenger itself ended the session" in terminal.text()
        assert "Traceback" not in terminal.text()
        assert "Press ENTER" not in terminal.text()
