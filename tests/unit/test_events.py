"""Events as bytes: what is put together here is what the wire's own types read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.chat import events
from tessenger.wire import messages
from tessenger.wire.text import clean

decode = msgspec.json.Decoder(messages.AnyAnswer).decode
AT = 1_699_649_830_000
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=texts)
def test_message(text: str) -> None:
    """A private message reads back as it was, on one line, whatever is in it."""
    line = events.message_event(41, AT, events.message_body("aaa", text))
    assert decode(line) == messages.Message(41, "aaa", text, AT)
    assert line.index(b"\n") == len(line) - 1


@given(text=texts)
def test_group_message(text: str) -> None:
    """So does a message to a group."""
    line = events.group_event(42, AT, events.group_body("g", "aaa", text))
    assert decode(line) == messages.GroupMessage(42, "g", "aaa", text, AT)
    assert line.index(b"\n") == len(line) - 1


@pytest.mark.parametrize(
    ("command", "fields", "expected"),
    [
        (
            "p2pvideo",
            {"transfer": "0" * 16, "name": 'a "b".mp4', "size": 7, "key": "k", "host": "h", "port": 5},
            messages.Offer(1, AT, "aaa", "0" * 16, 'a "b".mp4', 7, "k", "h", 5),
        ),
        (
            "accept",
            {"transfer": "0" * 16, "key": "k", "host": "h", "port": 5},
            messages.Accepted(1, AT, "aaa", "0" * 16, "k", "h", 5),
        ),
        ("reject", {"transfer": "0" * 16, "reason": "no"}, messages.Rejected(1, AT, "aaa", "0" * 16, "no")),
        ("cancel", {"transfer": "0" * 16, "reason": "no"}, messages.Cancelled(1, AT, "aaa", "0" * 16, "no")),
    ],
)
def test_signals(command: str, fields: dict[str, str | int], expected: messages.Answer) -> None:
    """Each command about a file becomes the event that the other client expects."""
    body = events.signal_body("aaa", fields)
    assert decode(events.signal_event(events.SIGNAL_TYPES[command], 1, AT, body)) == expected


@given(texts | st.text(st.characters(max_codepoint=0x7F)))
def test_a_text_that_is_as_long_when_quoted_needs_no_cleaning(text: str) -> None:
    """Which is what the rules of messages ask first; only DEL has to be asked for apart."""
    if len(events.quoted(text)) == len(text) + 2 and "\x7f" not in text:
        assert clean(text) == text
        assert text.isprintable()
