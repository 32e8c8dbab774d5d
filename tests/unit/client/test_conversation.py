"""Whom one talks to, and what is unread elsewhere."""

from __future__ import annotations

import pytest

from tessenger.client.commands import Call, Mistake
from tessenger.client.conversation import RECENT, Conversation
from tessenger.wire.messages import GroupMessage, Message


def call(conversation: Conversation, line: str) -> tuple[str, tuple[str, ...]]:
    """Return the command that a line stands for, and its arguments."""
    found = conversation.read(line)
    assert isinstance(found, Call), found
    return found.command.name, found.values


def test_without_a_conversation_every_line_is_a_command() -> None:
    """With and without its slash."""
    conversation = Conversation()
    assert call(conversation, "msgto bbb hi") == call(conversation, "/msgto bbb hi") == ("msgto", ("bbb", "hi"))
    assert isinstance(conversation.read("hello there"), Mistake)


@pytest.mark.parametrize("line", ["logout", "  two blanks first", "msgto ccc hi", "first\nsecond"])
def test_in_a_conversation_a_plain_line_is_a_text(line: str) -> None:
    """As it was typed, also where it reads like a command."""
    conversation = Conversation()
    conversation.talk("bbb", group=False)
    assert call(conversation, line) == ("msgto", ("bbb", line))
    conversation.talk("g", group=True)
    assert call(conversation, line) == ("groupmsg", ("g", line))


def test_in_a_conversation_a_slash_makes_a_command() -> None:
    """And two slashes a text that begins with one."""
    conversation = Conversation()
    conversation.talk("bbb", group=False)
    assert call(conversation, "/logout") == ("logout", ())
    assert call(conversation, " /groupmsg g hi") == ("groupmsg", ("g", "hi"))
    assert call(conversation, "//usr/bin is a path") == ("msgto", ("bbb", "/usr/bin is a path"))
    assert isinstance(conversation.read("/frobnicate"), Mistake)
    assert conversation.read("") is conversation.read("   ") is None
    conversation.talk("", group=False)
    assert call(conversation, "logout") == ("logout", ())


def test_lone_surrogates_do_not_reach_the_wire() -> None:
    """What a terminal in another encoding leaves behind is replaced."""
    conversation = Conversation()
    conversation.talk("bbb", group=False)
    assert call(conversation, "caf\udce9") == ("msgto", ("bbb", "caf?"))


def private(sender: str) -> Message:
    """Return a private message."""
    return Message(1, sender, "hi", 1)


def test_messages_of_other_conversations_are_counted() -> None:
    """Under the name of the group or the sender, without regard to case; those of the current one are not."""
    conversation = Conversation()
    conversation.talk("g", group=True)
    for event in (
        GroupMessage(1, "G", "bbb", "hi", 1),
        private("bbb"),
        private("Bbb"),
        GroupMessage(1, "h", "c", "", 1),
    ):
        conversation.came(event)
    assert conversation.unread == {"bbb": 2, "h": 1}


def test_going_there_reads_them() -> None:
    """Talking to a conversation, or one message to it."""
    conversation = Conversation()
    conversation.talk("g", group=True)
    conversation.came(private("bbb"))
    conversation.came(private("ccc"))
    conversation.seen("BBB")
    assert conversation.unread == {"ccc": 1}
    conversation.talk("ccc", group=False)
    assert conversation.unread == {}


def test_without_a_current_conversation_any_line_reads_all() -> None:
    """They are all on the screen, and somebody is in front of it."""
    conversation = Conversation()
    conversation.came(private("bbb"))
    conversation.came(GroupMessage(1, "g", "bbb", "hi", 1))
    assert conversation.unread == {"bbb": 1, "g": 1}
    conversation.seen("")
    assert conversation.unread == {}
    conversation.talk("g", group=True)
    conversation.came(private("bbb"))
    conversation.seen("")
    assert conversation.unread == {"bbb": 1}


def test_names_are_remembered_for_completion() -> None:
    """Of those who wrote and of those written to, the latest last; what is no name is not offered to anybody."""
    conversation = Conversation()
    for sender in ("bbb", "ccc", "\x1b[2J", "bbb"):
        conversation.came(private(sender))
    conversation.seen("ddd")
    conversation.seen("")
    assert list(conversation.recent) == ["ccc", "bbb", "ddd"]
    for number in range(RECENT):
        conversation.came(private(f"user{number}"))
    assert list(conversation.recent) == [f"user{number}" for number in range(RECENT)]


def test_a_group_that_one_is_no_longer_in_is_no_conversation() -> None:
    """However it is written; a person of that name, or another group, goes on."""
    conversation = Conversation()
    conversation.talk("board", group=True)
    assert not conversation.is_over("team")
    assert conversation.is_over("BOARD")
    assert conversation.name == ""
    conversation.talk("bbb", group=False)
    assert not conversation.is_over("bbb")
    assert conversation.name == "bbb"
