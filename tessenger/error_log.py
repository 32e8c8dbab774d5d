"""The log of unexpected failures: bounded, and what happens again is counted, not written out again.

The processes of a server write into one file. At its size it becomes NAME.1, in the place of the one before; whoever
still has that open notices before the next line. So whatever a client makes fail a thousand times a second is one
traceback and a few lines. It is the same again where the same kind of exception comes from the same line.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 1_048_576
"""Bytes of the file, unless the configuration says otherwise (`[journal] error_log_bytes`); NAME.1 has as many."""

MOST_RECORD_BYTES: Final = 16_384
"""Bytes of one failure: what led to it may stand in its message."""

MOST_KINDS: Final = 64
"""Kinds of failures that are remembered; the one that was silent for the longest time makes room for a new one."""

QUIET_SECONDS: Final = 3_600.0
"""After such a silence a failure is written out again: its first traceback may be gone by then."""

_log = logging.getLogger("tessenger")


class _Known:
    """A kind of failure: its message, how often it came `again`, how often of these was `told`, when it came last."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.again = self.told = 0
        self.at = 0.0


class ErrorLog(logging.Handler):
    """Writes failures, with their tracebacks, to the file at `path`, which is made with the first one."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES, now: Callable[[], float] = time.monotonic) -> None:
        """`most_bytes` 0: no limit. `now`: seconds of a clock that only rises."""
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(processName)s: %(message)s"))
        self._path = path
        self._most = most_bytes
        self._now = now
        self._fd = -1
        self._known: dict[object, _Known] = {}  # in the order in which they came last

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`. What cannot be written is lost: there is nobody to tell."""
        kind, now = _kind(record), self._now()
        known = self._known.pop(kind, None)
        if known is None or now - known.at > QUIET_SECONDS:
            known = _Known(_first_line(record))
            self._write(self.format(record))
        else:
            known.again += 1
            if known.again == 10 ** (len(str(known.again)) - 1):
                self._tell(known)
        known.at = now
        self._known[kind] = known
        if len(self._known) > MOST_KINDS:
            self._tell(self._known.pop(next(iter(self._known))))

    def close(self) -> None:
        """Tell what came again since it was told last, and close the file."""
        for known in self._known.values():
            self._tell(known)
        self._close_file()
        super().close()

    def _tell(self, known: _Known) -> None:
        """Write how often a failure came again: the first, tenth, hundredth time and so on, and in the end."""
        if known.again > known.told:
            known.told = known.again
            count = "once" if known.again == 1 else f"{known.again} times"
            record = logging.makeLogRecord({"msg": f"the same again, {count} by now: {known.message}"})
            self._write(self.format(record))

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if len(data) > MOST_RECORD_BYTES:
            data = data[:MOST_RECORD_BYTES] + " … (cut)".encode()
        with contextlib.suppress(OSError):
            self._open_file(len(data) + 1)
            os.write(self._fd, data + b"\n")

    def _open_file(self, room: int) -> None:
        """Have the file that has the name now, with so much room in it."""
        if self._fd >= 0 and not _has_name(self._fd, self._path):
            self._close_file()
        if self._fd < 0:
            self._fd = _opened(self._path)
        size = os.fstat(self._fd).st_size
        if self._most and size and size + room > self._most:
            _put_aside(self._fd, self._path)
            self._close_file()
            self._fd = _opened(self._path)

    def _close_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def keep(path: Path, most_bytes: int = MOST_BYTES) -> None:
    """Write this process's unexpected failures, those of its threads too, to the log at `path` and nowhere else."""
    logging.basicConfig(level=logging.WARNING, handlers=[ErrorLog(path, most_bytes)])

    def failed(thread: threading.ExceptHookArgs) -> None:
        if thread.exc_value is not None and not isinstance(thread.exc_value, SystemExit):
            _log.error("a thread failed", exc_info=thread.exc_value)

    threading.excepthook = failed


def opened_for_output(path: Path, most_bytes: int = MOST_BYTES) -> int:
    """Return a descriptor that appends to the log at `path`, for what a process prints; a large one is put aside."""
    descriptor = _opened(path)
    if os.fstat(descriptor).st_size > most_bytes:
        _put_aside(descriptor, path)
        os.close(descriptor)
        descriptor = _opened(path)
    return descriptor


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _has_name(descriptor: int, path: Path) -> bool:
    """Tell whether this file has not been renamed or removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _put_aside(descriptor: int, path: Path) -> None:
    """Let the file become NAME.1, unless another process has just done that. The lock goes with the descriptor."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if _has_name(descriptor, path):
        path.replace(path.with_name(f"{path.name}.1"))


def _kind(record: logging.LogRecord) -> object:
    """Return what two failures have in common that are the same."""
    if record.exc_info and record.exc_info[0] is not None:
        error, _, place = record.exc_info
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        return error, place and (place.tb_frame.f_code, place.tb_lineno)
    return record.name, str(record.msg).partition("\n")[0]


def _first_line(record: logging.LogRecord) -> str:
    """Return what a failure is called: what was said, or else its exception."""
    said = record.getMessage().partition("\n")[0][:200]
    error = record.exc_info[0] if record.exc_info else None
    return f"{said} ({error.__name__})" if error is not None else said
