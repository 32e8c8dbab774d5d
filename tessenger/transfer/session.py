"""What both ends of a transfer have in common: handshake, the peer's address, liveness, and the end. Pure.

Four verbs serve a session: `receive_datagram`, `datagrams_to_send`, `next_timer`, `handle_timer`; a caller that reads
many datagrams at once has `receive_batch` too (see `receiver.py`). Times are seconds of any clock that only rises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tessenger.transfer import packets
from tessenger.transfer.closing import CLOSE_SECONDS, Closing, LastWord
from tessenger.transfer.control import ControlChannel
from tessenger.transfer.keys import Binding, Cipher, TransferKeys
from tessenger.transfer.packets import CONTROL, NO_ECHO, Hello, Kind, PacketError
from tessenger.transfer.path_proof import PathProof
from tessenger.transfer.ports import Address, Batch, Buffer, Train
from tessenger.transfer.unproved import UnprovedAddresses

NEVER = float("inf")

HELLO_EVERY = 0.2
STALLED_AFTER = 2.0
"""Seconds without progress after which people see `stalled`."""
WINDOW = 2_048
"""Blocks behind the first missing one that are taken: 120 MiB."""


class Peer(NamedTuple):
    """Who is at the other end, and where they said that they take datagrams."""

    user: str
    address: Address


class Settings(NamedTuple):
    """What a session is told about its surroundings. `seed`: 32 random bytes, `rate_limit`: bytes a second, 0: none.

    `addresses` is shared with the other transfers, where there are some.
    """

    seed: bytes
    receive_buffer: int
    stall_seconds: float = 30.0
    cipher: Cipher = Cipher.AES_256_GCM
    rate_limit: float = 0.0
    max_datagram: int = 65_507
    addresses: UnprovedAddresses | None = None


class Outcome(NamedTuple):
    """How a transfer ended: `path` is where the file is, or `reason` says why there is none."""

    path: str
    reason: str


class Session:
    """One end of a transfer. `size` is the file's, `done` how much of it the receiver has, both in bytes."""

    def __init__(self, binding: Binding, keys: TransferKeys, peer: Peer, settings: Settings, now: float) -> None:
        self.binding = binding
        self.size = binding.size
        self.done = 0
        self.outcome: Outcome | None = None
        self.over = False
        """Nothing more is to be sent or heard: the session can be dropped."""
        self.resumed_from = 0
        """Bytes that were there from an earlier try."""
        self.started_over = False
        """Whether what was there turned out to be of another file, and all of it is sent."""
        self.path: Address | None = None
        """Where the peer is; None until the handshake is complete."""
        self.peer_hello: Hello | None = None
        self._keys = keys
        self._resumes = False
        self._peer = peer
        self._settings = settings
        self._control = ControlChannel(binding.session, keys)
        self._addresses = settings.addresses or UnprovedAddresses()
        self._proof = PathProof(settings.seed)
        self._outbox: list[Train] = []
        self._hello_source = peer.address
        self._hello_at = now
        self._hello_sent_at = now
        self._progress_at = now
        self._closing: Closing | None = None
        """Since the outcome is known."""
        self._handlers: dict[int, Callable[[bytes, Address, float], None]] = {
            Kind.HELLO: self._on_hello,
            Kind.CHALLENGE: self._on_challenge,
            Kind.RESPONSE: self._on_response,
            Kind.PROBE: self._on_probe,
            Kind.ABORT: self._on_abort,
            Kind.LEAVE: self._on_leave,
            Kind.CHECKING: self._on_checking,
            Kind.BYE: self._on_bye,
        }

    @property
    def code(self) -> str:
        """What both people see the same unless someone sits between them."""
        return self._keys.code

    def stalled(self, now: float) -> bool:
        """Tell whether nothing has moved for a while."""
        return self.outcome is None and now - self._progress_at > STALLED_AFTER

    @property
    def unheard(self) -> bool:
        """Whether the peer has not confirmed yet that it knows how the transfer ended."""
        return not self.over and self._closing is not None and self._closing.unheard

    @property
    def rest(self) -> float:
        """How long what arrives may wait unread, in seconds, so that more of it is read at once."""
        return 0.0

    # ---- the four verbs ----

    def receive_datagram(self, data: Buffer, address: Address, now: float) -> None:
        """Take one datagram, whatever is in it. `data` need not live longer than the call."""
        if self.over or len(data) < packets.CONTROL_HEADER.size:
            return
        if data[packets.CONTROL_HEADER.size - 1] & CONTROL:
            self._receive_control(bytes(data), address, now)
        elif self.outcome is None:
            self._receive_data(data, now)
        else:
            self._say_farewell(now)

    def datagrams_to_send(self, now: float) -> list[Train]:
        """Return what is to be sent now; the buffers are valid until the next call of any verb."""
        trains, self._outbox = self._outbox, []
        return [train for train in trains if train.address == self.path or self._may_leave(train, now)]

    def next_timer(self) -> float:
        """Return when `handle_timer` or `datagrams_to_send` has something to do even if nothing comes."""
        if self._closing is not None:
            return self._closing.due_at
        return min(self._hello_at, self._progress_at + self._settings.stall_seconds)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        if self._closing is not None:
            self.over = self._closing.is_over(now)
            if not self.over and now >= self._closing.due_at:
                self._say_farewell(now)
        elif now >= self._progress_at + self._settings.stall_seconds:
            self._stall(now)
        elif now >= self._hello_at:
            self._hello_at = now + HELLO_EVERY
            self._hello_sent_at = now
            self._send_hello(self._peer.address)
            if self._hello_source != self._peer.address:
                self._send_hello(self._hello_source)

    def abort(self, reason: str, now: float, *, keep: bool = False) -> None:
        """Give up; the peer is told `reason`. With `keep` the transfer can be resumed later."""
        self._fail(reason, now, tell=reason, keep=keep)

    # ---- for the two ends ----

    def receive_batch(self, batch: Batch, address: Address, now: float) -> None:
        """Take datagrams of data that all are of this session; only a receiver has a use for them."""
        if self.outcome is not None and not self.over:
            self._say_farewell(now)

    def _receive_data(self, data: Buffer, now: float) -> None:
        """Take one datagram of data; only a receiver has a use for it."""

    def _started(self, now: float) -> None:
        """Begin: the peer's address is known and was proved."""

    def _path_moved(self, now: float) -> None:
        """Note that the peer has another address now."""

    def _clean_up(self, *, keep: bool) -> None:
        """Let go of what is no longer needed after a failure; `keep` what a later try can go on from."""

    def _may_leave(self, train: Train, now: float) -> bool:
        """Tell whether to send to an address that is not the path; what is not sent counts as lost."""
        return self._addresses.may_send(self._peer.user, train.address, train.length, now)

    def _send(self, kind: Kind, body: bytes = b"", to: Address | None = None) -> None:
        address = to or self.path or self._hello_source
        datagram = self._control.seal(kind, body)
        self._outbox.append(Train(address, [datagram], len(datagram), 1))

    def _progressed(self, now: float) -> None:
        self._progress_at = now

    def _fail(self, reason: str, now: float, tell: str = "", *, keep: bool = False) -> None:
        """End without a file. `tell`: what the peer is told, where that is of use."""
        if self.outcome is not None:
            return
        self.outcome = Outcome("", reason)
        self._clean_up(keep=keep)
        farewell = Kind.LEAVE if keep else Kind.ABORT
        self._close(now, CLOSE_SECONDS, (farewell, packets.encode_reason(tell)) if tell else None)

    def _complete(self, path: str, now: float, seconds: float, farewell: LastWord | None) -> None:
        self.outcome = Outcome(path, "")
        self._close(now, seconds, farewell)

    def _close(self, now: float, seconds: float, word: LastWord | None) -> None:
        self._closing = Closing(word, seconds, now)
        self._say_farewell(now)

    def _say_farewell(self, now: float) -> None:
        """Send the last word again, if it is time."""
        word = self._closing.say(now) if self._closing is not None else None
        if word is not None:
            self._send(*word)

    # ---- control datagrams ----

    def _receive_control(self, datagram: bytes, address: Address, now: float) -> None:
        opened = self._control.open(datagram)
        if opened is None:
            return
        number, kind, body = opened
        if address != self.path:
            self._addresses.heard(address, now)
        handler = self._handlers.get(kind)
        if handler is None:
            return  # of a later version, and it is for that version to live without an answer
        try:
            handler(body, address, now)
        except PacketError as error:
            reason = f"{self._peer.user} sent what makes no sense: {error}"
            self._fail(reason, now, tell=str(error))
        if self.path is not None and address != self.path and number == self._control.newest:
            self._challenge(address, now)

    def _on_hello(self, body: bytes, address: Address, now: float) -> None:
        hello = packets.decode_hello(body)
        if self.outcome is not None:
            self._say_farewell(now)
            return
        if hello.version != packets.VERSION:
            reason = f"{self._peer.user} uses another version of Tessenger's file protocol"
            self._fail(reason, now, tell="another version of the file protocol")
            return
        if self.path is None:
            self._hello_source = address
            self.peer_hello = hello
        echoed = self._proof.is_echo(hello.echo, address)
        starts = echoed and self.path is None
        if starts:
            self._take_path(address, now)
            self._hello_at = NEVER
            self._progressed(now)
        if not echoed or not hello.settled:
            self._send_hello(address, hello.token)
        if starts:
            self._started(now)

    def _send_hello(self, to: Address, echo: bytes | None = None) -> None:
        if echo is None:
            echo = self.peer_hello.token if self.peer_hello else NO_ECHO
        settings = self._settings
        settled = self.path is not None
        hello = Hello(
            packets.VERSION, settings.cipher, settled, settings.receive_buffer, WINDOW,
            self._proof.hello_token(to), echo, self._resumes,
        )  # fmt: skip
        self._send(Kind.HELLO, packets.encode_hello(hello), to)

    def _challenge(self, address: Address, now: float) -> None:
        """Ask whoever is at `address` to prove that they receive there; until then the path stays."""
        token = self._proof.challenge(address, now)
        if token is not None:
            self._send(Kind.CHALLENGE, token, address)

    def _on_challenge(self, body: bytes, address: Address, now: float) -> None:
        self._send(Kind.RESPONSE, packets.decode_token(body), address)

    def _on_response(self, body: bytes, address: Address, now: float) -> None:
        if self._proof.is_response(packets.decode_token(body), address):
            self._take_path(address, now)
            self._path_moved(now)

    def _on_probe(self, body: bytes, address: Address, now: float) -> None:
        length = len(body) + packets.CONTROL_HEADER.size + 16
        self._send(Kind.PROBED, packets.encode_length(length), address)

    def _on_abort(self, body: bytes, address: Address, now: float, *, keep: bool = False) -> None:
        reason = packets.decode_reason(body) or "no reason given"
        self._fail(f"{self._peer.user}: {reason}", now, keep=keep)
        self._send(Kind.BYE, to=address)

    def _on_leave(self, body: bytes, address: Address, now: float) -> None:
        self._on_abort(body, address, now, keep=True)

    def _on_checking(self, body: bytes, address: Address, now: float) -> None:
        self._progressed(now)

    def _on_bye(self, body: bytes, address: Address, now: float) -> None:
        if self._closing is not None:
            self._closing.heard(now)

    def _stall(self, now: float) -> None:
        seconds = f"{self._settings.stall_seconds:g} s"
        if self.path is None:
            why = "UDP may be blocked on the way (try again in two minutes)"
            reason = f"no answer from {self._peer.user} for {seconds}; {why}"
        else:
            reason = f"no progress for {seconds}"
        self._fail(reason, now, tell=f"no progress for {seconds}", keep=True)

    def _take_path(self, address: Address, now: float) -> None:
        self.path = address
        self._addresses.proved(self._peer.user, address, now)
