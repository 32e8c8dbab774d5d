"""Who is next: fair between addresses, and slower for those that keep failing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessenger.server.fair_queue import (
    FIRST_PAUSE_SECONDS,
    FORGIVEN_SECONDS,
    FREE_FAILURES,
    LONGEST_PAUSE_SECONDS,
    FairQueue,
)

Queue = FairQueue[tuple[str, int]]


def all_of(queue: Queue, now: float = 0.0) -> list[tuple[str, int]]:
    """Take out everything that may have its turn."""
    found = []
    while (item := queue.pop(now)) is not None:
        found.append(item)
    return found


def test_addresses_take_turns() -> None:
    """However many one of them has waiting; each in its own order. Who had no turn yet comes first."""
    queue = Queue(100, 1_000)
    for number in range(3):
        for address in ("a", "a", "b"):
            assert queue.push(address, (address, number)) is None
    assert [queue.pop(0) for _ in range(4)] == [("a", 0), ("b", 0), ("a", 0), ("b", 1)]
    queue.push("c", ("c", 0))
    assert queue.pop(0) == ("c", 0)
    assert len(all_of(queue)) == len(range(5))
    assert (len(queue), queue.next_at()) == (0, None)


def test_room_is_taken_from_who_has_most() -> None:
    """Of one address so many, in all so many: what came last of whoever has most has none."""
    queue = Queue(3, 5)
    assert [queue.push("a", ("a", number)) for number in range(4)] == [None, None, None, ("a", 3)]
    assert [queue.push(address, (address, 0)) for address in "bcd"] == [None, None, ("a", 2)]
    assert sorted(all_of(queue)) == [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("d", 0)]


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=200), st.integers(1, 6), st.integers(1, 12)
)
def test_nothing_is_lost_or_doubled(steps: list[tuple[str, bool]], each: int, in_all: int) -> None:
    """Whatever comes in whatever order, and the bounds hold."""
    queue = Queue(each, in_all)
    waiting: list[tuple[str, int]] = []
    for number, (address, comes) in enumerate(steps):
        if comes:
            waiting.append((address, number))
            over = queue.push(address, (address, number))
            if over is not None:
                waiting.remove(over)
        elif (item := queue.pop(0)) is not None:
            assert item == next(other for other in waiting if other[0] == item[0])
            waiting.remove(item)
        assert len(queue) == len(waiting) <= in_all
    assert queue.drop(lambda item: item[0] == "a") == [item for item in waiting if item[0] == "a"]
    assert sorted(all_of(queue)) == sorted(item for item in waiting if item[0] != "a")


def test_who_keeps_failing_waits() -> None:
    """First of all others, then longer and longer, up to a bound; and is forgiven with time."""
    queue = Queue(10, 100)
    for _ in range(FREE_FAILURES - 1):
        queue.failed("a", 0.0)
    queue.push("a", ("a", 0))
    queue.push("b", ("b", 0))
    queue.push("b", ("b", 1))
    assert all_of(queue, 0.0) == [("b", 0), ("b", 1), ("a", 0)]
    pauses = []
    for _ in range(12):
        queue.failed("a", 0.0)
        queue.push("a", ("a", 1))
        assert queue.pop(0.0) is None
        free_at = queue.next_at()
        assert free_at is not None
        pauses.append(free_at)
        assert queue.pop(free_at) == ("a", 1)
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    later = 30 * FORGIVEN_SECONDS
    queue.push("a", ("a", 2))
    queue.push("b", ("b", 2))
    queue.failed("b", later)
    assert all_of(queue, later) == [("a", 2), ("b", 2)]
