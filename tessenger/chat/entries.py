"""Entries of the one ordered log: every fact that the chat consists of, as a value. Pure.

A worker makes an entry and appends it; the logger gives it a sequence number and a time, commits it and passes it on
to all workers, which act on committed entries only. The same struct makes the whole journey, as a MessagePack array:
the fields of its kind first, then what the log adds.

Numbers: `session` is the claim number of the sign-in that began the session, `number` the claim of its latest
attachment (sign-in or resume): an entry with an older number comes from a worker that lost the session meanwhile, and
is refused. `request` is the client's request id, 0 where no request led to the entry.

Times are Unix milliseconds, of two clocks (docs/architecture.md, "Time"): `at` is what the wall clock said when the
entry was ordered, and may go back; when something ends (`until`, `expires`) is by the server's steady clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class Entry(Struct, array_like=True, kw_only=True, gc=False):
    """What the log adds to every entry. Mutable: the logger fills it in.

    `slot` and `n` say which worker appended it, and as the how-manieth of that worker's generation; the logger's own
    entries have slot 0. A `seq` of 0 means that the entry is passed on in order, but is not journaled.
    """

    seq: int = 0
    at: int = 0
    slot: int = 0
    n: int = 0


class Issued(Entry, gc=False):
    """An entry made on behalf of a signed-in person."""

    session: int
    number: int
    request: int


# ---- messages: the hot path ----


class Message(Issued, tag="m", gc=False):
    """A private message. `body` is the event as its recipient gets it, without `seq` and `at`, encoded once."""

    user: str
    to: str
    text: str
    body: bytes


class GroupMessage(Issued, tag="g", gc=False):
    """A message to all members of a group."""

    user: str
    group: str
    text: str
    body: bytes


# ---- presence ----

OfflineReason = Literal["logout", "timeout", "replaced", "removed"]


class Online(Entry, tag="on", gc=False):
    """A new session. It replaces any earlier session of the same user, without an `Offline` of its own.

    `expires`: when the token can no longer be used to resume, `token_ms` after the sign-in. `ip` is the address that
    was seen, `udp_host` the one that the client wants others to send files to, if it is another. `account`: whose it
    is, for the name alone does not tell that.
    """

    session: int
    number: int
    request: int
    user: str
    ip: str
    udp_port: int
    generation: int
    token_hash: bytes
    expires: int
    token_ms: int = 0
    udp_host: str = ""
    account: int = 0


class Resumed(Entry, tag="re", gc=False):
    """A session goes on over another connection."""

    session: int
    number: int
    request: int
    user: str
    ip: str
    udp_port: int
    generation: int


class Detached(Entry, tag="de", gc=False):
    """A session's connection broke; the person stays present until `until`, when the logger writes `Offline`."""

    session: int
    number: int
    user: str
    ip: str
    udp_port: int
    until: int


class Offline(Entry, tag="off", gc=False):
    """A session ended and its token is void. `request` is that of the logout, else 0."""

    session: int
    number: int
    request: int
    user: str
    ip: str
    udp_port: int
    reason: OfflineReason


class TokenVoided(Entry, tag="tv", gc=False):
    """The user's password changed: the session goes on, but can no longer be resumed."""

    session: int
    user: str


class Released(Entry, tag="rel", gc=False):
    """A worker died: every session that it held in this generation is detached until `until`. Written by the logger."""

    dead_slot: int
    generation: int
    until: int


# ---- accounts: who has one, as the credentials said when they were read; written by the logger ----


class AccountAdded(Entry, tag="aa", gc=False):
    """Somebody new has this name, and begins with nothing. The entry's own number is the account's.

    `tag`: what the credentials tell it by from an earlier account of the same name, "" for nothing.
    """

    user: str
    tag: str


class AccountRemoved(Entry, tag="ar", gc=False):
    """This account is over: what it was entitled to is nobody's from here on. Its session ended before."""

    user: str
    account: int


# ---- sign-in ----


class LoginFailed(Entry, tag="lf", gc=False):
    """A wrong password; `failures` is how many it makes in a row.

    `place`: the address by itself that it counts for, as the person has signed in from there before; "": all others.
    """

    user: str
    ip: str
    failures: int
    place: str = ""


class Blocked(Entry, tag="bl", gc=False):
    """One failure too many: sign-in is blocked until `until`, when the logger writes `Unblocked`. `place` as above."""

    user: str
    ip: str
    until: int
    seconds: float
    place: str = ""


class Unblocked(Entry, tag="ub", gc=False):
    """The block that ended at `until` is over. Written by the logger."""

    user: str
    until: int
    place: str = ""


# ---- groups ----


class GroupCreated(Issued, tag="gc", gc=False):
    """A new group; `members` includes its creator, in the order given. `claim`: the shared state's number for it.

    A `private` one is joined by invitation only, and shown to its members alone.
    """

    user: str
    group: str
    members: list[str]
    claim: int
    private: bool = False


class GroupJoined(Issued, tag="gj", gc=False):
    """`user` is a member of the group from here on."""

    user: str
    group: str
    claim: int


class GroupLeft(Issued, tag="gl", gc=False):
    """`to` is a member of the group no more: `user` left, or removed somebody else."""

    user: str
    to: str
    group: str


class Invited(Issued, tag="gi", gc=False):
    """`user` asks `to` to join the group; while that is open, `to` may join it though it is private."""

    user: str
    to: str
    group: str


# ---- the rest ----


class AwaySet(Issued, tag="aw", gc=False):
    """`user` lets others know that they do not look, or (with "") that they do again."""

    user: str
    text: str


class Command(Issued, tag="c", gc=False):
    """A command that leads to nothing else: a question, or one that was refused (with the error's code and text).

    `target`: the group that a refusal is about, where the console names it.
    """

    user: str
    name: str
    code: str = ""
    text: str = ""
    target: str = ""


class Signal(Issued, tag="s", gc=False):
    """What two clients tell each other about a file. `body` is the event as in `Message`; `name` the command."""

    user: str
    to: str
    name: str
    body: bytes


class Redacted(Entry, tag="rd", gc=False):
    """An administrator blanked the text of message `target_seq`, in the journal and in its activity log."""

    target_seq: int


class ClockSet(Entry, tag="ck", gc=False):
    """The wall clock was set by `ahead_ms` (negative: back): the stamps from here on do not go on with those before."""

    ahead_ms: int


REDACTED = "[redacted]"
"""What stands in the place of a text that was blanked."""

# ---- passed on in order, never journaled ----


class Mark(Entry, tag="k", gc=False):
    """A barrier: its worker learns that every entry ordered before it has been passed on."""


class Seen(Entry, tag="seen", gc=False):
    """The person was shown everything up to `upto`. Changes the present state beside the log."""

    session: int
    upto: int


class AccountsBegun(Entry, tag="ab", gc=False):
    """The log learns for the first time who has an account: tags by name.

    These have number 0, and with it whatever the log has under their names. Changes the present state beside the log.
    """

    accounts: dict[str, str]


RefusedReason = Literal["stale", "repeat", "exists", "gone", "full"]


class Refused(Entry, tag="no", gc=False):
    """The log's verdict on entry `n` of `slot`: it is not carried out.

    stale: its session is over or is served elsewhere. repeat: this request id was used already.
    exists: a group (or, where one is created, a user) of that name exists, or the user is a member. gone: the group
    does not exist, or someone is no member of it, or not invited, or has no account any more. full: too many are
    invited.
    `claim` is the claim that falls with it, 0 for none. `command`, `about`, `said`: its request (see `chat.repeats`).
    """

    reason: RefusedReason
    claim: int
    command: str = ""
    about: str | None = None
    said: str | None = None


AnyEntry = (
    Message | GroupMessage | Online | Resumed | Detached | Offline | TokenVoided | Released | LoginFailed | Blocked
    | Unblocked | GroupCreated | GroupJoined | GroupLeft | Invited | AwaySet | Command | Signal | Redacted | ClockSet
    | AccountAdded | AccountRemoved | Mark | Seen | AccountsBegun | Refused
)  # fmt: skip

UNJOURNALED = frozenset({Mark, Seen, AccountsBegun, Refused})
"""Kinds that have no sequence number."""


def last_seq(batch: Sequence[AnyEntry]) -> int:
    """Return the number of the last entry that has one, 0 where none has."""
    return next((entry.seq for entry in reversed(batch) if entry.seq), 0)
