"""The server's console: lines printed by a thread of the logger, so that a terminal that blocks delays no commit."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence

MAX_WAITING = 2_000
"""Batches of lines that may wait for a blocked console; what comes then is counted and left out."""


class Console:
    """Prints to a file descriptor from a thread of its own. Lines may be lost with the process, never delay it."""

    def __init__(self, descriptor: int) -> None:
        """Start the thread."""
        self._descriptor = descriptor
        self._waiting: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def print(self, lines: Sequence[str]) -> None:
        """Print `lines`, or leave them out where the console is blocked."""
        if not lines:
            return
        if self._left_out:
            lines = [f"({self._left_out} console lines left out)", *lines]
        try:
            self._waiting.put_nowait(("\n".join(lines) + "\n").encode(errors="replace"))
        except queue.Full:
            self._left_out += len(lines)
        else:
            self._left_out = 0

    def close(self, seconds: float) -> None:
        """Print what waits, for at most `seconds`."""
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:  # blocked for good: these lines may be lost
            return
        self._thread.join(seconds)

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:  # nobody reads the console any more: the logs on disk go on
                self._discard()
                return

    def _discard(self) -> None:
        while self._waiting.get() is not None:
            pass
