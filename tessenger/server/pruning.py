"""Carries out what the `journal.retention.Planner` finds: small steps between the logger's batches. In the logger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tessenger.errors import JournalBusy, JournalError
from tessenger.journal.retention import PAUSE_SECONDS, ROUND_SECONDS, STEP, Planner
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs

GIVEN_BACK = 64
"""Free pages given back to the file system in one transaction."""

_log = logging.getLogger("tessenger")


class Pruning:
    """Prunes for as long as `run` runs."""

    def __init__(
        self,
        planner: Planner,
        journal: SqliteJournal,
        text_logs: TextLogs,
        nobody_is_behind: Callable[[], bool],
        now: Callable[[], int],
        at: Callable[[], int],
    ) -> None:
        """`nobody_is_behind`: no worker would have to catch up from entries that may go.

        `now` is the steady clock (ms), `at` the wall clock (Unix ms).
        """
        self._planner = planner
        self._journal = journal
        self._text_logs = text_logs
        self._nobody_is_behind = nobody_is_behind
        self._now = now
        self._at = at
        self._planning = ThreadPoolExecutor(1, "retention")

    async def run(self, first_seconds: float) -> None:
        """Begin after `first_seconds`, then look again and again."""
        pause = first_seconds
        while True:
            await asyncio.sleep(pause)
            pause = ROUND_SECONDS
            try:
                await self.round()
            except JournalBusy:  # no room at the moment; the logger says so when it has something to commit
                continue
            except (JournalError, OSError):  # nothing is lost by keeping more than is wanted
                _log.exception("the journal or the logs could not be pruned")

    async def round(self) -> None:
        """Let everything go that may."""
        more = True
        while more and self._nobody_is_behind():
            times = self._now(), self._at()
            plan = await asyncio.get_running_loop().run_in_executor(self._planning, self._planner.plan, *times)
            for start in range(0, len(plan.entries), STEP):
                self._journal.prune(plan.entries[start : start + STEP])
                await asyncio.sleep(PAUSE_SECONDS)
            await self._shrink()
            for path, written in plan.files:
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime == written:  # no other file has got its name meanwhile
                        path.unlink()
                await asyncio.sleep(PAUSE_SECONDS)
            for name in plan.logs:
                self._text_logs.rotate(name)
                await asyncio.sleep(PAUSE_SECONDS)
            more = plan.more

    async def _shrink(self) -> None:
        """Give free pages back, step by step."""
        given = True
        while given:
            given = self._journal.give_back(GIVEN_BACK)
            await asyncio.sleep(PAUSE_SECONDS)
