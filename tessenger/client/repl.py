"""The client in a terminal: a line editor below, the chat above it. Runs in the client, on its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, get_common_complete_suffix
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import DummyHistory, History
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.utils import get_cwidth

from tessenger.client import render
from tessenger.client.app import Stopped
from tessenger.client.channel import Channel
from tessenger.client.commands import Call, parse
from tessenger.client.completion import Known, suggest, wants_names
from tessenger.client.history import BoundedHistory, history_path
from tessenger.client.reconnect import FOREVER
from tessenger.client.screen import Screen
from tessenger.client.session import Chat, KnownNames
from tessenger.client.toolbar import toolbar
from tessenger.config import ClientSection
from tessenger.errors import ConnectionFailed
from tessenger.wire.messages import GroupMessage, Message, Unread
from tessenger.wire.text import clean, clean_line

NAMES_SECONDS = 5.0
"""How long the names that are completed count as fresh."""

NAMES_WAIT_SECONDS = 1.0
"""How long Tab waits for fresh ones."""

LEAVE_HINT = "Press Ctrl-C again or Ctrl-D to sign out and leave."


class Repl:
    """The front end for a terminal.

    Signals and faults stay with `app`: prompt_toolkit's own handler would ask for Enter below a traceback.
    """

    asks = True
    patience = FOREVER

    def __init__(self, settings: ClientSection, terminal_in: Input, terminal_out: Output, *, dim: bool) -> None:
        self._settings = settings
        self._input = terminal_in
        self._output = terminal_out
        self._dim = ("\x1b[2m", "\x1b[0m") if dim else ("", "")
        self._screen = Screen(terminal_out)
        self._session: PromptSession[str] | None = None
        self._leave_armed = False
        self._user = ""

    # ---- the dialogue and the chat's output ----

    def say(self, text: str) -> None:
        """Show a line."""
        self._screen.add(clean(text))

    def show(self, text: str) -> None:
        """Show an answer or an event."""
        self._screen.add(clean(text))

    def message(self, event: Message | GroupMessage) -> None:
        """Show a message that came."""
        self.show(render.heard(event))

    def unread(self, event: Unread) -> None:
        """Show what stands above the messages of an absence."""
        self.show(render.unread(event))

    def look_back(self, events: Sequence[Message | GroupMessage]) -> None:
        """Show old messages."""
        self.show("\n".join(render.said(event, self._user) for event in events))

    def notice(self, text: str) -> None:
        """Mention something, dimmed."""
        self._screen.add(f"{self._dim[0]}{clean_line(text)}{self._dim[1]}")

    def changed(self) -> None:
        """Draw the toolbar again."""
        if self._session is not None:
            self._session.app.invalidate()

    async def ask(self, prompt: str, *, secret: bool) -> str:
        """Ask for a name or a password; neither is kept in any history."""
        self._screen.flush()
        session: PromptSession[str] = PromptSession(history=DummyHistory(), input=self._input, output=self._output)
        self._screen.prompt_in(session.app)
        try:
            return await session.prompt_async(
                prompt, is_password=secret, handle_sigint=False, set_exception_handler=False
            )
        except KeyboardInterrupt:
            raise Stopped(signal.SIGINT) from None

    def signed_in(self, user: str) -> None:
        """Remember who is at the keyboard."""
        self._user = user

    async def converse(self, chat: Chat, connection: Channel, server: str) -> None:
        """Read lines and carry them out in order, until the person leaves; the session's end cancels this."""
        self._screen.flush()
        session = self._prompt_session(chat, connection, server, self._user)
        self._session = session
        self._screen.prompt_in(session.app)
        lines: asyncio.Queue[str] = asyncio.Queue()
        worker = asyncio.ensure_future(_carry_out(chat, lines))
        worker.add_done_callback(_raise_a_bug)
        try:
            with contextlib.suppress(EOFError):  # Ctrl-D, or Ctrl-C twice
                while True:
                    line = await session.prompt_async(handle_sigint=False, set_exception_handler=False)
                    self._leave_armed = False
                    lines.put_nowait(line)
                    if _leaves(line):
                        await lines.join()
                        return
            await lines.join()
        finally:
            self._session = None
            worker.cancel()

    def finish(self) -> None:
        """Write what still waits."""
        self._screen.flush()

    # ---- the line editor ----

    def _prompt_session(self, chat: Chat, connection: Channel, server: str, user: str) -> PromptSession[str]:
        def bottom() -> str:
            return toolbar(user, server, connection.state, chat.transfers, self._output.get_size().columns, get_cwidth)

        path = history_path(Path(self._settings.state_dir), user)
        history: History = BoundedHistory(path, self._settings.history_lines) if path else DummyHistory()
        completer = ChatCompleter(chat)
        session: PromptSession[str] = PromptSession(
            message=[("class:prompt", "> ")],
            history=history,
            completer=completer,
            complete_while_typing=False,
            reserve_space_for_menu=4,
            bottom_toolbar=bottom,
            key_bindings=self._keys(completer),
            enable_suspend=True,
            input=self._input,
            output=self._output,
        )
        session.default_buffer.on_text_changed += lambda _: self._disarm()
        return session

    def _keys(self, completer: ChatCompleter) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c", filter=has_focus(DEFAULT_BUFFER))
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif self._leave_armed:
                event.app.exit(exception=EOFError())
            else:
                self._leave_armed = True
                self.notice(LEAVE_HINT)

        @keys.add("tab", filter=has_focus(DEFAULT_BUFFER))
        def _(event: KeyPressEvent) -> None:
            complete(event.current_buffer, completer)

        return keys

    def _disarm(self) -> None:
        self._leave_armed = False


class ChatCompleter(Completer):
    """`completion.suggest` behind the Tab key, with names that are asked for when they are needed."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._names = KnownNames()
        self._fresh_until = 0.0

    def has_to_ask(self, document: Document) -> bool:
        """Tell whether names could stand at the cursor that are not fresh."""
        stale = asyncio.get_running_loop().time() >= self._fresh_until
        return stale and wants_names(document.text_before_cursor)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Suggest from what is known."""
        offers = [str(t.number) for t in self._chat.transfers if not t.ended]
        known = Known(self._names.users, self._names.groups, offers)
        for suggestion in suggest(document.text_before_cursor, known, list_directory):
            yield Completion(
                suggestion.text, -suggestion.replaced, display=suggestion.shown, display_meta=suggestion.about
            )

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Ask for names first, where they could stand and are not fresh."""
        if self.has_to_ask(document):
            with contextlib.suppress(TimeoutError, ConnectionFailed):  # then those of before have to do
                async with asyncio.timeout(NAMES_WAIT_SECONDS):
                    self._names = await self._chat.names()
                self._fresh_until = asyncio.get_running_loop().time() + NAMES_SECONDS
        for completion in self.get_completions(document, complete_event):
            yield completion


def list_directory(folder: str) -> Iterable[tuple[str, bool]]:
    """Return what is in a directory; nothing where it cannot be read."""
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111 - no `Path`: speed in large folders
            return [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        return []


def complete(buffer: Buffer, completer: ChatCompleter) -> None:
    """Carry Tab out at once wherever that is possible, so that an Enter typed right behind it finds the whole word."""
    if buffer.complete_state:
        buffer.complete_next()
    elif completer.has_to_ask(buffer.document):
        buffer.start_completion(insert_common_part=True)
    else:
        completions = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        if len(completions) == 1:
            buffer.apply_completion(completions[0])
        elif completions:
            buffer.insert_text(get_common_complete_suffix(buffer.document, completions))
            buffer.start_completion()


async def _carry_out(chat: Chat, lines: asyncio.Queue[str]) -> None:
    while True:
        line = await lines.get()
        try:
            await chat.execute(line)
        finally:
            lines.task_done()


def _raise_a_bug(worker: asyncio.Task[None]) -> None:
    """Hand an exception that nobody waits for to the event loop's handler, which ends the session with it."""
    if not worker.cancelled():
        worker.result()


def _leaves(line: str) -> bool:
    call = parse(line)
    return isinstance(call, Call) and call.command.name == "logout"


def in_terminal(settings: ClientSection) -> Repl:
    """Return the front end for this process's terminal."""
    return Repl(settings, create_input(), create_output(sys.stdout), dim="NO_COLOR" not in os.environ)
