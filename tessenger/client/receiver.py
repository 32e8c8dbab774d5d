"""The UDP process of the client: one socket, every transfer in both directions.

Started by `ReceiverProcess` before the prompt takes the terminal; told what to do over a pipe, and ends when that pipe
closes. It prints nothing, has no terminal, and knows neither the chat password nor the session token. All rules of the
protocol are in `tessenger.transfer`, which this process gives a clock, a socket, a disk and random numbers.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path

from setproctitle import setproctitle

from tessenger import error_log
from tessenger.client.read_rest import ReadRest
from tessenger.client.receiver_messages import CannotRun, FromReceiver, Started, Stop, decode_to_receiver, encode
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.receiver_transfers import Transfers
from tessenger.client.reported_transfer import Transfer
from tessenger.client.udp_socket import DatagramTooLong, UdpSocket
from tessenger.errors import TransferError
from tessenger.transfer.packets import session_of
from tessenger.transfer.ports import Batch, Train
from tessenger.transfer.sender import SendSession

PROGRESS_EVERY = 0.25
READ_BYTES = 262_144
"""Bytes that are read between two looks at what is to be sent: acknowledgements are due every 256 KiB."""
FAREWELL_SECONDS = 1.0
"""How long the process stays at its end to tell peers that it goes."""
LOOKUP_EVERY = 0.05


class Receiver:
    """The process's work: `run` until the client says stop, or is gone."""

    def __init__(self, pipe: Connection, options: ReceiverOptions, udp: UdpSocket) -> None:
        self._pipe = pipe
        self._udp = udp
        self._transfers = Transfers(options, udp, self._tell)
        self._unsent: deque[tuple[Transfer, Train]] = deque()
        self._rest = ReadRest(udp.receive_buffer, time.monotonic())
        self._progress_at = 0.0
        self._stop_at = 0.0

    def run(self) -> None:
        """Serve until told to stop. What has arrived of files that are not whole stays, to be resumed."""
        try:
            self._tell(Started(self._udp.port))
            self._loop()
        finally:
            self._transfers.give_up(time.monotonic())

    def _loop(self) -> None:
        udp, pipe = self._udp.fileno(), self._pipe.fileno()
        while True:
            now = time.monotonic()
            if self._stop_at and (now >= self._stop_at or not self._has_words_left()):
                return
            patience, rest = self._patience(now), self._rest_left(now)
            watched = [] if self._stop_at else [pipe]
            if not rest:
                watched.append(udp)
            waiting = [udp] if self._unsent else []
            readable, _, _ = select.select(watched, waiting, [], min(patience, rest) if rest else patience)
            if pipe in readable:
                self._obey()
            if rest or udp in readable:
                self._read()
            self._serve(time.monotonic())

    def _rest_left(self, now: float) -> float:
        """Return for how long what arrives may wait unread, in seconds."""
        running = self._transfers.running.values()
        return self._rest.left(now, min((transfer.session.rest for transfer in running), default=0.0))

    def _has_words_left(self) -> bool:
        """Tell whether a peer has not confirmed yet that it knows how its transfer ended."""
        return any(transfer.session.unheard for transfer in self._transfers.running.values())

    def _patience(self, now: float) -> float:
        """Return how long nothing needs to be done, in seconds."""
        due = now + LOOKUP_EVERY if self._transfers.looking_up else now + 60
        if self._transfers.running:
            due = min(due, self._progress_at + PROGRESS_EVERY)
        if self._stop_at:
            due = min(due, self._stop_at)
        if not self._unsent:
            due = min([due, *(transfer.session.next_timer() for transfer in self._transfers.running.values())])
        return max(0.0, due - now)

    # ---- the network ----

    def _read(self) -> None:
        """Read what has arrived, but not so much that acknowledgements would be late."""
        reader, total, now = self._udp.reader, 0, time.monotonic()
        while total < READ_BYTES or reader.has_waiting:
            received = reader.receive()
            if received is None:
                break
            what, address = received
            now = time.monotonic()
            total += 1 + reader.read_bytes
            if isinstance(what, Batch):
                transfer = self._transfers.running.get(session_of(what.headers))
                if transfer is not None:
                    transfer.session.receive_batch(what, address, now)
                continue
            for datagram in what:
                transfer = self._transfers.running.get(session_of(datagram))
                if transfer is not None:
                    transfer.session.receive_datagram(datagram, address, now)
        self._rest.read(total, now)

    def _serve(self, now: float) -> None:
        """Let every session do what is due and send what it may, and tell the client what came of it."""
        if self._transfers.looking_up:
            self._transfers.take_lookups()
        while self._unsent and self._send(*self._unsent[0], now):
            self._unsent.popleft()
        for number, transfer in list(self._transfers.running.items()):
            session = transfer.session
            if session.next_timer() <= now:
                session.handle_timer(now)
            if not self._unsent:
                trains = session.datagrams_to_send(now)
                for index, train in enumerate(trains):
                    if not self._send(transfer, train, now):
                        self._unsent.extend((transfer, later) for later in trains[index:])
                        break
            if session.outcome is not None and not transfer.reported:
                self._transfers.report(transfer, now)
            if session.over:
                self._transfers.running.pop(number, None)
        if now >= self._progress_at + PROGRESS_EVERY:
            self._report_progress(now)

    def _send(self, transfer: Transfer, train: Train, now: float) -> bool:
        try:
            return self._udp.send(train)
        except DatagramTooLong:
            if isinstance(transfer.session, SendSession):
                transfer.session.datagram_too_long(train.length, now)
            return True

    # ---- the client ----

    def _tell(self, message: FromReceiver) -> None:
        try:
            self._pipe.send_bytes(encode(message))
        except OSError:
            self._end(0.0)  # the client is gone

    def _report_progress(self, now: float) -> None:
        self._progress_at = now
        running = [transfer for transfer in self._transfers.running.values() if transfer.session.outcome is None]
        # A client that does not read at the moment (it was suspended) can do without these.
        if running and select.select([], [self._pipe], [], 0)[1]:
            for transfer in running:
                for resumed in transfer.news():
                    self._tell(resumed)
                self._tell(transfer.progress(now))

    def _obey(self) -> None:
        """Carry out what the client asks."""
        try:
            while self._pipe.poll():
                command = decode_to_receiver(self._pipe.recv_bytes())
                if isinstance(command, Stop):
                    self._end(FAREWELL_SECONDS)
                else:
                    self._transfers.carry_out(command)
        except (EOFError, OSError):
            self._end(0.0)

    def _end(self, seconds: float) -> None:
        """Give everything up; stay for `seconds` at most, as long as peers have not heard it."""
        if self._stop_at:
            return
        now = time.monotonic()
        self._stop_at = now + seconds
        self._transfers.give_up(now)
        self._serve(now)


def _leave_terminal(log_path: str) -> None:
    """Let go of the terminal, which is the prompt's: what would be printed goes to the log."""
    null = os.open(os.devnull, os.O_RDWR)
    log = error_log.opened_for_output(Path(log_path)) if log_path else null
    for fd, instead in ((0, null), (1, log), (2, log)):
        os.dup2(instead, fd)


def run_receiver(pipe: Connection, options: ReceiverOptions) -> None:
    """Be the UDP process: the target of a spawned `multiprocessing.Process`."""
    _leave_terminal(options.log_path)
    # Ctrl-C is the prompt's, and so is the end of a terminal: this process ends when the pipe closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    setproctitle("tessenger: udp receiver")
    gc.freeze()  # what was imported stays, and is not looked at again
    try:
        udp = UdpSocket(options.bind_host, options.udp_port, offload=options.offload)
    except TransferError as error:
        pipe.send_bytes(encode(CannotRun(str(error))))
        sys.exit(error.exit_status)
    try:
        Receiver(pipe, options, udp).run()
    finally:
        udp.close()
        pipe.close()
