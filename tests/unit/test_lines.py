"""What entries look like on the server's console and in the activity logs, word for word."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tessenger.chat import entries, lines
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Session
from tessenger.wire import times

AT = 1_699_649_830_000  # 10 November 2023 20:57:10 UTC
WHEN = "10 November 2023 20:57:10"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the reader live in London in winter."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    times._local.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    times._local.cache_clear()


def message(text: str) -> entries.Message:
    """Return a private message."""
    return entries.Message(1, 1, 2, "aaa", "bbb", text, b"", seq=7, at=AT)


def group_message(text: str) -> entries.GroupMessage:
    """Return a message to a group."""
    return entries.GroupMessage(1, 1, 2, "bbb", "g", text, b"", seq=8, at=AT)


def offline(reason: entries.OfflineReason) -> entries.Offline:
    """Return the end of a session."""
    return entries.Offline(1, 1, 3, "aaa", "127.0.0.1", 13000, reason, seq=9, at=AT)


def command(name: str, code: str = "", target: str = "") -> entries.Command:
    """Return a command that led to nothing else."""
    return entries.Command(1, 1, 2, "aaa", name, code, "", target, seq=5, at=AT)


ONLINE = entries.Online(1, 1, 1, "aaa", "127.0.0.1", 13000, 1, b"", 0, seq=1, at=AT)
RESUMED = entries.Resumed(1, 2, 1, "aaa", "127.0.0.1", 13000, 1, seq=3, at=AT)
DETACHED = entries.Detached(1, 1, "aaa", "127.0.0.1", 13000, AT, seq=2, at=AT)
FAILED = entries.LoginFailed("aaa", "127.0.0.1", 2, seq=4, at=AT)
BLOCKED = entries.Blocked("aaa", "127.0.0.1", AT, 10.0, seq=5, at=AT)
UNBLOCKED = entries.Unblocked("aaa", AT, seq=6, at=AT)
CREATED = entries.GroupCreated(1, 1, 2, "aaa", "g", ["aaa", "bbb", "ccc"], 0, seq=6, at=AT)
JOINED = entries.GroupJoined(1, 1, 2, "bbb", "g", 0, seq=6, at=AT)
OFFER = entries.Signal(1, 1, 2, "aaa", "bbb", "p2pvideo", b"", seq=6, at=AT)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (ONLINE, [">> aaa is online"]),
        (RESUMED, [">> aaa is back"]),
        (DETACHED, [">> aaa lost the connection"]),
        (offline("logout"), [">> aaa issued logout command", ">> aaa logout"]),
        (offline("timeout"), [">> aaa is offline"]),
        (offline("removed"), [">> aaa is offline"]),
        (
            message("how are u ?"),
            [">> aaa issued msgto command", f'>> aaa message to bbb "how are u ?" at {WHEN}'],
        ),
        (
            group_message("haha!"),
            [">> bbb issued groupmsg command", f'>> bbb sent a message in group chat g:{WHEN}: "haha!"'],
        ),
        (
            CREATED,
            [
                ">> aaa issued creategroup command",
                ">> Group chat room has been created, room name: g, user in this room are: aaa,bbb,ccc",
            ],
        ),
        (
            command("creategroup", "group_exists", "g"),
            [">> aaa issued creategroup command", ">> Return message Groupname g already exists."],
        ),
        (command("creategroup", "bad_name"), [">> aaa issued creategroup command"]),
        (JOINED, [">> bbb issued joingroup command"]),
        (command("activeuser"), [">> aaa issued activeuser command"]),
        (command("msgto", "not_online"), [">> aaa issued msgto command"]),
        (command("accept", "unknown_user"), []),
        (OFFER, [">> aaa issued p2pvideo command"]),
        (entries.Signal(1, 1, 2, "aaa", "bbb", "reject", b""), []),
        (FAILED, []),
        (BLOCKED, ["has reached maximum failed attempts aaa", "has been blocked for 10 seconds aaa"]),
        (UNBLOCKED, ["has been unblocked aaa"]),
        (entries.TokenVoided(1, "aaa"), []),
        (entries.Released(1, 1, AT), []),
        (entries.Mark(), []),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, entries.Entry) else "",
)
def test_console(entry: AnyEntry, expected: list[str]) -> None:
    """Each kind of entry shows the original's words, and nothing more."""
    assert lines.console_lines(entry, "full") == expected


def test_console_level_events_leaves_messages_out() -> None:
    """At level "events" nobody's words are on the console, everything else is; "off" shows nothing."""
    assert lines.console_lines(message("secret"), "events") == []
    assert lines.console_lines(group_message("secret"), "events") == []
    assert lines.console_lines(ONLINE, "events") == [">> aaa is online"]
    assert lines.console_lines(ONLINE, "off") == []


@pytest.mark.parametrize(
    "text", ["two\nlines", "\x1b[2Jgone", "a\r>> bbb is online", "tab\there", "\u202eevil", "\x85"]
)
def test_one_line_stays_one_line(text: str) -> None:
    """What a person writes cannot begin a line of its own, on the console or in a log."""
    for entry in (message(text), group_message(text)):
        written = lines.text_log_line(entry)
        assert written is not None
        assert written[1].splitlines(keepends=True) == [written[1]]
        assert all(line.splitlines() == [line] for line in lines.console_lines(entry, "full"))
        assert all(line.isprintable() for line in lines.console_lines(entry, "full"))


def session(user: str, port: int) -> Session:
    """Return someone's session."""
    return Session(1, user, 1, 1, 1, "127.0.0.1", port, AT, 1, b"", 0)


def test_active_users() -> None:
    """The list has a full stop after each line but the last, in the order given."""
    assert lines.active_user_lines([session("aaa", 13000), session("bbb", 13001)]) == [
        ">> Return active user list:",
        f"aaa, 127.0.0.1, 13000, {WHEN}.",
        f"bbb, 127.0.0.1, 13001, {WHEN}",
    ]
    assert lines.active_user_lines([]) == [">> Return active user list:"]


def test_a_long_list_of_users_ends_with_a_count() -> None:
    """A hundred people are listed, the others counted."""
    shown = lines.active_user_lines([session(f"u{i}", i) for i in range(123)])
    assert len(shown) == 102
    assert shown[100] == f"u99, 127.0.0.1, 99, {WHEN}."
    assert shown[101] == "and 23 more"
    exactly = lines.active_user_lines([session(f"u{i}", i) for i in range(100)])
    assert len(exactly) == 101
    assert exactly[100] == f"u99, 127.0.0.1, 99, {WHEN}"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (ONLINE, ("userlog.txt", f"1; {WHEN}; aaa; 127.0.0.1; 13000; online\n")),
        (RESUMED, ("userlog.txt", f"3; {WHEN}; aaa; 127.0.0.1; 13000; resumed\n")),
        (DETACHED, ("userlog.txt", f"2; {WHEN}; aaa; 127.0.0.1; 13000; connection lost\n")),
        (offline("logout"), ("userlog.txt", f"9; {WHEN}; aaa; 127.0.0.1; 13000; offline (logout)\n")),
        (FAILED, ("userlog.txt", f"4; {WHEN}; aaa; 127.0.0.1; -; failed login 2\n")),
        (BLOCKED, ("userlog.txt", f"5; {WHEN}; aaa; 127.0.0.1; -; blocked for 10 seconds\n")),
        (UNBLOCKED, ("userlog.txt", f"6; {WHEN}; aaa; -; -; unblocked\n")),
        (message("hi; you"), ("messagelog.txt", f"7; {WHEN}; aaa; bbb; hi; you\n")),
        (group_message("a\\b\nc"), ("g_messagelog.txt", f"8; {WHEN}; bbb; a\\\\b\\nc\n")),
        (command("activeuser"), None),
        (CREATED, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, entries.Entry) else "",
)
def test_activity_logs(entry: AnyEntry, expected: tuple[str, str] | None) -> None:
    """Each kind goes to its log, in the log's format."""
    assert lines.text_log_line(entry) == expected


def test_who_fails_to_sign_in_cannot_forge_fields() -> None:
    """A name that nobody has may hold anything; in the log it is one field of one line."""
    entry = entries.LoginFailed("x; 1.2.3.4; 5; online\n9; y", "127.0.0.1", 1, seq=4, at=AT)
    written = lines.text_log_line(entry)
    assert written is not None
    assert written[1].count(";") == 5
    assert written[1].count("\n") == 1


def test_parts_of_a_second_are_shown_where_there_are_some() -> None:
    """A block of half a second is not one of 0 seconds."""
    entry = entries.Blocked("aaa", "127.0.0.1", AT, 0.5)
    assert lines.console_lines(entry, "full")[1] == "has been blocked for 0.5 seconds aaa"
