"""The logger process: gives every entry its place, commits it, passes it on, and writes the activity logs.

One event loop. What arrives within one turn of it is one batch: one commit, one frame to each follower. Under load a
batch may wait up to `GATHER_SECONDS` for more, a lone entry never waits. What nobody waits for is done for many batches
at once, `TIDY_SECONDS` later: settling the journal always, activity logs and console where much comes.
"""

from __future__ import annotations

import asyncio
import gc
import math
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from tessenger.chat import accounts
from tessenger.chat.entries import AnyEntry, Command, Released
from tessenger.chat.ledger import Ledger
from tessenger.chat.lines import active_user_lines, console_lines, kinds_shown
from tessenger.chat.ports import Worker
from tessenger.errors import JournalBusy
from tessenger.journal.checkpointer import Checkpointer
from tessenger.journal.retention import RESEND_SECONDS, Planner
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tessenger.server import admin, control, faults, frames, redact, roles
from tessenger.server.console import Console
from tessenger.server.followers import Follower, Followers
from tessenger.server.pruning import Pruning

GATHER_SECONDS = 0.001
"""How long a loaded logger waits for more, counted from its last commit."""

LOADED = 5_000.0
"""Entries a second above which the logger counts as loaded. Below it, waiting costs more than it saves."""

BUSY = 1_000.0
"""Entries a second above which lines for the activity logs and the console are gathered, too."""

MANY = 32
"""Entries whose log lines are made as soon as they are passed on, while they are in the processor's caches. Those of
fewer wait for more: whoever is told of a lone message gets the processor sooner, and one costs nearly what many do."""

TIDY_SECONDS = 0.02
"""How long after a commit what nobody waits for is done at the latest."""

APART_SECONDS = 0.002
"""Between two parts of that: the workers, who may share the processor, carry on with what has come."""

RATE_SECONDS = 0.02
"""Over about how long the rate is measured."""

CLOCK_SECONDS = 1.0
"""How often to look whether the wall clock was set."""

RETRY_SECONDS = 0.5
"""How long to wait for room on the disk before a commit is tried again."""

MAX_WAITING = 100_000
"""Entries that may wait for a commit; above it workers are not read."""

STANDARD_OUTPUT = 1
"""The console's descriptor."""

CONSOLE_SECONDS = 0.5
"""How long the end of the process may wait for a blocked console."""


class LoggerBroken(Exception):
    """An error that nobody expected has left the logger's work undone."""


class Logger:
    """The ordered log over an SQLite journal."""

    def __init__(self, context: roles.RoleContext, known: control.Accounts) -> None:
        """Open journal and logs. Raises `JournalError`. `known`: who has an account now."""
        config = context.config
        self._context = context
        self._level = config.console.level
        self._feed_bytes = config.limits.feed_bytes
        self._journal = SqliteJournal(context.journal, config.journal.durability, config.journal.wal_bytes)
        wal = self._journal.wal
        self._checkpointer = Checkpointer(context.journal, config.journal.wal_bytes, written=lambda: wal.written)
        wal.may_restart = self._checkpointer.may_restart
        self._text_logs = TextLogs(context.data_dir, self._journal, config.journal.log_bytes, config.journal.log_files)
        self._text_logs.writing = partial(faults.reach, "logger.text_log")
        self._text_logs.recover()
        self._planner = Planner(
            context.journal, context.data_dir, config.journal, offline_delivery=config.messages.offline_delivery
        )
        self._ledger = Ledger(self._journal.load(), round(config.sessions.grace_seconds * 1000))
        self._console = Console(STANDARD_OUTPUT)
        self._waiting: list[tuple[Follower, frames.Append]] = []
        self._waiting_entries = 0
        self._unkept: list[AnyEntry] = []
        self._passed_on: list[AnyEntry] = []  # since something was last gathered for logs and console
        self._unshown: list[AnyEntry] = []  # of what was gathered and is not written down, what the console shows
        self._is_written_down = True
        self._dead: list[Worker] = []
        self._accounts = known
        self._accounts_told = False
        self._failure = ""
        self._waits_for = ""
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tidying: asyncio.TimerHandle | None = None
        self._watched: int | None = None
        self._last_flush = 0.0
        self._rate = 0.0
        self._stopping = asyncio.Event()
        self._broken: BaseException | None = None

    async def run(self, pipe: Connection) -> None:
        """Serve until the supervisor says stop, or is gone. Raises `LoggerBroken`: another process has to go on."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._break)
        self._followers = Followers(
            self._ledger, self._journal, self._appended, self._returned, self._left, self._feed_bytes
        )
        self._control = roles.ControlPipe(pipe, self._heard, self._stopping.set)
        self._keep(self._ledger.set_accounts(self._accounts.tags, roles.unix_ms()))
        self._tell_accounts()
        server = await self._followers.listen(roles.LOGGER_SOCKET)
        administrators = await admin.listen(self._redact)
        self._watch_time()
        self._look_at_clocks()
        self._checkpointer.start()
        pruning = self._loop.create_task(self._prune())
        gc.collect()
        gc.freeze()
        self._control.ready()
        await self._stopping.wait()
        if self._broken is not None:
            raise LoggerBroken from self._broken
        server.close()
        self._looking.cancel()
        pruning.cancel()
        administrators.close()
        self._flush()
        self._followers.close()
        if self._tidying is not None:
            self._tidying.cancel()
        self._write_down()
        self._checkpointer.stop()
        self._text_logs.close()
        self._journal.close()
        self._console.close(CONSOLE_SECONDS)

    def _break(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End after an error that nobody expected: what it left undone, the next process finds in the journal."""
        loop.default_exception_handler(context)
        problem = context.get("exception")
        if not isinstance(problem, OSError):  # those are of a connection, which is closed
            self._broken = problem or RuntimeError(context["message"])
            self._stopping.set()

    async def _prune(self) -> None:
        """Let go what the configuration says may go."""
        config = self._context.config
        if not config.journal.retention_days and not config.journal.retention_mb:
            return
        everybody = config.server.workers + 1  # and the manager
        pruning = Pruning(
            self._planner, self._journal, self._text_logs, lambda: self._followers.all_follow(everybody),
            self._context.steady_ms, roles.unix_ms,
        )  # fmt: skip
        await pruning.run(config.sessions.grace_seconds + RESEND_SECONDS)

    # ---- what comes in ----

    def _heard(self, message: control.ToRole) -> None:
        match message:
            case control.Stop():
                self._stopping.set()
            case control.DeadWorker(worker):
                self._dead.append(worker)
                self._release_dead()
            case control.Reload():
                self._reload(message)
            case _:
                pass

    def _reload(self, message: control.Reload) -> None:
        self._level = message.config.console.level
        self._planner.offline_delivery = message.config.messages.offline_delivery
        self._write_down()
        self._text_logs.reopen()
        at = roles.unix_ms()
        self._accounts, self._accounts_told = message.accounts, False
        self._keep(self._ledger.set_accounts(self._accounts.tags, at))
        self._keep(self._ledger.void_tokens(message.changed_users, at))
        self._tell_accounts()

    def _tell_accounts(self) -> None:
        """Let the supervisor know once the log has everybody's account."""
        if not self._accounts_told and not self._unkept:
            self._accounts_told = True
            without = accounts.without(self._ledger.present, self._accounts.tags)
            self._control.tell(control.Reloaded(self._accounts.number, without))

    def _redact(self, request: admin.Redact) -> admin.Reply:
        if redact.text_of(self._journal, request.seq) is None:
            return admin.Refused(redact.no_message(request.seq))
        self._keep(self._ledger.redact(request.seq, roles.unix_ms()))
        self._write_down()
        problem = self._waits_for or self._text_logs.failure
        return admin.Refused(f"it will be done later: {problem}") if problem else admin.Done(redact.done(request.seq))

    def _appended(self, follower: Follower, frame: frames.Append) -> None:
        """Take what a worker appended into the next batch."""
        self._waiting.append((follower, frame))
        self._waiting_entries += len(frame.batch)
        if self._waiting_entries > MAX_WAITING:
            self._followers.pause()
        if self._scheduled is None and not self._unkept:
            wait = self._last_flush + GATHER_SECONDS - self._loop.time() if self._rate > LOADED else 0
            self._scheduled = (
                self._loop.call_later(wait, self._flush) if wait > 0 else self._loop.call_soon(self._flush)
            )

    def _returned(self, worker: Worker) -> None:
        """A worker connects anew: forget what it had appended and what is not ordered yet, for it sends that again.

        What an earlier process of its slot had appended is ordered first: nothing of that comes again.
        """
        self._waiting = [(follower, frame) for follower, frame in self._waiting if follower.worker != worker]
        if any(follower.slot == worker.slot for follower, _ in self._waiting):
            self._flush()

    def _left(self) -> None:
        """A worker's stream is read to its end."""
        self._release_dead()

    def _release_dead(self) -> None:
        """Order the release of dead workers of whom nothing more can come."""
        for worker in [w for w in self._dead if not self._followers.feeds(w)]:
            self._dead.remove(worker)
            if self._waiting:
                self._flush()
            now = self._context.steady_ms()
            self._keep(self._ledger.release(worker.slot, worker.generation, now, roles.unix_ms()))

    # ---- what goes out ----

    def _flush(self) -> None:
        """Order and commit everything that waits."""
        self._scheduled = None
        if self._unkept:
            return
        waiting, self._waiting = self._waiting, []
        self._waiting_entries = 0
        now, at = self._context.steady_ms(), roles.unix_ms()
        ordered = self._ledger.clock(now, at)
        for follower, frame in waiting:
            ordered += self._ledger.order(follower.slot, follower.generation, frame.first_n, frame.batch, now, at)
        ordered += self._ledger.due(now, at)
        self._keep(ordered)
        self._measure(len(ordered))
        if not self._unkept:
            self._followers.resume()

    def _measure(self, count: int) -> None:
        """Keep an average of the entries a second that falls off exponentially."""
        now = self._loop.time()
        self._rate = self._rate * math.exp((self._last_flush - now) / RATE_SECONDS) + count / RATE_SECONDS
        self._last_flush = now

    def _keep(self, ordered: list[AnyEntry]) -> None:
        """Commit entries that were ordered, pass them on, and write them down; or wait for room."""
        self._unkept += ordered
        if not self._unkept:
            return
        batch = self._unkept
        faults.reach("logger.ordered")
        try:
            self._journal.commit(batch)
        except JournalBusy as problem:
            self._waits(problem)
            self._followers.pause()
            self._loop.call_later(RETRY_SECONDS, self._try_again)
            return
        faults.reach("logger.committed")
        self._unkept = []
        if self._journal.is_settled:
            self._goes_on()
        self._followers.pass_on(batch, is_loaded=self._rate > LOADED)
        faults.reach("logger.passed_on")
        self._passed_on += batch
        self._is_written_down = False
        if self._rate < BUSY:
            self._write_down()
        elif len(self._passed_on) >= MANY:
            self._gather()
        if self._tidying is None and not (self._is_written_down and self._journal.is_settled):
            self._tidying = self._loop.call_later(TIDY_SECONDS, self._tidy)
        if Released in map(type, batch):
            self._tell_released(batch)
        self._watch_time()

    def _tell_released(self, batch: list[AnyEntry]) -> None:
        """Let the supervisor know of workers whose release is committed: their slots can be filled."""
        for entry in batch:
            if type(entry) is Released:
                self._control.tell(control.ReleasedWorker(Worker(entry.dead_slot, entry.generation)))

    def _waits(self, problem: JournalBusy) -> None:
        if str(problem) != self._waits_for:
            self._waits_for = str(problem)
            self._console.print([f"The journal waits: {problem}"])

    def _goes_on(self) -> None:
        if self._waits_for:
            self._waits_for = ""
            self._console.print(["The journal is written again."])

    def _try_again(self) -> None:
        self._keep([])
        if not self._unkept:
            self._flush()
            self._tell_accounts()

    def _tidy(self) -> None:
        """Do what was left for later, a part at a time: what comes meanwhile waits for one of them."""
        self._write_down()
        self._tidying = self._loop.call_later(APART_SECONDS, self._settle)

    def _settle(self) -> None:
        self._tidying = None
        try:
            self._journal.settle()
        except JournalBusy as problem:  # what is committed stays where it is; what comes now waits
            self._waits(problem)
            self._tidying = self._loop.call_later(RETRY_SECONDS, self._tidy)
            return
        if not self._unkept:
            self._goes_on()
        if self._journal.is_counting:
            self._tidying = self._loop.call_later(APART_SECONDS, self._write_counted)

    def _write_counted(self) -> None:
        self._tidying = None
        with suppress(JournalBusy):  # it is done with the next ones; if these find no room either, that is said
            self._journal.write_counted()

    def _gather(self) -> None:
        """Make the log lines of what was passed on, and note what the console shows of it."""
        batch, self._passed_on = self._passed_on, []
        self._text_logs.gather(batch)
        shown = kinds_shown(self._level)
        self._unshown += [entry for entry in batch if type(entry) in shown]

    def _write_down(self) -> None:
        """Write the text logs and the console's lines."""
        if self._is_written_down:
            return
        self._is_written_down = True
        self._gather()
        unshown, self._unshown = self._unshown, []
        self._text_logs.write()
        if self._text_logs.failure != self._failure:
            self._failure = self._text_logs.failure
            self._console.print([self._failure or "The activity logs are written again."])
        lines: list[str] = []
        for entry in unshown:
            lines += console_lines(entry, self._level)
            if type(entry) is Command and entry.name == "activeuser":
                lines += active_user_lines(list(self._ledger.present.online.values()))
        self._console.print(lines)

    def _watch_time(self) -> None:
        """Wake up when a block or a grace ends."""
        due = self._ledger.next_due()
        if due == self._watched:
            return
        self._watched = due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            wait = (due - self._context.steady_ms()) / 1000
            self._timer = self._loop.call_later(max(0.0, wait), self._time_came)

    def _look_at_clocks(self) -> None:
        """Have it in the log when the wall clock was set, also where nobody says anything."""
        self._keep(self._ledger.clock(self._context.steady_ms(), roles.unix_ms()))
        self._looking = self._loop.call_later(CLOCK_SECONDS, self._look_at_clocks)

    def _time_came(self) -> None:
        self._timer = self._watched = None
        self._flush()
        self._watch_time()


def main(context: roles.RoleContext, pipe: Connection, known: control.Accounts) -> None:
    """Run the logger; the entry point of its process."""

    def work() -> None:
        async def serve() -> None:
            await Logger(context, known).run(pipe)

        uvloop.run(serve())

    roles.run_role("logger", context, pipe, work)
