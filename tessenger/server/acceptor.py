"""The acceptor process: takes connections and hands each to the worker that has the fewest.

The sockets travel as descriptors (SCM_RIGHTS) over a Unix socket to each worker, one byte with each, which says whether
it is to be served or told why not. Workers tell back which addresses they serve and when one is gone, so an acceptor
that takes over from a dead one knows the counts. And they tell when they have taken a socket: one that hangs gets no
more, as long as there are others.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection

from tessenger.chat import addresses
from tessenger.config import LimitsSection
from tessenger.server import control, faults, roles
from tessenger.server.listening import seen
from tessenger.undecodable import UNDECODABLE

SERVE = b"s"
"""Serve this connection."""

FULL = b"f"
"""Tell this connection that the server is full."""

CROWDED = b"c"
"""Tell this connection that there are too many from its address."""

REFUSALS_PER_SECOND = 50
"""Connections that are told why they are refused; more are just closed, so that refusing costs little."""

AGAIN_SECONDS = 0.05
"""Pause between two attempts to reach a worker, and after running out of descriptors."""

SETTLE_SECONDS = 1.0
"""How long a new acceptor waits for workers to tell whom they serve, before it takes connections without knowing."""

TOLD = "="
"""The line with which a worker ends telling which addresses it serves already."""

STUCK_SECONDS = 1.0
"""A worker that has not taken a socket for so long hangs, or is stopped: others are preferred until it has."""

ACCEPTED_AT_ONCE = 64
"""Connections taken before workers are listened to again."""

MAX_TOLD = 1_024
"""Bytes of the longest line that a worker may tell: more than any address has."""

_log = logging.getLogger("tessenger")


_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class WorkerLine:
    """The acceptor's connection to the worker of one slot."""

    def __init__(self, slot: int) -> None:
        """Not connected yet."""
        self.slot = slot
        self.socket: socket.socket | None = None
        self.addresses: Counter[str] = Counter()
        self.connections = 0
        self.told = False
        self._untaken = 0
        self._untaken_since = 0.0
        self._rest = b""

    def connect(self) -> bool:
        """Try to reach the worker."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(roles.worker_socket(self.slot))
        except OSError:  # not there at the moment: another one is being started
            line.close()
            return False
        line.setblocking(False)
        self.socket = line
        return True

    def lost(self) -> None:
        """The worker is gone, and with it its connections."""
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.addresses.clear()
        self.connections = 0
        self.told = False
        self._untaken = 0
        self._rest = b""

    def is_stuck(self, now: float) -> bool:
        """Whether the worker has left a socket untaken for too long (`now`: s)."""
        return self._untaken > 0 and now - self._untaken_since > STUCK_SECONDS

    def listen(self, now: float) -> bool:
        """Take what the worker tells. False when it is gone, or makes no sense: then it is asked anew."""
        assert self.socket is not None  # only connected lines are listened to
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in lines:
                self._hear(line.decode(), now)
        except UNDECODABLE:
            _log.exception("worker %d told what makes no sense", self.slot)
            return False
        return bool(data) and len(self._rest) <= MAX_TOLD

    def _hear(self, line: str, now: float) -> None:
        if line == TOLD:
            self.told = True
        elif line.startswith("."):
            self._untaken -= int(line[1:])
            self._untaken_since = now
        else:
            self.count(line[1:], 1 if line.startswith("+") else -1)

    def count(self, address: str, change: int) -> None:
        """Keep the counts."""
        key = addresses.key(address)
        self.addresses[key] += change
        if not self.addresses[key]:
            del self.addresses[key]
        self.connections += change

    def hand_over(self, connection: socket.socket, word: bytes, now: float) -> bool:
        """Send a socket to the worker. False when it cannot take it."""
        if self.socket is None:
            return False
        try:
            socket.send_fds(self.socket, [word], [connection.fileno()])
        except OSError:  # gone, or so stopped that its queue is full: another worker may have room
            return False
        if not self._untaken:
            self._untaken_since = now
        self._untaken += 1
        return True


class Acceptor:
    """Accepts, counts, and chooses."""

    def __init__(
        self, listening: Sequence[socket.socket], workers: int, limits: LimitsSection, pipe: Connection
    ) -> None:
        """The sockets of `listening` are bound and listen already; slots are 1 to `workers`."""
        self._listening = listening
        self._limits = limits
        self._pipe = pipe
        self._lines = [WorkerLine(slot) for slot in range(1, workers + 1)]
        self._selector = selectors.DefaultSelector()
        self._refused_in = 0
        self._refusals = 0
        self._open = False
        self._settled_at = 0.0
        self._stopping = False
        self._saying = roles.Seldom()

    def run(self) -> None:
        """Accept until the supervisor says stop, or is gone."""
        for listening in self._listening:
            listening.setblocking(False)
        self._settled_at = time.monotonic() + SETTLE_SECONDS
        self._watch(self._pipe, self._obey)
        self._pipe.send(control.Ready())
        while not self._stopping:
            if not self._complete:
                self._reconnect()
            self._open_or_close()
            for key, _ in self._selector.select(None if self._complete and self._open else AGAIN_SECONDS):
                act: Callable[[], None] = key.data
                act()

    def _open_or_close(self) -> None:
        """Accept while a worker is there; without one, new connections wait in the kernel's backlog.

        So they do for a moment at first, until all workers have told whom they serve: the limits hold for those too.
        """
        told = [line.told for line in self._lines]
        staffed = all(told) or (any(told) and time.monotonic() >= self._settled_at)
        if staffed == self._open:
            return
        self._open = staffed
        for listening in self._listening:
            if staffed:
                self._watch(listening, partial(self._accept, listening))
            else:
                self._selector.unregister(listening)

    @property
    def _complete(self) -> bool:
        return all(line.socket is not None for line in self._lines)

    def _watch(self, what: socket.socket | Connection, act: Callable[[], None]) -> None:
        self._selector.register(what, selectors.EVENT_READ, act)

    def _reconnect(self) -> None:
        for line in self._lines:
            if line.socket is None and line.connect():
                self._watch(line.socket, lambda line=line: self._hear(line))  # type: ignore[misc, arg-type]

    def _hear(self, line: WorkerLine) -> None:
        if line.socket is not None and not line.listen(time.monotonic()):
            self._selector.unregister(line.socket)
            line.lost()

    def _obey(self) -> None:
        message = roles.heard(self._pipe)
        if isinstance(message, control.Stop | roles.Gone):
            self._stopping = True
        elif isinstance(message, control.Reload):
            self._limits = message.config.limits

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as problem:  # aborted by its client, or no descriptors left
                if problem.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._lacks(problem)
                    time.sleep(AGAIN_SECONDS)  # it stays in the backlog: try again when some were given back
                return
            with connection:
                faults.reach("acceptor.accepted")
                self._place(connection, seen(str(address[0])))

    def _lacks(self, problem: OSError) -> None:
        """Say that no connection can be accepted for the moment, and what would help."""
        if self._saying.is_due():
            what = roles.MORE_FILES if problem.errno in _NO_DESCRIPTORS else "give it more memory"
            self._pipe.send(control.Notice(f"new connections have to wait ({problem.strerror}): {what}"))

    def _place(self, connection: socket.socket, address: str) -> None:
        """Hand a connection to the worker with the fewest that can take it, if possible one that does not hang.

        Close it where none can.
        """
        word = self._word(address)
        if word != SERVE and not self._may_refuse():
            return
        now = time.monotonic()
        for line in sorted(self._lines, key=lambda line: (not line.told, line.is_stuck(now), line.connections)):
            if line.hand_over(connection, word, now):
                if word == SERVE:  # one that is only told why not takes nobody's place
                    line.count(address, 1)
                return

    def _word(self, address: str) -> bytes:
        limits = self._limits
        if limits.connections and sum(line.connections for line in self._lines) >= limits.connections:
            return FULL
        here = sum(line.addresses[addresses.key(address)] for line in self._lines)
        if limits.connections_per_address and here >= limits.connections_per_address:
            return CROWDED
        return SERVE

    def _may_refuse(self) -> bool:
        second = int(time.monotonic())
        if second != self._refused_in:
            self._refused_in, self._refusals = second, 0
        self._refusals += 1
        return self._refusals <= REFUSALS_PER_SECOND


def main(context: roles.RoleContext, pipe: Connection, listening: Sequence[socket.socket]) -> None:
    """Accept connections; the entry point of the process."""

    def work() -> None:
        config = context.config
        Acceptor(listening, config.server.workers, config.limits, pipe).run()

    roles.run_role("acceptor", context, pipe, work)
