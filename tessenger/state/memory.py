"""The shared state in one process's memory: claims over users, blocklist and groups. Runs in the manager.

What is claimed is decided here, under one lock; what came of it is learnt from the log (`apply`), which the manager
follows. A new one starts from the journal's snapshot and answers when every live worker has reported its open claims.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from tessenger.chat import addresses, entries
from tessenger.chat.entries import AnyEntry
from tessenger.chat.known_addresses import count_key, forget_counts, place_of
from tessenger.chat.ports import (
    AttemptFailed,
    ClaimRefused,
    IsBlocked,
    MayTry,
    OpenClaim,
    TryLater,
    Worker,
)
from tessenger.chat.present import Present, Snapshot
from tessenger.errors import StateUnavailable
from tessenger.state.rates import Rates
from tessenger.wire import names

NUMBERS_PER_EPOCH = 2**32
"""Claims of one manager; with the epoch above them, numbers rise over replacements too."""

MAX_FAILING = 65_536
"""Users whose failures are remembered, so that guessing names does not fill the memory; the oldest is forgotten."""

OPEN_ATTEMPT_WAIT = 0.05
"""Seconds after which to ask again while open attempts decide whether the account will be blocked."""

REPORT_SECONDS = 5.0
"""How long a claim waits for the reports of the workers."""

LAG_SECONDS = 1.0
"""How long a claim waits for the log to bring the group that it is about."""

ATTEMPT_MS = 30_000
"""An attempt that was not ended by then belongs to a worker that is gone."""


class StateLimits(Struct, frozen=True):
    """What of the configuration the claims need. Times in milliseconds."""

    max_attempts: int
    block_ms: int
    logins_per_second: int
    group_members: int
    groups_per_user: int = 0
    groups_per_minute: int = 0


class _Attempt(Struct, frozen=True):
    """`key`: what its failure counts under, see `known_addresses.count_key`."""

    worker: Worker
    began: int
    key: str


class _Claim(Struct, frozen=True):
    worker: Worker
    claim: OpenClaim


class MemoryState:
    """An implementation of `chat.ports.SharedState`. Safe to call from any thread."""

    def __init__(
        self,
        epoch: int,
        limits: StateLimits,
        snapshot: Snapshot | None,
        clock: Callable[[], int],
        reporters: Iterable[Worker] = (),
    ) -> None:
        """`epoch` is higher than that of any keeper before; `clock` is the server's steady one, in milliseconds.

        `reporters` are the workers that are alive: claims wait for their reports.
        """
        self._limits = limits
        self._clock = clock
        self._ready = threading.Condition()
        self._reporters = set(reporters)
        self._last_number = epoch * NUMBERS_PER_EPOCH
        self._present = Present(snapshot)
        self._failing: OrderedDict[str, int] = OrderedDict(self._present.failures)
        self._attempts: dict[int, _Attempt] = {}
        self._open_at: dict[str, set[int]] = {}  # the numbers of those, by what their failure counts under
        self._open_groups: dict[str, _Claim] = {}
        self._open_members: dict[tuple[str, str], _Claim] = {}
        self._rates = Rates(limits.logins_per_second)
        self._creations = Rates(limits.groups_per_minute, 60)

    @property
    def seq(self) -> int:
        """The last entry that was applied."""
        return self._present.seq

    # ---- claims ----

    def begin_attempt(self, worker: Worker, user: str, address: str) -> MayTry | TryLater | IsBlocked:
        """See `SharedState`."""
        with self._ready:
            self._wait_for_reports()
            now = self._clock()
            key = count_key(user, self._present.known.place(user, address, now))
            until = self._present.blocks.get(key, ("", 0))[1]
            open_ones = sum(1 for n in self._open_at.get(key, ()) if now - self._attempts[n].began < ATTEMPT_MS)
            if until <= now and self._failing.get(key, 0) + open_ones >= self._limits.max_attempts:
                return TryLater(OPEN_ATTEMPT_WAIT)  # asked again often: it must not use up the address's rate
            wait = self._rates.take(addresses.key(address), now)
            if wait:
                return TryLater(wait)
            if until > now:
                return IsBlocked(until)
            number = self._number()
            self._attempts[number] = _Attempt(worker, now, key)
            self._open_at.setdefault(key, set()).add(number)
            return MayTry(number)

    def attempt_failed(self, attempt: int, user: str) -> AttemptFailed:
        """See `SharedState`."""
        with self._ready:
            key = self._end_attempt(attempt, user)
            failures = self._failing.pop(key, 0) + 1
            if failures < self._limits.max_attempts:
                self._failing[key] = failures
                if len(self._failing) > MAX_FAILING:
                    self._failing.popitem(last=False)
                return AttemptFailed(failures, 0, place_of(key))
            until = self._clock() + self._limits.block_ms
            self._present.blocks[key] = (user, until)
            return AttemptFailed(failures, until, place_of(key))

    def attempt_succeeded(self, attempt: int, user: str) -> int:
        """See `SharedState`."""
        with self._ready:
            self._failing.pop(self._end_attempt(attempt, user), None)
            return self._number()

    def begin_attempts(self, worker: Worker, asked: Sequence[tuple[str, str]]) -> list[MayTry | TryLater | IsBlocked]:
        """See `SharedState`."""
        return [self.begin_attempt(worker, user, address) for user, address in asked]

    def end_attempts(self, ended: Sequence[tuple[int, str, bool]]) -> list[int | AttemptFailed]:
        """See `SharedState`."""
        return [
            self.attempt_succeeded(attempt, user) if is_right else self.attempt_failed(attempt, user)
            for attempt, user, is_right in ended
        ]

    def attach(self) -> int:
        """See `SharedState`."""
        with self._ready:
            return self._number()

    def create_group(self, worker: Worker, group: str, user: str) -> int | ClaimRefused:
        """See `SharedState`."""
        key, creator = names.key(group), names.key(user)
        with self._ready:
            self._wait_for_reports()
            if key in self._present.groups or key in self._open_groups:
                return ClaimRefused("exists")
            most = self._limits.groups_per_user
            if most and sum(names.key(each.creator) == creator for each in self._present.groups.values()) >= most:
                return ClaimRefused("too_many")
            if self._creations.take(creator, self._clock()):
                return ClaimRefused("too_fast")
            claim = OpenClaim(self._number(), group, "")
            self._open_groups[key] = _Claim(worker, claim)
            return claim.number

    def join_group(self, worker: Worker, group: str, user: str) -> int | ClaimRefused:
        """See `SharedState`."""
        group_key, user_key = names.key(group), names.key(user)
        with self._ready:
            self._wait_for_reports()
            # The worker knows the group from the log, which may be a moment ahead of what has arrived here.
            self._ready.wait_for(lambda: group_key in self._present.groups, LAG_SECONDS)
            present = self._present.groups.get(group_key)
            if present is None:
                return ClaimRefused("unknown")
            # ... and so may the end of an earlier membership.
            self._ready.wait_for(lambda: user_key not in present.members, LAG_SECONDS)
            if user_key in present.members or (group_key, user_key) in self._open_members:
                return ClaimRefused("already")
            joining = sum(1 for key, _ in self._open_members if key == group_key)
            if self._limits.group_members and len(present.members) + joining >= self._limits.group_members:
                return ClaimRefused("full")
            claim = OpenClaim(self._number(), group, user)
            self._open_members[group_key, user_key] = _Claim(worker, claim)
            return claim.number

    def report(self, worker: Worker, claims: list[OpenClaim]) -> None:
        """See `SharedState`."""
        with self._ready:
            for claim in claims:
                key = names.key(claim.group)
                if claim.user:
                    self._open_members[key, names.key(claim.user)] = _Claim(worker, claim)
                else:
                    self._open_groups[key] = _Claim(worker, claim)
            self._drop_settled()
            self._reporters.discard(worker)
            self._ready.notify_all()

    # ---- the log ----

    def apply(self, batch: Iterable[AnyEntry]) -> None:
        """Move on by committed entries."""
        with self._ready:
            for entry in batch:
                self._apply(entry)
            self._ready.notify_all()

    def reload(self, limits: StateLimits) -> None:
        """Use other limits from now on."""
        with self._ready:
            self._limits = limits
            self._rates.set_rate(limits.logins_per_second)
            self._creations.set_rate(limits.groups_per_minute)

    def _apply(self, entry: AnyEntry) -> None:
        # What failed, and who is blocked, was decided here before the log says it: the log only ever adds to it
        # (after a replacement), and an entry that arrives late must not take back what is known better by now.
        if isinstance(entry, entries.LoginFailed):
            key = count_key(entry.user, entry.place)
            if self._present.blocks.get(key, ("", 0))[1] <= self._clock():  # else it is one of those that led to it
                self._failing[key] = max(self._failing.get(key, 0), entry.failures)
        elif isinstance(entry, entries.Blocked):
            key = count_key(entry.user, entry.place)
            if self._present.blocks.get(key, ("", 0))[1] < entry.until:
                self._present.blocks[key] = (entry.user, entry.until)
            self._failing.pop(key, None)
        elif isinstance(entry, entries.Refused):
            if entry.claim:
                self._drop_claims(lambda c: c.claim.number == entry.claim)
        else:
            if isinstance(entry, entries.Online):
                self._failing.pop(count_key(entry.user, self._present.known.place(entry.user, entry.ip)), None)
            self._present.apply(entry)
            if isinstance(entry, entries.AccountAdded | entries.AccountRemoved):
                forget_counts(self._failing, entry.user)
            elif isinstance(entry, entries.Released):
                worker = Worker(entry.dead_slot, entry.generation)
                self._reporters.discard(worker)
                self._drop_claims(lambda c: c.worker == worker)
                for number in [number for number, attempt in self._attempts.items() if attempt.worker == worker]:
                    self._end_attempt(number, "")
            elif isinstance(entry, entries.GroupCreated | entries.GroupJoined):
                self._drop_settled()

    def _end_attempt(self, number: int, user: str) -> str:
        """Return what its failure counts under; where it is no longer known, what those from elsewhere do."""
        attempt = self._attempts.pop(number, None)
        if attempt is None:
            return names.key(user)
        at_key = self._open_at[attempt.key]
        at_key.remove(number)
        if not at_key:
            del self._open_at[attempt.key]
        return attempt.key

    def _drop_settled(self) -> None:
        """Forget the claims whose entries the log has by now."""
        groups = self._present.groups
        self._open_groups = {g: c for g, c in self._open_groups.items() if g not in groups}
        self._open_members = {
            (g, u): c for (g, u), c in self._open_members.items() if g not in groups or u not in groups[g].members
        }

    def _drop_claims(self, falls: Callable[[_Claim], bool]) -> None:
        self._open_groups = {g: c for g, c in self._open_groups.items() if not falls(c)}
        self._open_members = {k: c for k, c in self._open_members.items() if not falls(c)}

    def _wait_for_reports(self) -> None:
        if not self._ready.wait_for(lambda: not self._reporters, REPORT_SECONDS):
            missing = ", ".join(str(worker.slot) for worker in self._reporters)
            raise StateUnavailable(f"no report from worker {missing} yet")

    def _number(self) -> int:
        self._last_number += 1
        return self._last_number
