"""The server's console: lines printed by a thread of the logger, so that a terminal that blocks delays no commit."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence

MAX_WAITING_BYTES = 8_388_608
"""What may wait for a blocked console, and one batch of lines more; what comes then is counted and left out."""


class Console:
    """Prints to a file descriptor from a thread of its own. Lines may be lost with the process, never delay it."""

    def __init__(self, descriptor: int) -> None:
        """Start the thread."""
        self._descriptor = descriptor
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._put = 0  # bytes; only `print` writes this
        self._taken = 0  # bytes; only the thread writes this
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def print(self, lines: Sequence[str]) -> None:
        """Print `lines`, or leave them out where the console is blocked."""
        if not lines:
            return
        if self._put - self._taken > MAX_WAITING_BYTES:
            self._left_out += len(lines)
            return
        if self._left_out:
            lines = [f"({self._left_out} console lines left out)", *lines]
            self._left_out = 0
        data = ("\n".join(lines) + "\n").encode(errors="replace")
        self._put += len(data)
        self._waiting.put(data)

    def close(self, seconds: float) -> None:
        """Print what waits, for at most `seconds`."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._taken += len(data)
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:  # nobody reads the console any more: the logs on disk go on
                self._discard()
                return

    def _discard(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._taken += len(data)
