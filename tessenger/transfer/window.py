"""The blocks between the first that is not acknowledged and the last that was read, at the sender. Pure.

A block is sealed once, and its ciphertext kept until it is acknowledged, however often and however cut it is sent.
"""

from __future__ import annotations

from blake3 import blake3

from tessenger.transfer.blocks import (
    BLOCK,
    HEADER,
    SEALED,
    TAG,
    block_count,
    block_length,
    payload_length,
    segment_count,
)
from tessenger.transfer.keys import Aead, Binding
from tessenger.transfer.packets import ATTEMPT_SHIFT, DATA, EPOCHS, SESSION, Ack, PacketError
from tessenger.transfer.ports import Buffer, Source

MAX_SLOTS = 512
"""Blocks of ciphertext that are kept at most: 30 MiB."""

SKIP_AT_ONCE = 64
"""Blocks that are hashed without being sent in one go."""

_NUMBERS = bytes(range(64))
_REPEATED = [bytes([value]) * 64 for value in range(256)]


class Slot:
    """Room for one sealed block, with the headers and the buffer list of its datagrams.

    `generation` changes whenever the masks start to mean something else: another block, another cut, a new start.
    Segments in `lost` wait to be sent again; of those in `missed`, which were lost at some time, the first was sent at
    `missed_at`, and `resent` is the first train that repeated any (0: none yet).
    """

    __slots__ = (
        "acked", "block", "buffers", "cut", "epoch", "full", "generation", "headers", "length", "lost", "missed",
        "missed_at", "resent", "sealed", "segments",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sealed = bytearray(SEALED)
        self.block = -1
        self.length = 0
        self.cut = -1
        self.epoch = 0
        self.generation = 0
        self.segments = 0
        self.full = 0
        self.headers = bytearray()
        self.buffers: list[Buffer] = []
        self.restart()

    def restart(self) -> None:
        """Forget what is known about the segments."""
        self.generation += 1
        self.acked = self.lost = self.missed = self.resent = 0
        self.missed_at = 0.0

    def prepare(self, session: int, flags: int, cut: int, length: int) -> None:
        """Lay out headers and buffers for the block, anew where cut or length differ from the last use."""
        if cut != self.cut or length != self.length:
            step = payload_length(cut)
            self.cut, self.length, self.segments = cut, length, segment_count(length, cut)
            self.full = (1 << self.segments) - 1
            self.headers = bytearray(HEADER * self.segments)
            headers, sealed = memoryview(self.headers), memoryview(self.sealed)[:length]
            self.buffers = []
            for n in range(self.segments):
                self.buffers += headers[n * HEADER : (n + 1) * HEADER], sealed[n * step : (n + 1) * step]
        first, count = DATA.pack(session, self.block, 0, 0, flags | cut), self.segments
        self.headers[:] = first * count
        self.headers[16::HEADER] = _NUMBERS[:count]
        self.restart()

    def number(self, train: int) -> None:
        """Write the number of a train into all headers."""
        headers, count = self.headers, self.segments
        headers[12::HEADER] = _REPEATED[train >> 24 & 255][:count]
        headers[13::HEADER] = _REPEATED[train >> 16 & 255][:count]
        headers[14::HEADER] = _REPEATED[train >> 8 & 255][:count]
        headers[15::HEADER] = _REPEATED[train & 255][:count]

    def gather(self, mask: int) -> list[Buffer]:
        """Return the buffers of the segments in `mask`."""
        first = (mask & -mask).bit_length() - 1
        count = mask.bit_count()
        if mask >> first == (1 << count) - 1:
            return self.buffers[2 * first : 2 * (first + count)]
        chosen: list[Buffer] = []
        while mask:
            n = (mask & -mask).bit_length() - 1
            chosen += self.buffers[2 * n : 2 * n + 2]
            mask &= mask - 1
        return chosen


class SendWindow:
    """Reads, seals and keeps blocks."""

    def __init__(self, binding: Binding, source: Source, aead: Aead, attempt: int, limit: int) -> None:
        self._session = binding.session
        self._associated = SESSION.pack(binding.session)
        self._size = binding.size
        self._source = source
        self._aead = aead
        self._attempt = attempt
        self.limit = limit
        """How many blocks behind the first missing one the receiver takes."""
        self._hasher = blake3()
        self._plain = memoryview(bytearray(BLOCK))
        self._slots: dict[int, Slot] = {}
        self._free: list[Slot] = []
        self._lost: dict[Slot, None] = {}
        self.blocks = block_count(binding.size)
        self._next = 0
        self._there: set[int] = set()  # blocks from `_next` on that the receiver has from an earlier try
        self._cumulative = 0
        self.acknowledged = 0
        """Bytes of the file in blocks that the receiver has."""

    @property
    def all_read(self) -> bool:
        """Whether every block has been sealed."""
        return self._next == self.blocks

    @property
    def can_open(self) -> bool:
        """Whether another block can be read and sealed now."""
        if self._there and self._next in self._there:
            return False
        return self._next < min(self.blocks, self._cumulative + self.limit) and len(self._slots) < MAX_SLOTS

    def digest(self) -> bytes:
        """Return the hash of all that was read."""
        return self._hasher.digest()

    def resume(self, prefix: int, ahead: int, hasher: blake3) -> None:
        """Send only what the receiver has not: it has the blocks below `prefix`, which `hasher` took, and `ahead`."""
        self._hasher = hasher
        self._next = self._cumulative = prefix
        self._there = {prefix + n for n in range(ahead.bit_length()) if ahead >> n & 1 and prefix + n < self.blocks}
        self.acknowledged = sum(block_length(self._size, block) for block in self._there)
        self.acknowledged += min(prefix * BLOCK, self._size)

    @property
    def skips(self) -> bool:
        """Whether the next block is there already, and only to be hashed."""
        return self._next in self._there

    def skip(self) -> None:
        """Hash blocks that are there already. Raises `TransferError` where they cannot be read."""
        for _ in range(SKIP_AT_ONCE):
            if not self.skips:
                return
            plain = self._plain[: block_length(self._size, self._next)]
            self._source.read_block(self._next, plain)
            self._hasher.update(plain)
            self._there.discard(self._next)
            self._next += 1

    def open_block(self, cut: int) -> Slot:
        """Read the next block and seal it. Raises `TransferError` where it cannot be read."""
        block = self._next
        slot = self._free.pop() if self._free else Slot()
        length = block_length(self._size, block)
        plain = self._plain[:length]
        self._source.read_block(block, plain)
        self._hasher.update(plain)
        sealed = memoryview(slot.sealed)[: length + TAG]
        self._aead.encrypt_into(block.to_bytes(12), plain, self._associated, sealed)
        slot.block, slot.epoch = block, 0
        slot.prepare(self._session, (self._attempt & 1) << ATTEMPT_SHIFT, cut, length + TAG)
        self._slots[block] = slot
        self._next += 1
        return slot

    def recut(self, cut: int) -> None:
        """Cut every kept block anew: what is on its way counts as gone, and nothing of it as acknowledged."""
        self._lost.clear()
        for slot in self._slots.values():
            slot.prepare(self._session, (self._attempt & 1) << ATTEMPT_SHIFT, cut, slot.length)
            slot.lost = slot.full
            self._lost[slot] = None

    def acknowledge(self, ack: Ack, newest: int) -> tuple[int, float]:
        """Take what came. Return how many bytes of it are new, and when the oldest that came late was sent.

        Late is what came although it was thought lost, before its repeat can have come, `newest` being the newest
        train that did. Infinity if nothing was late.
        """
        sent = self._next
        while sent < ack.cumulative and sent in self._there:
            sent += 1
        if ack.cumulative > sent:
            raise PacketError("an acknowledgement of what was not sent")
        gained, late = 0, float("inf")
        arrived = [*range(self._cumulative, ack.cumulative)]
        self._cumulative = max(self._cumulative, ack.cumulative)
        whole = ack.whole
        while whole:
            n = (whole & -whole).bit_length() - 1
            arrived.append(ack.cumulative + n)
            whole &= whole - 1
        for block in arrived:
            slot = self._slots.get(block)
            if slot is not None:
                late = min(late, _late(slot, slot.full, newest))
                gained += self._gain(slot, slot.full)
                self._release(slot)
        for block, cut, epoch, mask in ack.records:
            slot = self._slots.get(block)
            if slot is None:
                continue
            if 0 < (epoch - slot.epoch) % EPOCHS < EPOCHS // 2:
                slot.epoch = epoch
                slot.restart()
                self.lose(slot, slot.full, 0.0)
            if epoch == slot.epoch and cut == slot.cut and mask:
                late = min(late, _late(slot, mask & slot.full, newest))
                gained += self._gain(slot, mask & slot.full)
        return gained, late

    def _gain(self, slot: Slot, mask: int) -> int:
        new = mask & ~slot.acked
        slot.acked |= new
        slot.lost &= ~new
        return new.bit_count() * (payload_length(slot.cut) + HEADER)

    def _release(self, slot: Slot) -> None:
        del self._slots[slot.block]
        self._lost.pop(slot, None)
        self.acknowledged += slot.length - TAG
        slot.block = -1
        slot.generation += 1
        self._free.append(slot)

    def lose(self, slot: Slot, mask: int, sent_at: float) -> None:
        """Note that segments, sent at `sent_at`, are to be sent again."""
        mask &= ~slot.acked
        if not mask:
            return
        if not slot.missed or sent_at < slot.missed_at:
            slot.missed_at = sent_at
        slot.missed |= mask
        slot.lost |= mask
        self._lost[slot] = None

    def take_lost(self, limit: int, train: int) -> tuple[Slot, int] | None:
        """Return up to `limit` segments that are to be sent again, as train number `train`."""
        while self._lost:
            slot = next(iter(self._lost))
            mask = slot.lost
            if mask.bit_count() > limit:
                chosen = 0
                for _ in range(limit):
                    chosen |= mask & -mask
                    mask &= mask - 1
                slot.lost = mask
            else:
                chosen, slot.lost = mask, 0
                del self._lost[slot]
            if chosen:
                slot.resent = slot.resent or train
                return slot, chosen
        return None

    @property
    def has_lost(self) -> bool:
        """Whether anything waits to be sent again."""
        return bool(self._lost)


def _late(slot: Slot, mask: int, newest: int) -> float:
    """Return when the segments in `mask` were sent if they came although they were thought lost, else NEVER."""
    if slot.missed_at and slot.missed & mask & ~slot.acked and (not slot.resent or slot.resent > newest):
        return slot.missed_at
    return float("inf")
