"""What the supervisor and its processes say to each other over their control pipes. Pure values."""

from __future__ import annotations

from msgspec import Struct

from tessenger.chat.ports import Worker
from tessenger.config import Config


class Ready(Struct, frozen=True):
    """The process does its work from here on."""


class Failed(Struct, frozen=True):
    """The process cannot do its work here at all; the server stops with this reason."""

    reason: str
    exit_status: int


class Notice(Struct, frozen=True):
    """Something that the administrator should know of, and can mend."""

    text: str


class ReleasedWorker(Struct, frozen=True):
    """From the logger: the sessions of this dead worker are detached."""

    worker: Worker


class DeadWorker(Struct, frozen=True):
    """To the logger: this worker is dead; release its sessions once its stream is read to its end."""

    worker: Worker


class NewManager(Struct, frozen=True):
    """To the workers: the shared state is kept by another process from here on."""

    epoch: int


class Reload(Struct, frozen=True):
    """To all: read the credentials again, use these limits, reopen the logs.

    `removed_users` are keys of users whose account is gone, `changed_users` of those with another password.
    """

    config: Config
    removed_users: list[str]
    changed_users: list[str]


class Stop(Struct, frozen=True):
    """To all: end in good order."""


ToRole = DeadWorker | NewManager | Reload | Stop
FromRole = Ready | Failed | Notice | ReleasedWorker
