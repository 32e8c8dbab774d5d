"""What people see, word for word as the original description shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tessenger.client import render
from tessenger.wire.messages import Error, GroupMessage, Message, Sent, Unread, UserLine
from tessenger.wire.times import _local

AT = 1_699_649_830_123
TIME = "10 November 2023 20:57:10"


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


def test_words() -> None:
    """The lines of the original description."""
    assert render.message(Message(1, "aaa", "how are u ?", AT)) == f"{TIME}, aaa: how are u ?"
    assert render.message(GroupMessage(1, "g", "bbb", "haha!", AT)) == f"{TIME}, g, bbb: haha!"
    assert render.message_sent("bbb", Sent(1, 1, AT)) == f"message sent at {TIME}"
    away = render.message_sent("bbb", Sent(1, 1, AT, away=True))
    assert away == f"message sent at {TIME}\nuser bbb not online, gets it at the next sign-in"
    assert render.unread(Unread(1)) == "1 message while you were away:"
    assert render.unread(Unread(3)) == "3 messages while you were away:"
    assert render.group_message_sent(Sent(1, 1, AT)) == f"Group chat message sent at:{TIME}"
    assert render.group_created("g") == "Group chat created g"
    assert render.group_joined("g") == "You have joined Groupchat g"
    assert render.error(Error("not_online", "user bbb not online", 1)) == "user bbb not online"
    assert render.bye("aaa") == "Bye, aaa!"


def test_active_users_end_in_a_full_stop_but_for_the_last() -> None:
    """As in the original description."""
    users = [UserLine("aaa", "127.0.0.1", 13_000, AT), UserLine("bbb", "127.0.0.1", 13_001, AT)]
    assert render.active_users(users) == f"aaa, 127.0.0.1, 13000, {TIME}.\nbbb, 127.0.0.1, 13001, {TIME}"
    assert render.active_users(users[:1]) == f"aaa, 127.0.0.1, 13000, {TIME}"
    assert render.active_users([]) == ""


_HOSTILE = "a\x1b]52;c;eA==\x07\x9b1m\u202eb"
_HARMLESS = "a␛]52;c;eA==␇\ufffd1m\ufffdb"


def test_nothing_of_others_can_steer_a_terminal() -> None:
    """Names, texts, addresses and the server's words are all cleaned."""
    shown = [
        render.message(Message(1, _HOSTILE, _HOSTILE, AT)),
        render.message(GroupMessage(1, _HOSTILE, _HOSTILE, _HOSTILE, AT)),
        render.active_users([UserLine(_HOSTILE, _HOSTILE, 1, AT)]),
        render.group_created(_HOSTILE),
        render.group_joined(_HOSTILE),
        render.error(Error("bad_request", _HOSTILE, 1)),
        render.bye(_HOSTILE),
    ]
    for text in shown:
        assert _HARMLESS in text
        assert "\x1b" not in text


def test_one_line() -> None:
    """A message of several lines has one where only one is wanted; tabs stay, and backslashes as well."""
    assert render.one_line(render.message(Message(1, "a", "x\r\ny\tz\\n", AT))) == f"{TIME}, a: x␊y\tz\\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (1.44e9, "1.4 GB"),
     (2**62, "4611.7 PB")],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    """In powers of ten, never `1000.0 kB`."""
    assert render.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7_800, "2 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    """Seconds, minutes or hours."""
    assert render.duration(seconds) == text
