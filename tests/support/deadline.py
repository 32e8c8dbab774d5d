"""Waiting for what must come true, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 20.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds, or fail with `what`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
