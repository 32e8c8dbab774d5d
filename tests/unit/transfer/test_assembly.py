"""Putting blocks together: segments in any order, cut in any way, told in acknowledgements."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tessenger.transfer.assembly import MOST_BLOCKS, Assembly, BlockBuffers
from tessenger.transfer.blocks import CUTS, SEALED, payload_length, segment_count
from tessenger.transfer.packets import MAX_RECORDS, Record

SEALED_BLOCK = memoryview(random.Random(1).randbytes(SEALED))


def _segment(cut: int, n: int, length: int = SEALED) -> memoryview:
    step = payload_length(cut)
    return SEALED_BLOCK[:length][n * step : (n + 1) * step]


@given(st.integers(17, SEALED), st.integers(0, len(CUTS) - 1), st.randoms(use_true_random=False))
def test_any_order(length: int, cut: int, order: random.Random) -> None:
    """A block is whole with its last segment, whatever the order, and repeats are counted."""
    assembly = Assembly(BlockBuffers())
    numbers = [*range(segment_count(length, cut))] * 2
    order.shuffle(numbers)
    seen: set[int] = set()
    for n in numbers:
        whole = assembly.add(7, length, cut, 1, n, 1, _segment(cut, n, length))
        seen.add(n)
        if len(seen) == len(numbers) // 2:
            assert whole == SEALED_BLOCK[:length]
            break
        assert whole is None
    assert assembly.repeats >= 0
    assembly.complete(7)
    assert 7 not in assembly


def test_what_does_not_fit_is_dropped() -> None:
    """A segment too many, or one of a wrong length, is dropped and begins no block."""
    assembly = Assembly(BlockBuffers())
    assert assembly.add(0, SEALED, 0, 1, 52, 1, memoryview(bytes(1_182))) is None
    assert assembly.add(0, SEALED, 0, 1, 0, 1, memoryview(bytes(1_181))) is None
    assert assembly.add(0, SEALED, 0, 1, 51, 1, memoryview(bytes(1_182))) is None
    assert assembly.add(0, SEALED, 0, 1, 50, 9, memoryview(bytes(9 * 1_182))) is None
    assert 0 not in assembly


def test_another_cut_begins_anew() -> None:
    """A newer train that is cut otherwise begins the block anew; an older one is dropped."""
    assembly = Assembly(BlockBuffers())
    assembly.add(0, SEALED, 3, 5, 0, 1, _segment(3, 0))
    assembly.add(0, SEALED, 0, 4, 0, 1, _segment(0, 0))
    assert assembly.records() == [Record(0, 3, 0, 1)]
    assembly.add(0, SEALED, 0, 6, 2, 1, _segment(0, 2))
    assert assembly.records() == [Record(0, 0, 0, 0b100)]


def test_changes_are_told_three_times() -> None:
    """New segments are in the next three acknowledgements, all that is incomplete in every one that has room."""
    assembly = Assembly(BlockBuffers())
    assembly.add(3, SEALED, 0, 1, 0, 2, SEALED_BLOCK[: 2 * 1_182])
    told = [assembly.records() for _ in range(4)]
    assert told == [[Record(3, 0, 0, 0b11)]] * 3 + [[]]
    assert assembly.records(everything=True) == [Record(3, 0, 0, 0b11)]
    for block in range(100):
        assembly.add(block, SEALED, 0, 1, 0, 1, _segment(0, 0))
    for _ in range(3):
        assembly.records()
    assert len(assembly.records(everything=True)) == MAX_RECORDS


def test_rejected_block_is_asked_for_until_it_comes() -> None:
    """A block that did not open is asked for, with its new epoch, in every acknowledgement until some of it comes."""
    assembly = Assembly(BlockBuffers())
    assembly.add(3, SEALED, 0, 1, 0, 1, _segment(0, 0))
    assert assembly.reject(3) == 1
    assert [assembly.records() for _ in range(5)] == [[Record(3, 0, 1, 0)]] * 5
    assembly.add(3, SEALED, 0, 2, 1, 1, _segment(0, 1))
    assert assembly.records() == [Record(3, 0, 1, 0b10)]
    assert assembly.reject(3) == 2
    assembly.complete(3)
    assert assembly.records() == []


def test_room_is_shared() -> None:
    """Whoever begins all blocks he may gets no more than the bound, and gives back to another who comes later."""
    buffers = BlockBuffers(10)
    greedy, modest = Assembly(buffers), Assembly(buffers)

    def begin(assembly: Assembly, block: int) -> bool:
        assembly.add(block, SEALED, 2, 1, 0, 1, _segment(2, 0))
        return block in assembly

    assert [begin(greedy, block) for block in range(12)] == [True] * 10 + [False] * 2
    assert all(begin(modest, block) for block in range(4))
    assert buffers.used == 10
    given_back = {record.block for record in greedy.records() if not record.mask}
    assert given_back == {6, 7, 8, 9}, "the newest are asked for again"
    modest.close()
    assert buffers.used == 6
    assert modest.records() == []


def test_first_missing_block_always_has_room() -> None:
    """Without it nothing would go on, so it takes the place of one's own newest."""
    buffers = BlockBuffers(3)
    assembly = Assembly(buffers)
    for block in (5, 6, 7):
        assembly.add(block, SEALED, 2, 1, 0, 1, _segment(2, 0))
    assembly.first = 4
    assembly.add(4, SEALED, 2, 1, 0, 1, _segment(2, 0))
    assert 4 in assembly
    assert 7 not in assembly
    assert buffers.used == 3
    assert MOST_BLOCKS * SEALED < 32 << 20
