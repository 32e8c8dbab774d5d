"""What the client and its background UDP process say to each other over their pipe. Pure values.

The client asks, the process reports; every message but `Stop`, `Started` and `CannotRun` names its transfer (16
hexadecimal digits).
The UDP process gets neither the chat password nor the session token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from tessenger.errors import TransferError
from tessenger.undecodable import UNDECODABLE, reason


class ToReceiver(Struct, tag_field="kind", frozen=True):
    """From the client to its UDP process."""


class OpenFile(ToReceiver, frozen=True, tag="open"):
    """Open `path` (absolute) to be sent. Answered by `Opened` or `Failed`.

    The path is bytes, for not every name on a disk is UTF-8.
    """

    transfer: str
    path: bytes
    name: str = ""
    """What it is offered as, with folders in front where it is sent with others; "" its own name."""


class SendFile(ToReceiver, frozen=True, tag="send"):
    """The offer was accepted: send the opened file to `host`:`port`. `key` is the receiver's public key.

    `sender` and `receiver` are the two users; both sides bind them into the keys.
    """

    transfer: str
    sender: str
    receiver: str
    key: str
    host: str
    port: int


class ReceiveFile(ToReceiver, frozen=True, tag="receive"):
    """Take a file that was offered. Answered by `Ready` (then the offer can be accepted) or `Failed`."""

    transfer: str
    sender: str
    receiver: str
    name: str
    size: int
    key: str
    host: str
    port: int


class Abort(ToReceiver, frozen=True, tag="abort"):
    """Give a transfer up; the other side is told. Answered by `Failed` with this reason, if it was known."""

    transfer: str
    reason: str
    keep: bool = False
    """What has arrived stays, for a later try."""


class Stop(ToReceiver, frozen=True, tag="stop"):
    """End the process."""


class FromReceiver(Struct, tag_field="kind", frozen=True):
    """From the UDP process to its client."""


class Started(FromReceiver, frozen=True, tag="started"):
    """The UDP socket is bound to `port`."""

    port: int


class CannotRun(FromReceiver, frozen=True, tag="cannot_run"):
    """The process cannot work (its port is taken, say) and ends."""

    reason: str


class Opened(FromReceiver, frozen=True, tag="opened"):
    """The file can be offered: its last path component, its size, and our public key for this transfer."""

    transfer: str
    name: str
    size: int
    key: str


class Ready(FromReceiver, frozen=True, tag="ready"):
    """The offer can be accepted with this public key of ours."""

    transfer: str
    key: str


class Progress(FromReceiver, frozen=True, tag="progress"):
    """How far a transfer is; sent a few times a second. `rate` is in bytes a second, smoothed."""

    transfer: str
    done: int
    size: int
    rate: float
    stalled: bool


class Resumed(FromReceiver, frozen=True, tag="resumed"):
    """`done` bytes are there from an earlier try. 0: that was of a file that differs, and all of this one is sent."""

    transfer: str
    done: int


class Done(FromReceiver, frozen=True, tag="done"):
    """The whole file is there and was verified. `path` is where it landed (for a sender: where it came from).

    `code` is a short authentication string that both people see the same, made from the handshake.
    """

    transfer: str
    path: str
    size: int
    seconds: float
    code: str


class Failed(FromReceiver, frozen=True, tag="failed"):
    """The transfer ended without a file; `reason` is for people."""

    transfer: str
    reason: str


AnyToReceiver = OpenFile | SendFile | ReceiveFile | Abort | Stop
AnyFromReceiver = Started | CannotRun | Opened | Ready | Progress | Resumed | Done | Failed

_M = TypeVar("_M")
encode = msgspec.msgpack.Encoder().encode
"""Return a message as it goes through the pipe."""


def _decoding(decoder: msgspec.msgpack.Decoder[_M]) -> Callable[[bytes], _M]:
    def decode(data: bytes) -> _M:
        try:
            return decoder.decode(data)
        except UNDECODABLE as error:
            raise TransferError(f"the other process sent what makes no sense: {reason(error)}") from error

    return decode


decode_to_receiver = _decoding(msgspec.msgpack.Decoder(AnyToReceiver))
decode_from_receiver = _decoding(msgspec.msgpack.Decoder(AnyFromReceiver))
"""Return a message that came through the pipe. Both raise `TransferError`: whoever gets nonsense hangs up."""
