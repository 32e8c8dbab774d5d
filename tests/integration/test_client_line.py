"""The line that is being typed, in a pseudo-terminal: nothing that comes touches it, and what one can do with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.wire.messages import GroupMsg, Logout, Message, MsgTo
from tests.support.fake_server import AT, FakeServer
from tests.support.person import Person
from tests.support.pty_terminal import CTRL_C, CTRL_D, ENTER, LEFT, TAB, PtyTerminal

CTRL_A = "\x01"
CTRL_E = "\x05"
CTRL_SPACE = "\x00"
CTRL_W = "\x17"
ESCAPE = "\x1b"
ALT_ENTER = ESCAPE + ENTER
RIGHT = "\x1b[C"


def paste(text: str) -> str:
    """Return what a terminal sends for a paste."""
    return f"\x1b[200~{text}\x1b[201~"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def terminal(server: FakeServer, tmp_path: Path) -> Iterator[PtyTerminal]:
    """The terminal of someone who has signed in."""
    person = Person(server.port, tmp_path, "--no-tls")
    with person.terminal:
        yield person.sign_in()


# ---- whatever comes ----


def test_a_burst_leaves_the_line_alone(server: FakeServer, terminal: PtyTerminal) -> None:
    """10,400 messages while keys are pressed: each key takes effect at once, all messages come, whole and in order."""
    text = "msgto bbb typed in a burst"
    for count in range(1, len(text) + 1):
        server.push("aaa", *[Message(server.number(), "bbb", f"at {count} number {n}.", AT) for n in range(400)])
        terminal.type(text[count - 1])
        terminal.until_line(f"> {text[:count]}".rstrip())
    terminal.until_shown(f"at {len(text)} number 399.")
    terminal.until_line(f"> {text}")
    assert terminal.cursor_column == len(text) + 2
    assert terminal.text().count(" | connected | ") == 1, "a toolbar is left above"
    assert terminal.text().count("> ") == 1, "a prompt is left above"
    shown = re.findall(r"^10 November 2023 20:57:10, bbb: at (\d+) number (\d+)\.$", terminal.text(), re.MULTILINE)
    assert shown == [(str(count), str(number)) for count in range(1, len(text) + 1) for number in range(400)]
    terminal.type(ENTER)
    assert server.expect(MsgTo).text == "typed in a burst"


def test_the_menu_stays_while_messages_come(server: FakeServer, terminal: PtyTerminal) -> None:
    """With what is selected in it."""
    terminal.type("/ac" + TAB)
    terminal.until_shown("/accept ")
    terminal.type(TAB)
    terminal.until_line("> /activeuser")
    for number in range(50):
        server.say("aaa", f"message {number}.")
    terminal.until_shown("message 49.")
    terminal.until(lambda: "/accept" in "".join(terminal.lines()[-6:]), "the menu is gone")
    terminal.type(TAB)
    terminal.until_line("> /accept")


def test_the_selection_stays_while_messages_come(server: FakeServer, terminal: PtyTerminal) -> None:
    """What was marked before can be cut after."""
    terminal.type("msgto bbb one two" + CTRL_A + CTRL_SPACE + RIGHT * 6)
    terminal.until(lambda: terminal.cursor_column == 8, "the cursor is not where it was moved to")
    server.say("aaa", "a message.")
    terminal.until_shown("a message.")
    terminal.type(CTRL_W)
    terminal.until_line("> bbb one two")


def test_a_long_line_stays_whole(server: FakeServer, terminal: PtyTerminal) -> None:
    """Wider than the window, on several lines of it."""
    text = "msgto bbb " + "word " * 40 + "end"
    terminal.type(text)
    terminal.until(lambda: terminal.cursor_line().endswith("end"), "the line is not there")
    server.say("aaa", "a message.")
    terminal.until_shown("a message.")
    terminal.type(LEFT + ENTER)
    assert server.expect(MsgTo).text == text.partition("bbb ")[2]


# ---- a conversation ----


def test_talking_to_someone(server: FakeServer, terminal: PtyTerminal) -> None:
    """Plain lines go there, even those that read like commands; the prompt says so; /talk alone ends it."""
    terminal.type("talk bbb" + ENTER)
    terminal.until_line("bbb>")
    terminal.until_shown("You talk to bbb now; /talk ends that.")
    terminal.type("logout is what I would type" + ENTER)
    sent = server.expect(MsgTo)
    assert (sent.to, sent.text) == ("bbb", "logout is what I would type")
    terminal.type("/talk G" + ENTER)
    terminal.until_line("g>")
    terminal.type("hello" + ENTER)
    message = server.expect(GroupMsg)
    assert (message.group, message.text) == ("g", "hello")
    terminal.type("/talk" + ENTER)
    terminal.until_line(">")
    terminal.type("logout" + ENTER)
    server.expect(Logout)
    assert terminal.wait() == 0


def test_what_is_typed_ahead_goes_where_it_belongs(server: FakeServer, terminal: PtyTerminal) -> None:
    """A command and lines behind it, sent in one go: each is understood after those before it."""
    terminal.type(f"/talk bbb{ENTER}logout{ENTER}/talk{ENTER}logout{ENTER}")
    assert server.expect(MsgTo).text == "logout"
    server.expect(Logout)
    assert terminal.wait() == 0


def test_talking_to_someone_who_is_away(server: FakeServer, terminal: PtyTerminal) -> None:
    """It is said, and can be done all the same: they may get it later. Tab knows them, too."""
    server.offline.append("ddd")
    terminal.type("/talk d" + TAB)
    terminal.until_line("> /talk ddd")
    terminal.type(ENTER)
    terminal.until_shown("ddd is not online now.")
    terminal.until_line("ddd>")


def test_talking_to_nobody(server: FakeServer, terminal: PtyTerminal) -> None:
    """A name that does not exist is refused, and the conversation stays what it was."""
    terminal.type("/talk bbb" + ENTER)
    terminal.until_line("bbb>")
    terminal.type("/talk xyz" + ENTER)
    terminal.until_shown("There is no user and no group chat xyz.")
    terminal.type("hi" + ENTER)
    assert server.expect(MsgTo).to == "bbb"
    terminal.until_line("bbb>")


def test_the_first_line_of_somebody_new(server: FakeServer, terminal: PtyTerminal) -> None:
    """The greeting says how to talk, and so does the answer to a line that was meant for somebody."""
    terminal.until_shown("/talk and a name begins a conversation: plain lines go there. /help shows all")
    terminal.type("hello" + ENTER)
    terminal.until_shown("Unknown command hello. To talk to someone, type /talk and a name first; /help")
    assert not server.has_got(MsgTo)


def test_being_away_shows(server: FakeServer, terminal: PtyTerminal) -> None:
    """On the toolbar, until one is back, or begins another session, which knows nothing of it."""
    terminal.type("/away at lunch" + ENTER)
    terminal.until_shown(" | connected | away | ")
    server.drop("aaa")
    terminal.until_shown("Connected again.")
    terminal.until(lambda: " | connected | away | " in terminal.toolbar(), "being away does not show any more")
    terminal.type("/away" + ENTER)
    terminal.until(lambda: "away" not in terminal.toolbar(), "being away still shows")


# ---- texts of several lines ----


def test_a_long_paste_is_asked_about(server: FakeServer, terminal: PtyTerminal) -> None:
    """Above the number of lines in the settings; Enter is the answer, and it is one message."""
    lines = [f"line {number}" for number in range(8)]
    terminal.type("msgto bbb " + paste("\r".join(lines) + "\r") + ENTER)
    terminal.until_shown("This is one message of 8 lines. Enter sends it, Ctrl-C clears it.")
    assert not server.has_got(MsgTo)
    terminal.type(ENTER)
    assert server.expect(MsgTo).text == "\n".join(lines)


def test_the_question_is_seen(server: FakeServer, terminal: PtyTerminal) -> None:
    """A text much higher than the window takes half of it and scrolls inside; the question is below it."""
    server.say("aaa", "said before")
    terminal.until_shown("said before")
    terminal.type("msgto bbb " + paste("\r".join(f"line {number}" for number in range(300))) + ENTER)
    terminal.until(lambda: any("one message of 300 lines" in line for line in terminal.lines()), "no question is seen")
    shown = terminal.lines()
    assert sum(line.startswith("  line ") for line in shown) == len(shown) // 2
    assert any("said before" in line for line in shown)
    terminal.type("x")
    terminal.until(lambda: not any("one message" in line for line in terminal.lines()), "it is still asked")
    terminal.type(CTRL_C)
    terminal.until(lambda: "connected" in terminal.line_below_cursor(), "the toolbar did not follow the prompt")
    assert not server.has_got(MsgTo)


def test_a_long_paste_can_be_changed_or_cleared(server: FakeServer, terminal: PtyTerminal) -> None:
    """What was changed is asked about anew; Ctrl-C clears it."""
    terminal.type("msgto bbb " + paste("a\rb\rc\rd\re\rf") + ENTER)
    terminal.until_shown("This is one message of 6 lines.")
    terminal.type(paste("\rg") + ENTER)
    terminal.until_shown("This is one message of 7 lines.")
    terminal.type(CTRL_C)
    terminal.until_line(">")
    terminal.type("/msgto bbb short" + ENTER)
    assert server.expect(MsgTo).text == "short"


def test_the_question_can_be_switched_off(server: FakeServer, terminal: PtyTerminal) -> None:
    """For good, by a setting."""
    terminal.type("/set paste_lines 0" + ENTER)
    terminal.until_shown("paste_lines is 0 now.")
    terminal.type("msgto bbb " + paste("\r".join("abcdefgh")) + ENTER)
    assert server.expect(MsgTo).text == "\n".join("abcdefgh")


def test_alt_enter_is_a_new_line(server: FakeServer, terminal: PtyTerminal) -> None:
    """In the same message; further lines stand below the first."""
    terminal.type("msgto bbb one" + ALT_ENTER + "two")
    terminal.until_line("  two")
    terminal.type(ENTER)
    assert server.expect(MsgTo).text == "one\ntwo"


# ---- editing ----


def test_wide_characters(server: FakeServer, terminal: PtyTerminal) -> None:
    """They take two columns on the line as well as in what comes, and no line is broken in the middle of one."""
    terminal.type("msgto bbb 日本語👍")
    terminal.until(lambda: terminal.cursor_column == 20, "the cursor is not behind the text")
    server.say("aaa", "日本語" * 20)
    terminal.until_shown(f"{' ' * 32}日本語")
    terminal.until(lambda: terminal.cursor_column == 20, "the cursor is not behind the text again")
    shown = [line for line in terminal.lines() if "日" in line and ">" not in line]
    assert [len(line.partition(": ")[2] or line.strip()) for line in shown] == [24, 24, 12]
    terminal.type(LEFT)
    terminal.until(lambda: terminal.cursor_column == 18, "the cursor did not go back by one character")
    terminal.type(ENTER)
    assert server.expect(MsgTo).text == "日本語👍"


def test_keys_of_vi(server: FakeServer, terminal: PtyTerminal) -> None:
    """Switched on by a setting: Escape leaves insertion at once, commands edit, Enter sends."""
    terminal.type("/set editing vi" + ENTER)
    terminal.until_shown("editing is vi now.")
    terminal.type("msgto bbb one two" + ESCAPE)
    terminal.until(lambda: terminal.cursor_column == 18, "Escape did not leave insertion")
    terminal.until_shown("| connected | navigation |")
    terminal.type("bdw")
    terminal.until_line("> msgto bbb one")
    terminal.type("Athree")
    terminal.until_line("> msgto bbb one three")
    terminal.type(ESCAPE)
    terminal.until(lambda: terminal.cursor_column == 20, "Escape did not leave insertion")
    terminal.type(ENTER)
    assert server.expect(MsgTo).text == "one three"
    terminal.type("msgto bbb next" + ENTER)
    assert server.expect(MsgTo).text == "next"


def test_settings_last(server: FakeServer, terminal: PtyTerminal, tmp_path: Path) -> None:
    """What was set in one session holds in the next."""
    terminal.type("/set times short" + ENTER)
    terminal.until_shown("times is short now.")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    again = Person(server.port, tmp_path, "--no-tls")
    with again.terminal:
        again.sign_in()
        server.say("aaa", "hi")
        again.terminal.until_shown("\n20:57:10, bbb: hi")


def test_suggestions_from_history(server: FakeServer, terminal: PtyTerminal) -> None:
    """How an earlier line went on is shown behind the cursor, and taken over by the right key."""
    terminal.type("msgto bbb remember me" + ENTER)
    server.expect(MsgTo)
    terminal.type("msgto bbb rem")
    terminal.until_line("> msgto bbb remember me")
    assert terminal.cursor_column == len("> msgto bbb rem")
    terminal.type(CTRL_E + ENTER)
    assert server.expect(MsgTo).text == "remember me"
