"""Times as people read them: local, `10 November 2023 20:57:10`, whatever the locale. Pure.

A moment travels as Unix time in milliseconds; the time zone is the reader's own.
"""

from __future__ import annotations

import time
from functools import lru_cache

_MONTHS = "January February March April May June July August September October November December".split()


@lru_cache(maxsize=256)
def _local(second: int) -> tuple[str, str]:
    t = time.localtime(second)
    return f"{t.tm_mday} {_MONTHS[t.tm_mon - 1]} {t.tm_year}", f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"


def local_time(at: int) -> str:
    """Return the moment `at` (Unix milliseconds) in the reader's time zone."""
    return " ".join(_local(at // 1000))


def local_date(at: int) -> str:
    """Return its day alone."""
    return _local(at // 1000)[0]


def local_clock(at: int) -> str:
    """Return its time of day alone."""
    return _local(at // 1000)[1]
