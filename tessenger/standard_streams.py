"""Standard streams as a program may find them: closed at the start, without a reader, on a full disk.

For both programs, in their main process, before anything else is opened.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Final, TextIO

from tessenger.errors import OutputFailed, ReaderGone, TessengerError

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def make_usable() -> None:
    """Put the null device in the place of each standard stream that is closed, and let any text be written.

    Otherwise the next file or socket that is opened takes its number, and what is meant for a reader goes there.
    A terminal without Unicode shows question marks.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(descriptor, True)  # the processes that are started find it closed no more, either
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 it stays open to the end
            setattr(sys, name, stream)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")


class Writer:
    """Writes text to a stream and flushes it. After an error nothing more is written, and nobody is told twice."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._on_failure: Callable[[OutputFailed], None] | None = None
        self.failure: OutputFailed | None = None
        """Why nothing can be written any more."""

    def __call__(self, text: str) -> None:
        """Write and flush; an error is told to who watches instead of being raised where the text comes from."""
        if self.failure is not None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            _discard_the_rest(self._stream)
            self.failure = _failure(self._stream, error)
            if self._on_failure is not None:
                self._on_failure(self.failure)

    def watch(self, on_failure: Callable[[OutputFailed], None]) -> None:
        """Call `on_failure` with what ends the program once the stream cannot be written."""
        self._on_failure = on_failure
        if self.failure is not None:
            on_failure(self.failure)


def run(program: str, main: Callable[[], int]) -> int:
    """Run `main` with standard streams that can be used; return the exit status.

    Whatever it raises is one line on standard error at most, never a traceback.
    """
    make_usable()
    try:
        status = main()
    except SystemExit as answered:  # argparse has printed its help
        status = answered.code if isinstance(answered.code, int) else 1
    except TessengerError as error:
        status = error.exit_status
        if str(error):
            complain(program, str(error))
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except Exception as bug:  # noqa: BLE001 the last resort: nobody is shown a traceback
        complain(program, f"an error in Tessenger itself: {type(bug).__name__}: {bug}")
        status = 1
    return status


def say(text: str) -> None:
    """Print a line on standard output. Raises `OutputFailed`."""
    out = Writer(sys.stdout)
    out(text + "\n")
    if out.failure is not None:
        raise out.failure


def complain(program: str, text: str) -> None:
    """Print why something is not done on standard error, if that can be written."""
    Writer(sys.stderr)(f"{program}: {text}\n")


def _failure(stream: TextIO, error: OSError) -> OutputFailed:
    if isinstance(error, BrokenPipeError):
        return ReaderGone()
    name = "standard error" if stream is sys.stderr else "standard output"
    return OutputFailed(f"Cannot write to {name}: {error.strerror}.")


def _discard_the_rest(stream: TextIO) -> None:
    """Let what the stream still holds go nowhere, or Python would complain about it once more at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
