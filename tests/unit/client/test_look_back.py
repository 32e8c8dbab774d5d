"""/history: what its words mean, and how pages are put together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tessenger.client import render
from tessenger.client.commands import BY_NAME, Call, parse
from tessenger.client.look_back import USUAL, LookBack, Span, asked
from tessenger.wire.messages import MAX_HISTORY, AnyAnswer, GroupMessage, History, HistoryAnswer, Message
from tessenger.wire.times import local_time

NOW = 1_699_610_230_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("", Span(USUAL))),
        (["20"], ("", Span(20))),
        (["99999"], ("", Span(MAX_HISTORY))),
        (["1h"], ("", Span(MAX_HISTORY, NOW - HOUR))),
        (["30M"], ("", Span(MAX_HISTORY, NOW - HOUR // 2))),
        (["bbb"], ("bbb", Span(USUAL))),
        (["bbb", "7d"], ("bbb", Span(MAX_HISTORY, NOW - 7 * 24 * HOUR))),
        (["10", "20"], ("10", Span(20))),
        (["bbb", "999999d"], ("bbb", Span(MAX_HISTORY, 1))),
        (["bbb", "soon"], None),
        (["bbb", "0"], None),
        (["0"], ("0", Span(USUAL))),
    ],
)
def test_words(words: list[str], expected: tuple[str, Span] | None) -> None:
    """A name, a span, both, or neither; a number or a time alone is a span."""
    assert asked(words, NOW) == expected


def test_today_begins_at_midnight() -> None:
    """Of the reader's time zone."""
    found = asked(["bbb", "today"], NOW)
    assert found is not None
    name, wanted = found
    assert (name, wanted.limit) == ("bbb", MAX_HISTORY)
    assert wanted.since <= NOW < wanted.since + 25 * HOUR
    assert local_time(wanted.since).endswith(" 00:00:00")


def test_the_command_takes_both_or_neither() -> None:
    """It is in the table that parsing and help read."""
    for line in ("/history", "history bbb", "/history bbb 1h"):
        assert parse(line) == Call(BY_NAME["history"], tuple(line.split()[1:]))
    assert not isinstance(parse("/history a b c"), Call)


def message(seq: int) -> Message:
    """A private message."""
    return Message(seq, "aaa", f"text {seq}", NOW, "bbb")


def test_asks_on_until_it_has_enough() -> None:
    """Several answers make a page, several pages what was asked for, the oldest first."""
    asked_for: list[History] = []
    answer: list[Callable[[AnyAnswer], None]] = []
    shown: list[list[Message | GroupMessage]] = []

    def ask(request: History, then: Callable[[AnyAnswer], None]) -> None:
        asked_for.append(request)
        answer.append(then)

    LookBack("bbb", Span(5, 7), ask, shown.append).begin()
    answer[-1](HistoryAnswer(1, [message(8)], more=True))
    answer[-1](HistoryAnswer(1, [message(9)], before=8))
    answer[-1](HistoryAnswer(2, [], before=6))
    answer[-1](HistoryAnswer(3, [message(1), message(2), message(3)], before=1))
    assert shown == [[message(seq) for seq in (1, 2, 3, 8, 9)]]
    assert asked_for == [
        History(0, "bbb", limit=5, since=7),
        History(0, "bbb", limit=3, since=7, before=8),
        History(0, "bbb", limit=3, since=7, before=6),
    ]


def test_ends_where_there_is_no_more() -> None:
    """An answer without `before` is the last."""
    shown: list[list[Message | GroupMessage]] = []
    LookBack("", Span(5), lambda _, then: then(HistoryAnswer(1, [message(1)])), shown.append).begin()
    assert shown == [[message(1)]]


def test_messages_look_as_they_did() -> None:
    """Those of others as they came, one's own with the one they went to."""
    time = local_time(NOW)
    assert render.message(Message(1, "bbb", "hi", NOW, "aaa"), "aaa") == f"{time}, bbb: hi"
    assert render.message(Message(1, "aaa", "hi\x1b", NOW, "bbb"), "aaa") == f"{time}, aaa to bbb: hi\u241b"
    assert render.message(GroupMessage(1, "g", "aaa", "hi", NOW), "aaa") == f"{time}, g, aaa: hi"
