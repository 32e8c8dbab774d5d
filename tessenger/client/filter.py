"""The client in a pipe: one command a line in, plain flushed lines out. Runs in the client; imports no prompt_toolkit.

A prompt is a line of its own, a message stays one line, notices go to standard error. At the end of the input the
client logs out, once every command is answered and its own uploads have ended. Where it was told who signs in, there is
nothing to ask: then standard output has answers and messages and nothing else, and refusals go to standard error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from tessenger.client import render
from tessenger.client.channel import Channel
from tessenger.client.lines import LineReader, Lines
from tessenger.client.reconnect import Patience
from tessenger.client.session import Chat
from tessenger.client.transfer import State
from tessenger.errors import OutputFailed
from tessenger.standard_streams import Writer
from tessenger.wire.messages import AnyAnswer, GroupMessage, Message, Unread

RESUME_SECONDS = 15.0
"""How long a broken connection is resumed: long enough for a worker or the server to be started again, and no script
hangs for long where the server is gone. A server that says that it stops ends the filter at once."""


class Filter:
    """The front end for pipes."""

    patience = Patience(RESUME_SECONDS)

    def __init__(
        self, lines: Lines, write: Writer, write_notice: Writer, *, asks: bool, prompts: bool = True,
    ) -> None:  # fmt: skip
        self.asks = asks
        self.refused = False
        """Whether anything that was asked for was not done."""
        self._prompts = prompts
        self._chat: Chat | None = None
        self._failed: set[str] = set()
        self._user = ""
        self._lines = lines
        self._write = write
        self._write_notice = write_notice

    def say(self, text: str) -> None:
        """Print a line, aside where standard output is for answers alone."""
        (self._write if self._prompts else self._write_notice)(text + "\n")

    async def ask(self, prompt: str, *, secret: bool) -> str:
        """Print the prompt as a line and read one; a terminal (whose output is piped) does not echo a secret."""
        with self._lines.hidden() if secret else contextlib.nullcontext():
            if self._prompts:
                self.say(prompt)
            elif self._lines.is_terminal:
                self.notice(prompt)
            line = await self._lines.answer()
        if line is None:
            raise EOFError
        return line

    def show(self, text: str) -> None:
        """Print an answer or an event, and the prompt line again, as the original did."""
        self._write(f"{text}\n\n{render.PROMPT}\n" if self._prompts else f"{text}\n")

    def refuse(self, text: str) -> None:
        """Print why something is not done."""
        self.refused = True
        if self._prompts:
            self.show(text)
        else:
            self.say(text)

    def message(self, event: Message | GroupMessage, *, missed: bool) -> None:
        """Print a message on one line."""
        self.show(render.one_line(render.message(event)))

    def unread(self, event: Unread) -> None:
        """Print what stands above the messages of an absence."""
        self.show(render.unread(event))

    def clear(self) -> None:
        """There is no screen."""

    def look_back(self, events: Sequence[Message | GroupMessage]) -> None:
        """Print old messages, one a line."""
        self.show("\n".join(render.one_line(render.message(event, self._user)) for event in events))

    def notice(self, text: str) -> None:
        """Print to standard error."""
        self._write_notice(text + "\n")

    def changed(self) -> None:
        """A pipe shows no progress, and remembers failures."""
        transfers = self._chat.transfers if self._chat is not None else ()
        self._failed |= {t.id for t in transfers if t.outgoing and t.state is State.FAILED}
        self.refused = self.refused or bool(self._failed)

    def once_shown(self, then: Callable[[], None]) -> None:
        """Every line was flushed already, unless nothing can be written any more."""
        if self._write.failure is None:
            then()

    def signed_in(self, user: str) -> None:
        """Remember whose messages those of a history are, and greet them."""
        self._user = user
        if self._prompts:
            self.say(f"{render.WELCOME}\n\n{render.PROMPT}")

    def farewell(self) -> None:
        """Say that the person has left."""
        if self._prompts:
            self.say(render.bye(self._user))

    def ended(self, text: str) -> None:
        """Say what the server said when it ended the session."""
        self.say(text)

    def relay(self, answer: AnyAnswer, hand_on: Callable[[], None]) -> None:
        """Only words are shown here."""
        hand_on()

    async def converse(self, chat: Chat, connection: Channel, server: str) -> None:
        """Carry lines out until the input or the session ends."""
        self._chat = chat
        while (line := await self._lines.line()) is not None:
            await chat.execute(line)
        await chat.settled()
        await chat.uploaded()

    def finish(self) -> None:
        """Every line was flushed already."""

    def watch_output(self, on_failure: Callable[[OutputFailed], None]) -> None:
        """End where the answers cannot be written; what is said aside is not what anybody waits for."""
        self._write.watch(on_failure)


def standard_input() -> LineReader:
    """Return this process's standard input."""
    return LineReader(0)
