"""A worker process: the connections of its clients, around the hub that knows the chat. One event loop (uvloop)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from tessenger.chat import words
from tessenger.chat.entries import GroupCreated, GroupJoined, Refused
from tessenger.chat.hub import Hub, Rules
from tessenger.chat.ports import Worker
from tessenger.chat.present import Present
from tessenger.chat.requests import HANDLERS
from tessenger.chat.routing import Committed
from tessenger.config import Config, LimitsSection
from tessenger.errors import CredentialsError
from tessenger.journal.reader import SqliteReader
from tessenger.server import acceptor, control, dead_peers, memory, roles, tls
from tessenger.server.acceptor_line import AcceptorLine
from tessenger.server.connection import ClientConnection, PlainConnection, TlsConnection, peer_of
from tessenger.server.intake import Intake
from tessenger.server.log_link import LogLink
from tessenger.server.newcomers import Newcomers
from tessenger.server.office import Office
from tessenger.server.sign_ins import WaitingLimits
from tessenger.state.credentials import Credentials
from tessenger.wire.messages import ErrorCode

HANDSHAKE_SECONDS = 15.0
"""How long a client may take for its TLS handshake."""

DRAIN_SECONDS = 1.5
"""How long the end of a worker waits for what was appended to be committed and answered."""

CLOSE_SECONDS = 0.5
"""How long the end of a worker waits for its clients to take their last lines."""

ACKNOWLEDGE_SECONDS = 0.02
"""How long an acknowledgement may wait for company, at least; at most twice as long."""

HISTORY_BYTES = 262_144
"""Bytes of texts that one request for history brings at most, all at once."""

_REFUSALS: dict[bytes, tuple[ErrorCode, str]] = {
    acceptor.FULL: ("server_full", words.SERVER_FULL),
    acceptor.CROWDED: ("too_many_connections", words.TOO_MANY_CONNECTIONS),
}

_SETTLING = frozenset({GroupCreated, GroupJoined, Refused})
"""Kinds that settle a claim."""

_log = logging.getLogger("tessenger")


class ClientDoor:
    """Where clients come in: what every connection of this worker needs."""

    def __init__(self, hub: Hub, log: LogLink, limits: LimitsSection, tls_context: ssl.SSLContext | None) -> None:
        """`tls_context` None: plain TCP."""
        self.hub = hub
        self.log = log
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self.throttled: set[ClientConnection] = set()
        self.newcomers: Newcomers[ClientConnection] = Newcomers(
            self.loop, lambda: self.limits.login_seconds, ClientConnection.must_be_signed_in
        )
        self.intake = Intake(self.loop, hub, log, lambda: self.limits.messages_per_second > 0)
        self._tls = tls_context
        self._trimming = memory.Trimming(self.loop)
        self._tasks: set[asyncio.Task[None]] = set()
        self._acceptor = AcceptorLine(self._served, self._take, self._lost)
        self._nobody_left: asyncio.Event | None = None
        self.tell: Callable[[control.Notice], None] | None = None
        """Takes what the administrator should know of."""
        self._saying = roles.Seldom()
        log.drained = self._drained

    def open(self, slot: int) -> None:
        """Take sockets from the acceptor, whichever process that is."""
        self._acceptor.open(slot)

    def gone(self, connection: ClientConnection) -> None:
        """Forget a connection and let the acceptor know."""
        self.connections.discard(connection)
        self.throttled.discard(connection)
        self.intake.holding.discard(connection)
        self.newcomers.left(connection)
        self._trimming.gone()
        if self._nobody_left is not None and not self.connections:
            self._nobody_left.set()
        if not connection.is_refused:
            self._acceptor.gone(connection.address)

    def _served(self) -> list[str]:
        return [connection.address for connection in self.connections if not connection.is_refused]

    async def close(self, *, say_so: bool) -> None:
        """Let everybody read their last lines, for a moment, and close; `say_so`: the server stops on purpose."""
        self._acceptor.close()
        for connection in list(self.connections):
            self.hub.close(connection.link, say_so=say_so)
        if self.connections:
            self._nobody_left = asyncio.Event()
            with contextlib.suppress(TimeoutError):  # whoever does not read their last lines is cut off
                await asyncio.wait_for(self._nobody_left.wait(), CLOSE_SECONDS)

    def _lost(self) -> None:
        """A connection could not be taken, for there are no descriptors left."""
        if self.tell is not None and self._saying.is_due():
            self.tell(control.Notice(f"new connections are lost (too many open files): {roles.MORE_FILES}"))

    def _drained(self) -> None:
        for connection in list(self.throttled):
            connection.link.go_on()

    def _take(self, accepted: socket.socket, word: bytes) -> None:
        task = self.loop.create_task(self._serve(accepted, word))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted: socket.socket, word: bytes) -> None:
        """Make an accepted socket a connection."""
        accepted.setblocking(False)
        with contextlib.suppress(OSError):  # it may be gone already, which the next line notices
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            dead_peers.watch(accepted, self.limits.dead_peer_seconds)
        address, refusal = peer_of(accepted), _REFUSALS.get(word)
        connection: ClientConnection
        if self._tls is None:
            connection = PlainConnection(self, address, refusal, accepted.send)
        else:
            connection = TlsConnection(self, address, refusal)
        self.connections.add(connection)
        try:
            if self._tls is None:
                await self.loop.connect_accepted_socket(lambda: connection, accepted)
            else:
                await self.loop.connect_accepted_socket(
                    lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_SECONDS
                )
        except (OSError, TimeoutError):  # no TLS, or gone before it was done: nobody to tell
            accepted.close()
            self.gone(connection)
        except Exception:  # noqa: BLE001 it must not count as a connection for ever
            _log.exception("a connection cannot be served")
            accepted.close()
            self.gone(connection)


class WorkerProcess:
    """The worker of one slot and generation."""

    def __init__(self, context: roles.RoleContext, worker: Worker, epoch: int) -> None:
        """Read what is needed to begin. `epoch` is the manager's. Raises `CannotStart` and `CredentialsError`."""
        self._context = context
        self._worker = worker
        self._epoch = epoch
        self._config = context.config
        self._stopping = asyncio.Event()
        self._orphaned = False

    async def run(self, pipe: Connection) -> None:
        """Serve until the supervisor says stop, or is gone."""
        config = self._config
        with contextlib.closing(SqliteReader(self._context.journal)) as reader:
            present = Present(reader.snapshot())
        credentials = Credentials.load(Path(config.server.credentials))
        self._office = Office(
            self._worker, self._epoch, credentials, self._context.journal, config.auth.block_seconds,
            _waiting(config),
        )  # fmt: skip
        self._log = LogLink(self._worker, present.seq, self._committed)
        self._hub = Hub(
            self._worker, present, self._log, self._office, credentials, _rules(config),
            secrets.token_urlsafe, self._context.steady_ms, HANDLERS,
        )  # fmt: skip
        self._office.applied = lambda: present.seq
        tls_context = None
        if config.server.tls:
            memory.keep_buffers_apart()
            tls_context = tls.server_context(self._context.data_dir)
        door = ClientDoor(self._hub, self._log, config.limits, tls_context)
        self._door = door
        delivery = self._hub.delivery
        delivery.wake = lambda: door.loop.call_later(ACKNOWLEDGE_SECONDS, delivery.tick)
        self._log.is_urgent = lambda: delivery.is_hurried
        self._pipe_end = roles.ControlPipe(pipe, self._heard, self._orphan)
        door.tell = self._pipe_end.tell
        if await self._unless_stopped(self._log.connect()):
            door.open(self._worker.slot)
            gc.collect()
            gc.freeze()
            self._pipe_end.ready()
            await self._stopping.wait()
            await self._drain()
            await door.close(say_so=not self._orphaned)
        self._log.close()

    async def _unless_stopped(self, wanted: Coroutine[None, None, None]) -> bool:
        """Wait for `wanted`; False when the supervisor said stop, or was gone, before that."""
        tasks = [asyncio.ensure_future(wanted), asyncio.ensure_future(self._stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        return not self._stopping.is_set()

    def _committed(self, batch: Sequence[Committed]) -> None:
        self._hub.committed(batch)
        if _SETTLING.isdisjoint(map(type, batch)):
            return
        for entry in batch:
            if type(entry) in _SETTLING and entry.slot == self._worker.slot:  # type: ignore[union-attr]  # by kind
                self._office.settle(entry.claim)  # type: ignore[union-attr]  # by kind

    def _orphan(self) -> None:
        """The supervisor was killed: end as if killed too, so that clients wait for a restart and resume."""
        self._orphaned = True
        self._stopping.set()

    def _heard(self, message: control.ToRole) -> None:
        match message:
            case control.Stop():
                self._stopping.set()
            case control.NewManager(epoch):
                self._office.new_manager(epoch)
            case control.Reload(config, accounts):
                self._reload(config)
                self._pipe_end.tell(control.Reloaded(accounts.number))
            case _:
                pass

    def _reload(self, config: Config) -> None:
        self._door.limits = config.limits
        self._hub.rules = _rules(config)
        self._office.sign_ins.block_seconds = config.auth.block_seconds
        try:
            credentials = Credentials.load(Path(config.server.credentials))
        except CredentialsError:  # the supervisor has said so; the users stay as they were
            _log.exception("credentials were not read again")
            return
        self._office.sign_ins.credentials = self._hub.accounts = credentials

    async def _drain(self) -> None:
        """Wait until what clients have sent is committed and answered."""
        for connection in self._door.connections:
            connection.stop_reading()
        self._door.intake.carry_out()
        with contextlib.suppress(TimeoutError):  # what is not acknowledged by then was not promised
            await asyncio.wait_for(self._log.settled(), DRAIN_SECONDS)


def _waiting(config: Config) -> WaitingLimits:
    """Hashing in all workers together takes as many cores as there are, and each worker may hash."""
    limits = config.limits
    threads = max(1, (os.cpu_count() or 1) // config.server.workers)
    return WaitingLimits(limits.waiting_sign_ins_per_address, limits.waiting_sign_ins, threads)


def _rules(config: Config) -> Rules:
    return Rules(
        text_bytes=config.limits.text_bytes,
        group_members=config.limits.group_members,
        line_bytes=config.limits.line_bytes,
        token_ms=round(config.sessions.token_seconds * 1000),
        offline_delivery=config.messages.offline_delivery,
        history_bytes=min(HISTORY_BYTES, config.limits.queue_bytes // 8),  # JSON may spell a byte with six
    )


def main(context: roles.RoleContext, pipe: Connection, worker: Worker, epoch: int) -> None:
    """Serve clients; the entry point of the process."""

    def work() -> None:
        async def serve() -> None:
            await WorkerProcess(context, worker, epoch).run(pipe)

        uvloop.run(serve())

    roles.run_role(f"worker {worker.slot}", context, pipe, work)
