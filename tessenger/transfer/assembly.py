"""Putting blocks together from segments, at the receiver. Pure."""

from __future__ import annotations

from tessenger.transfer.blocks import BLOCK, SEALED, payload_length, segment_count
from tessenger.transfer.packets import EPOCHS, MAX_RECORDS, Record

_MENTIONS = 3
"""Acknowledgements that tell of a change in a block: as many may be lost without a needless repeat."""
MOST_BLOCKS = 512
"""Blocks that are not whole, of all transfers of a process together: 30 MiB, as much as one sender keeps."""
_KEPT = 32
"""Buffers that are kept for the next blocks."""


class BlockBuffers:
    """Room for the blocks that are not whole, shared by all transfers of a process so that no peer can take it all.

    Where it is used up, whoever has most of it gives some back; his peer sends that again. One block, the first that is
    missing, everyone has always.
    """

    def __init__(self, most: int = MOST_BLOCKS) -> None:
        self.plain = memoryview(bytearray(BLOCK))
        """Where a block is opened; it is used up before the next one."""
        self._most = most
        self._free: list[bytearray] = []
        self._users: dict[Assembly, int] = {}

    @property
    def used(self) -> int:
        """How many blocks are kept."""
        return sum(self._users.values())

    def take(self, user: Assembly, *, first: bool) -> bytearray | None:
        """Return room for a block, the `first` that is missing or another; None where there is none."""
        has = self._users.get(user, 0)
        if self.used >= self._most:
            greediest = max(self._users, key=self._users.__getitem__)
            if self._users[greediest] > has + 1:
                greediest.give_up_newest()
            elif not first:
                return None
            elif has:
                user.give_up_newest()
        self._users[user] = self._users.get(user, 0) + 1
        return self._free.pop() if self._free else bytearray(SEALED)

    def give_back(self, user: Assembly, buffers: list[bytearray]) -> None:
        """Take back what is not needed any more."""
        self._free += buffers[: max(0, _KEPT - len(self._free))]
        left = self._users.get(user, 0) - len(buffers)
        if left:
            self._users[user] = left
        else:
            self._users.pop(user, None)


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
    """The blocks of one transfer that are not whole yet. `first` is the first that is missing."""

    def __init__(self, buffers: BlockBuffers, first: int = 0) -> None:
        self.first = first
        self._buffers = buffers
        self._partial: dict[int, Partial] = {}
        self._mentions: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._failures: dict[int, int] = {}
        self.repeats = 0

    def __contains__(self, block: int) -> bool:
        return block in self._partial

    def add(
        self, block: int, length: int, cut: int, train: int, first: int, count: int, data: memoryview
    ) -> memoryview | None:
        """Take `count` segments from number `first` on; return the ciphertext once the block is whole.

        `length` is the ciphertext's. What does not fit (a segment too many, a wrong length) is dropped, and so is what
        there is no room for.
        """
        step, segments = payload_length(cut), segment_count(length, cut)
        start, end = first * step, min((first + count) * step, length)
        if first + count > segments or len(data) != end - start:
            return None
        partial = self._partial.get(block)
        if partial is None:
            room = self._buffers.take(self, first=block == self.first)
            if room is None:
                return None
            partial = self._partial[block] = Partial(room)
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
        self._failures.pop(block, None)
        self._drop(block)

    def reject(self, block: int) -> int:
        """Forget what is there of a block that failed its authentication; return how often that has happened."""
        self._ask_again(block)
        self._failures[block] = self._failures.get(block, 0) + 1
        return self._failures[block]

    def _ask_again(self, block: int) -> None:
        self._drop(block)
        self._epochs[block] = (self._epochs.get(block, 0) + 1) % EPOCHS

    def _drop(self, block: int) -> None:
        self._mentions.pop(block, None)
        partial = self._partial.pop(block, None)
        if partial is not None:
            self._buffers.give_back(self, [partial.sealed])

    def give_up_newest(self) -> None:
        """Forget the block that can wait the longest; it is asked for again."""
        self._ask_again(max(self._partial))

    def anew(self) -> Assembly:
        """Return one for another try at the file, and close this one."""
        self.close()
        return Assembly(self._buffers)

    def close(self) -> None:
        """Forget all blocks, and do not ask for them."""
        self._buffers.give_back(self, [partial.sealed for partial in self._partial.values()])
        self._partial.clear()

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
        return Record(block, partial.cut, self._epochs.get(block, 0), partial.mask)
