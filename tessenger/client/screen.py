"""Text above the line that is being typed: collected, and written in one piece at most 20 times a second.

Runs in the client's REPL, on its event loop. The prompt is erased and the text written in one step, the prompt drawn
again in the next, without leaving raw mode, so nothing that is typed meanwhile is echoed into the text.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from prompt_toolkit.application import Application
from prompt_toolkit.output import Output

FLUSH_SECONDS = 0.05
LINES_A_FLUSH = 400
CHARACTERS_A_FLUSH = 65_536
"""Bounds of one flush: a burst of 10,000 lines takes a good second, and typing goes on in between."""


MOST_WAITING = 20_000
"""Lines above which nothing more is read from the server until half of them are written; it keeps the rest."""


class Screen:
    """Where the REPL writes."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._app: Application[str] | None = None
        self._waiting: deque[str | Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._pause: Callable[[], None] = lambda: None
        self._go_on: Callable[[], None] = lambda: None
        self._full = False

    def prompt_in(self, app: Application[str]) -> None:
        """From here on the prompt of `app` is what text must not disturb."""
        self._app = app

    def when_full(self, pause: Callable[[], None], go_on: Callable[[], None]) -> None:
        """Call `pause` when too much waits, and `go_on` when there is room again."""
        self._pause, self._go_on = pause, go_on

    def add(self, text: str) -> None:
        """Write `text`, which must be clean, and a line end, soon."""
        self._waiting.extend(text.split("\n"))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        if not self._full and len(self._waiting) > MOST_WAITING:
            self._full = True
            self._pause()

    def once_written(self, then: Callable[[], None]) -> None:
        """Call `then` when everything that was added so far is written."""
        if self._waiting:
            self._waiting.append(then)
        else:
            then()

    def flush(self) -> None:
        """Write everything that waits now, in order."""
        while self._waiting:
            self._write_some()

    def clear(self) -> None:
        """Write what waits, and begin with an empty screen."""
        self.flush()
        if self._app is not None and self._app.is_running:
            self._app.renderer.clear()
            self._app.invalidate()

    def _flush(self) -> None:
        self._timer = None
        if self._waiting:
            self._write_some()
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _next_text(self) -> tuple[str, list[Callable[[], None]]]:
        """Return what to write in one piece, and whom to tell of it."""
        lines: list[str] = []
        told: list[Callable[[], None]] = []
        length = 0
        while self._waiting:
            following = self._waiting[0]
            if not isinstance(following, str):
                told.append(following)
            elif len(lines) < LINES_A_FLUSH and length < CHARACTERS_A_FLUSH:
                lines.append(following)
                length += len(following)
            else:
                break
            self._waiting.popleft()
        return "".join(f"{line}\r\n" for line in lines), told

    def _write_some(self) -> None:
        text, told = self._next_text()
        app = self._app if self._app is not None and self._app.is_running else None
        if app is not None:
            app.renderer.erase()
        self._output.enable_autowrap()
        self._output.write_raw(text)
        self._output.flush()
        for then in told:
            then()
        if self._full and len(self._waiting) <= MOST_WAITING // 2:
            self._full = False
            self._go_on()
        if app is not None:
            app.invalidate()
