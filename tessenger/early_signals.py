"""Signals that come before the server has its handlers: they do what they do later. Main process.

Must be cheap to import: the sooner `catch` is called, the fewer of them find Python's own handlers, or none.
"""

from __future__ import annotations

import signal
from types import FrameType

hangups: list[int] = []
"""A hangup for each time that the server was told to reload before it could."""


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Those that tell the server something."""


def catch() -> None:
    """From here on a hangup is kept for later, and whatever means the end raises `KeyboardInterrupt`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, _keep)
    let_through()


def let_through() -> None:
    """Take the signals that the launcher had wait."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _keep(number: int, _frame: FrameType | None) -> None:
    hangups.append(number)
