"""Small files that the client keeps in its state folder: 0600, and whole at any moment. Runs in the client.

Whatever stands in one, the client starts: what makes no sense counts as not there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 4_194_304
"""Bytes that are read of a file, unless it may be longer."""


def read(path: Path, most: int = MOST_BYTES, *, end_of_longer: bool = False) -> bytes:
    """Return what the file holds; raises `OSError`, also for one of more than `most` bytes.

    `end_of_longer`: of such a one return as many from its end. What is no plain file, a pipe for instance, which would
    be waited for, is refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, for its flags
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        if status.st_size > most and not end_of_longer:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
        file.seek(max(0, status.st_size - most))
        return file.read(most)


def write(path: Path, data: bytes, *, synced: bool = False) -> bool:
    """Put `data` in the place of what the file had, in one step; False where that cannot be done.

    `synced`: have it on the disk before. A folder that is not there is made, for its owner alone.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - its mode
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        return False
    return True
