"""The client in a pipe with --json: what comes over the wire, one object a line. Runs in the client.

Answers and events are those of docs/protocol.md, in their order; the session's token is left out. What the client
itself has to say has types of its own: `text` (of /help and its like), `transfer` (a file's state has changed), and
`error` with the code `usage` or `session_over`. Everything is ASCII, so neither a locale nor a terminal is in its way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec

from tessenger.client.filter import Filter
from tessenger.client.lines import Lines
from tessenger.client.transfer import State
from tessenger.standard_streams import Writer
from tessenger.wire.messages import AnyAnswer, Error, GroupMessage, Message, Offered, Pong, Unread, Welcome


def line_of(value: object) -> str:
    """Return a message of the wire, or an object of plain values, as a line. Pure."""
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def error_line(code: str, text: str) -> str:
    """Return what the client itself says of a failure. Pure."""
    return line_of({"type": "error", "code": code, "text": text})


class JsonLines(Filter):
    """The front end for programs."""

    def __init__(self, lines: Lines, write: Writer, write_notice: Writer, *, asks: bool = False) -> None:
        super().__init__(lines, write, write_notice, asks=asks, prompts=False)
        self._from_wire = False
        self._states: dict[str, State] = {}

    def relay(self, answer: AnyAnswer, hand_on: Callable[[], None]) -> None:
        """Write an answer or event that has come, then let the chat have it, whose words for people are not needed."""
        match answer:
            case Pong() | Offered():
                pass
            case Welcome():
                self._emit({k: v for k, v in msgspec.to_builtins(answer).items() if k != "token"})
            case _:
                self._emit(answer)
        self.refused = self.refused or isinstance(answer, Error)
        self._from_wire = True
        try:
            hand_on()
        finally:
            self._from_wire = False

    def say(self, text: str) -> None:
        """Nobody reads it."""

    def show(self, text: str) -> None:
        """Write what the client itself answers."""
        if not self._from_wire:
            self._emit({"type": "text", "text": text})

    def refuse(self, text: str) -> None:
        """Write why something is not done."""
        if not self._from_wire:
            self.refused = True
            self._write(error_line("usage", text) + "\n")

    def message(self, event: Message | GroupMessage, *, missed: bool) -> None:
        """It was written as it came."""

    def unread(self, event: Unread) -> None:
        """It was written as it came."""

    def look_back(self, events: Sequence[Message | GroupMessage]) -> None:
        """They were written as they came."""

    def changed(self) -> None:
        """Write which transfers have changed their state."""
        super().changed()
        for t in self._chat.transfers if self._chat is not None else ():
            if self._states.get(t.id) is not t.state:
                self._states[t.id] = t.state
                way = {"outgoing": t.outgoing, "peer": t.peer, "name": t.name, "size": t.size}
                state = {"state": t.state.name.lower(), "reason": t.reason}
                self._emit({"type": "transfer", "transfer": t.id, "number": t.number, **way, **state})

    def ended(self, text: str) -> None:
        """Write what the server said when it ended the session."""
        self._write(error_line("session_over", text) + "\n")

    def _emit(self, value: object) -> None:
        self._write(line_of(value) + "\n")
