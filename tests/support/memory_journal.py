"""The journal's ports in memory: what tests of other layers use, and what the real one is compared with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tessenger.chat import entries, events
from tessenger.chat.entries import AnyEntry, GroupMessage, Message
from tessenger.chat.ports import Page, Question
from tessenger.chat.present import Present, Snapshot
from tessenger.chat.runs import Run
from tessenger.wire import names


class Reader(Struct):
    """How far a person has read: everything up to `seen_seq` was shown; their last session ended at `offline_seq`."""

    user: str
    seen_seq: int = 0
    offline_seq: int = 0


class MemoryJournal:
    """Implements `chat.ports.Journal` and `chat.ports.Reader`."""

    runs_begun = 0
    """In this process: each has a name that no other one has."""

    def __init__(self) -> None:
        self.present = Present()
        self.log: list[AnyEntry] = []
        self.readers: dict[str, Reader] = {}
        self.slots: dict[int, tuple[int, int]] = {}
        self.runs: list[Run] = []

    def begin_run(self, detached_until: int) -> None:
        """Begin a run of the server: every stored session is detached until then."""
        MemoryJournal.runs_begun += 1
        self.runs.append(Run(f"{MemoryJournal.runs_begun:016x}", self.present.seq))
        self.slots = {}
        for session in self.present.sessions.values():
            session.detached_until = detached_until

    def seat(self, slot: int, generation: int) -> None:
        """Note that a new process fills this worker's slot."""
        if self.slots.get(slot, (0, 0))[0] != generation:
            self.slots[slot] = (generation, 0)

    # ---- Journal ----

    def load(self) -> Snapshot:
        """Return the present state as of the last commit."""
        present = copy.deepcopy(self.present)
        return Snapshot(
            seq=present.seq,
            at=present.at,
            sessions=list(present.sessions.values()),
            groups=list(present.groups.values()),
            failures=present.failures,
            blocks=present.blocks,
            known=present.known.of,
            slots=dict(self.slots),
            runs=list(self.runs),
            accounts=list(present.accounts.values()),
            accounts_begun=present.accounts_begun,
        )

    def commit(self, batch: Sequence[AnyEntry]) -> None:
        """Keep `batch` and what it changes."""
        for entry in batch:
            self._read_on(entry)
            self.present.apply(entry)
            if entry.seq:
                self.log.append(copy.deepcopy(entry))
                self._count(entry)

    def settle(self) -> None:
        """Readers find everything at once."""

    def entries_after(self, seq: int, limit: int) -> list[AnyEntry]:
        """Return at most `limit` entries behind `seq`, in order."""
        return [entry for entry in self.log if entry.seq > seq][:limit]

    # ---- Reader ----

    def wait_for(self, seq: int) -> None:
        """It is there."""
        assert seq <= self.present.seq

    def snapshot(self) -> Snapshot:
        """Return the present state as of the last commit."""
        return self.load()

    def missed(self, user: str, after: int, upto: int) -> list[int]:
        """Return the numbers of what a resumed session is due."""
        return sorted(e.seq for e in self._private(user, after, upto) + self._of_groups(user, after, upto))

    def unread(self, user: str, after: int | None, upto: int, *, away: bool = False) -> list[int]:
        """Return the numbers of what was due in earlier sessions and was never shown."""
        reader = self.readers.get(names.key(user), Reader(user))
        seen = max(reader.seen_seq, after or 0)
        private = [entry for entry in self._private(user, seen, upto) if not isinstance(entry, entries.Signal)]
        due = private + self._of_groups(user, seen, upto if away else min(upto, reader.offline_seq - 1))
        return sorted(entry.seq for entry in due)

    def entries(self, numbers: Sequence[int], max_bytes: int) -> list[AnyEntry]:
        """Return the first of these, as many as fit."""
        wanted = set(numbers)
        found: list[AnyEntry] = []
        for entry in self.log:
            if entry.seq in wanted and max_bytes > 0:
                found.append(copy.deepcopy(entry))
                max_bytes -= len(getattr(entry, "text", ""))
        return found

    def history(self, question: Question) -> Page:
        """Return what was said, by going through everything."""
        heard = {entry.seq for entry in self._said_before(question.user)}

        def may_read(entry: Message | GroupMessage) -> bool:
            me, peer = names.key(question.user), names.key(question.peer)
            if entry.seq < self._number(question.user):
                return False
            if isinstance(entry, Message):
                two = {names.key(entry.user), names.key(entry.to)}
                return not question.group and me in two and (not peer or two == {me, peer})
            if peer or (question.group and names.key(question.group) != names.key(entry.group)):
                return False
            return entry.seq in heard

        found = [
            e for e in self.log
            if isinstance(e, Message | GroupMessage) and may_read(e)
            and e.at >= question.since and e.seq < (question.before or 2**62)
        ]  # fmt: skip
        kept = found[-question.limit :]
        return Page(kept, kept[0].seq if len(kept) < len(found) else 0)

    def answer(self, session: int, request: int) -> AnyEntry | None:
        """Return the entry that this request of this session led to."""
        return next(
            (e for e in self.log if isinstance(e, entries.Issued) and (e.session, e.request) == (session, request)),
            None,
        )

    # ---- inside ----

    def _number(self, user: str) -> int:
        """Return the number of the account that has this name now."""
        account = self.present.account(user)
        return 0 if account is None else account.number

    def _private(self, user: str, after: int, upto: int) -> list[AnyEntry]:
        return [
            entry
            for entry in self.log
            if isinstance(entry, entries.Message | entries.Signal | entries.Invited | entries.GroupLeft)
            and names.key(entry.to) == names.key(user)
            and max(after, self._number(user)) < entry.seq <= upto
            and not (isinstance(entry, entries.GroupLeft) and entry.user == entry.to)
        ]

    def _of_groups(self, user: str, after: int, upto: int) -> list[AnyEntry]:
        return [
            entry
            for entry in self._said_before(user)
            if after < entry.seq <= upto and names.key(entry.user) != names.key(user)
        ]

    def _said_before(self, user: str) -> Iterator[GroupMessage]:
        """Yield what was said to groups while someone was in them."""
        me = names.key(user)
        groups: set[str] = set()
        for entry in self.log:
            match entry:
                case entries.GroupCreated() if me in map(names.key, entry.members):
                    groups.add(names.key(entry.group))
                case entries.GroupJoined() if me == names.key(entry.user):
                    groups.add(names.key(entry.group))
                case entries.GroupLeft() if me == names.key(entry.to):
                    groups.discard(names.key(entry.group))
                case entries.AccountAdded() | entries.AccountRemoved() if me == names.key(entry.user):
                    groups.clear()
                case GroupMessage() if names.key(entry.group) in groups and entry.seq > self._number(user):
                    yield entry
                case _:
                    pass

    def _count(self, entry: AnyEntry) -> None:
        if isinstance(entry, entries.Issued):
            session = self.present.sessions.get(entry.session)
            if session is not None:
                session.highest = max(session.highest, entry.request)
        if entry.slot:
            generation, _ = self.slots.get(entry.slot, (0, 0))
            if isinstance(entry, entries.Online | entries.Resumed):
                generation = entry.generation
            self.slots[entry.slot] = (generation, entry.n)
        if isinstance(entry, entries.Released) and entry.dead_slot in self.slots:
            self.slots[entry.dead_slot] = (entry.generation, 0)

    def _redact(self, seq: int) -> None:
        for entry in self.log:
            if entry.seq == seq and isinstance(entry, Message):
                entry.text, entry.body = entries.REDACTED, events.message_body(entry.user, entries.REDACTED)
            elif entry.seq == seq and isinstance(entry, GroupMessage):
                entry.text = entries.REDACTED
                entry.body = events.group_body(entry.group, entry.user, entries.REDACTED)

    def _read_on(self, entry: AnyEntry) -> None:
        """Move the reader's position; called before the present state moves."""
        match entry:
            case entries.Online():
                reader = self.readers.setdefault(names.key(entry.user), Reader(entry.user))
                if names.key(entry.user) in self.present.online:
                    reader.offline_seq = entry.seq
            case entries.Seen() if entry.session in self.present.sessions:
                reader = self.readers[names.key(self.present.sessions[entry.session].user)]
                reader.seen_seq = max(reader.seen_seq, entry.upto)
            case entries.AccountAdded() | entries.AccountRemoved():
                self.readers.pop(names.key(entry.user), None)
            case entries.Redacted():
                self._redact(entry.target_seq)
            case entries.Offline() if entry.session in self.present.sessions:
                reader = self.readers[names.key(self.present.sessions[entry.session].user)]
                reader.offline_seq = entry.seq
                if entry.reason == "logout":
                    reader.seen_seq = entry.seq
            case _:
                pass
