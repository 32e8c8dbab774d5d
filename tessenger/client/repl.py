"""The client in a terminal: a line editor below, the chat above it. Runs in the client, on its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import DummyHistory, History
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.utils import get_cwidth

from tessenger.client import render
from tessenger.client.channel import Channel
from tessenger.client.colours import Depth, Painter, depth_of
from tessenger.client.history import BoundedHistory, history_path
from tessenger.client.line_editor import Hands, LineEditor, TerminalOutput, open_terminal
from tessenger.client.look import Look
from tessenger.client.notifications import Notifier, desktop_program
from tessenger.client.open_lines import OpenLines
from tessenger.client.people import People
from tessenger.client.preferences import Preferences
from tessenger.client.reconnect import FOREVER
from tessenger.client.screen import Screen
from tessenger.client.session import Chat
from tessenger.client.steady_keys import steady, unasked
from tessenger.client.tab import ChatCompleter
from tessenger.client.toolbar import Standing, toolbar
from tessenger.errors import OutputFailed, Stopped
from tessenger.wire.messages import AnyAnswer, GroupMessage, Message, Unread
from tessenger.wire.text import clean_line

LEAVE_SECONDS = 5.0
"""How long leaving waits for the answers to what was typed before."""

COUNT_SECONDS = 1.0
"""How often a time on the toolbar is counted down."""

LEAVE_HINT = "Press Ctrl-C again or Ctrl-D to sign out and leave."
UNSENT_HINT = "There is no connection. Not sent yet, and lost if you leave now:"
LEAVE_ALL_THE_SAME = "Once more leaves all the same."
NOT_SENT = "The session has ended before these lines were answered:"
HOW_TO_BEGIN = "/talk and a name begins a conversation: plain lines go there. /help shows all commands."

NO_DESKTOP = "There is no notify-send here: the bell rings instead."


_Lines = asyncio.Queue[tuple[str, Callable[[], None] | None] | None]
"""Lines to carry out, each with what is to be called when it has its answer; None is the end."""


class Repl:
    """The front end for a terminal.

    Signals and faults stay with `app`: prompt_toolkit's own handler would ask for Enter below a traceback.
    """

    asks = True
    patience = FOREVER

    def __init__(
        self, preferences: Preferences, terminal_in: Input, terminal_out: TerminalOutput, depth: Depth, *, unicode: bool
    ) -> None:
        self._preferences = preferences
        self._input = terminal_in
        self._output = terminal_out
        self._depth = depth
        self._unicode = unicode
        self._screen = Screen(terminal_out)
        self._look = self._looking("")
        self._notifier = Notifier(self._ring, desktop_program())
        self._editor: LineEditor | None = None
        self._chat: Chat | None = None
        self._people: People | None = None
        self._user = ""
        self._open = OpenLines()
        self._leave_armed = False
        self._asked_about = ""
        self._asked_to_lose = 0
        self._told_of_bell = False

    # ---- the dialogue and the chat's output ----

    def say(self, text: str) -> None:
        """Show a line."""
        self._screen.add(self._look.answer(text, self._columns))

    def show(self, text: str) -> None:
        """Show an answer or an event."""
        self._screen.add(self._look.answer(text, self._columns))

    def refuse(self, text: str) -> None:
        """Show why something was not done."""
        self._screen.add(self._look.refusal(text, self._columns))

    def once_shown(self, then: Callable[[], None]) -> None:
        """Call `then` when everything so far is on the screen."""
        self._screen.once_written(then)

    def message(self, event: Message | GroupMessage, *, missed: bool) -> None:
        """Show a message that came, and call attention to it unless it is an old one."""
        self._screen.add(self._look.message(event, self._columns, self._current))
        if not missed:
            self._notifier.about(event, self._preferences.values, mentioned=self._look.mentions(event))
            if self._people is not None:
                self._people.met(event.sender)
        self.changed()

    def unread(self, event: Unread) -> None:
        """Show what stands above the messages of an absence."""
        self._screen.add(self._look.unread(event, self._columns))

    def look_back(self, events: Sequence[Message | GroupMessage]) -> None:
        """Show old messages."""
        self._screen.add(self._look.messages(events, self._columns, self._current))

    def notice(self, text: str) -> None:
        """Mention something, dimmed."""
        self._screen.add(self._look.notice(text, self._columns))

    def changed(self) -> None:
        """Draw the toolbar again, and everything with the settings that hold now."""
        self._look.short = self._preferences.values.times == "short"
        self._look.painter = self._painter()
        if not self._told_of_bell and self._notifier.cannot(self._preferences.values):
            self._told_of_bell = True
            self.notice(NO_DESKTOP)
        if self._editor is not None:
            self._editor.adjust()

    def clear(self) -> None:
        """Begin with an empty screen; what was there stays in the terminal's own scrollback."""
        self._screen.clear()

    def signed_in(self, user: str) -> None:
        """Greet whoever is at the keyboard."""
        self._user = clean_line(user)
        self._look = self._looking(user)
        self._look.begin(time.time_ns() // 1_000_000)
        for line in (render.WELCOME, "", render.PROMPT):
            self.say(line)
        self.notice(HOW_TO_BEGIN)

    def relay(self, answer: AnyAnswer, hand_on: Callable[[], None]) -> None:
        """Only words are shown here."""
        hand_on()

    def farewell(self) -> None:
        """Say that the person has left."""
        self.say(render.bye(self._user))

    def ended(self, text: str) -> None:
        """Say what the server said when it ended the session."""
        self.say(text)

    async def ask(self, prompt: str, *, secret: bool) -> str:
        """Ask for a name or a password; neither is kept in any history."""
        self._screen.flush()
        session: PromptSession[str] = PromptSession(
            history=DummyHistory(), key_bindings=unasked(), input=self._input, output=self._output
        )
        steady(session)
        self._screen.prompt_in(session.app)
        try:
            return await session.prompt_async(
                prompt, is_password=secret, handle_sigint=False, set_exception_handler=False
            )
        except KeyboardInterrupt:
            raise Stopped(signal.SIGINT) from None

    async def converse(self, chat: Chat, connection: Channel, server: str) -> None:
        """Read lines and carry them out in order, until the person leaves; the session's end cancels this."""
        self._screen.flush()
        self._chat = chat
        lines: _Lines = asyncio.Queue()
        self._people = people = People(chat, connection, self.changed)
        hands = Hands(
            may_enter=lambda line: self._may_enter(line, chat, connection),
            entered=lambda line: self._entered(line, lines, chat, connection),
            interrupted=lambda: self._interrupted(chat, connection),
            may_leave=lambda: self._may_leave(connection),
            prompt=lambda: f"{self._current}> ",
            toolbar=lambda: self._toolbar(chat, connection, server, people),
        )
        completer = ChatCompleter(chat, people)
        editor = LineEditor(self._input, self._output, self._history(), completer, self._preferences, hands)
        editor.on_typed(self._typed)
        self._editor = editor
        self._screen.prompt_in(editor.app)
        self._screen.when_full(connection.pause, connection.go_on)
        typing = asyncio.ensure_future(editor.run())
        carrying = asyncio.ensure_future(_carry_out(chat, lines))
        background = [
            asyncio.ensure_future(people.poll()),
            asyncio.ensure_future(self._watch(chat, connection, people)),
        ]
        try:
            await asyncio.wait({typing, carrying, *background}, return_when=asyncio.FIRST_COMPLETED)
            if typing.done():  # Ctrl-D, or Ctrl-C twice
                lines.put_nowait(None)
                if connection.state == "connected":
                    await asyncio.wait({carrying}, timeout=LEAVE_SECONDS)
        finally:
            self._editor = None
            if len(self._open) > self._asked_to_lose:
                self._name_open(NOT_SENT)
            await self._notifier.close()
            await _end([typing, carrying, *background])

    def finish(self) -> None:
        """Write what still waits."""
        self._screen.flush()

    def watch_output(self, on_failure: Callable[[OutputFailed], None]) -> None:
        """A terminal that goes away sends SIGHUP."""

    # ---- keys ----

    def _may_enter(self, text: str, chat: Chat, connection: Channel) -> bool:
        """Ask once about a text of many lines; the same text entered again is the answer."""
        if chat.leaves(text) and not self._may_leave(connection):
            return False
        count, limit = text.count("\n") + 1, self._preferences.values.paste_lines
        if not limit or count <= limit or text == self._asked_about:
            return True
        self._asked_about = text
        self.changed()
        return False

    def _asks(self, editor: LineEditor | None) -> bool:
        """Tell whether the text is one that was asked about."""
        return editor is not None and bool(self._asked_about) and editor.text == self._asked_about

    def _entered(self, line: str, lines: _Lines, chat: Chat, connection: Channel) -> None:
        leaves = chat.leaves(line)
        goes_out = chat.needs_server(line) and not leaves
        connected = connection.state == "connected"
        self._screen.add(self._look.echo(f"{self._current}> ", line, unsent=goes_out and not connected))
        self._leave_armed = False
        self._asked_about = ""
        if leaves and not connected and self._editor is not None:
            self._editor.leave()  # nobody is there who could answer it
            return
        self._asked_to_lose = 0
        lines.put_nowait((line, self._open.add(line) if goes_out else None))

    def _may_leave(self, connection: Channel) -> bool:
        """Name once what would be lost with the client; who wants to leave then does."""
        if connection.state == "connected" or len(self._open) == self._asked_to_lose:
            return True
        self._asked_to_lose = len(self._open)
        self._name_open(UNSENT_HINT)
        self.notice(LEAVE_ALL_THE_SAME)
        return False

    def _name_open(self, heading: str) -> None:
        for line in (heading, *self._open.named()):
            self.notice(line)

    def _interrupted(self, chat: Chat, connection: Channel) -> bool:
        """Ctrl-C on an empty line: give an upload up, or warn, or leave."""
        if self._leave_armed:
            return self._may_leave(connection)
        if not chat.cancel_foreground():
            self._leave_armed = True
            self.notice(LEAVE_HINT)
        return False

    def _typed(self) -> None:
        self._leave_armed = False

    # ---- what the person sees ----

    @property
    def _columns(self) -> int:
        return self._output.get_size().columns

    @property
    def _current(self) -> str:
        return clean_line(self._chat.conversation.name) if self._chat is not None else ""

    def _painter(self) -> Painter:
        return Painter(self._depth if self._preferences.values.colours else Depth.NOTHING)

    def _looking(self, user: str) -> Look:
        short = self._preferences.values.times == "short"
        return Look(user, self._painter(), columns_of, rule="─" if self._unicode else "-", short=short)

    def _ring(self) -> None:
        self._output.bell()
        self._output.flush()

    def _history(self) -> History:
        values = self._preferences.values
        path = history_path(Path(values.state_dir), self._user)
        return BoundedHistory(path, values.history_lines) if path else DummyHistory()

    def _toolbar(self, chat: Chat, connection: Channel, server: str, people: People) -> str:
        now = asyncio.get_running_loop().time()
        wait = connection.retry_at - now if connection.retry_at is not None else None
        editor = self._editor
        standing = Standing(
            self._user, server, connection.state, wait, people.online, chat.conversation.unread, self._unicode,
            editor.mode if editor is not None else "",
            is_away=chat.is_away,
            asks_about=self._asked_about.count("\n") + 1 if self._asks(editor) else 0,
        )  # fmt: skip
        return toolbar(standing, chat.transfers, self._columns, columns_of)

    async def _watch(self, chat: Chat, connection: Channel, people: People) -> None:
        """While there is no connection, draw the toolbar with its time anew; end when the person leaves meanwhile."""
        while connection.state == "connected" or not chat.leaving:
            await asyncio.sleep(COUNT_SECONDS)
            if connection.state != "connected":
                people.lost_sight()
                self.changed()


def columns_of(text: str) -> int:
    """Return how many columns a text takes; a character that asks for its colour picture takes two."""
    return get_cwidth(text) + text.count("\ufe0f")


async def _carry_out(chat: Chat, lines: _Lines) -> None:
    """Carry out line by line until one of them leaves, or there are no more."""
    while (typed := await lines.get()) is not None:
        await chat.execute(*typed)
        if chat.leaving:
            return


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel what still runs, and let a fault in what does not be heard."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            with contextlib.suppress(EOFError):
                task.result()


def in_terminal(preferences: Preferences, encoding: str) -> Repl:
    """Return the front end for this process's terminal; `encoding` is that of its locale."""
    output = open_terminal(os.environ)
    unicode = encoding.lower().replace("-", "").startswith("utf")
    return Repl(preferences, create_input(), output, depth_of(os.environ), unicode=unicode)
