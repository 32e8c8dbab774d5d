"""The datagrams of the file protocol, as bytes and as values. Pure. docs/transfer-protocol.md describes them.

Every datagram starts with 18 bytes. Data: session u64, block u32, train u32, segment u8, flags u8. Control: session
u64, number u64, kind u8, flags u8, where the flag `CONTROL` tells the two apart; what follows is sealed, and its
plaintext is what the functions of this module encode and decode. All integers are big-endian. Whatever bytes come,
decoding raises nothing but `PacketError`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

VERSION = 1

DATA = struct.Struct("!QIIBB")
CONTROL_HEADER = struct.Struct("!QQBB")
SESSION = struct.Struct("!Q")

CONTROL = 0x80
"""Flag: a control datagram."""
CUT_MASK = 0x07
"""Flags of data: the number of the cut."""
ATTEMPT_SHIFT = 3
"""Flags of data: the attempt's lowest bit, so that what is late from the first attempt is not taken for the second."""

MAX_CONTROL = 1_200
"""Bytes of the longest control datagram other than a probe: any path carries it."""
MAX_BITMAP = 512
"""Bytes of the bitmap of whole blocks in an acknowledgement."""
MAX_RECORDS = 40
"""Records of blocks in one acknowledgement."""
EPOCHS = 256
"""Of two epochs of a block the one up to 127 ahead of the other is the higher one."""
MAX_REASON = 300
"""Bytes of the reason of an ABORT."""


class PacketError(ValueError):
    """A datagram that passed its authentication is none of this protocol: the peer speaks another version, or lies."""


class Kind(IntEnum):
    """What a control datagram is."""

    HELLO = 1
    ACK = 2
    PING = 3
    CHALLENGE = 4
    RESPONSE = 5
    PROBE = 6
    PROBED = 7
    FIN = 8
    DONE = 9
    AGAIN = 10
    ABORT = 11
    BYE = 12
    CHECKING = 13
    HAVE = 14
    RESUMED = 15
    LEAVE = 16


class Hello(NamedTuple):
    """The handshake. `token` is this side's own, `echo` the peer's latest or eight zero bytes.

    `settled`: the peer's HELLO came and had this side's token in it, so no answer is needed.
    `receive_buffer` is the kernel's for the socket, in bytes; `window` how many blocks behind the first one that is
    missing are taken. `resumes`: a receiver has blocks of an earlier try, and will say which in HAVE.
    """

    version: int
    cipher: int
    settled: bool
    receive_buffer: int
    window: int
    token: bytes
    echo: bytes
    resumes: bool = False


class Have(NamedTuple):
    """What a receiver has of an earlier try.

    The blocks below `prefix`, the BLAKE3 hash of which is `digest`, and those whose bit (n: block `prefix` + n) is set
    in `ahead`.
    """

    prefix: int
    digest: bytes
    ahead: int


class Record(NamedTuple):
    """What has come of one block: `mask` has bit n set for segment n of a block cut as `cut` says.

    `epoch` counts, modulo `EPOCHS`, how often the receiver has forgotten the block, as it failed its authentication or
    its room was needed: a record with a higher epoch than before asks for the whole block again.
    """

    block: int
    cut: int
    epoch: int
    mask: int


class Ack(NamedTuple):
    """What has come. `train` is the highest since the acknowledgement before, `delay` its age in microseconds.

    Where nothing has come since then they are those of before, and 0 where nothing ever has. (Were it the highest of
    all, a single damaged header could name one that is higher than all to come.)

    All blocks below `cumulative` are whole, and those whose bit (n: block `cumulative` + n) is set in `whole`.
    `repeats` counts the segments that had come before.
    """

    attempt: int
    train: int
    delay: int
    cumulative: int
    repeats: int
    whole: int
    records: tuple[Record, ...]


class Fin(NamedTuple):
    """The file has ended: its length, and the BLAKE3 hash of all of it."""

    attempt: int
    size: int
    digest: bytes


_HELLO = struct.Struct("!BB?IH8s8s?")
_HAVE = struct.Struct("!I32sH")
_BLOCKS = struct.Struct("!I")
_FLAG = struct.Struct("!?")
_ACK = struct.Struct("!BIIIIHB")
_RECORD = struct.Struct("!IBBQ")
_FIN = struct.Struct("!BQ32s")
_ATTEMPT = struct.Struct("!B")
_LENGTH = struct.Struct("!H")

NO_ECHO = bytes(8)
_SEGMENTS = bytes(range(256))


def encode_hello(hello: Hello) -> bytes:
    """Return the body of a HELLO."""
    return _HELLO.pack(*hello)


def decode_hello(body: bytes) -> Hello:
    """Return what the body of a HELLO says. Bytes behind what this version knows are skipped."""
    return Hello(*_unpack(_HELLO, body))


def encode_ack(ack: Ack) -> bytes:
    """Return the body of an ACK. Of `whole` only the first 4,096 blocks are told."""
    whole = ack.whole & ((1 << 8 * MAX_BITMAP) - 1)
    bitmap = whole.to_bytes((whole.bit_length() + 7) // 8, "little")
    delay = min(ack.delay, 2**32 - 1)
    head = _ACK.pack(
        ack.attempt, ack.train, delay, ack.cumulative, ack.repeats & 0xFFFFFFFF, len(bitmap), len(ack.records)
    )
    return b"".join((head, bitmap, *(_RECORD.pack(*record) for record in ack.records)))


def decode_ack(body: bytes) -> Ack:
    """Return what the body of an ACK says."""
    attempt, train, delay, cumulative, repeats, bitmap, records = _unpack(_ACK, body)
    middle = _ACK.size + bitmap
    if len(body) != middle + records * _RECORD.size or bitmap > MAX_BITMAP:
        raise PacketError("an acknowledgement of a wrong length")
    whole = int.from_bytes(body[_ACK.size : middle], "little")
    listed = tuple(Record(*fields) for fields in _RECORD.iter_unpack(body[middle:]))
    return Ack(attempt, train, delay, cumulative, repeats, whole, listed)


def encode_fin(fin: Fin) -> bytes:
    """Return the body of a FIN."""
    return _FIN.pack(*fin)


def decode_fin(body: bytes) -> Fin:
    """Return what the body of a FIN says."""
    return Fin(*_unpack(_FIN, body))


def encode_have(have: Have) -> bytes:
    """Return the body of a HAVE. Of `ahead` only the first 4,096 blocks are told."""
    ahead = have.ahead & ((1 << 8 * MAX_BITMAP) - 1)
    bitmap = ahead.to_bytes((ahead.bit_length() + 7) // 8, "little")
    return _HAVE.pack(have.prefix, have.digest, len(bitmap)) + bitmap


def decode_have(body: bytes) -> Have:
    """Return what the body of a HAVE says."""
    prefix, digest, length = _unpack(_HAVE, body)
    bitmap = body[_HAVE.size : _HAVE.size + length]
    if length > MAX_BITMAP or len(bitmap) != length:
        raise PacketError("a bitmap of a wrong length")
    return Have(prefix, digest, int.from_bytes(bitmap, "little"))


def encode_blocks(blocks: int) -> bytes:
    """Return the body of CHECKING: how many blocks were checked so far."""
    return _BLOCKS.pack(blocks)


def encode_flag(flag: bool) -> bytes:
    """Return the body of RESUMED: whether the file is the same as in the earlier try."""
    return _FLAG.pack(flag)


def decode_flag(body: bytes) -> bool:
    """Return what a RESUMED says."""
    flag: bool = _unpack(_FLAG, body)[0]
    return flag


def encode_attempt(attempt: int) -> bytes:
    """Return the body of DONE (the attempt that is whole) and AGAIN (the attempt to start)."""
    return _ATTEMPT.pack(attempt)


def decode_attempt(body: bytes) -> int:
    """Return the attempt that a DONE or AGAIN names."""
    attempt: int = _unpack(_ATTEMPT, body)[0]
    return attempt


def encode_length(length: int) -> bytes:
    """Return the body of PROBED: the length of the probe that came."""
    return _LENGTH.pack(length)


def decode_length(body: bytes) -> int:
    """Return the length that a PROBED names."""
    length: int = _unpack(_LENGTH, body)[0]
    return length


def decode_token(body: bytes) -> bytes:
    """Return the eight bytes of a CHALLENGE or RESPONSE."""
    if len(body) < 8:
        raise PacketError("a token that is too short")
    return body[:8]


def encode_reason(reason: str) -> bytes:
    """Return the body of an ABORT, cut where it is too long."""
    return reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore").encode()


def decode_reason(body: bytes) -> str:
    """Return the reason of an ABORT, on one line and printable, since it is another person's text."""
    text = body[:MAX_REASON].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def session_of(datagram: bytes | bytearray | memoryview) -> int:
    """Return the session id at the front of a datagram, or -1 for one that is too short."""
    if len(datagram) < CONTROL_HEADER.size:
        return -1
    session: int = SESSION.unpack_from(datagram)[0]
    return session


def run_end(headers: bytearray, first: int, count: int) -> int:
    """Return where the segments end that follow each other in one block, from datagram `first` of `count` on."""
    start = first * DATA.size
    segments = headers[start + 16 : count * DATA.size : DATA.size]
    expected = _SEGMENTS[segments[0] : segments[0] + len(segments)]
    if segments != expected:
        differ = (n for n, (found, due) in enumerate(zip(segments, expected, strict=False)) if found != due)
        segments = segments[: next(differ, len(expected))]
    last = start + (len(segments) - 1) * DATA.size
    if headers[last : last + 12] == headers[start : start + 12] and headers[last + 17] == headers[start + 17]:
        return first + len(segments)
    return first + 1


def _unpack(layout: struct.Struct, body: bytes) -> tuple[Any, ...]:
    if len(body) < layout.size:
        raise PacketError(f"a body of {len(body)} bytes is too short")
    return layout.unpack_from(body)
