"""Where a person's chat goes: what the front ends have in common for the session. Pure; runs in the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tessenger.wire.messages import GroupMessage, Message, Unread


class Output(Protocol):
    """Where text goes; a front end."""

    def show(self, text: str) -> None:
        """Show an answer or an event, one line or several."""

    def refuse(self, text: str) -> None:
        """Show why something that was asked for is not done."""

    def message(self, event: Message | GroupMessage, *, missed: bool) -> None:
        """Show a message that came; `missed`: one of a time when nobody was connected here."""

    def unread(self, event: Unread) -> None:
        """Say how many messages of an absence come next."""

    def look_back(self, events: Sequence[Message | GroupMessage]) -> None:
        """Show what was said before, as it was asked for."""

    def notice(self, text: str) -> None:
        """Mention something aside from the chat."""

    def changed(self) -> None:
        """A transfer has moved on."""

    def clear(self) -> None:
        """Begin with an empty screen, where there is one."""

    def once_shown(self, then: Callable[[], None]) -> None:
        """Call `then` when everything so far is where people see it, or other programs read it."""
