"""A connection as the chat sees it: what is kept back, and what it takes while nobody talks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from tessenger.chat.link import Link
from tessenger.wire.messages import Ping

LINKS = 1_000
LINK_BYTES = 440


class Written:
    """A carrier that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        """Keep it."""
        self.data += data
        return len(data)

    def write_rest(self, data: bytes) -> None:
        """Keep it, too."""
        self.data += data

    def close(self) -> None:
        """Nothing to close."""

    def fail(self) -> None:
        """Nothing fails here."""

    def go_on(self) -> None:
        """Nothing was stopped."""

    def when_written(self, then: Callable[[], None]) -> None:
        """There is room at once."""
        then()

    def kept_back(self, size: int) -> None:
        """It may be any size."""


def test_what_is_kept_back_goes_out_in_order() -> None:
    """Up to the next place that is empty, whichever place is filled first; a place may turn out empty."""
    carrier = Written()
    link = Link("", carrier)
    first = link.hold()
    link.send(b"b")
    second = link.hold()
    link.send(b"d")
    third = link.hold()
    link.send(b"f")
    link.release(second, b"c")
    assert carrier.data == b""
    link.release(first, b"a")
    assert carrier.data == b"abcd"
    assert link.is_holding
    link.release(third, b"")
    assert carrier.data == b"abcdf"
    assert not link.is_holding
    link.send(b"g")
    assert carrier.data == b"abcdfg"


def test_what_waits_is_taken_in_order() -> None:
    """Requests behind one that is under way are carried out as they came."""
    link = Link("", Written())
    for number in range(3):
        link.waiting.append(Ping(number))
    assert [link.waiting.popleft() for _ in range(3)] == [Ping(0), Ping(1), Ping(2)]
    assert not link.waiting


def test_what_a_link_takes() -> None:
    """In bytes while nothing waits. There are thousands in each worker; with two empty deques it would be 1,800."""
    carrier = Written()
    tracemalloc.start()
    try:
        links = [Link("", carrier) for _ in range(LINKS)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(links) <= LINK_BYTES
