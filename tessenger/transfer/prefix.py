"""The sender's check that a file is still the one of which the receiver has a part. Pure.

The receiver tells the hash of the blocks from the first on that it has; the sender reads the same blocks and compares.
Both need that hash anyway, as the beginning of the whole file's.
"""

from __future__ import annotations

from blake3 import blake3

from tessenger.transfer.blocks import BLOCK, block_count, block_length
from tessenger.transfer.packets import Have, PacketError
from tessenger.transfer.ports import Source

BLOCKS_AT_ONCE = 64
"""Blocks that are read in one step, since other transfers wait meanwhile."""
TELL_EVERY = 0.2


class PrefixCheck:
    """A check under way; `same` is its result, None until there is one, and `hasher` has taken the prefix then."""

    def __init__(self, have: Have, source: Source, size: int, now: float) -> None:
        if have.prefix > block_count(size):
            raise PacketError("more blocks than the file has")
        self.have = have
        self.hasher = blake3()
        self.checked = 0
        self.same: bool | None = None
        self._source = source
        self._size = size
        self._plain = memoryview(bytearray(BLOCK))
        self._tell_at = now

    def step(self, now: float) -> bool:
        """Go on; tell whether the peer is to be told. Raises `TransferError` where the file cannot be read."""
        until = min(self.have.prefix, self.checked + BLOCKS_AT_ONCE)
        for block in range(self.checked, until):
            plain = self._plain[: block_length(self._size, block)]
            self._source.read_block(block, plain)
            self.hasher.update(plain)
        self.checked = until
        if until == self.have.prefix:
            self.same = self.hasher.digest() == self.have.digest
        if now < self._tell_at:
            return False
        self._tell_at = now + TELL_EVERY
        return True
