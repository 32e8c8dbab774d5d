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


class Reloaded(Struct, frozen=True):
    """From a worker: it goes by the credentials of this number. From the logger: the log has their accounts.

    `without`, from the logger: whom they have and who has no account, for a group has the name.
    """

    number: int
    without: list[str] = []


class DeadWorker(Struct, frozen=True):
    """To the logger: this worker is dead; release its sessions once its stream is read to its end."""

    worker: Worker


class NewManager(Struct, frozen=True):
    """To the workers: the shared state is kept by another process from here on."""

    epoch: int


class Accounts(Struct, frozen=True):
    """Who has an account, names with their tags, as of the `number`th reading of the credentials."""

    number: int
    tags: dict[str, str]


class Reload(Struct, frozen=True):
    """To all: read the credentials again, use these limits, reopen the logs.

    `changed_users`: keys of those with another password. Workers answer with `Reloaded`, and then the logger is told,
    and answers (see reloading.py).
    """

    config: Config
    accounts: Accounts
    changed_users: list[str]


class Stop(Struct, frozen=True):
    """To all: end in good order."""


ToRole = DeadWorker | NewManager | Reload | Stop
FromRole = Ready | Failed | Notice | ReleasedWorker | Reloaded
