"""The sending end of a transfer. Pure: blocks in from a `Source`, trains of datagrams out, acknowledgements back."""

from __future__ import annotations

from tessenger.errors import TransferError
from tessenger.transfer import packets
from tessenger.transfer.blocks import CUTS
from tessenger.transfer.closing import CLOSE_SECONDS
from tessenger.transfer.congestion import Congestion
from tessenger.transfer.keys import Binding, TransferKeys
from tessenger.transfer.packets import CONTROL_HEADER, Fin, Kind, PacketError
from tessenger.transfer.path_mtu import PathMtu
from tessenger.transfer.ports import Address, Source, Train
from tessenger.transfer.prefix import PrefixCheck
from tessenger.transfer.recovery import Recovery, Sample
from tessenger.transfer.session import NEVER, WINDOW, Peer, Session, Settings
from tessenger.transfer.window import SendWindow, Slot

MAX_TRAIN_BYTES = 65_507
"""What `UDP_SEGMENT` takes at once."""
TRAINS_AT_ONCE = 8
"""Trains in one answer of `datagrams_to_send`, so that acknowledgements are read in between."""
FIN_EVERY = 0.2
BLACK_HOLE_PROBES = 3
"""Probes in a row without an answer after which the datagrams may be too long for the path."""
_SEAL = CONTROL_HEADER.size + 16


class SendSession(Session):
    """Sends a file. `source` is where it comes from."""

    def __init__(
        self, binding: Binding, keys: TransferKeys, peer: Peer, settings: Settings, now: float, source: Source
    ) -> None:
        super().__init__(binding, keys, peer, settings, now)
        self._source = source
        self._mtu = PathMtu(settings.max_datagram, now)
        self._next_send = now
        self._rate_limit = settings.rate_limit
        self._train = 0
        self._check: PrefixCheck | None = None
        self._begin(0)
        self._new_path(0.1, now)
        self._handlers |= {
            Kind.ACK: self._on_ack,
            Kind.PROBED: self._on_probed,
            Kind.DONE: self._on_done,
            Kind.AGAIN: self._on_again,
            Kind.HAVE: self._on_have,
        }

    def _begin(self, attempt: int) -> None:
        """Start with the first block, under keys of this attempt's own."""
        self._attempt = attempt
        aead = self._keys.blocks(attempt, self._settings.cipher)
        limit = self.peer_hello.window if self.peer_hello else WINDOW
        self._window = SendWindow(self.binding, self._source, aead, attempt, limit)
        self._current: tuple[Slot, int, int] | None = None  # slot, its generation, segments that have left
        self._fin: bytes = b""
        self._fin_at = NEVER
        self.done = 0

    def _new_path(self, rtt: float, now: float) -> None:
        """Know nothing about the path but a guess of its round trip."""
        self._mtu.start(now)
        self.recovery = Recovery()
        self.recovery.last_number = self._train
        receive_buffer = self.peer_hello.receive_buffer if self.peer_hello else 0
        self.congestion = Congestion(receive_buffer, self._rate_limit, rtt, now)
        self._next_send = now

    def limit_rate(self, rate: float) -> None:
        """Send at most `rate` bytes a second from now on; 0 is no limit."""
        self._rate_limit = rate
        self.congestion.limit(rate)

    # ---- what the peer says ----

    def _started(self, now: float) -> None:
        self._begin(0)
        self._new_path(max(now - self._hello_sent_at, 1e-4), now)

    def _path_moved(self, now: float) -> None:
        self._new_path(self.recovery.rtt or 0.1, now)
        self._recut()

    def _on_ack(self, body: bytes, address: Address, now: float) -> None:
        ack = packets.decode_ack(body)
        if self.outcome is not None or ack.attempt != self._attempt or self.path is None:
            return
        recovery = self.recovery
        known = ack.train if ack.train <= recovery.last_number else 0
        gained, late = self._window.acknowledge(ack, max(recovery.newest, known))
        self._react(recovery.arrived(known, ack.delay * 1e-6, gained, late, now), now)
        if gained:
            self._progressed(now)
            self.done = self._window.acknowledged

    def _react(self, sample: Sample, now: float) -> None:
        """Mark what is lost, and let congestion control know what was learnt."""
        for slot, generation, mask, sent_at in sample.missing:
            if slot.generation == generation:
                self._window.lose(slot, mask, sent_at)
        recovery = self.recovery
        self.congestion.acknowledged(
            sample, recovery.in_flight, recovery.delivered, recovery.min_rtt, now, recovery.latest_rtt
        )

    def _on_probed(self, body: bytes, address: Address, now: float) -> None:
        if address == self.path and self._mtu.passed(packets.decode_length(body)):
            self.congestion.datagram = CUTS[self._mtu.cut]

    def _on_done(self, body: bytes, address: Address, now: float) -> None:
        if packets.decode_attempt(body) != self._attempt:
            return
        if self.outcome is None:
            if not self._fin:
                raise PacketError("the file is said to be whole before it was sent")
            self.done = self.size
            self._complete("", now, CLOSE_SECONDS, None)
        self._send(Kind.BYE)

    def _on_have(self, body: bytes, address: Address, now: float) -> None:
        if self.outcome is not None or self.path is None or not self._awaits_have:
            return
        if self._check is None:
            self._check = PrefixCheck(packets.decode_have(body), self._source, self.size, now)
        elif self._check.same is not None:
            self._send(Kind.RESUMED, packets.encode_flag(self._check.same))

    @property
    def _awaits_have(self) -> bool:
        """Whether the receiver has blocks of an earlier try."""
        return self.peer_hello is not None and self.peer_hello.resumes

    @property
    def _is_checking(self) -> bool:
        """Whether it is not known yet what is to be sent."""
        return self._awaits_have and (self._check is None or self._check.same is None)

    def _go_on_checking(self, now: float) -> None:
        check = self._check
        if check is None or check.same is not None:
            return
        if check.step(now):
            self._send(Kind.CHECKING, packets.encode_blocks(check.checked))
        self._progressed(now)
        if check.same is None:
            return
        if check.same:
            self._window.resume(check.have.prefix, check.have.ahead, check.hasher)
            self.done = self.resumed_from = self._window.acknowledged
        else:
            self.started_over = True
        self._next_send = now
        self._send(Kind.RESUMED, packets.encode_flag(check.same))

    def _on_again(self, body: bytes, address: Address, now: float) -> None:
        attempt = packets.decode_attempt(body)
        if self.outcome is None and self._fin and attempt == self._attempt + 1 == 1:
            self._begin(attempt)
            self.started_over = True
            self.recovery.forget()

    # ---- sending ----

    def datagrams_to_send(self, now: float) -> list[Train]:
        """Return what congestion control lets go now."""
        if self.path is None or self.outcome is not None:
            return super().datagrams_to_send(now)
        trains: list[Train] = []
        try:
            if self._is_checking:
                self._go_on_checking(now)
            if self._is_checking:
                return super().datagrams_to_send(now)
            self._window.skip()
            while len(trains) < TRAINS_AT_ONCE and now >= self._next_send and self._has_room():
                train = self._next_train(now)
                if train is None:
                    break
                trains.append(train)
            self._offer_end(now)
        except TransferError as error:
            self._fail(str(error), now, tell=str(error))
            trains = []
        for length in self._mtu.probes(self.recovery.rtt, now):
            self._send(Kind.PROBE, bytes(length - _SEAL))
        return super().datagrams_to_send(now) + trains

    def _has_room(self) -> bool:
        return self.recovery.in_flight < self.congestion.window

    @property
    def rest(self) -> float:
        """Acknowledgements are read together with the next train, unless that waits for them."""
        return self.congestion.quantum if self.path is not None and self._has_room() else 0.0

    def _next_train(self, now: float) -> Train | None:
        """Take what was lost first, then what is left of the block under way, then the next block."""
        quantum = max(1, int(self.congestion.pacing_rate * self.congestion.quantum))
        repeat = self._window.take_lost(self._fitting(quantum, self._mtu.cut), self._train + 1)
        if repeat is not None:
            return self._train_of(*repeat, now)
        current = self._current
        if current is None or current[0].generation != current[1]:
            if not self._window.can_open:
                return None
            slot, first = self._window.open_block(self._mtu.cut), 0
        else:
            slot, _, first = current
        count = min(self._fitting(quantum, slot.cut), slot.segments - first)
        after = first + count
        self._current = (slot, slot.generation, after) if after < slot.segments else None
        return self._train_of(slot, ((1 << count) - 1) << first, now)

    def _fitting(self, quantum: int, cut: int) -> int:
        """Return how many datagrams of a cut make a train of about `quantum` bytes."""
        length = CUTS[cut]
        return max(1 if length > MAX_TRAIN_BYTES // 2 else 2, min(quantum, MAX_TRAIN_BYTES) // length)

    def _train_of(self, slot: Slot, mask: int, now: float) -> Train:
        assert self.path is not None
        self._train += 1
        recovery, congestion = self.recovery, self.congestion
        recovery.last_number = self._train
        slot.number(self._train)
        length = CUTS[slot.cut]
        count = mask.bit_count()
        limited = not (self._window.has_lost or self._current or self._window.can_open)
        recovery.sent(slot, mask, length, now, congestion.phase, limited=limited)
        self._next_send = max(self._next_send, now - congestion.quantum) + count * length / congestion.pacing_rate
        return Train(self.path, slot.gather(mask), length, count)

    def _offer_end(self, now: float) -> None:
        """Say how the file ends, once all of it was read, until the receiver has said that it has it."""
        if not self._window.all_read or self._current is not None:
            return
        if not self._fin:
            self._source.check_unchanged()
            self._fin = packets.encode_fin(Fin(self._attempt, self.size, self._window.digest()))
            self._fin_at = now
        if now >= self._fin_at:
            self._fin_at = now + max(FIN_EVERY, 2 * self.recovery.rtt)
            self._send(Kind.FIN, self._fin)

    def _recut(self) -> None:
        self._window.recut(self._mtu.cut)
        self._current = None
        self.recovery.forget()
        self.congestion.datagram = CUTS[self._mtu.cut]

    def datagram_too_long(self, length: int, now: float) -> None:
        """Note that the system would not send a datagram of this length."""
        if self._mtu.too_long(length, now):
            self._recut()

    # ---- time ----

    def next_timer(self) -> float:
        """Return when something is due."""
        if self.outcome is not None or self.path is None:
            return super().next_timer()
        if self._is_checking:
            return super().next_timer() if self._check is None else 0.0
        if self._window.skips:
            return 0.0
        recovery = self.recovery
        ours = min(recovery.reorder_at, recovery.probe_at, self._mtu.due_at, self._fin_at)
        if self._has_room() and (self._window.has_lost or self._current or self._window.can_open):
            ours = min(ours, self._next_send)
        return min(super().next_timer(), ours)

    def handle_timer(self, now: float) -> None:
        """Find what was lost by now, and send a probe where nothing comes back."""
        super().handle_timer(now)
        if self.outcome is not None or self.path is None:
            return
        recovery = self.recovery
        if now >= recovery.reorder_at:
            self._react(recovery.settle(now), now)
        if now >= recovery.probe_at:
            self._probe(now)

    def _probe(self, now: float) -> None:
        """Send what is in flight the longest again, whatever the window says, and ask for an acknowledgement."""
        oldest = self.recovery.oldest()
        self.recovery.probed(now)
        if oldest is None:
            self.recovery.forget()  # all of it has come, but what would have said so by its train was lost
        elif self.recovery.probes == BLACK_HOLE_PROBES and self._mtu.black_hole(now):
            self._recut()
        else:
            self._outbox.append(self._train_of(*oldest, now))
        self._send(Kind.PING)
