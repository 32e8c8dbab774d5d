"""Putting blocks together from segments, at the receiver. Pure."""

from __future__ import annotations

from tessenger.transfer.blocks import SEALED, payload_length, segment_count
from tessenger.transfer.packets import MAX_RECORDS, Record

_MENTIONS = 3
"""Acknowledgements that tell of a change in a block: as many may be lost without a needless repeat."""
_KEPT = 32
"""Buffers that are kept for the next blocks."""


class Partial:
    """A block of which some segments are there."""

    __slots__ = ("cut", "full", "mask", "sealed", "train")

    def __init__(self, sealed: bytearray) -> None:
        self.sealed = sealed
        self.mask = 0
        self.full = 0
        self.cut = 0
        self.train = 0
        """The highest train that brought a segment: a newer one that is cut in another way starts the block anew."""


class Assembly:
    """The blocks that are not whole yet."""

    def __init__(self) -> None:
        self._partial: dict[int, Partial] = {}
        self._mentions: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._buffers: list[bytearray] = []
        self.repeats = 0

    def __contains__(self, block: int) -> bool:
        return block in self._partial

    def add(
        self, block: int, length: int, cut: int, train: int, first: int, count: int, data: memoryview
    ) -> memoryview | None:
        """Take `count` segments from number `first` on; return the ciphertext once the block is whole.

        `length` is the ciphertext's. What does not fit (a segment too many, a wrong length) is dropped.
        """
        step, segments = payload_length(cut), segment_count(length, cut)
        start, end = first * step, min((first + count) * step, length)
        if first + count > segments or len(data) != end - start:
            return None
        partial = self._partial.get(block)
        if partial is None:
            partial = self._partial[block] = Partial(self._buffers.pop() if self._buffers else bytearray(SEALED))
            partial.cut, partial.full = cut, (1 << segments) - 1
        elif partial.cut != cut:
            if train < partial.train:
                return None
            partial.cut, partial.full, partial.mask = cut, (1 << segments) - 1, 0
        arrived = ((1 << count) - 1) << first
        partial.train = max(partial.train, train)
        self._mentions[block] = _MENTIONS
        self.repeats += (partial.mask & arrived).bit_count()
        if arrived & ~partial.mask:
            partial.sealed[start:end] = data
            partial.mask |= arrived
        return memoryview(partial.sealed)[:length] if partial.mask == partial.full else None

    def complete(self, block: int) -> None:
        """Forget a block that is whole and was kept elsewhere."""
        self._epochs.pop(block, None)
        self._drop(block)

    def reject(self, block: int) -> int:
        """Forget what is there of a block that failed its authentication; return how often that has happened."""
        self._drop(block)
        epoch = self._epochs.get(block, 0) + 1
        self._epochs[block] = epoch
        return epoch

    def _drop(self, block: int) -> None:
        self._mentions.pop(block, None)
        partial = self._partial.pop(block, None)
        if partial is not None and len(self._buffers) < _KEPT:
            self._buffers.append(partial.sealed)

    def records(self, *, everything: bool = False) -> list[Record]:
        """Return what to tell the sender: blocks that were asked for again, and those with new segments.

        `everything` adds the oldest other ones, as far as one acknowledgement has room.
        """
        found = [Record(block, 0, epoch, 0) for block, epoch in self._epochs.items() if block not in self._partial]
        for block in list(self._mentions):
            partial = self._partial.get(block)
            left = self._mentions[block] - 1
            if left:
                self._mentions[block] = left
            else:
                del self._mentions[block]
            if partial is not None:
                found.append(self._record(block, partial))
        if everything and len(found) < MAX_RECORDS:
            told = {record.block for record in found}
            found += [self._record(block, partial) for block, partial in self._partial.items() if block not in told]
            del found[MAX_RECORDS:]
        return found

    def _record(self, block: int, partial: Partial) -> Record:
        return Record(block, partial.cut, min(self._epochs.get(block, 0), 255), partial.mask)
