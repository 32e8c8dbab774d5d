"""A file that is sent, as `tessenger.transfer` reads it. Runs in the client's UDP process."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tessenger.errors import TransferError
from tessenger.transfer.blocks import BLOCK


def printable(path: str) -> str:
    """Return a path, or part of one, that can be written and sent: what of it is not UTF-8 is replaced."""
    return os.fsencode(path).decode(errors="replace")


class SourceFile:
    """A file that is sent. Raises `TransferError` where `path` cannot be."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = printable(Path(path).name or path)
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise TransferError(f"{self.name}: {_why_not_read(error)}") from error
        self._opened = os.fstat(self._fd)
        if not stat.S_ISREG(self._opened.st_mode):
            os.close(self._fd)
            kind = "is a directory" if stat.S_ISDIR(self._opened.st_mode) else "is not a regular file"
            raise TransferError(f"{self.name}: {kind}")
        self.size = self._opened.st_size

    def read_block(self, index: int, into: memoryview) -> None:
        """Fill `into` with the bytes of block `index`; a file that has become shorter is a `TransferError`."""
        done = 0
        while done < len(into):
            try:
                count = os.preadv(self._fd, [into[done:]], index * BLOCK + done)
            except OSError as error:
                raise TransferError(f"{self.name}: {_why_not_read(error)}") from error
            if not count:
                raise TransferError(f"{self.name} became shorter while it was sent")
            done += count

    def check_unchanged(self) -> None:
        """Raise `TransferError` if the file was changed or deleted since it was opened."""
        now = os.fstat(self._fd)
        if not now.st_nlink:
            raise TransferError(f"{self.name} was deleted while it was sent")
        if (now.st_size, now.st_mtime_ns) != (self._opened.st_size, self._opened.st_mtime_ns):
            raise TransferError(f"{self.name} was changed while it was sent")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class SourceFolder:
    """An empty folder that is sent, as a file without blocks whose name ends with a slash."""

    size = 0

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = printable(Path(path).name) + "/"

    def read_block(self, index: int, into: memoryview) -> None:
        """There is no block."""
        raise AssertionError(index)

    def check_unchanged(self) -> None:
        """It was empty when it was offered, and that is how it is sent."""

    def close(self) -> None:
        """Nothing is open."""


AnySource = SourceFile | SourceFolder


def _why_not_read(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, NotADirectoryError):
        return "no such file, a part of its path is no directory"
    return f"cannot be read: {os.strerror(error.errno or 0)}"
