"""Frames between the logger and those who append to it or follow it: a length (4 bytes, little-endian), MessagePack.

No socket here. A follower begins with `Follow`; the logger answers `Following`, sends what was missed, then `CaughtUp`,
and from there on every committed batch as a `Feed`. Whoever gets what is no frame hangs up, and both begin anew.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from tessenger.chat.entries import AnyEntry
from tessenger.chat.routing import Fed
from tessenger.errors import WireError
from tessenger.undecodable import UNDECODABLE, reason

MAX_FRAME = 268_435_456
"""Bytes of the longest frame: twice what `log_link.RESENT` entries take at the very most.

A length above it is nonsense, and whoever waited for so much would hear no more."""

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode


class Follow(Struct, array_like=True, tag="follow", frozen=True):
    """Feed me everything behind `after`. Slot 0 only follows, and gets only entries that change the present state."""

    slot: int
    generation: int
    after: int


class Append(Struct, array_like=True, tag="append", frozen=True):
    """Order these entries; the first is this worker's `first_n`th.

    `is_urgent`: some client waits for its acknowledgement.
    """

    first_n: int
    batch: list[AnyEntry]
    is_urgent: bool = False


class Following(Struct, array_like=True, tag="following", frozen=True):
    """You will be fed. `n`: the last of your entries that was ordered before."""

    n: int


class CaughtUp(Struct, array_like=True, tag="caught", frozen=True):
    """That was everything you had missed; send again what is not among it and behind `Following.n`."""


class Feed(Struct, array_like=True, tag="feed", frozen=True):
    """What was committed and concerns the follower, in order."""

    batch: Sequence[Fed]


ToLogger = Follow | Append
FromLogger = Following | CaughtUp | Feed

_Frame = TypeVar("_Frame")


def encode(frame: ToLogger | FromLogger) -> bytes:
    """Encode one frame."""
    body = _encode(frame)
    return _LENGTH.pack(len(body)) + body


class FrameReader(Generic[_Frame]):
    """Cuts a stream into frames."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[_Frame]) -> None:
        """`decoder` is for the union of frames that may come."""
        self._decode = decoder.decode
        self._rest = bytearray()
        self._wanted = _LENGTH.size

    def feed(self, data: bytes) -> list[_Frame]:
        """Return the frames that `data` completes. Raises `WireError`; nothing behind that can be read."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []  # a long frame comes in many pieces, and is joined once
            data = bytes(self._rest)
        try:
            return self._cut(data)
        except UNDECODABLE as problem:
            raise WireError(f"no frame: {reason(problem)}") from problem

    def _cut(self, data: bytes) -> list[_Frame]:
        frames: list[_Frame] = []
        view = memoryview(data)
        start, end = 0, len(data)
        self._wanted = _LENGTH.size
        while end - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(data, start)
            body = start + _LENGTH.size
            if size > MAX_FRAME:
                raise WireError(f"a frame of {size} bytes")
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
