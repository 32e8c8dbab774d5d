"""The present state: what the entries of the log add up to. Pure.

Each worker holds one as its read replica, the logger one to judge entries by, the manager one under its claims. The
journal keeps the same beside the log, so that nobody has to replay it: `Snapshot` is what it hands to a new process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tessenger.chat import entries
from tessenger.chat.known_addresses import KnownAddresses, count_key, forget_counts
from tessenger.chat.runs import Run, Runs
from tessenger.wire import names


class Account(Struct, frozen=True, gc=False):
    """Somebody who may sign in. A name may be somebody else's one day; the number is never given again.

    It is the sequence number of the entry that added the account: what is below it in the log was not for this account,
    whatever names it has. 0: it was there when the log first learned of accounts. `tag`: see `entries.AccountAdded`.
    """

    user: str
    number: int
    tag: str = ""

    def is_meant(self, tag: str) -> bool:
        """Tell whether a line of the credentials with this tag is of this account; one without says nothing else."""
        return tag in ("", self.tag)


class Session(Struct, gc=False):
    """A person's session. `number` is the claim of its latest attachment, `since` when it began.

    `seq` is the entry that began it. While detached, `detached_until` is when it ends; 0 means attached. That and
    `expires` are by the server's steady clock; what is `since` then is by the wall clock (Unix ms).
    `highest` is the highest request id so far. An empty `token_hash` means that it cannot be resumed. `away` is what
    the person says about not looking.
    """

    id: int
    user: str
    number: int
    slot: int
    generation: int
    ip: str
    udp_port: int
    since: int
    seq: int
    token_hash: bytes
    expires: int
    token_ms: int = 0
    highest: int = 0
    detached_until: int = 0
    away: str = ""
    udp_host: str = ""

    def ended(self, reason: entries.OfflineReason) -> entries.Offline:
        """Return the entry that ends it for another reason than its own logout."""
        return entries.Offline(self.id, self.number, 0, self.user, self.ip, self.udp_port, reason)


class Group(Struct):
    """A group and its members, by key, each with the sequence number from which they may read; in order of joining.

    `creator`: "" once their account is over. `invited`: by key, who is asked to join and has not. `former`: the keys of
    those who were members and are not.
    """

    name: str
    creator: str
    seq: int
    members: dict[str, Member]
    private: bool = False
    invited: dict[str, str] = {}
    former: set[str] = set()


class Member(Struct, gc=False):
    """A member of a group: the name, and the entry that made them one."""

    user: str
    since_seq: int


class Snapshot(Struct):
    """The present state at sequence number `seq`, as the journal hands it to a process that starts.

    `slots` maps a worker's slot to its generation and to the `n` of its last journaled entry. `runs` are the server's,
    in order, the present one last. `accounts_begun`: whether the log was told who has an account; what it has before
    that are names that it knows from elsewhere.
    """

    seq: int
    at: int
    sessions: list[Session]
    groups: list[Group]
    failures: dict[str, int]
    blocks: dict[str, tuple[str, int]]
    slots: dict[int, tuple[int, int]]
    runs: list[Run] = []
    known: dict[str, dict[str, int]] = {}
    accounts: list[Account] = []
    accounts_begun: bool = False


class Present:
    """Sessions, presence, groups and the blocklist as of entry `seq`; moves on with `apply`.

    Presence is keyed by session; `online` finds a user's one session by the user's key (one session a person is
    policy: the only place that knows it is this index) and is ordered by sign-in.
    """

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        """Start from what the journal says, or from nothing."""
        self.seq = 0
        self.at = 0
        self.sessions: dict[int, Session] = {}
        self.online: dict[str, Session] = {}
        self.groups: dict[str, Group] = {}
        self.groups_of: dict[str, list[Group]] = {}
        self.failures: dict[str, int] = {}
        self.blocks: dict[str, tuple[str, int]] = {}
        self.known = KnownAddresses(snapshot.known if snapshot is not None else None)
        self.accounts: dict[str, Account] = {}
        self.accounts_begun = False
        self.runs = Runs(snapshot.runs if snapshot is not None else ())
        if snapshot is not None:
            self.seq, self.at = snapshot.seq, snapshot.at
            for session in sorted(snapshot.sessions, key=lambda s: s.seq):
                self.sessions[session.id] = session
                self.online[names.key(session.user)] = session
            for group in snapshot.groups:
                self._add_group(group)
            self.failures = dict(snapshot.failures)
            self.blocks = dict(snapshot.blocks)
            self.accounts = {names.key(account.user): account for account in snapshot.accounts}
            self.accounts_begun = snapshot.accounts_begun

    def apply(self, entry: entries.AnyEntry) -> None:
        """Move on by one committed entry."""
        if entry.seq:
            self.seq, self.at = entry.seq, entry.at
        change = _CHANGES.get(type(entry))
        if change is not None:
            change(self, entry)

    def find(self, user: str) -> Session | None:
        """Return the session of the user of that name, in whatever case it is written."""
        return self.online.get(user) or self.online.get(names.key(user))

    def group(self, name: str) -> Group | None:
        """Return the group of that name, in whatever case it is written."""
        return self.groups.get(name) or self.groups.get(names.key(name))

    def account(self, user: str) -> Account | None:
        """Return the account of that name, in whatever case it is written."""
        return self.accounts.get(names.key(user))

    def _add_group(self, group: Group) -> None:
        self.groups[names.key(group.name)] = group
        for user in group.members:
            self.groups_of.setdefault(user, []).append(group)

    def _drop(self, session: Session) -> None:
        del self.sessions[session.id]
        user = names.key(session.user)
        if self.online.get(user) is session:
            del self.online[user]

    def _forget(self, user: str) -> None:
        """Let nothing hang on a name: groups, invitations, what a group's creator may do, failures, addresses."""
        for group in self.groups_of.pop(user, ()):
            del group.members[user]
        for group in self.groups.values():
            group.invited.pop(user, None)
            group.former.discard(user)
            if names.key(group.creator) == user:
                group.creator = ""
        self.known.forget(user)
        self._forget_counts(user)

    def _forget_counts(self, user: str) -> None:
        forget_counts(self.failures, user)
        forget_counts(self.blocks, user)


def _online(state: Present, entry: entries.Online) -> None:
    user = names.key(entry.user)
    earlier = state.online.pop(user, None)
    if earlier is not None:
        del state.sessions[earlier.id]
    session = Session(
        id=entry.session,
        user=entry.user,
        number=entry.number,
        slot=entry.slot,
        generation=entry.generation,
        ip=entry.ip,
        udp_port=entry.udp_port,
        since=entry.at,
        seq=entry.seq,
        token_hash=entry.token_hash,
        expires=entry.expires,
        token_ms=entry.token_ms,
        highest=entry.request,
        udp_host=entry.udp_host,
    )
    state.sessions[session.id] = session
    state.online[user] = session
    state.failures.pop(count_key(user, state.known.place(user, entry.ip)), None)
    state.known.signed_in(user, entry.ip, entry.at)


def _resumed(state: Present, entry: entries.Resumed) -> None:
    session = state.sessions.get(entry.session)
    if session is not None:
        session.number, session.slot, session.generation = entry.number, entry.slot, entry.generation
        session.ip, session.udp_port = entry.ip, entry.udp_port
        session.detached_until = 0
        state.known.signed_in(entry.user, entry.ip, entry.at)


def _detached(state: Present, entry: entries.Detached) -> None:
    session = state.sessions.get(entry.session)
    if session is not None and session.number == entry.number:
        session.detached_until = entry.until


def _offline(state: Present, entry: entries.Offline) -> None:
    session = state.sessions.get(entry.session)
    if session is not None:
        state._drop(session)  # noqa: SLF001 the functions of this table are Present's own methods, kept apart by kind


def _token_voided(state: Present, entry: entries.TokenVoided) -> None:
    session = state.sessions.get(entry.session)
    if session is not None:
        session.token_hash = b""


def _released(state: Present, entry: entries.Released) -> None:
    for session in state.sessions.values():
        if (session.slot, session.generation) == (entry.dead_slot, entry.generation) and not session.detached_until:
            session.detached_until = entry.until


def _login_failed(state: Present, entry: entries.LoginFailed) -> None:
    state.failures[count_key(entry.user, entry.place)] = entry.failures


def _blocked(state: Present, entry: entries.Blocked) -> None:
    key = count_key(entry.user, entry.place)
    state.failures.pop(key, None)
    state.blocks[key] = (entry.user, entry.until)


def _unblocked(state: Present, entry: entries.Unblocked) -> None:
    key = count_key(entry.user, entry.place)
    if state.blocks.get(key, ("", 0))[1] == entry.until:
        del state.blocks[key]


def _group_created(state: Present, entry: entries.GroupCreated) -> None:
    members = {names.key(user): Member(user, entry.seq) for user in entry.members}
    state._add_group(Group(entry.group, entry.user, entry.seq, members, entry.private))  # noqa: SLF001 as above


def _group_joined(state: Present, entry: entries.GroupJoined) -> None:
    group = state.groups.get(names.key(entry.group))
    if group is not None:
        user = names.key(entry.user)
        group.members[user] = Member(entry.user, entry.seq)
        group.invited.pop(user, None)
        group.former.discard(user)
        state.groups_of.setdefault(user, []).append(group)


def _group_left(state: Present, entry: entries.GroupLeft) -> None:
    group = state.groups.get(names.key(entry.group))
    user = names.key(entry.to)
    if group is not None and group.members.pop(user, None) is not None:
        group.former.add(user)
        state.groups_of[user].remove(group)


def _invited(state: Present, entry: entries.Invited) -> None:
    group = state.groups.get(names.key(entry.group))
    if group is not None:
        group.invited[names.key(entry.to)] = entry.to


def _away_set(state: Present, entry: entries.AwaySet) -> None:
    session = state.sessions.get(entry.session)
    if session is not None:
        session.away = entry.text


def _accounts_begun(state: Present, entry: entries.AccountsBegun) -> None:
    state.accounts_begun = True
    for user, tag in entry.accounts.items():
        state.accounts[names.key(user)] = Account(user, 0, tag)


def _account_added(state: Present, entry: entries.AccountAdded) -> None:
    user = names.key(entry.user)
    state._forget_counts(user)  # noqa: SLF001 as above; more does not hang on a name that is nobody's
    state.accounts[user] = Account(entry.user, entry.seq, entry.tag)


def _account_removed(state: Present, entry: entries.AccountRemoved) -> None:
    user = names.key(entry.user)
    state._forget(user)  # noqa: SLF001 as above
    state.accounts.pop(user, None)


_CHANGES: dict[type, Callable[[Present, Any], None]] = {
    entries.Online: _online,
    entries.Resumed: _resumed,
    entries.Detached: _detached,
    entries.Offline: _offline,
    entries.TokenVoided: _token_voided,
    entries.Released: _released,
    entries.LoginFailed: _login_failed,
    entries.Blocked: _blocked,
    entries.Unblocked: _unblocked,
    entries.GroupCreated: _group_created,
    entries.GroupJoined: _group_joined,
    entries.GroupLeft: _group_left,
    entries.Invited: _invited,
    entries.AwaySet: _away_set,
    entries.AccountsBegun: _accounts_begun,
    entries.AccountAdded: _account_added,
    entries.AccountRemoved: _account_removed,
}
"""What each kind changes; kinds that are not here change nothing."""
