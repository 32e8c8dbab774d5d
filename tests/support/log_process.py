"""The ordered log as workers use it: a real logger process over its Unix socket, or one in this process's memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from tessenger.chat import entries, routing
from tessenger.chat.entries import AnyEntry
from tessenger.chat.ledger import Ledger
from tessenger.chat.ports import Log, Worker
from tessenger.chat.routing import Committed, Own, Told
from tessenger.config import Config, ConsoleSection, ServerSection
from tessenger.journal.store import SqliteJournal
from tessenger.server import control, logger, roles
from tessenger.server.log_link import LogLink
from tests.support.hub_world import copies, taken
from tests.support.memory_journal import MemoryJournal

DEADLINE = 20.0


class End:
    """A worker's end of the log: what it appends, and what has come to it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.got: list[AnyEntry] = []
        self.told: list[Told] = []
        self.log: Log
        self._came = asyncio.Event()

    def committed(self, batch: Sequence[Committed]) -> None:
        """Take what is committed; own messages with the numbers that they got."""
        for item in batch:
            if isinstance(item, Told):
                self.told.append(item)
            elif isinstance(item, Own):
                for n, seq, message in zip(count(item.n), count(item.seq), item.messages, strict=False):
                    self.got.append(replace(message, n=n, seq=seq, at=item.at, slot=self.worker.slot))
            else:
                self.got.append(item)
        self._came.set()

    def append(self, entry: AnyEntry) -> int:
        """Append, as a worker does."""
        return self.log.append(entry)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has come."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def until_own(self, n: int) -> AnyEntry:
        """Wait for what became of this worker's `n`th entry."""
        await self.until(lambda: any(self._is_own(entry, n) for entry in self.got))
        return next(entry for entry in self.got if self._is_own(entry, n))

    async def synced(self) -> list[AnyEntry]:
        """Wait for a mark to come back, and return everything else that has come."""
        await self.until_own(self.append(entries.Mark()))
        return [entry for entry in self.got if not isinstance(entry, entries.Mark)]

    def _is_own(self, entry: AnyEntry, n: int) -> bool:
        return entry.slot == self.worker.slot and entry.n == n


class LogUnderTest(Protocol):
    """A log that workers can join."""

    async def join(self, slot: int, generation: int = 1, after: int = 0) -> End:
        """Let a worker's process follow and append."""
        ...

    async def leave(self) -> None:
        """Hang up for all that have joined."""
        ...


class MemoryLog:
    """The ordered log in memory: what the port means, with nothing around it."""

    def __init__(self) -> None:
        self._journal = MemoryJournal()
        self._ledger = Ledger(self._journal.load(), grace_ms=30_000)
        self._ends: dict[int, End] = {}
        self._now = 1_700_000_000_000

    async def join(self, slot: int, generation: int = 1, after: int = 0) -> End:
        """See `LogUnderTest`."""
        assert self._ledger.follow(slot, generation) == 0
        self._journal.seat(slot, generation)
        end = End(Worker(slot, generation))
        end.log = _MemoryEnd(self, slot, generation)
        self._ends[slot] = end
        end.committed(copies(self._journal.entries_after(after, 10_000)))
        return end

    async def leave(self) -> None:
        """See `LogUnderTest`."""
        self._ends.clear()

    def order(self, slot: int, generation: int, n: int, entry: AnyEntry) -> None:
        """Order one entry, commit it, and pass it on."""
        self._now += 1
        batch = self._ledger.order(slot, generation, n, [entry], self._now)
        self._journal.commit(batch)
        for each, due in routing.for_workers(batch, self._ends, self._ledger.present).items():
            self._ends[each].committed(taken(due, batch))


class _MemoryEnd:
    """Implements the port `Log`."""

    def __init__(self, log: MemoryLog, slot: int, generation: int) -> None:
        self._log = log
        self._place = slot, generation
        self._n = 0

    def append(self, entry: AnyEntry) -> int:
        """Order it with the next turn of the loop."""
        self._n += 1
        asyncio.get_running_loop().call_soon(self._log.order, *self._place, self._n, copies([entry])[0])
        return self._n


ACCOUNTS = control.Accounts(
    0, dict.fromkeys(("aaa", "bbb", "ccc", "old", "new", *(f"user{n}" for n in range(100))), "")
)
"""Who may sign in."""


class LoggerProcess:
    """The logger's role in a process and a data directory of its own; the current folder becomes its run directory."""

    def __init__(self, folder: Path) -> None:
        """Make the journal, and start the process."""
        (folder / "run").mkdir(parents=True)
        os.chdir(folder / "run")
        config = Config(server=ServerSection(data_dir=str(folder)), console=ConsoleSection(level="off"))
        self.context = roles.RoleContext(config, str(folder / "run"))
        journal = SqliteJournal(self.context.journal, "process")
        journal.begin_epoch(0, 0)
        journal.close()
        self._ends: list[LogLink] = []
        self.start()

    def start(self) -> None:
        """Start a process, in place of one that was killed."""
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=logger.main, args=(self.context, theirs, ACCOUNTS))
        self._process.start()
        theirs.close()
        assert self._pipe.poll(DEADLINE), "the logger does not start"
        assert self._pipe.recv() == control.Reloaded(ACCOUNTS.number)
        assert self.hear() == control.Ready()

    async def join(self, slot: int, generation: int = 1, after: int = 0) -> End:
        """See `LogUnderTest`."""
        end, link = self.link(slot, generation, after)
        async with asyncio.timeout(DEADLINE):
            await link.connect()
        return end

    def link(self, slot: int, generation: int, after: int = 0) -> tuple[End, LogLink]:
        """Make a worker's link to the logger, not connected yet."""
        end = End(Worker(slot, generation))
        link = LogLink(end.worker, after, end.committed)
        end.log = link
        self._ends.append(link)
        return end, link

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def signal(self, number: signal.Signals) -> None:
        """Stop it for a while, or let it go on."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def tell(self, message: control.ToRole) -> None:
        """Say something, as the supervisor does."""
        self._pipe.send(message)

    def hear(self) -> control.FromRole:
        """Wait for what it says to the supervisor."""
        assert self._pipe.poll(DEADLINE), "the logger says nothing"
        message: control.FromRole = self._pipe.recv()
        return message

    def journaled(self) -> list[AnyEntry]:
        """End the process in good order, and return the journal's entries."""
        self.stop()
        journal = SqliteJournal(self.context.journal, "process")
        try:
            return journal.entries_after(0, 1_000_000)
        finally:
            journal.close()

    async def leave(self) -> None:
        """See `LogUnderTest`."""
        for link in self._ends:
            link.close()
        await asyncio.sleep(0)  # for the transports, which close with the loop's next turn

    def stop(self) -> None:
        """End the process in good order."""
        if self._process.is_alive():
            self._process_stop()
        self._pipe.close()

    def _process_stop(self) -> None:
        self._pipe.send(control.Stop())
        self._process.join(DEADLINE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            raise AssertionError("the logger does not stop")
