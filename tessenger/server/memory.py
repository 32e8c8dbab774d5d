"""Giving memory back to the system, where glibc keeps it. In workers.

What many connections have had lies between what is still used, so `free` gives the system little of it back: after
1,000 TLS connections with half a line each, a worker kept 90 MB of which it used 5. `malloc_trim(3)` gives back whole
pages wherever they are. Other systems are left as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes

TRIM_SECONDS = 5.0
"""How long after connections have gone their memory is given back; more may go meanwhile."""

WORTH_IT = 32
"""Connections that have gone since the last time, from which on it is done: it takes a millisecond or a few."""

_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 262_144
"""What uvloop allocates for each TLS connection: that, and what is larger, has pages of its own."""


def keep_buffers_apart() -> None:
    """Let glibc's malloc go on giving large blocks pages of their own. Other systems are left as they are.

    uvloop has a buffer of 256 KiB for each TLS connection, of which a page is used. Blocks of this size have pages of
    their own at first; but once one of them is freed, glibc takes them from the heap, between small ones, where they
    cost 7 kB more each (`mallopt(3)`, M_MMAP_THRESHOLD: what is set is not adjusted any more).
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


class Trimming:
    """Trims the heap some time after connections have gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gone = 0
        self._is_due = False

    def gone(self) -> None:
        """Note that a connection has gone."""
        self._gone += 1
        if self._gone >= WORTH_IT and not self._is_due:
            self._is_due = True
            self._loop.call_later(TRIM_SECONDS, self._trim)

    def _trim(self) -> None:
        self._gone, self._is_due = 0, False
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
