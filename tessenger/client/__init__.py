"""The client: the terminal program, and the library for programs of one's own (docs/library.md)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessenger.client.connection import Connection
    from tessenger.errors import ConnectionFailed, RequestRefused, SessionOver, SignInDenied, TessengerError
    from tessenger.wire.messages import GroupMessage, Message

__all__ = [
    "Connection",
    "ConnectionFailed",
    "GroupMessage",
    "Message",
    "RequestRefused",
    "SessionOver",
    "SignInDenied",
    "TessengerError",
]

_HOMES = ("tessenger.client.connection", "tessenger.errors", "tessenger.wire.messages")


def __getattr__(name: str) -> object:
    """Import what the library offers when it is asked for: the program and its UDP process do without."""
    if name in __all__:
        for home in _HOMES:
            found = vars(import_module(home)).get(name)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
