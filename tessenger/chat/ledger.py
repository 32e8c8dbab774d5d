"""The order of the log: which entry comes next, which is refused, what falls due with time. Pure; runs in the logger.

A `Ledger` judges what workers append, numbers it, and keeps the present state that it judges by. It writes nothing:
the logger commits what `order` returns, and passes it on.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tessenger.chat import accounts, entries, repeats
from tessenger.chat.entries import AnyEntry, Message, RefusedReason
from tessenger.chat.known_addresses import count_key, place_of
from tessenger.chat.present import Present, Session, Snapshot
from tessenger.wire import names

MAX_INVITED = 1_000
"""People who are asked to join a group and have not, at most."""

STEP_MS = 2_000
"""By how much the wall clock must differ from the steady one, of a sudden, to have been set: a clock that is steered
(NTP) is off by half a second at most, and steered by half a millisecond a second (adjtimex)."""


class Ledger:
    """The log's next number and its judgement.

    Every method that orders something takes the time of two clocks, in ms: `now` is the steady one, by which things
    end, `at` the wall clock's, which is stamped on entries; where that is left out, they say the same.
    """

    def __init__(self, snapshot: Snapshot, grace_ms: int) -> None:
        """Go on behind `snapshot`. `grace_ms`: how long a person stays present without a connection."""
        self.present = Present(snapshot)
        self.slots: dict[int, tuple[int, int]] = dict(snapshot.slots)
        """For each slot its generation and the `n` of the last entry that was ordered."""
        self._grace_ms = grace_ms
        self._seq = snapshot.seq
        self._at = snapshot.at
        self._now = 0
        self._ahead: int | None = None  # by how much the wall clock was ahead of the steady one; None: not looked yet
        self._timers: list[tuple[int, int, AnyEntry]] = []
        self._timer_count = 0
        for session in self.present.sessions.values():
            if session.detached_until:
                self._end_later(session, session.detached_until)
        for key, (user, until) in self.present.blocks.items():
            self._at_time(until, entries.Unblocked(user, until, place_of(key)))

    @property
    def seq(self) -> int:
        """The last number given."""
        return self._seq

    def follow(self, slot: int, generation: int) -> int | None:
        """Let a worker's process append; return the `n` of its last ordered entry, or None if it is a stale one."""
        known, n = self.slots.get(slot, (0, 0))
        if generation < known:
            return None
        if generation > known:
            n = 0
            self.slots[slot] = (generation, n)
        return n

    def clock(self, now: int, at: int) -> list[AnyEntry]:
        """Return what is to be said of the clocks before anything else is ordered at this time: that one was set.

        At a start, only a wall clock that is behind the log's last entry can be noticed.
        """
        ahead = at - now
        off = ahead - self._ahead if self._ahead is not None else min(0, at - self._at)
        self._ahead = ahead
        return self._own([entries.ClockSet(off)], at) if abs(off) > STEP_MS else []

    def order(
        self, slot: int, generation: int, first_n: int, batch: Sequence[AnyEntry], now: int, at: int | None = None
    ) -> list[AnyEntry]:
        """Judge and number what a worker appended; `batch` begins with its entry `first_n`.

        Returns what is to be committed and passed on: the entries themselves, with a `Refused` in the place of each
        one that is not carried out. What was ordered before (the worker sent it again) is left out.
        """
        seated, last = self.slots[slot]
        if seated != generation:
            return []  # of a worker whose slot is filled anew: nothing of it was acknowledged
        if first_n <= last:
            batch = batch[last + 1 - first_n :]
            first_n = last + 1
        if not batch:
            return []
        self.slots[slot] = (generation, first_n + len(batch) - 1)
        at = self._at = now if at is None else at
        self._now = now
        seq = self._seq
        apply = self.present.apply
        sessions = self.present.sessions
        judges = _JUDGES
        ordered: list[AnyEntry] = []
        for n, entry in enumerate(batch, first_n):
            kind = type(entry)
            # Most are messages that hold: `judge_issued` without a call; whatever else there is, the judges say.
            session = sessions.get(entry.session) if kind is Message else None  # type: ignore[union-attr]  # by kind
            if session is not None and session.highest < entry.request and session.number == entry.number:  # type: ignore[union-attr]  # by kind
                session.highest = entry.request  # type: ignore[union-attr]  # by kind
            else:
                judge = judges.get(kind)
                reason = None if judge is None else judge(self, entry)
                if reason is not None:
                    refused = repeats.refused(entry, reason)
                    refused.at, refused.slot, refused.n = at, slot, n
                    ordered.append(refused)
                    continue
            entry.slot = slot
            entry.n = n
            entry.at = at
            ordered.append(entry)
            if kind in _UNCHANGING:
                seq += 1
                entry.seq = seq
            elif kind not in entries.UNJOURNALED:
                seq += 1
                entry.seq = seq
                apply(entry)
                self._watch(entry)
        self._seq = self.present.seq = seq
        return ordered

    def release(self, slot: int, generation: int, now: int, at: int | None = None) -> list[AnyEntry]:
        """Detach the sessions of a dead worker; called when everything that it had sent is ordered."""
        entry = entries.Released(slot, generation, now + self._grace_ms)
        held = [s for s in self.present.sessions.values() if (s.slot, s.generation) == (slot, generation)]
        for session in held:
            if not session.detached_until:
                self._end_later(session, entry.until)
        return self._own([entry], now if at is None else at)

    def set_accounts(self, wanted: Mapping[str, str], at: int) -> list[AnyEntry]:
        """Let those in `wanted`, names with their tags, have an account and nobody else (see `chat.accounts`)."""
        return self._own(accounts.changes(self.present, wanted), at)

    def void_tokens(self, changed: Iterable[str], at: int) -> list[AnyEntry]:
        """Let those whose password `changed` (user keys) not resume."""
        online = self.present.online
        return self._own([entries.TokenVoided(online[u].id, online[u].user) for u in changed if u in online], at)

    def redact(self, seq: int, at: int) -> list[AnyEntry]:
        """Blank the text of message `seq`; whether there is one, the journal knows."""
        return self._own([entries.Redacted(seq)], at)

    def next_due(self) -> int | None:
        """When `due` has something to say, by the steady clock."""
        return self._timers[0][0] if self._timers else None

    def due(self, now: int, at: int | None = None) -> list[AnyEntry]:
        """Return what time itself brings: the end of blocks and of graces."""
        own: list[AnyEntry] = []
        while self._timers and self._timers[0][0] <= now:
            when, _, entry = heapq.heappop(self._timers)
            if self._still_due(entry, when):
                own.append(entry)
        return self._own(own, now if at is None else at) if own else []

    def _own(self, own: list[AnyEntry], at: int) -> list[AnyEntry]:
        self._at = at
        for entry in own:
            if type(entry) not in entries.UNJOURNALED:
                self._seq += 1
                entry.seq = self._seq
            entry.at = at
            self.present.apply(entry)
        return own

    def _at_time(self, when: int, entry: AnyEntry) -> None:
        self._timer_count += 1  # ties are told apart by their order of arrival
        heapq.heappush(self._timers, (when, self._timer_count, entry))

    def _end_later(self, session: Session, when: int) -> None:
        self._at_time(when, session.ended("timeout"))

    def _watch(self, entry: AnyEntry) -> None:
        if isinstance(entry, entries.Blocked):
            self._at_time(entry.until, entries.Unblocked(entry.user, entry.until, entry.place))
        elif isinstance(entry, entries.Detached):
            self._end_later(self.present.sessions[entry.session], entry.until)

    def _still_due(self, entry: AnyEntry, when: int) -> bool:
        """Tell whether what was expected for `when` still holds: the person may be back, or blocked anew."""
        if isinstance(entry, entries.Offline):
            session = self.present.sessions.get(entry.session)
            return session is not None and session.detached_until == when
        if isinstance(entry, entries.Unblocked):
            return self.present.blocks.get(count_key(entry.user, entry.place), ("", 0))[1] == when
        return False

    # ---- judgements: None, or why the entry is refused ----

    def judge_issued(self, entry: entries.Issued) -> RefusedReason | None:
        """Anything on behalf of a person: by the worker that serves the session now, with a request id that is new.

        Only then it is asked whether it can be done: a repeat gets the answer of the first time, whatever holds now.
        """
        session = self.present.sessions.get(entry.session)
        if session is None or session.number != entry.number:
            return "stale"
        if entry.request <= session.highest:
            return "repeat"
        judge = _JUDGES_OF_STATE.get(type(entry))
        reason = None if judge is None else judge(self, entry)
        if reason is None:
            session.highest = entry.request
        return reason

    def judge_online(self, entry: entries.Online) -> RefusedReason | None:
        """A sign-in: by somebody whose account is not over, or somebody else's by now.

        Of two that were claimed, the later one wins in whatever order they arrive.
        """
        account = self.present.account(entry.user)
        if self.present.accounts_begun and (account is None or account.number != entry.account):
            return "gone"
        earlier = self.present.online.get(names.key(entry.user))
        return "stale" if earlier is not None and earlier.number > entry.number else None

    def judge_resumed(self, entry: entries.Resumed) -> RefusedReason | None:
        """A resume: the session must be there, and not attached by a later claim."""
        session = self.present.sessions.get(entry.session)
        return "stale" if session is None or session.number > entry.number else None

    def judge_detached(self, entry: entries.Detached) -> RefusedReason | None:
        """A broken connection: of no meaning when the session is served elsewhere by now."""
        session = self.present.sessions.get(entry.session)
        if session is None or session.number != entry.number:
            return "stale"
        entry.until = self._now + self._grace_ms
        return None

    def judge_offline(self, entry: entries.Offline) -> RefusedReason | None:
        """A logout."""
        session = self.present.sessions.get(entry.session)
        return "stale" if session is None or session.number != entry.number else None

    def judge_seen(self, entry: entries.Seen) -> RefusedReason | None:
        """How far someone has read: nobody can have read what is not written."""
        return "stale" if entry.session not in self.present.sessions or entry.upto > self._seq else None

    # ---- of what a person asks, whether it can be done ----

    def judge_group_message(self, entry: entries.GroupMessage) -> RefusedReason | None:
        """A message to a group: by someone who is in it now, whatever their worker knew."""
        group = self.present.group(entry.group)
        return "gone" if group is not None and names.key(entry.user) not in group.members else None

    def judge_created(self, entry: entries.GroupCreated) -> RefusedReason | None:
        """A new group: the log has the last word on whether it is one, and whether the name is free.

        Whoever it names and whose account is over by now is no member: nothing hangs on a name that is nobody's.
        """
        group = names.key(entry.group)
        if group in self.present.groups or group in self.present.accounts:
            return "exists"
        if self.present.accounts_begun:
            entry.members = [user for user in entry.members if self.present.account(user) is not None]
        return None

    def judge_joined(self, entry: entries.GroupJoined) -> RefusedReason | None:
        """A new member."""
        group = self.present.groups.get(names.key(entry.group))
        if group is None:
            return "gone"
        user = names.key(entry.user)
        if user in group.members:
            return "exists"
        if group.private and user not in group.invited and user != names.key(group.creator):
            return "gone"
        return None

    def judge_left(self, entry: entries.GroupLeft) -> RefusedReason | None:
        """The end of a membership: there must be one."""
        group = self.present.groups.get(names.key(entry.group))
        return "gone" if group is None or names.key(entry.to) not in group.members else None

    def judge_invited(self, entry: entries.Invited) -> RefusedReason | None:
        """An invitation: by a member, of someone who is none."""
        group = self.present.groups.get(names.key(entry.group))
        if group is None or names.key(entry.user) not in group.members:
            return "gone"
        if self.present.accounts_begun and self.present.account(entry.to) is None:
            return "gone"
        if names.key(entry.to) in group.members:
            return "exists"
        if len(group.invited) >= MAX_INVITED and names.key(entry.to) not in group.invited:
            return "full"
        return None


_JUDGES: dict[type, Callable[[Ledger, Any], RefusedReason | None]] = {
    **dict.fromkeys(entries.Issued.__subclasses__(), Ledger.judge_issued),
    entries.Online: Ledger.judge_online,
    entries.Resumed: Ledger.judge_resumed,
    entries.Detached: Ledger.judge_detached,
    entries.Offline: Ledger.judge_offline,
    entries.Seen: Ledger.judge_seen,
}
"""How each kind is judged; kinds that are not here always hold."""

_JUDGES_OF_STATE: dict[type, Callable[[Ledger, Any], RefusedReason | None]] = {
    entries.GroupMessage: Ledger.judge_group_message,
    entries.GroupCreated: Ledger.judge_created,
    entries.GroupJoined: Ledger.judge_joined,
    entries.GroupLeft: Ledger.judge_left,
    entries.Invited: Ledger.judge_invited,
}
"""What of a person's requests depends on the present state, and how."""

_UNCHANGING = frozenset({entries.Message, entries.GroupMessage, entries.Command, entries.Signal})
"""Journaled kinds that leave the present state as it is."""
