"""Look into the memory of a running process, which goes on running meanwhile (Linux)."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path


def holds(pid: int, secret: bytes) -> bool:
    """Tell whether a secret is anywhere in what a process can write to, or in its environment.

    What the process gave back after its areas were listed is passed over: it is in it no longer.
    """
    if secret in Path(f"/proc/{pid}/environ").read_bytes():
        return True
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            area, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(each, 16) for each in area.split("-"))
                if any(secret in piece for piece in _readable(memory.fileno(), start, end)):
                    return True
    return False


def _readable(memory: int, start: int, end: int) -> Iterator[bytes]:
    """Read an area in pieces that are as long as can be, each ending before a page that cannot be read.

    `os.pread` of /proc/PID/mem gives what is before such a page, and EIO at it (proc_pid_mem(5)).
    """
    while start < end:
        try:
            piece = os.pread(memory, end - start, start)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            start += mmap.PAGESIZE - start % mmap.PAGESIZE
        else:
            if not piece:
                return  # the process has ended
            yield piece
            start += len(piece)
