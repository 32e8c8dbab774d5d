"""What the file protocol needs from outside: a file to read, a file to write. Pure.

Failures are `TransferError` with a text for people; the transfer then ends, and both sides are told that text.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

Buffer = bytes | bytearray | memoryview
Address = tuple[str, int] | tuple[str, int, int, int]
"""As the socket gives it; compared and handed back, never looked into."""


class Source(Protocol):
    """The file that is sent."""

    def read_block(self, index: int, into: memoryview) -> None:
        """Fill `into` with the bytes of block `index`."""
        ...

    def check_unchanged(self) -> None:
        """Raise if the file is not the one that was opened any more."""
        ...


class Sink(Protocol):
    """The file that is received. Nothing is opened or made for it before one of these verbs is called."""

    def write_block(self, index: int, data: memoryview) -> None:
        """Keep the bytes of block `index`."""
        ...

    def read_block(self, index: int, into: memoryview) -> None:
        """Fill `into` with what was kept as block `index`."""
        ...

    def blocks_there(self) -> tuple[int, int]:
        """Return what is left of an earlier try: how many blocks from the first on, and a mask of those behind."""
        ...

    def start_over(self) -> None:
        """Forget all blocks."""
        ...

    def finish(self) -> str:
        """Make the file visible under its name; return its path."""
        ...

    def discard(self) -> None:
        """Remove what is there of the file. Never raises."""
        ...

    def keep(self) -> None:
        """Leave what is there for a later try. Never raises."""
        ...


class Train(NamedTuple):
    """Datagrams for one address, to be sent at once: `buffers` joined, and cut every `length` bytes.

    Each datagram is two neighbours in `buffers` (header, payload), or a single one where there is only one buffer.
    """

    address: Address
    buffers: list[Buffer]
    length: int
    datagrams: int


class Batch(NamedTuple):
    """Datagrams of data that were read at once: their headers and their payloads, each one behind the other.

    `step` is the payload of every datagram but the last, which may be shorter.
    """

    headers: bytearray
    payload: memoryview
    datagrams: int
    step: int
