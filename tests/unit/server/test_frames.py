"""Frames between the server's processes survive any fragmentation, and long ones cost no more than their bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.chat.entries import AnyEntry, Mark, Message
from tessenger.errors import WireError
from tessenger.server import frames


def message(text: str) -> AnyEntry:
    """Return a message."""
    return Message(1, 1, 2, "aaa", "bbb", text, b"body")


NONSENSE = {
    "length": b"\xff\xff\xff\xff",
    "kind": b"\x05\0\0\0\x91\xa3odd",
    "depth": b"\xd0\x07\0\0\x92\xa6caught" + b"\x91" * 1_992,
    "text": b"\x03\0\0\0\x91\xa1\xff",
    "empty": bytes(4),
}


contents = st.lists(
    st.one_of(
        st.builds(frames.Following, st.integers(0, 2**40)),
        st.just(frames.CaughtUp()),
        st.builds(
            lambda texts: frames.Feed([Mark(), *map(message, texts)]), st.lists(st.text(max_size=300), max_size=3)
        ),
    ),
    max_size=8,
)


@given(contents, st.lists(st.integers(1, 100), min_size=1))
def test_any_fragments_give_the_same_frames(sent: list[frames.FromLogger], cuts: list[int]) -> None:
    """One by one or many in one read."""
    data = b"".join(map(frames.encode, sent))
    reader = frames.from_logger()
    got: list[frames.FromLogger] = []
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        got += reader.feed(data[:size])
        data = data[size:]
        turn += 1
    assert got == sent


def test_a_long_frame_in_small_pieces_is_joined_once() -> None:
    """64 MiB in pieces of 16 KiB: joined anew for each piece, it would take minutes."""
    text = "x" * (1 << 20)
    data = frames.encode(frames.Feed([message(text)] * 64))
    reader = frames.from_logger()
    began = time.process_time()
    got = [frame for start in range(0, len(data), 1 << 14) for frame in reader.feed(data[start : start + (1 << 14)])]
    assert time.process_time() - began < 5
    (feed,) = got
    assert isinstance(feed, frames.Feed)
    assert len(feed.batch) == 64


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_what_is_no_frame_is_one_error(nonsense: bytes) -> None:
    """Of one kind, whatever the decoder made of it; a length that no frame has is not waited for."""
    for reader in (frames.from_logger(), frames.for_logger()):
        with pytest.raises(WireError, match="frame"):
            reader.feed(nonsense)
