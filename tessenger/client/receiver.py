"""The UDP process of the client: one socket, every transfer in both directions.

Started by `ReceiverProcess` before the prompt takes the terminal; told what to do over a pipe, and ends when that pipe
closes. It prints nothing, has no terminal, and knows neither the chat password nor the session token. All rules of the
protocol are in `tessenger.transfer`, which this process gives a clock, a socket, a disk and random numbers.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from setproctitle import setproctitle

from tessenger.client.receiver_messages import (
    Abort,
    AnyToReceiver,
    CannotRun,
    Done,
    Failed,
    FromReceiver,
    Opened,
    OpenFile,
    Progress,
    Ready,
    ReceiveFile,
    SendFile,
    Started,
    Stop,
)
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.udp_socket import DatagramTooLong, UdpSocket
from tessenger.errors import TransferError
from tessenger.transfer.blocks import block_count
from tessenger.transfer.keys import Binding, Cipher, TransferKeys, derive, public_text
from tessenger.transfer.packets import session_of
from tessenger.transfer.paths import ArrivingFile, SourceFile
from tessenger.transfer.ports import Address, Batch, Train
from tessenger.transfer.receiver import ReceiveSession
from tessenger.transfer.sender import SendSession
from tessenger.transfer.session import Peer, Session, Settings
from tessenger.wire.text import clean_line

PROGRESS_EVERY = 0.25
READ_BYTES = 131_072
"""Bytes that are read between two looks at what is to be sent: acknowledgements are due every 256 KiB."""
FAREWELL_SECONDS = 1.0
"""How long the process stays at its end to tell peers that it goes."""
LOOKUP_EVERY = 0.05
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(AnyToReceiver)


class Transfer:
    """A session with what the client is told about it."""

    def __init__(self, transfer: str, session: Session, code: str, source: SourceFile | None, now: float) -> None:
        self.transfer = transfer
        self.session = session
        self.code = code
        self.source = source
        self.started_at = now
        self.reported = False
        """Whether the client was told how it ended."""
        self.rate = 0.0
        self.done = 0
        self.progress_at = now

    def progress(self, now: float) -> Progress:
        """Return how far it is, with the rate smoothed over about two seconds."""
        session, elapsed = self.session, max(now - self.progress_at, 1e-3)
        recent = (session.done - self.done) / elapsed
        self.rate = recent if not self.rate else self.rate + (recent - self.rate) * min(1.0, elapsed / 2)
        self.done, self.progress_at = session.done, now
        return Progress(self.transfer, session.done, session.size, max(self.rate, 0.0), session.stalled(now))


class Offer:
    """A file that was opened to be sent, until the offer is answered."""

    def __init__(self, source: SourceFile, name: str) -> None:
        self.source = source
        self.name = name
        self.private = X25519PrivateKey.generate()


class Lookup:
    """A peer's host name that is being resolved, and what is to happen then."""

    def __init__(self, command: SendFile | ReceiveFile) -> None:
        self.command = command
        self.address: Address | None = None


class Receiver:
    """The process's work: `run` until the client says stop, or is gone."""

    def __init__(self, pipe: Connection, options: ReceiverOptions, udp: UdpSocket) -> None:
        self._pipe = pipe
        self._options = options
        self._udp = udp
        self._offers: dict[str, Offer] = {}
        self._transfers: dict[int, Transfer] = {}
        self._unsent: deque[tuple[Transfer, Train]] = deque()
        self._lookups = 0
        self._looked_up: SimpleQueue[Lookup] = SimpleQueue()
        self._cipher = _faster_cipher()
        self._progress_at = 0.0
        self._stop_at = 0.0

    def run(self) -> None:
        """Serve until told to stop."""
        self._tell(Started(self._udp.port))
        udp, pipe = self._udp.fileno(), self._pipe.fileno()
        while True:
            now = time.monotonic()
            watched = [udp] if self._stop_at else [udp, pipe]
            if self._stop_at and (now >= self._stop_at or not self._transfers):
                return
            waiting = [udp] if self._unsent else []
            readable, _, _ = select.select(watched, waiting, [], self._patience(now))
            if pipe in readable:
                self._obey()
            if udp in readable:
                self._read()
            self._serve(time.monotonic())

    def _patience(self, now: float) -> float:
        """Return how long nothing needs to be done, in seconds."""
        due = now + LOOKUP_EVERY if self._lookups else now + 60
        if self._transfers:
            due = min(due, self._progress_at + PROGRESS_EVERY)
        if self._stop_at:
            due = min(due, self._stop_at)
        if not self._unsent:
            due = min([due, *(transfer.session.next_timer() for transfer in self._transfers.values())])
        return max(0.0, due - now)

    # ---- the network ----

    def _read(self) -> None:
        left = READ_BYTES
        while left > 0:
            received = self._udp.receive()
            if received is None:
                return
            what, address = received
            now = time.monotonic()
            left -= 1 + self._udp.read_bytes
            if isinstance(what, Batch):
                transfer = self._transfers.get(session_of(what.headers))
                if transfer is not None:
                    transfer.session.receive_batch(what, address, now)
                continue
            for datagram in what:
                transfer = self._transfers.get(session_of(datagram))
                if transfer is not None:
                    transfer.session.receive_datagram(datagram, address, now)

    def _serve(self, now: float) -> None:
        """Let every session do what is due and send what it may, and tell the client what came of it."""
        if self._lookups:
            self._take_lookups()
        while self._unsent and self._send(*self._unsent[0], now):
            self._unsent.popleft()
        for number, transfer in list(self._transfers.items()):
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
                self._report(transfer, now)
            if session.over:
                del self._transfers[number]
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
            self._pipe.send_bytes(_ENCODER.encode(message))
        except OSError:
            self._end(0.0)  # the client is gone

    def _report(self, transfer: Transfer, now: float) -> None:
        """Tell the client how a transfer ended."""
        transfer.reported = True
        outcome = transfer.session.outcome
        assert outcome is not None
        if transfer.source is not None:
            transfer.source.close()
        if outcome.reason:
            self._tell(Failed(transfer.transfer, clean_line(outcome.reason)))
        else:
            path = transfer.source.path if transfer.source else outcome.path
            seconds = now - transfer.started_at
            self._tell(Done(transfer.transfer, path, transfer.session.size, seconds, transfer.code))
        self._share_rate()

    def _report_progress(self, now: float) -> None:
        self._progress_at = now
        running = [transfer for transfer in self._transfers.values() if transfer.session.outcome is None]
        # A client that does not read at the moment (it was suspended) can do without these.
        if running and select.select([], [self._pipe], [], 0)[1]:
            for transfer in running:
                self._tell(transfer.progress(now))

    def _obey(self) -> None:
        """Carry out what the client asks."""
        try:
            while self._pipe.poll():
                self._carry_out(_DECODER.decode(self._pipe.recv_bytes()))
        except (EOFError, OSError):
            self._end(0.0)

    def _carry_out(self, command: AnyToReceiver) -> None:
        if isinstance(command, Stop):
            self._end(FAREWELL_SECONDS)
            return
        try:
            if isinstance(command, OpenFile):
                self._open(command)
            elif isinstance(command, Abort):
                self._abort(command)
            else:
                self._look_up(command)
        except TransferError as error:
            self._refuse(command, str(error))

    def _open(self, command: OpenFile) -> None:
        if command.transfer in self._offers or int(command.transfer, 16) in self._transfers:
            raise TransferError("a transfer of this id exists already")
        source = SourceFile(command.path)
        try:
            block_count(source.size)
        except TransferError:
            source.close()
            raise
        offer = self._offers[command.transfer] = Offer(source, clean_line(source.name))
        self._tell(Opened(command.transfer, offer.name, source.size, public_text(offer.private)))

    def _abort(self, command: Abort) -> None:
        transfer = self._transfers.get(int(command.transfer, 16))
        if transfer is not None:
            transfer.session.abort(command.reason, time.monotonic())
        elif self._forget_offer(command.transfer):
            self._tell(Failed(command.transfer, command.reason))

    def _forget_offer(self, transfer: str) -> bool:
        offer = self._offers.pop(transfer, None)
        if offer is not None:
            offer.source.close()
        return offer is not None

    def _look_up(self, command: SendFile | ReceiveFile) -> None:
        """Go on once the peer's address is known: at once where it is one, else when its name was resolved."""
        try:
            address = self._udp.resolve(command.host, command.port, numeric=True)
        except OSError:
            self._lookups += 1
            threading.Thread(target=self._resolve, args=(Lookup(command),), daemon=True).start()
        else:
            self._begin(command, address)

    def _resolve(self, lookup: Lookup) -> None:
        """In a thread of its own, since it may wait for a name server."""
        try:
            lookup.address = self._udp.resolve(lookup.command.host, lookup.command.port, numeric=False)
        except (OSError, UnicodeError):
            lookup.address = None
        self._looked_up.put(lookup)

    def _take_lookups(self) -> None:
        while True:
            try:
                lookup = self._looked_up.get_nowait()
            except Empty:
                return
            self._lookups -= 1
            if lookup.address is None:
                self._refuse(lookup.command, f"the address {lookup.command.host} is not known")
            else:
                self._try_begin(lookup.command, lookup.address)

    def _refuse(self, command: OpenFile | SendFile | ReceiveFile | Abort, reason: str) -> None:
        self._forget_offer(command.transfer)
        self._tell(Failed(command.transfer, clean_line(reason)))

    def _try_begin(self, command: SendFile | ReceiveFile, address: Address) -> None:
        try:
            self._begin(command, address)
        except TransferError as error:
            self._refuse(command, str(error))

    def _begin(self, command: SendFile | ReceiveFile, address: Address) -> None:
        if isinstance(command, SendFile):
            self._send_file(command, address)
        else:
            self._receive_file(command, address)

    def _send_file(self, command: SendFile, address: Address) -> None:
        offer = self._offers.get(command.transfer)
        if offer is None:
            return  # given up in the meantime, and the client knows
        source = offer.source
        binding = Binding(command.transfer, command.sender, command.receiver, offer.name, source.size)
        keys = derive(offer.private, command.key, binding, sending=True)
        now = time.monotonic()
        peer = Peer(command.receiver, address)
        del self._offers[command.transfer]
        self._add(
            Transfer(
                command.transfer,
                SendSession(binding, keys, peer, self._settings(), now, source),
                keys.code,
                source,
                now,
            )
        )

    def _receive_file(self, command: ReceiveFile, address: Address) -> None:
        binding = Binding(command.transfer, command.sender, command.receiver, command.name, command.size)
        if binding.session in self._transfers:
            raise TransferError("a transfer of this id exists already")
        block_count(command.size)
        private = X25519PrivateKey.generate()
        keys = derive(private, command.key, binding, sending=False)
        sink = ArrivingFile(self._options.download_dir, command.name, command.transfer, command.size)
        now = time.monotonic()
        peer = Peer(command.sender, address)
        self._add(
            Transfer(
                command.transfer, ReceiveSession(binding, keys, peer, self._settings(), now, sink), keys.code, None, now
            )
        )
        self._tell(Ready(command.transfer, public_text(private)))

    def _settings(self) -> Settings:
        options = self._options
        return Settings(
            secrets.token_bytes(32),
            self._udp.receive_buffer,
            options.stall_seconds,
            self._cipher,
            options.rate_limit,
            options.max_datagram,
        )

    def _add(self, transfer: Transfer) -> None:
        self._transfers[transfer.session.binding.session] = transfer
        self._share_rate()

    def _share_rate(self) -> None:
        """Divide the limit among the transfers that send."""
        if not self._options.rate_limit:
            return
        sending = [each.session for each in self._transfers.values() if isinstance(each.session, SendSession)]
        running = [session for session in sending if session.outcome is None]
        for session in running:
            session.limit_rate(self._options.rate_limit / len(running))

    def _end(self, seconds: float) -> None:
        """Give everything up; stay for `seconds` at most, as long as peers have not heard it."""
        if self._stop_at:
            return
        now = time.monotonic()
        self._stop_at = now + seconds
        for transfer in self._transfers.values():
            transfer.session.abort("signed out", now)
            transfer.reported = True
            # Whoever has not confirmed is told once more while there is time; nobody is asked to confirm.
            for train in transfer.session.datagrams_to_send(now):
                self._send(transfer, train, now)
        for offer in list(self._offers):
            self._forget_offer(offer)


def _faster_cipher() -> Cipher:
    """Return what this machine seals blocks with: AES unless it has no instructions for it."""
    plain, times = bytes(65_536), {}
    keys = TransferKeys(bytes(32), b"", sending=True)
    for cipher in Cipher:
        aead = keys.blocks(0, cipher)
        best = float("inf")
        for number in range(3):
            start = time.perf_counter()
            aead.encrypt(number.to_bytes(12), plain, None)
            best = min(best, time.perf_counter() - start)
        times[cipher] = best
    return min(times, key=lambda cipher: times[cipher])


def _leave_terminal(log_path: str) -> None:
    """Let go of the terminal, which is the prompt's: what would be printed goes to the log."""
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log_path else null
    for fd, instead in ((0, null), (1, log), (2, log)):
        os.dup2(instead, fd)


def run_receiver(pipe: Connection, options: ReceiverOptions) -> None:
    """Be the UDP process: the target of a spawned `multiprocessing.Process`."""
    _leave_terminal(options.log_path)
    # Ctrl-C is the prompt's, and so is the end of a terminal: this process ends when the pipe closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    setproctitle("tessenger: udp receiver")
    try:
        udp = UdpSocket(options.bind_host, options.udp_port, offload=options.offload)
    except TransferError as error:
        pipe.send_bytes(_ENCODER.encode(CannotRun(str(error))))
        sys.exit(error.exit_status)
    try:
        Receiver(pipe, options, udp).run()
    finally:
        udp.close()
        pipe.close()
