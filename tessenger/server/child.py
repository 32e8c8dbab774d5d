"""One role of the server as the supervisor sees it: what fills it, whichever process that is at the moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from tessenger.server import control

Entry = Callable[..., None]
"""What a role's process runs."""


class Child:
    """One role and the process that fills it at the moment."""

    def __init__(self, name: str, entry: Entry) -> None:
        """Not started yet. `entry` is what the process runs."""
        self.name = name
        self.entry = entry
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None
        self.ready = False
        self.false_starts = 0
        self.due = 0.0

    def tell(self, message: control.ToRole) -> None:
        """Say something to the process, if there is one."""
        if self.pipe is not None:
            with contextlib.suppress(OSError):  # it died: it is replaced, and its successor starts with this knowledge
                self.pipe.send(message)
