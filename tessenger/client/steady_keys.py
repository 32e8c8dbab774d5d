"""Whatever is typed, the line editor goes on. Runs in the client's REPL, on its event loop.

prompt_toolkit ends its application with the exception of any key's handler, and some of them raise for what a terminal
never sends: half of a mouse's report, say, out of a log that somebody pastes. Here such a key has no effect, and the
exception goes to the client's log.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from prompt_toolkit import PromptSession
from prompt_toolkit.application.application import _CombinedRegistry
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyProcessor
from prompt_toolkit.keys import Keys

MOST_REPEATED = 99
"""How often a key is repeated at most (Meta with digits, or a number in front of a command of vi)."""

MOST_TYPED = 524_288
"""Characters of one line: more than any server takes. What repeated keys make beyond it is cut off."""

MOST_FROM_MACROS = 10_000
"""Keys out of macros in one go. One that calls itself would never end."""

_PASTE_END = "\x1b[201~"
_INTERRUPTS = ("\x03", "\x04")

_log = logging.getLogger("tessenger")


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """Let an exception end the block, and not the client: it goes to the log."""
    try:
        yield
    except Exception:  # noqa: BLE001 whatever it is: the person goes on typing
        _log.exception(what)


class _SteadyProcessor(KeyProcessor):
    """Goes on with the keys behind one whose handler fails."""

    def process_keys(self) -> None:
        """Carry out what waits."""
        self._from_macros = 0
        done = False
        while not done:
            waiting = self.input_queue
            with logged("a key could not be carried out"):
                super().process_keys()
                done = True
            if waiting is not self.input_queue:  # the failure has made an empty one
                self.input_queue.extend(waiting)

    def feed_multiple(self, key_presses: list[KeyPress], first: bool = False) -> None:
        """Add keys: in front, where they come out of a macro."""
        if first:
            self._from_macros += len(key_presses)
            if self._from_macros > MOST_FROM_MACROS:
                return
        super().feed_multiple(key_presses, first)

    @property
    def arg(self) -> str | None:  # there a plain attribute
        """How often the next key is to be repeated, as it was typed."""
        return self._repeated

    @arg.setter
    def arg(self, value: str | None) -> None:
        sign, digits = ("-", value[1:]) if value and value.startswith("-") else ("", value or "")
        self._repeated = f"{sign}{min(int(digits), MOST_REPEATED)}" if digits.isdecimal() else value


class _InterruptibleParser(Vt100Parser):
    """Lets Ctrl-C and Ctrl-D, typed alone, end a paste that has a beginning only: nothing else would reach the line."""

    def feed(self, data: str) -> None:
        """Take what was read."""
        if self._in_bracketed_paste and data in _INTERRUPTS:
            super().feed(_PASTE_END)
        super().feed(data)


def steady(session: PromptSession[str]) -> None:
    """Let no key end this session's application."""
    app = session.app
    app.key_processor = _SteadyProcessor(_CombinedRegistry(app))
    if isinstance(app.input, Vt100Input) and not isinstance(app.input.vt100_parser, _InterruptibleParser):
        app.input.vt100_parser = _InterruptibleParser(app.input.vt100_parser.feed_key_callback)
    session.default_buffer.on_text_changed += _cut


def unasked() -> KeyBindings:
    """Return what drops reports that are never asked for here: of the mouse, and where the cursor is."""
    keys = KeyBindings()

    @keys.add(Keys.Vt100MouseEvent)
    @keys.add(Keys.CPRResponse, save_before=lambda event: False)
    def _(event: KeyPressEvent) -> None:
        """Nobody wants to know."""

    return keys


def _cut(buffer: Buffer) -> None:
    if len(buffer.text) > MOST_TYPED:
        buffer.document = Document(buffer.text[:MOST_TYPED], min(buffer.cursor_position, MOST_TYPED))
