"""How a file is cut: into blocks, and blocks into the payloads of datagrams. Pure.

A block is 61,440 bytes of the file, the last one what is left. Encrypted it is 16 bytes longer, and that ciphertext is
cut into segments. How long a segment is depends on the path; the few lengths that there are (*cuts*) have numbers, so
that each datagram says in three bits how its block is cut.
"""

from __future__ import annotations

from tessenger.errors import TransferError

BLOCK = 61_440
TAG = 16
SEALED = BLOCK + TAG
"""Bytes of a whole block's ciphertext."""

HEADER = 18
"""Bytes in front of every datagram, of data or control."""

CUTS = (1_200, 1_384, 1_452, 8_952, SEALED + HEADER)
"""Datagram lengths, by cut number: what any path carries (RFC 9000, section 14), a tunnel inside Ethernet, Ethernet
with IPv6 (1,500 less 48), jumbo frames of 9,000, and a whole block in one datagram, for a loopback route."""

MAX_BLOCKS = 2**32 - 1
MAX_SIZE = MAX_BLOCKS * BLOCK


def block_count(size: int) -> int:
    """Return the number of blocks of a file of `size` bytes; raise `TransferError` for one that cannot be numbered."""
    if size > MAX_SIZE:
        raise TransferError(f"files of more than {MAX_SIZE:,} bytes cannot be sent")
    return -(-size // BLOCK)


def block_length(size: int, index: int) -> int:
    """Return how many bytes of a file of `size` bytes are in block `index`."""
    return min(BLOCK, size - index * BLOCK)


def payload_length(cut: int) -> int:
    """Return the length of every segment but the last of a block that is cut so."""
    return CUTS[cut] - HEADER


def segment_count(sealed: int, cut: int) -> int:
    """Return into how many segments `sealed` bytes of ciphertext are cut: at most 52."""
    return -(-sealed // (CUTS[cut] - HEADER))
