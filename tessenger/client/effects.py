"""What comes of a fact about a file: values that `file_commands.py` carries out. Pure."""

from __future__ import annotations

from msgspec import Struct

from tessenger.client.receiver_messages import AnyToReceiver
from tessenger.wire.messages import Accept, Cancel, P2PVideo, Reject


class Ask(Struct, frozen=True):
    """Send this request; its answer goes to `answered`."""

    transfer: str
    request: P2PVideo | Accept | Reject | Cancel


class Tell(Struct, frozen=True):
    """Give this to the UDP process."""

    message: AnyToReceiver


class Show(Struct, frozen=True):
    """Show this as an event of the chat."""

    text: str


class Refuse(Struct, frozen=True):
    """Say that what was asked for is not done, and why."""

    text: str


class Note(Struct, frozen=True):
    """Mention this aside."""

    text: str


Effect = Ask | Tell | Show | Refuse | Note
Effects = list[Effect]
