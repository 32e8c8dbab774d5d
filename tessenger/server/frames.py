"""Frames between the logger and those who append to it or follow it: a length (4 bytes, little-endian), MessagePack.

No socket here. A follower begins with `Follow`; the logger answers `Following`, sends
what was missed, then `CaughtUp`, and from there on every committed batch as a `Feed`.

Messages are most of it, so a `Feed` has no more of them than its reader needs (`abridged`): of one's own, which every
worker keeps until it has come back, the place in the log; of others', what their recipients are sent.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from tessenger.chat.entries import AnyEntry, GroupMessage, Message

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode


class Follow(Struct, array_like=True, tag="follow", frozen=True):
    """Feed me everything behind `after`. Slot 0 only follows, and gets only entries that change the present state."""

    slot: int
    generation: int
    after: int


class Append(Struct, array_like=True, tag="append", frozen=True):
    """Order these entries; the first is this worker's `first_n`th."""

    first_n: int
    batch: list[AnyEntry]


class Following(Struct, array_like=True, tag="following", frozen=True):
    """You will be fed. `n`: the last of your entries that was ordered before."""

    n: int


class CaughtUp(Struct, array_like=True, tag="caught", frozen=True):
    """That was everything you had missed; send again what is not among it and behind `Following.n`."""


class Placed(Struct, array_like=True, tag="at", gc=False):
    """Your entries `n` up to `n + count - 1` are committed, unchanged; their numbers begin with `seq`."""

    n: int
    count: int
    seq: int
    at: int


class Feed(Struct, array_like=True, tag="feed", frozen=True):
    """Committed entries that concern the follower, in order."""

    batch: Sequence[AnyEntry | Placed]


ToLogger = Follow | Append
FromLogger = Following | CaughtUp | Feed

_Frame = TypeVar("_Frame")


def encode(frame: ToLogger | FromLogger) -> bytes:
    """Encode one frame."""
    body = _encode(frame)
    return _LENGTH.pack(len(body)) + body


def abridged(batch: Sequence[AnyEntry], slot: int) -> list[AnyEntry | Placed]:
    """Return what the worker of `slot` needs of committed entries, 0 for any follower.

    Entries that follow each other in the log and are of one worker are `Placed` together: that is the order they have.
    """
    short: list[AnyEntry | Placed] = []
    placed = Placed(0, 0, 0, 0)
    for entry in batch:
        kind = type(entry)
        if kind is not Message and kind is not GroupMessage:
            short.append(entry)
        elif entry.slot == slot:
            if entry.n == placed.n + placed.count and entry.seq == placed.seq + placed.count and entry.at == placed.at:
                placed.count += 1
            else:
                placed = Placed(entry.n, 1, entry.seq, entry.at)
                short.append(placed)
        else:
            short.append(without_text(entry))  # type: ignore[arg-type]  # by kind
    return short


def without_text(entry: Message | GroupMessage) -> AnyEntry:
    """Return a message as workers need it: its body has the text already, and says who it is from."""
    e = entry
    if type(e) is Message:
        return Message(0, 0, 0, "", e.to, "", e.body, seq=e.seq, at=e.at, slot=e.slot, n=e.n)
    return GroupMessage(0, 0, 0, "", e.group, "", e.body, seq=e.seq, at=e.at, slot=e.slot, n=e.n)  # type: ignore[union-attr]  # by kind


class FrameReader(Generic[_Frame]):
    """Cuts a stream into frames."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[_Frame]) -> None:
        """`decoder` is for the union of frames that may come."""
        self._decode = decoder.decode
        self._rest = bytearray()
        self._wanted = _LENGTH.size

    def feed(self, data: bytes) -> list[_Frame]:
        """Return the frames that `data` completes."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []  # a long frame comes in many pieces, and is joined once
            data = bytes(self._rest)
        frames: list[_Frame] = []
        view = memoryview(data)
        start, end = 0, len(data)
        self._wanted = _LENGTH.size
        while end - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(data, start)
            body = start + _LENGTH.size
            if end - body < size:
                self._wanted += size
                break
            frames.append(self._decode(view[body : body + size]))
            start = body + size
        self._rest = bytearray(view[start:])
        return frames


def for_logger() -> FrameReader[ToLogger]:
    """Read what the logger is sent."""
    return FrameReader(msgspec.msgpack.Decoder(ToLogger))


def from_logger() -> FrameReader[FromLogger]:
    """Read what the logger sends."""
    return FrameReader(msgspec.msgpack.Decoder(FromLogger))
