"""What stands on the screen of a pseudo-terminal: harmless text, colours, the toolbar, notifications."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tessenger.wire.messages import (
    Answer,
    AnyRequest,
    Cancelled,
    Error,
    GroupMessage,
    Message,
    MsgTo,
    Names,
    NamesAnswer,
    Offer,
    P2PVideo,
    Rejected,
    Replaced,
    Resume,
    Unread,
)
from tests.support.fake_server import AT, FakeServer
from tests.support.person import Person
from tests.support.pty_terminal import ENTER, TAB, PtyTerminal

TIME = "10 November 2023 20:57:10"
KEY = "k" * 43
HOSTILE = {
    "C0": "\x07\x08\x0b\x0c\x0e\x7f",
    "carriage return": "\rhidden",
    "C1": "\x9b2J\x90q\x9d0;owned\x9c",
    "colours": "\x1b[31;5m",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\text\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "answer back": "\x1b[6n\x05\x1bZ",
    "character set": "\x1b(0\x0e",
    "overrides": "\u202egpj.exe\u202c\u2066\u2067\u2068\u2069",
}
"""What other people might put into a text, or a server into anything."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A scripted server without TLS."""
    with FakeServer() as fake:
        yield fake


Open = Callable[..., PtyTerminal]


@pytest.fixture
def open_terminal(server: FakeServer, tmp_path: Path) -> Iterator[Open]:
    """Open a terminal and sign in."""
    people: list[Person] = []

    def start(*options: str, columns: int = 80, env: Mapping[str, str] | None = None, term: str = "") -> PtyTerminal:
        person = Person(
            server.port, tmp_path, "--no-tls", *options, columns=columns, env=env, term=term or "xterm-256color"
        )
        people.append(person)
        return person.sign_in()

    yield start
    for person in people:
        person.terminal.__exit__(None, None, None)


@pytest.fixture
def terminal(open_terminal: Open) -> PtyTerminal:
    """The terminal of someone who has signed in, 80 by 24."""
    return open_terminal()


# ---- text of others ----

OWN = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r\n|\r|\x08")
"""What the client itself sends: cursor movements, weights and colours, line ends."""

STEERING = "\x80-\x9f\u202a-\u202e\u2066-\u2069"


def assert_harmless(raw: bytes, hostile: str) -> None:
    """Nothing of a hostile text reached the terminal as it was, nor any other control that is not the client's own."""
    assert hostile.encode() not in raw
    rest = OWN.sub(b"", raw).decode()
    assert not re.findall(rf"[\x00-\x09\x0b-\x1f\x7f{STEERING}]", rest)
    for code in re.findall(rb"\x1b\[([0-9;?]*[A-Za-z])", raw):
        assert code not in (b"31;5m", b"2J", b"H", b"6n"), code


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_nothing_steers_the_terminal(server: FakeServer, open_terminal: Open, hostile: str) -> None:
    """From a server that cleans nothing: a message, names of users and groups, of a file, reasons, errors, words."""
    names = f"n{hostile}n"

    def completed(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, Names)
        return [NamesAnswer(request.id, ["bbb", "bbc", names], ["g", names])]

    def refused(request: AnyRequest) -> list[Answer]:
        assert isinstance(request, MsgTo)
        return [Error("not_online", f"user {hostile} not online", request.id)]

    server.script[Names] = completed
    server.script[MsgTo] = refused
    terminal = open_terminal()
    raw = len(terminal.raw)
    server.push(
        "aaa",
        Unread(2),
        Message(server.number(), names, f"private {hostile}", AT),
        GroupMessage(server.number(), names, names, f"group {hostile}", AT),
        Offer(server.number(), AT, names, "0" * 16, f"file{hostile}", 5, KEY, "127.0.0.1", 9),
        Offer(server.number(), AT, "bbb", "1" * 16, f"big{hostile}", 2_000_000_000, KEY, "127.0.0.1", 9),
        Cancelled(server.number(), AT, "bbb", "1" * 16, f"because {hostile}"),
        Message(server.number(), "bbb", "the end", AT),
    )
    terminal.until_shown("bbb: the end")
    terminal.type(f"/msgto bbb hi{ENTER}/msgto b{TAB}")
    terminal.until_shown("not online")
    terminal.until_shown("bbc")
    shown = terminal.text()
    for part in ("private", "group", "Received file", "offers big", "because"):
        assert part in shown, part
    assert_harmless(terminal.raw[raw:].replace(b"\x07", b"", 1), hostile)  # the bell of the first message


def test_the_reason_of_a_refusal(server: FakeServer, terminal: PtyTerminal, tmp_path: Path) -> None:
    """And the last word of the server."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    terminal.type("/p2pvideo bbb a.mp4" + ENTER)
    transfer = server.expect(P2PVideo).transfer
    server.push("aaa", Rejected(server.number(), AT, "bbb", transfer, "no \x1b]0;owned\x07\u202e"))
    terminal.until_shown("bbb has refused a.mp4: no ␛]0;owned␇\ufffd.")
    server.push("aaa", Replaced("bye \x1b]0;owned\x07"))
    assert terminal.wait() == 1
    assert "bye ␛]0;owned␇" in terminal.text()
    assert b"\x1b]0" not in terminal.raw


# ---- the look ----


def test_everyone_has_a_colour(server: FakeServer, terminal: PtyTerminal) -> None:
    """And private messages stand out."""
    server.say("aaa", "hi")
    terminal.until_shown(f"{TIME}, bbb: hi")
    assert re.search(rb"\x1b\[1;7;38;5;\d+mbbb\x1b\[0m: hi", terminal.raw)


def test_no_color(server: FakeServer, open_terminal: Open) -> None:
    """NO_COLOR: weights only, in the editor too."""
    terminal = open_terminal(env={"NO_COLOR": "1"})
    server.say("aaa", "hi")
    terminal.until_shown(f"{TIME}, bbb: hi")
    codes = re.findall(rb"\x1b\[([0-9;]*)m", terminal.raw)
    assert {part for code in codes for part in code.split(b";")} <= {b"", b"0", b"1", b"2", b"4", b"7"}


def test_without_colours_by_a_setting(server: FakeServer, terminal: PtyTerminal) -> None:
    """At once."""
    terminal.type("/set colours false" + ENTER)
    terminal.until_shown("colours is false now.")
    server.say("aaa", "hi")
    terminal.until_shown(f"{TIME}, bbb: hi")
    assert f"{TIME}, bbb: hi".encode() in terminal.raw


@pytest.mark.parametrize(("options", "term"), [(["--plain"], "xterm-256color"), ([], "dumb")])
def test_plain_lines(server: FakeServer, tmp_path: Path, options: list[str], term: str) -> None:
    """Asked for, or in a terminal that can do nothing else: the lines of the filter, and no escape sequence."""
    person = Person(server.port, tmp_path, "--no-tls", *options, term=term)
    with person.terminal as terminal:
        terminal.until_shown("Username:")
        terminal.type("aaa\n")
        terminal.until_shown("Password:")
        terminal.type("123\n")
        terminal.until_shown("Welcome to TESSENGER!")
        server.say("aaa", "a\x1b[2Jb")
        terminal.until_shown(f"{TIME}, bbb: a␛[2Jb")
        terminal.type("logout\n")
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.raw
        assert b"123" not in terminal.raw


def test_a_locale_without_unicode(server: FakeServer, open_terminal: Open) -> None:
    """What it cannot show is a question mark; rules and bars are in ASCII; nothing fails."""
    env = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    terminal = open_terminal(env=env)
    server.say("aaa", "日本 caf\u00e9 \x1b]0;x\x07")
    terminal.until_shown(f"{TIME}, bbb: ?? caf? ?]0;x?")
    terminal.until_shown("-------- 10 November 2023 --------")
    assert terminal.raw.isascii()


def test_messages_of_an_absence(server: FakeServer, terminal: PtyTerminal) -> None:
    """Below a line that says how many."""
    server.push("aaa", Unread(1), Message(server.number(), "bbb", "hi", AT))
    terminal.until_shown("──────── 1 message while you were away: ────────")


# ---- the toolbar ----


def test_unread_messages_of_other_conversations(server: FakeServer, terminal: PtyTerminal) -> None:
    """Counted until one talks there."""
    terminal.type("/talk g" + ENTER)
    terminal.until_line("g>")
    for text in ("one", "two"):
        server.say("aaa", text)
    server.push("aaa", GroupMessage(server.number(), "g", "ccc", "here", AT))
    terminal.until(lambda: terminal.toolbar().endswith("| new: bbb 2"), "no count")
    terminal.type("/talk bbb" + ENTER)
    terminal.until_line("bbb>")
    terminal.until(lambda: terminal.toolbar().endswith("| 2 online"), "the count stays")


def test_the_time_to_the_next_attempt(server: FakeServer, terminal: PtyTerminal) -> None:
    """Counted down while there is no server."""
    server.stop()
    terminal.until(lambda: re.search(r"\| reconnecting in [2-9] s", terminal.toolbar()) is not None, "no time")
    with FakeServer(port=server.port) as back:
        back.expect(Resume)
        terminal.until(lambda: " | connected" in terminal.toolbar(), "not connected again")


def test_a_toolbar_in_a_narrow_window(server: FakeServer, open_terminal: Open) -> None:
    """At 40 columns it says the most important, on one line."""
    terminal = open_terminal(columns=40)
    terminal.until(lambda: terminal.toolbar() == " aaa | connected | 2 online", "no toolbar")
    terminal.type("/talk g" + ENTER)
    terminal.until_line("g>")
    for sender in ("somebody", "someone", "nobody-at-all"):
        server.say("aaa", "hi", sender)
    terminal.until(lambda: terminal.toolbar() == " aaa | connected | 3 new", "no count")


# ---- notifications ----


def bells(server: FakeServer, terminal: PtyTerminal) -> int:
    """Return how often the bell rang, once everything so far is shown."""
    number = server.number()
    server.push("aaa", GroupMessage(number, "h", "ccc", f"up to {number}.", AT))
    terminal.until_shown(f"up to {number}.")
    return terminal.raw.count(b"\x07")


def test_a_private_message_rings(server: FakeServer, terminal: PtyTerminal) -> None:
    """Once, however many come at a time."""
    server.push("aaa", *[Message(server.number(), "bbb", f"message {n}", AT) for n in range(50)])
    assert bells(server, terminal) == 1


def test_a_mention_rings_and_others_do_not(server: FakeServer, terminal: PtyTerminal) -> None:
    """As the setting has it."""
    server.push("aaa", GroupMessage(server.number(), "g", "ccc", "hello all", AT))
    assert bells(server, terminal) == 0
    server.push("aaa", GroupMessage(server.number(), "g", "ccc", "hello @aaa", AT))
    assert bells(server, terminal) == 1


def test_notifications_switched_off(server: FakeServer, terminal: PtyTerminal) -> None:
    """By a command, for good."""
    terminal.type("/notify off" + ENTER)
    terminal.until_shown("notify is off now.")
    server.say("aaa", "hi")
    assert bells(server, terminal) == 0


def test_a_notification_of_the_desktop(server: FakeServer, open_terminal: Open, tmp_path: Path) -> None:
    """By the program that the system has for it, and no bell."""
    os.mkfifo(tmp_path / "said")
    program = tmp_path / "notify-send"
    program.write_text(f"#!{sys.executable}\nimport sys\nopen('{tmp_path}/said', 'w').write(' '.join(sys.argv[1:]))\n")
    program.chmod(0o700)
    terminal = open_terminal(env={"PATH": str(tmp_path)})
    terminal.type("/set notify_with desktop" + ENTER)
    terminal.until_shown("notify_with is desktop now.")
    server.say("aaa", "hi")
    assert (tmp_path / "said").read_text() == "--app-name=Tessenger -- bbb hi"
    assert bells(server, terminal) == 0


def test_without_a_desktop_the_bell_rings(server: FakeServer, open_terminal: Open, tmp_path: Path) -> None:
    """And that is said, once."""
    terminal = open_terminal(env={"PATH": str(tmp_path)})
    terminal.type("/set notify_with desktop" + ENTER)
    terminal.until_shown("There is no notify-send here: the bell rings instead.")
    server.say("aaa", "hi")
    assert bells(server, terminal) == 1
    assert terminal.text().count("notify-send") == 1


def test_what_was_missed_does_not_ring(server: FakeServer, terminal: PtyTerminal) -> None:
    """Messages of the time before the connection came back are shown in silence."""
    server.stop()
    terminal.until_shown("Connecting again")
    with FakeServer(port=server.port) as back:
        missed = [Message(back.number(), "bbb", f"missed {n}", AT) for n in range(3)]
        back.expect(Resume)
        back.push("aaa", *missed)
        terminal.until_shown("missed 2")
        assert bells(back, terminal) == 0
        back.say("aaa", "now")
        assert bells(back, terminal) == 1
