"""Reading the journal without holding up a worker's loop: a thread with a connection of its own. Runs in workers.

What is asked while the thread reads waits and is read together: so a crowd that signs in costs few changes of threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tessenger.chat.ports import Reader, Unavailable
from tessenger.errors import JournalError
from tessenger.journal.reader import SqliteReader
from tessenger.server import faults

TOGETHER = 16
"""Queries that are read before the first of them is answered, at most."""

_log = logging.getLogger("tessenger")
_Result = TypeVar("_Result")
_Asked = tuple[Callable[[Reader], Any], Callable[[Any], None], int]


class ReadingThread:
    """The thread. Queries are answered in the order in which they were asked."""

    def __init__(self, journal: Path, name: str) -> None:
        """Open nothing yet. Called on the loop that answers are given on."""
        self._thread = ThreadPoolExecutor(1, name)
        self._journal = journal
        self._reader: Reader | None = None
        self._asked: deque[_Asked] = deque()
        self._is_reading = False
        self._loop = asyncio.get_running_loop()

    def ask(
        self, query: Callable[[Reader], _Result], then: Callable[[_Result | Unavailable], None], upto: int = 0
    ) -> None:
        """Run `query` on the thread, and `then` with what it found on the loop. It finds all entries up to `upto`."""
        self._asked.append((query, then, upto))
        if not self._is_reading:
            self._read_on()

    # ---- on the loop ----

    def _read_on(self) -> None:
        self._is_reading = True
        together = [self._asked.popleft() for _ in range(min(TOGETHER, len(self._asked)))]
        self._thread.submit(self._read_all, together)

    def _answer(self, answers: list[tuple[Callable[[Any], None], Any]]) -> None:
        self._is_reading = False
        if self._asked:
            self._read_on()
        for then, found in answers:
            self._loop.call_soon(then, found)  # by itself: should one fail, the others hear theirs

    # ---- on the thread ----

    def _read_all(self, together: list[_Asked]) -> None:
        answers = [(then, self._read(query, upto)) for query, then, upto in together]
        self._loop.call_soon_threadsafe(self._answer, answers)

    def _read(self, query: Callable[[Reader], _Result], upto: int) -> _Result | Unavailable:
        try:
            if self._reader is None:
                self._reader = SqliteReader(self._journal)
            self._reader.wait_for(upto)
            found = query(self._reader)
        except JournalError:  # locked, out of room or damaged: the client may ask again, and somebody should know
            _log.exception("the journal cannot be read")
            return Unavailable()
        except Exception:  # noqa: BLE001 kept in the error log; whoever asked must not wait for ever
            _log.exception("a read of the journal failed")
            return Unavailable()
        faults.reach("worker.read")
        return found
