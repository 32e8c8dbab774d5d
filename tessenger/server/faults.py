"""Named points at which a test ends, stops or holds a process of the server. Every process of it passes some.

Only tests set the environment variable TESSENGER_FAULT, to the path of a file. While that file exists, its line says
what is to happen: `POINT ACTION COUNT SERIAL`, at the COUNTth arrival of a process at that point. The process that
strikes renames the file to `PATH.struck` before it acts, so a fault strikes once, whichever process comes there first
and however often it is replaced. SERIAL tells one fault from the next. Actions:

kill   the process kills itself, as with `kill -9`
stop   the process stops itself; whoever runs the test sends SIGCONT
hold   the thread that came there waits until `PATH.struck` is gone; the others go on

Without the variable a point costs a call and a comparison. Points are passed once a batch, a claim or a connection, not
once a message.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Final, Literal

VARIABLE: Final = "TESSENGER_FAULT"
"""Names the file that arms a fault."""

HOLD_SECONDS: Final = 30.0
"""After which a thread that is held goes on by itself: a test that failed leaves no process that hangs."""

Point = Literal[
    "worker.sending",  # entries are appended and answered to nobody; the logger has not got them
    "worker.claimed",  # a claim on a group is granted; its entry is not appended
    "worker.read",  # what a signed-in connection missed is read; its welcome is out, nothing behind it is
    "logger.ordered",  # entries have their numbers and are judged; nothing is committed
    "logger.committed",  # the batch is in the journal; no worker knows
    "logger.passed_on",  # the batch is handed to the connections of the workers; no activity log has it
    "logger.text_log",  # before each activity log that a batch is written to: at the second, the first is written
    "logger.catching_up",  # a follower that came back has got a piece of what it missed
    "manager.attempt_begun",  # an attempt to sign in is counted as open; the worker does not know
    "manager.attempt_failed",  # a wrong password is counted; the worker does not know
    "manager.granted",  # a claim on a group is granted; the worker does not know
    "acceptor.accepted",  # a connection is taken from the kernel; no worker has it
    "supervisor.replacing",  # a dead process is noticed; its replacement is not started
]
"""Where a process may be struck, and how far things have come there."""

_file: Final = os.environ.get(VARIABLE)
_arrivals: Counter[str] = Counter()


def reach(point: Point) -> None:
    """Say that this process is at `point`."""
    if _file is not None:
        _arrive(point, Path(_file))


def _arrive(point: Point, armed: Path) -> None:
    try:
        line = armed.read_text()
    except FileNotFoundError:
        return
    wanted, action, count, _ = line.split()
    if wanted != point:
        return
    _arrivals[line] += 1
    struck = armed.with_name(f"{armed.name}.struck")
    if _arrivals[line] < int(count):
        return
    try:
        armed.rename(struck)
    except FileNotFoundError:  # another process was here first
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        _hold(struck)


def _hold(struck: Path) -> None:
    end = time.monotonic() + HOLD_SECONDS
    while struck.exists() and time.monotonic() < end:
        time.sleep(0.005)
