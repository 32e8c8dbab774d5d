"""Events of the ordered log as bytes: encoded once, where they are born, and passed on as they are. Pure.

A *body* is the tail of an event's JSON line, without the opening brace, `type`, `seq` and `at`, which only the log
knows: ``"from":"aaa","text":"hi"}``. The `*_event` functions put the head in front. The journal keeps a message's
fields alone and makes its body again with the same functions, so that one place says what goes over the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal

import msgspec

_encode = msgspec.json.Encoder().encode

quoted: Callable[[str], bytes] = _encode
"""Return a text as it stands in a body. It has two bytes more than the text characters exactly where all of these are
ASCII, and none is a quotation mark, a backslash or a control character but DEL."""

SignalType = Literal["offer", "accepted", "rejected", "cancelled"]

SIGNAL_TYPES: dict[str, SignalType] = {
    "p2pvideo": "offer",
    "accept": "accepted",
    "reject": "rejected",
    "cancel": "cancelled",
}
"""The event that each command about a file leads to, by the `name` of its `Signal`."""


@lru_cache(maxsize=16_384)
def _said_by(user: str) -> bytes:
    """Return how every message of `user` begins."""
    return b'"from":%b,"text":' % _encode(user)


def message_body(user: str, text: str) -> bytes:
    """Return the body of `user`'s private message."""
    return quoted_message_body(user, quoted(text))


def quoted_message_body(user: str, text: bytes) -> bytes:
    """Return the body of `user`'s private message with a text that is `quoted`."""
    return _said_by(user) + text + b"}"


def group_body(group: str, user: str, text: str) -> bytes:
    """Return the body of `user`'s message to `group`."""
    return b'"group":%b,%b%b}' % (_encode(group), _said_by(user), _encode(text))


def signal_body(user: str, fields: Mapping[str, object]) -> bytes:
    """Return the body of what `user` says about a file: `fields` are those of the event but `from`, `seq` and `at`."""
    return _encode({"from": user, **fields})[1:]


def message_event(seq: int, at: int, body: bytes) -> bytes:
    """Return the line that brings a private message to its recipient."""
    return message_event_at(at) % (seq, body)


def message_event_at(at: int) -> bytes:
    """Return that line for any message of this time, to be completed with `% (seq, body)`: many have the same."""
    return b'{"type":"message","seq":%%d,"at":%d,%%b\n' % at


def group_event(seq: int, at: int, body: bytes) -> bytes:
    """Return the line that brings a group's message to its members."""
    return b'{"type":"groupmessage","seq":%d,"at":%d,%b\n' % (seq, at, body)


def signal_event(kind: SignalType, seq: int, at: int, body: bytes) -> bytes:
    """Return the line that brings an offer of a file, or an answer to one, to the other client."""
    return b'{"type":"%b","seq":%d,"at":%d,%b\n' % (kind.encode(), seq, at, body)
