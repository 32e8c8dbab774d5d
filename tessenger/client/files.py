"""The background UDP process as the chat sees it: a port. Pure.

`receiver_process` is its implementation. It is started before a prompt takes the terminal, never prints, and is started
again when it dies; then every transfer that it knew is reported as lost with one `ProcessDied`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from tessenger.client.receiver_messages import AnyFromReceiver, AnyToReceiver


class ProcessDied(Struct, frozen=True):
    """The UDP process ended unexpectedly; another one is on its way."""


Report = AnyFromReceiver | ProcessDied


class FileProcess(Protocol):
    """What moves files."""

    async def start(self, on_report: Callable[[Report], None]) -> int:
        """Start it and return its UDP port. `on_report` is called on the event loop."""

    def send(self, message: AnyToReceiver) -> None:
        """Ask it for something."""

    async def stop(self) -> None:
        """End it."""
