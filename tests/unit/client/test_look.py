"""What the REPL makes of messages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from tessenger.client import render
from tessenger.client.colours import Depth, Painter
from tessenger.client.look import Look
from tessenger.wire.messages import GroupMessage, Message, Unread
from tessenger.wire.times import _local

AT = 1_699_649_830_123
DAY = 86_400_000
TIME = "10 November 2023 20:57:10"
HOSTILE = "a\x1b]0;owned\x07\x9b31m\u202e\x1b]8;;http://evil.example\x1b\\b"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are local: let the reader be in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    _local.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    _local.cache_clear()


def look(reader: str = "aaa", depth: Depth = Depth.NOTHING) -> Look:
    """Return the look of things on 10 November 2023."""
    made = Look(reader, Painter(depth), get_cwidth)
    made.begin(AT)
    return made


def private(text: str = "how are u ?", sender: str = "bbb", at: int = AT, to: str = "") -> Message:
    """Return a private message."""
    return Message(1, sender, text, at, to)


def in_group(text: str, sender: str = "bbb") -> GroupMessage:
    """Return a message in the group g."""
    return GroupMessage(1, "g", sender, text, AT)


@pytest.mark.parametrize("event", [private(), in_group("haha!"), private("x", "aaa", to="bbb"), in_group("aaa", "aaa")])
def test_the_words_are_those_of_the_original_description(event: Message | GroupMessage) -> None:
    """With colours too, once these are taken away."""
    assert look().message(event, 80) == render.message(event, "aaa")
    painted = look(depth=Depth.MANY).message(event, 80)
    assert painted != render.message(event, "aaa")
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == render.message(event, "aaa")


def test_a_text_is_wrapped_under_itself() -> None:
    """Where there is room for that; else it goes to the left."""
    text = "one two three four five six seven eight nine"
    assert look().message(private(text), 60).splitlines() == [
        f"{TIME}, bbb: one two three four five six",
        " " * 32 + "seven eight nine",
    ]
    assert look().message(private(text), 40).splitlines() == [
        f"{TIME}, bbb: one two",
        "  three four five six seven eight nine",
    ]


def badged(event: Message | GroupMessage, current: str = "") -> bool:
    """Tell whether a message stands out."""
    return "\x1b[1;7" in look(depth=Depth.MANY).message(event, 80, current)


def test_private_messages_stand_out() -> None:
    """Unless one talks to that person anyway; one's own in a history do not."""
    assert badged(private())
    assert not badged(private(), "BBB")
    assert badged(private(), "ccc")
    assert not badged(private("hi", "aaa", to="bbb"))
    assert not badged(in_group("hello all"))


@pytest.mark.parametrize("text", ["aaa", "AAA: look", "hi @aaa!", "ask aaa.", "(aaa)", "bbb,aaa"])
def test_mentions_stand_out(text: str) -> None:
    """The name as a word of its own, in any case; what somebody says about themselves is none."""
    assert look().mentions(in_group(text))
    assert badged(in_group(text))
    assert "\x1b[1;4m" in look(depth=Depth.MANY).message(in_group(text), 80)
    assert not look().mentions(in_group(text, "Aaa"))


@pytest.mark.parametrize("text", ["aaab", "baaa", "aaa-b", "aaa.example.org", "x.aaa", "", "a a a"])
def test_parts_of_words_are_no_mentions(text: str) -> None:
    """Nor are parts of other people's names."""
    assert not look().mentions(in_group(text))


def test_a_name_of_signs_is_taken_as_it_is() -> None:
    """It is no pattern."""
    assert look("a.b").mentions(in_group("a.b?"))
    assert not look("a.b").mentions(in_group("axb?"))


def test_another_day_has_a_line() -> None:
    """Once, above its first message; and again when older messages were looked at."""
    shown = look()
    assert shown.message(private("late"), 80) == f"{TIME}, bbb: late"
    assert shown.message(private("early", at=AT + DAY), 40).splitlines()[0] == "──────── 11 November 2023 ────────"
    assert len(shown.message(private("more", at=AT + DAY), 80).splitlines()) == 1
    assert shown.messages([private("old"), private("old too")], 80).count("────────") == 2
    assert shown.message(private("now", at=AT + DAY), 80).startswith("──────── 11")


def test_short_times() -> None:
    """The time of day alone."""
    shown = look()
    shown.short = True
    assert shown.message(private("hi"), 80) == "20:57:10, bbb: hi"


def test_messages_of_an_absence_have_a_line_above() -> None:
    """In the words that the filter prints."""
    assert look().unread(Unread(3), 80) == "──────── 3 messages while you were away: ────────"
    assert look().unread(Unread(3), 30) == "3 messages while you were away:"


def test_answers_keep_their_words_whole() -> None:
    """In a small window they go on below."""
    lines = look().answer(f"message sent at {TIME}", 40).splitlines()
    assert lines == ["message sent at 10 November 2023", "  20:57:10"]
    assert look().answer("a\nb", 40) == "a\nb"


def test_a_typed_line_stays_above() -> None:
    """Further lines of it below their beginning; and nothing that was pasted can steer the terminal."""
    assert look().echo("bbb> ", "one\ntwo") == "bbb> one\n     two"
    assert look().echo("> ", "\x1b[2J") == "> ␛[2J"


def test_nothing_of_others_can_steer_the_terminal() -> None:
    """Every part of a message, and every answer: no control character, C1 or override is left but the line ends."""
    shown = look()
    texts = [
        shown.message(private(HOSTILE, HOSTILE), 80),
        shown.message(GroupMessage(1, HOSTILE, HOSTILE, f"{HOSTILE}\n{HOSTILE}", AT), 80),
        shown.message(private(HOSTILE, "aaa", to=HOSTILE), 80),
        shown.answer(HOSTILE, 80),
        shown.refusal(HOSTILE, 80),
        shown.notice(HOSTILE, 80),
        shown.echo("> ", HOSTILE),
    ]
    assert all(line.isprintable() for text in texts for line in text.split("\n"))


def test_every_line_is_whole_in_itself() -> None:
    """Weights and colours end where the line ends, so that output can be cut between any two lines."""
    text = "aaa " * 60 + "\n" + "aaa " * 60
    for line in look(depth=Depth.MANY).message(in_group(text), 60).split("\n"):
        codes = re.findall(r"\x1b\[([0-9;]*)m", line)
        assert not codes or codes[-1] == "0"


@given(st.text(max_size=300), st.text(max_size=40), st.integers(20, 120))
def test_any_text_is_shown_whole_and_harmless(text: str, sender: str, columns: int) -> None:
    """Whatever it holds, each character of it is there, or its picture, and no other than the look's own sequences."""
    event = GroupMessage(1, "g", sender, text, AT)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", look(depth=Depth.MANY).message(event, columns))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown)
    assert "".join(shown.split()) == "".join(render.message(event).split())
