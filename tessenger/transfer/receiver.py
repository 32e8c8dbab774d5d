"""The receiving end of a transfer. Pure: datagrams in, blocks out to a `Sink`, acknowledgements back."""

from __future__ import annotations

from blake3 import blake3
from cryptography.exceptions import InvalidTag

from tessenger.errors import TransferError
from tessenger.transfer import packets
from tessenger.transfer.ack_schedule import ACK_DELAY, AckSchedule
from tessenger.transfer.assembly import Assembly, BlockBuffers
from tessenger.transfer.blocks import BLOCK, CUTS, HEADER, TAG, block_count, block_length, segment_count
from tessenger.transfer.keys import Aead, Binding, Cipher, TransferKeys
from tessenger.transfer.packets import (
    ATTEMPT_SHIFT,
    CUT_MASK,
    DATA,
    MAX_RECORDS,
    SESSION,
    Ack,
    Fin,
    Kind,
    PacketError,
)
from tessenger.transfer.ports import Address, Batch, Buffer, Sink, Train
from tessenger.transfer.session import NEVER, WINDOW, Peer, Session, Settings

REPEAT_EVERY = 0.2
"""Seconds between two of the same words that wait for an answer."""
HASH_AT_ONCE = 64
"""Blocks that are read back and hashed in one go once a gap before them has closed."""
MAX_REJECTS = 20
"""Times that one block may fail its authentication before the transfer is given up."""


class ReceiveSession(Session):
    """Takes a file. `sink` is where it goes; `buffers` is shared with the other transfers, where there are some."""

    def __init__(
        self, binding: Binding, keys: TransferKeys, peer: Peer, settings: Settings, now: float, sink: Sink,
        buffers: BlockBuffers | None = None,
    ) -> None:  # fmt: skip
        super().__init__(binding, keys, peer, settings, now)
        self._sink = sink
        self._blocks = block_count(binding.size)
        self._associated = SESSION.pack(binding.session)
        self._aead: Aead | None = None
        self._cipher = Cipher.AES_256_GCM
        buffers = buffers or BlockBuffers()
        self._plain = buffers.plain
        self._acks = AckSchedule(settings.receive_buffer, now)
        self._again_at = NEVER
        self._assembly = Assembly(buffers)
        self._begin(0)
        self._have_at = NEVER
        self._digest_there = b""
        self._there = 0
        self._handlers |= {Kind.FIN: self._on_fin, Kind.PING: self._on_ping, Kind.RESUMED: self._on_resumed}

    def _take_up(self) -> None:
        """Go on behind what is there from an earlier try, if the sender finds that it is of the same file."""
        prefix, ahead = self._sink.blocks_there()
        self._there = prefix
        if not prefix:
            if ahead:
                self._sink.start_over()  # without a beginning there is nothing to recognise the file by
            return
        self._resumes = True
        self._cumulative, self._ahead = prefix, ahead & ((1 << WINDOW) - 1)
        self._assembly.first = prefix
        self.done = self._bytes_there()
        self._have_at = 0.0

    def _bytes_there(self) -> int:
        ahead = [self._cumulative + n for n in range(self._ahead.bit_length()) if self._ahead >> n & 1]
        return min(self._cumulative * BLOCK, self.size) + sum(block_length(self.size, block) for block in ahead)

    @property
    def _awaits_verdict(self) -> bool:
        """Whether the sender has not said yet if the file is the same as before."""
        return self._have_at != NEVER

    def _on_resumed(self, body: bytes, address: Address, now: float) -> None:
        same = packets.decode_flag(body)
        if not self._awaits_verdict or self.outcome is not None:
            return
        self._have_at = NEVER
        self._progressed(now)
        if same:
            self.resumed_from = self.done
            self._acks.at_once(now)
            return
        try:
            self._sink.start_over()
        except TransferError as error:
            self._fail(str(error), now, tell=str(error))
            return
        self.started_over = True
        self._begin(0)

    def _begin(self, attempt: int) -> None:
        self._attempt = attempt
        self._assembly = self._assembly.anew()
        self._cumulative = 0
        self._ahead = 0  # bit n: block cumulative + n is whole
        self._hashed = 0
        self._hasher = blake3()
        self._fin: Fin | None = None
        self._acks.begin()
        self.done = 0

    # ---- data ----

    def receive_batch(self, batch: Batch, address: Address, now: float) -> None:
        """Take datagrams of data that all are of this session, as `receive_datagram` takes one."""
        if self.outcome is not None:
            super().receive_batch(batch, address, now)
            return
        headers, payload, count, step = batch
        first = 0
        while first < count:
            after = packets.run_end(headers, first, count)
            _, block, _, segment, flags = DATA.unpack_from(headers, first * HEADER)
            train = DATA.unpack_from(headers, (after - 1) * HEADER)[2]
            self._take(block, train, segment, after - first, flags, payload[first * step : after * step], now)
            first = after

    def _receive_data(self, data: Buffer, now: float) -> None:
        _, block, train, segment, flags = DATA.unpack_from(data)
        self._take(block, train, segment, 1, flags, memoryview(data)[HEADER:], now)

    def _take(
        self, block: int, train: int, segment: int, count: int, flags: int, payload: memoryview, now: float
    ) -> None:
        """Take `count` segments of one block."""
        cut = flags & CUT_MASK
        if (
            self._aead is None
            or self._awaits_verdict
            or flags >> ATTEMPT_SHIFT != self._attempt & 1
            or cut >= len(CUTS)
        ):
            return
        if self._again_at != NEVER:
            self._again_at = NEVER
        self._acks.arrived(train, len(payload), now)
        ahead = block - self._cumulative
        if ahead < 0 or self._ahead >> ahead & 1:
            self._assembly.repeats += count
            return
        if block >= self._blocks or ahead >= WINDOW:
            return
        self._progressed(now)
        length = block_length(self.size, block) + TAG
        if (
            count == segment_count(length, cut)
            and len(payload) == length
            and not segment
            and block not in self._assembly
        ):
            self._whole(block, payload, now)
            return
        sealed = self._assembly.add(block, length, cut, train, segment, count, payload)
        if sealed is not None:
            self._whole(block, sealed, now)

    def _whole(self, block: int, sealed: memoryview, now: float) -> None:
        """Open a block that is all there, and keep it."""
        assert self._aead is not None
        length = len(sealed) - TAG
        plain = self._plain[:length]
        try:
            self._aead.decrypt_into(block.to_bytes(12), sealed, self._associated, plain)
        except InvalidTag:
            self._acks.at_once(now)
            if self._assembly.reject(block) > MAX_REJECTS:
                reason = "the data is damaged on the way again and again"
                self._fail(reason, now, tell=reason)
            return
        try:
            self._sink.write_block(block, plain)
            self._assembly.complete(block)
            self.done += length
            self._ahead |= 1 << (block - self._cumulative)
            if block == self._hashed:
                self._hasher.update(plain)
                self._hashed += 1
            if self._ahead & 1:
                gone = (~self._ahead & (self._ahead + 1)).bit_length() - 1
                self._ahead >>= gone
                self._cumulative += gone
                self._assembly.first = self._cumulative
                self._check(now)
        except TransferError as error:
            self._fail(str(error), now, tell=str(error))

    # ---- the end ----

    def _check(self, now: float) -> None:
        """Go on with the hash where blocks came out of order, and finish when everything is there."""
        until = min(self._cumulative, self._hashed + HASH_AT_ONCE)
        while self._hashed < until:
            block = self._plain[: block_length(self.size, self._hashed)]
            self._sink.read_block(self._hashed, block)
            self._hasher.update(block)
            self._hashed += 1
        if self._awaits_verdict and self._hashed == self._there:
            self._digest_there = self._hasher.digest()
            self._have_at = 0.0
        if self._fin is None or self._hashed < self._blocks or self._awaits_verdict:
            return
        if self._hasher.digest() == self._fin.digest:
            path = self._sink.finish()
            self.done = self.size
            body = packets.encode_attempt(self._attempt)
            self._complete(path, now, self._settings.stall_seconds, (Kind.DONE, body))
        elif self._attempt == 0:
            self._sink.start_over()
            self.started_over = True
            self._begin(1)
            self._aead = self._keys.blocks(self._attempt, self._cipher)
            self._again_at = now
        else:
            reason = "the file that arrived is not the one that was sent"
            self._fail(reason, now, tell=reason)

    def _on_fin(self, body: bytes, address: Address, now: float) -> None:
        fin = packets.decode_fin(body)
        if self.outcome is not None:
            self._say_farewell(now)
        elif fin.attempt == self._attempt and self._aead is not None and not self._awaits_verdict:
            if fin.size != self.size:
                raise PacketError("a file of another size than offered")
            self._again_at = NEVER
            self._acks.soon(now)
            self._fin = fin
            self._try_check(now)

    def _try_check(self, now: float) -> None:
        try:
            self._check(now)
        except TransferError as error:
            self._fail(str(error), now, tell=str(error))

    def _clean_up(self, *, keep: bool) -> None:
        self._assembly.close()
        if keep and self.done:
            self._sink.keep()
        else:
            self._sink.discard()

    # ---- control, time ----

    def _on_hello(self, body: bytes, address: Address, now: float) -> None:
        if self.peer_hello is None and self.outcome is None:
            try:
                self._take_up()  # with the first word that is certainly the sender's, and before it is answered
            except TransferError as error:
                self._fail(str(error), now, tell=str(error))
        super()._on_hello(body, address, now)
        if self._aead is None and self.peer_hello is not None and self.outcome is None:
            try:
                cipher = Cipher(self.peer_hello.cipher)
            except ValueError as error:
                raise PacketError("a cipher that is not known here") from error
            self._cipher = cipher
            self._aead = self._keys.blocks(self._attempt, cipher)

    def _on_ping(self, body: bytes, address: Address, now: float) -> None:
        self._acks.at_once(now)

    @property
    def rest(self) -> float:
        """Datagrams are read together, as many as one acknowledgement tells of."""
        return 0.0 if self.path is None else ACK_DELAY

    def datagrams_to_send(self, now: float) -> list[Train]:
        """Return acknowledgements and answers that are due."""
        if self.path is not None and self.outcome is None:
            if self._awaits_verdict:
                self._say_what_is_there(now)
            elif now >= self._acks.due_at:
                self._acknowledge(now)
        return super().datagrams_to_send(now)

    def next_timer(self) -> float:
        """Return when something is due."""
        if self.outcome is not None:
            return super().next_timer()
        if self._hashed < self._cumulative:
            return 0.0
        ours = min(self._acks.due_at, self._again_at)
        if self._awaits_verdict:
            ours = self._have_at
        if self.path is None:
            ours = NEVER
        return min(super().next_timer(), ours)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        super().handle_timer(now)
        if self.outcome is None and self._hashed < self._cumulative:
            self._try_check(now)
        if self.outcome is None and now >= self._again_at:
            self._again_at = now + REPEAT_EVERY
            self._send(Kind.AGAIN, packets.encode_attempt(self._attempt))

    def _say_what_is_there(self, now: float) -> None:
        """Say which blocks are there from an earlier try, until the sender has an answer to that."""
        if now < self._have_at:
            return
        self._have_at = now + REPEAT_EVERY
        if self._hashed < self._there:
            self._progressed(now)
            self._send(Kind.CHECKING, packets.encode_blocks(self._hashed))
        else:
            have = packets.Have(self._there, self._digest_there, self._ahead)
            self._send(Kind.HAVE, packets.encode_have(have))

    def _acknowledge(self, now: float) -> None:
        records = self._assembly.records(everything=self._acks.idle)
        for start in range(0, max(1, len(records)), MAX_RECORDS):
            ack = Ack(
                self._attempt,
                self._acks.train,
                self._acks.age(now),
                self._cumulative,
                self._assembly.repeats,
                self._ahead,
                tuple(records[start : start + MAX_RECORDS]),
            )
            self._send(Kind.ACK, packets.encode_ack(ack))
        self._acks.sent(now)
