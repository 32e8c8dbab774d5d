"""The line that is being typed: one prompt_toolkit application for a whole session. Runs in the client's REPL.

It never ends between two lines, so the terminal stays in raw mode and nothing typed meanwhile is echoed by the system.
It asks no terminal where its cursor is: such answers arrive between keys, and late ones in the program that comes next.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import termios
from collections.abc import Callable, Mapping

from msgspec import Struct
from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory, DynamicAutoSuggest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenuControl
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from tessenger.client.preferences import Preferences
from tessenger.client.steady_keys import steady, unasked
from tessenger.client.tab import ChatCompleter, complete

LEAST_CHAT = 2
"""The part of the window's height that a long text leaves to the chat above is 1 of this many; it scrolls inside."""

LEAST_LINES = 2
"""Prompt and toolbar."""

SEQUENCE_SECONDS = {EditingMode.EMACS: 1.0, EditingMode.VI: 0.1}
"""How long Escape waits for a key that gives it another meaning. In vi's mode it has a meaning of its own."""

ESCAPE_SECONDS = 0.05
"""How long the terminal may take to send the rest of a key's escape sequence."""


_LOCAL_MODES = 3
"""Where `termios.tcgetattr` has them."""


class TerminalOutput(Vt100_Output):
    """The terminal. The room below the cursor is taken as one line: the toolbar stands right below the prompt."""

    def get_rows_below_cursor_position(self) -> int:
        """Return what prompt_toolkit would otherwise ask the terminal for."""
        return 1

    def flush(self) -> None:
        """Write, unless the terminal is gone: then SIGHUP and the end of the input say so, and the logout goes out."""
        try:
            super().flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise


class Hands(Struct, frozen=True):
    """What the keys lead to. `may_enter`: whether the line is taken now; `interrupted`: whether it is time to leave.

    `may_leave`: whether the person, who wants to, leaves now.
    """

    may_enter: Callable[[str], bool]
    entered: Callable[[str], None]
    interrupted: Callable[[], bool]
    may_leave: Callable[[], bool]
    prompt: Callable[[], str]
    toolbar: Callable[[], str]


class LineEditor:
    """A line with history, completion and a toolbar."""

    def __init__(
        self, terminal_in: Input, terminal_out: Vt100_Output, history: History, completer: ChatCompleter,
        preferences: Preferences, hands: Hands,
    ) -> None:  # fmt: skip
        self._preferences = preferences
        self._hands = hands
        from_history = AutoSuggestFromHistory()
        self._session: PromptSession[str] = PromptSession(
            message=lambda: [("class:prompt", hands.prompt())],
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: " " * width,
            history=history,
            auto_suggest=DynamicAutoSuggest(lambda: from_history if preferences.values.suggestions else None),
            completer=completer,
            complete_while_typing=False,
            reserve_space_for_menu=0,
            bottom_toolbar=hands.toolbar,
            key_bindings=_keys(completer, hands),
            enable_suspend=True,
            erase_when_done=True,
            input=terminal_in,
            output=terminal_out,
        )
        self.app = self._session.app
        self.app.ttimeoutlen = ESCAPE_SECONDS
        steady(self._session)
        self._fit_windows()
        self.app.before_render += self._close_up
        self._session.default_buffer.accept_handler = self._accepted
        self.adjust()

    @property
    def mode(self) -> str:
        """What vi's keys do now, where that is not to insert; "" with the keys of Emacs."""
        if self.app.editing_mode is EditingMode.EMACS or self.app.vi_state.input_mode is InputMode.INSERT:
            return ""
        return self.app.vi_state.input_mode.value.removeprefix("vi-")

    @property
    def text(self) -> str:
        """What is typed."""
        return self._session.default_buffer.text

    def on_typed(self, typed: Callable[[], None]) -> None:
        """Call this whenever the text changes."""
        self._session.default_buffer.on_text_changed += lambda _: typed()

    async def run(self) -> None:
        """Let the person type until they leave, which raises `EOFError`, or this is cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCONT, self._continued)
        try:
            await self._session.prompt_async(handle_sigint=False, set_exception_handler=False)
        finally:
            loop.remove_signal_handler(signal.SIGCONT)

    def leave(self) -> None:
        """End the typing, as Ctrl-D does."""
        self.app.exit(exception=EOFError())

    def _continued(self) -> None:
        """Take the terminal again after a stop that leaves no time to give it back (SIGSTOP): the shell has used it.

        After Ctrl-Z it is ours already. In the background it is the shell's until that brings us forward.
        """
        terminal = self.app.input.fileno()
        with contextlib.suppress(OSError, termios.error):  # it is gone: SIGHUP and the end of the input say so
            is_ours = not termios.tcgetattr(terminal)[_LOCAL_MODES] & termios.ICANON
            if is_ours or not self.app.is_running or os.tcgetpgrp(terminal) != os.getpgrp():
                return
            self.app.input.raw_mode().__enter__()  # left together with what the application has entered
            self.app.renderer.reset()
            self.app.invalidate()

    def adjust(self) -> None:
        """Draw anew, with the settings that hold now."""
        mode = EditingMode.VI if self._preferences.values.editing == "vi" else EditingMode.EMACS
        if self.app.editing_mode is not mode:
            self.app.editing_mode = mode
        self.app.timeoutlen = SEQUENCE_SECONDS[mode]
        if self.app.is_running:
            self.app.invalidate()

    def _fit_windows(self) -> None:
        """Let a long text scroll in its part of the window, and a menu have all of it."""
        self.app.layout.current_window.height = self._height
        for window in self.app.layout.find_all_windows():
            if isinstance(window.content, CompletionsMenuControl):
                window.height = lambda: Dimension(min=1, max=self._rows)

    @property
    def _rows(self) -> int:
        return self.app.output.get_size().rows

    def _height(self) -> Dimension:
        """Return how high what is typed may be, with the menu below it."""
        most = max(1, self._rows // LEAST_CHAT)
        menu = self._session.default_buffer.complete_state
        if menu is None or self.app.is_done:
            return Dimension(max=most)
        room = max(1, self._rows - 1 - self._hands.toolbar().count("\n"))
        lines = min(most, self._session.default_buffer.document.line_count)
        return Dimension(max=room, preferred=min(room, lines + len(menu.completions)))

    def _close_up(self, app: Application[str]) -> None:
        """Let the toolbar follow the prompt again, where there was a menu or a longer text: it is drawn anew."""
        last = app.renderer.last_rendered_screen
        if last is None or last.height <= LEAST_LINES:
            return
        size = app.output.get_size()
        if app.layout.container.preferred_height(size.columns, size.rows).preferred < last.height:
            app.renderer.erase()

    def _accepted(self, buffer: Buffer) -> bool:
        """Hand the line on; False empties the editor instead of ending it."""
        self._hands.entered(buffer.text)
        self.app.vi_state.reset()  # a new line begins with inserting
        return False


def _keys(completer: ChatCompleter, hands: Hands) -> KeyBindings:
    keys = unasked()
    in_line = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=in_line)
    def _(event: KeyPressEvent) -> None:
        if hands.may_enter(event.current_buffer.text):
            event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=in_line)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add(Keys.BracketedPaste, filter=in_line)
    def _(event: KeyPressEvent) -> None:
        """The line end behind the last line belongs to the copying and not to the text."""
        event.current_buffer.insert_text(event.data.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"))

    @keys.add("c-c", filter=in_line)
    def _(event: KeyPressEvent) -> None:
        is_inserting = event.app.vi_state.input_mode is InputMode.INSERT
        event.app.vi_state.reset()
        if event.current_buffer.text:
            event.current_buffer.reset()
        elif is_inserting and hands.interrupted():
            event.app.exit(exception=EOFError())

    @keys.add("c-d", filter=in_line & Condition(lambda: not get_app().current_buffer.text))
    def _(event: KeyPressEvent) -> None:
        if hands.may_leave():
            event.app.exit(exception=EOFError())

    @keys.add("tab", filter=in_line)
    def _(event: KeyPressEvent) -> None:
        complete(event.current_buffer, completer)

    return keys


def color_depth(environ: Mapping[str, str]) -> ColorDepth | None:
    """Return how many colours prompt_toolkit may use: NO_COLOR leaves none."""
    return ColorDepth.DEPTH_1_BIT if environ.get("NO_COLOR") else ColorDepth.from_env()


def open_terminal(environ: Mapping[str, str]) -> TerminalOutput:
    """Return this process's terminal."""
    output = TerminalOutput.from_pty(
        sys.stdout, term=environ.get("TERM"), default_color_depth=color_depth(environ), enable_bell=True
    )
    assert isinstance(output, TerminalOutput)
    return output
