"""The ports of the chat: the ordered log and the shared state, as its rules see them. Pure.

A second machine needs only another implementation of `Log` (with a `Journal` behind it) and `SharedState`.
Each port has a contract suite in tests/contract that every implementation passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from tessenger.chat.entries import AnyEntry, GroupMessage, Message
from tessenger.chat.present import Snapshot

# ---- the ordered log ----


class Log(Protocol):
    """What a worker appends to. What is committed comes back, in order, to the one who made the port."""

    def append(self, entry: AnyEntry) -> int:
        """Send `entry` on its way and return its `n`: 1, 2, 3 … within this worker's generation. Never blocks."""
        ...


class Journal(Protocol):
    """The committed entries and the present state beside them, kept. Used by the logger role alone, from one thread.

    Implementations raise `JournalError` (a subclass of `CannotStart`) from `load`, and `JournalBusy` from `commit`
    when there is no room at the moment: nothing was committed then, and the same batch may be tried again.
    """

    def load(self) -> Snapshot:
        """Return the present state as of the last commit."""
        ...

    def commit(self, batch: Sequence[AnyEntry]) -> None:
        """Keep `batch` and what it changes, all or none of it.

        `seq` and `at` are set and rise without gaps; entries without `seq` (`Mark`, `Refused`) are skipped, `Seen`
        changes the reader's position. On return the batch survives the death of any process (and of the machine,
        with durability "power"). Readers may find it a little later, once it is settled.
        """
        ...

    def settle(self) -> None:
        """Let readers find all that was committed."""
        ...

    def entries_after(self, seq: int, limit: int) -> list[AnyEntry]:
        """Return at most `limit` entries behind `seq`, in order, as they were committed (`body` is encoded again)."""
        ...


class Question(Struct, frozen=True):
    """What `user` asks of the past: messages with `peer`, of `group`, or (both empty) all that they may read.

    The newest `limit` of those behind the newest that is stamped before `since` (Unix ms, 0: of ever) and before number
    `before` (0: up to now), and no more than `max_bytes` of texts. A group's only from while they were a member.
    """

    user: str
    peer: str
    group: str
    limit: int
    since: int
    before: int
    max_bytes: int


class Page(Struct, frozen=True):
    """What answers a `Question`, the oldest first. `before`: ask on with this for what is older; 0: that is all."""

    found: list[Message | GroupMessage]
    before: int


class Reader(Protocol):
    """What workers read from the journal, each over a connection of its own and on a thread of its own."""

    def snapshot(self) -> Snapshot:
        """Return the present state as of the last commit that this reader can see."""
        ...

    def wait_for(self, seq: int) -> None:
        """Wait until this reader finds everything up to `seq`, which was committed. Raises `JournalBusy`."""
        ...

    def missed(self, user: str, after: int, upto: int) -> list[int]:
        """Return the numbers of what `user`'s resumed session is due with `after` < seq <= `upto`, in order.

        That is private messages and signals to them, and messages of groups that they were a member of at the time,
        but not their own.
        """
        ...

    def unread(self, user: str, after: int | None, upto: int, *, away: bool = False) -> list[int]:
        """Return the numbers of what `user` was due in earlier sessions and was never shown, up to `upto`, in order.

        Private messages behind the last one seen, and messages of their groups that were ordered before their last
        session ended. `after`, where the client saved it, raises the last one seen. Signals are left out as stale.
        `away`: group messages that came after their last session ended, too.
        """
        ...

    def entries(self, numbers: Sequence[int], max_bytes: int) -> list[AnyEntry]:
        """Return the first of these entries, in order: as many as have `max_bytes` of text, at least one.

        What was pruned meanwhile is left out, so that nothing comes only where nothing of it is left.
        """
        ...

    def history(self, question: Question) -> Page:
        """Return what was said, with a bounded amount of work: a page may have less than `limit` and still go on."""
        ...

    def answer(self, session: int, request: int) -> AnyEntry | None:
        """Return the entry that this request of this session led to, or None."""
        ...


# ---- the shared state ----


class Worker(Struct, frozen=True):
    """Who asks: a worker's slot, and the generation of the process that fills it."""

    slot: int
    generation: int


class MayTry(Struct, frozen=True):
    """The password may be checked; `attempt` must be ended with `succeeded` or `failed`."""

    attempt: int


class TryLater(Struct, frozen=True):
    """Ask again in `seconds`: too many sign-ins from that address, or open attempts that will decide first."""

    seconds: float


class IsBlocked(Struct, frozen=True):
    """Sign-in is blocked until `until` (steady clock, ms)."""

    until: int


class AttemptFailed(Struct, frozen=True):
    """That makes `failures` in a row. `blocked_until` is not 0 for the one that blocks the account.

    `place`: the known address that they count for by themselves, "" for all others.
    """

    failures: int
    blocked_until: int
    place: str = ""


class ClaimRefused(Struct, frozen=True):
    """The claim is not granted: somebody else has, or had, what it asks for."""

    reason: Literal["exists", "unknown", "already", "full", "too_many", "too_fast"]


class OpenClaim(Struct, frozen=True):
    """A claim that was granted and whose entry is not committed yet. `user` is "" for the creation of a group."""

    number: int
    group: str
    user: str


class SharedState(Protocol):
    """The claims that need one winner among all workers; each is one whole operation. Safe to call from any thread.

    Numbers rise over all claims, also over replacements of the process that keeps the state.
    A claim on a group is provisional until its entry is committed, and falls with the worker that made it.
    """

    def begin_attempt(self, worker: Worker, user: str, address: str) -> MayTry | TryLater | IsBlocked:
        """Ask before a password is checked, so that parallel guesses cannot slip through."""
        ...

    def attempt_failed(self, attempt: int, user: str) -> AttemptFailed:
        """The password was wrong. `user` counts even where the attempt is no longer known."""
        ...

    def attempt_succeeded(self, attempt: int, user: str) -> int:
        """The password was right: forget the failures and return the number of the new session."""
        ...

    def begin_attempts(self, worker: Worker, asked: Sequence[tuple[str, str]]) -> list[MayTry | TryLater | IsBlocked]:
        """Do `begin_attempt` for several: user and address of each."""
        ...

    def end_attempts(self, ended: Sequence[tuple[int, str, bool]]) -> list[int | AttemptFailed]:
        """Do `attempt_succeeded` or `attempt_failed` for several: attempt, user, and whether the password was right."""
        ...

    def attach(self) -> int:
        """Return a number for a session that is resumed."""
        ...

    def create_group(self, worker: Worker, group: str, user: str) -> int | ClaimRefused:
        """Claim a group's name."""
        ...

    def join_group(self, worker: Worker, group: str, user: str) -> int | ClaimRefused:
        """Claim a membership."""
        ...

    def report(self, worker: Worker, claims: list[OpenClaim]) -> None:
        """Tell a new keeper of the state which claims this worker still has open. Until all have, claims wait."""
        ...


# ---- what a worker has done outside its event loop ----


class SignedIn(Struct, frozen=True):
    """The password was right. `user` is the name as the credentials have it, `tag` what they tell the account by."""

    user: str
    number: int
    tag: str = ""


class WrongPassword(Struct, frozen=True):
    """The password was wrong.

    Where that blocks the account, it is until `blocked_until` (steady clock, ms), for `seconds`.
    """

    user: str
    failures: int
    blocked_until: int
    seconds: float
    place: str = ""


class Unavailable(Struct, frozen=True):
    """The part of the server that was asked is being replaced, or is too busy."""


SignInResult = SignedIn | WrongPassword | IsBlocked | Unavailable
ClaimResult = int | ClaimRefused | Unavailable


class Office(Protocol):
    """Everything that a worker must wait for: claims, passwords, the journal. Each calls `then` later, on its loop."""

    def sign_in(
        self, user: str, password: str, address: str, then: Callable[[SignInResult], None], is_gone: Callable[[], bool]
    ) -> None:
        """Check a password, counted, in its turn; who `is_gone` by then has none, and `then` is not called."""
        ...

    def attach(self, then: Callable[[ClaimResult], None]) -> None:
        """Claim a number for a resumed session."""
        ...

    def create_group(self, group: str, user: str, then: Callable[[ClaimResult], None]) -> None:
        """Claim a group's name."""
        ...

    def join_group(self, group: str, user: str, then: Callable[[ClaimResult], None]) -> None:
        """Claim a membership."""
        ...

    def missed(self, user: str, after: int, upto: int, then: Callable[[list[int] | Unavailable], None]) -> None:
        """Find what a resumed session missed."""
        ...

    def unread(
        self,
        user: str,
        after: int | None,
        upto: int,
        then: Callable[[list[int] | Unavailable], None],
        *,
        away: bool,
    ) -> None:
        """Find what was due in earlier sessions; `away`: and what groups said since."""
        ...

    def entries(
        self, numbers: Sequence[int], max_bytes: int, then: Callable[[list[AnyEntry] | Unavailable], None]
    ) -> None:
        """Read the first of what was found."""
        ...

    def history(self, question: Question, then: Callable[[Page | Unavailable], None]) -> None:
        """Read what was said, without delaying any other read."""
        ...

    def answer(self, session: int, request: int, then: Callable[[AnyEntry | Unavailable | None], None]) -> None:
        """Read what a repeated request led to."""
        ...
