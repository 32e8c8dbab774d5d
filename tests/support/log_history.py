"""Entries as the logger orders them: a ledger with one worker in slot 1, driven by short calls or by random numbers."""

from __future__ import annotations

from collections.abc import Callable

from tessenger.chat import entries, events
from tessenger.chat.entries import AnyEntry
from tessenger.chat.ledger import Ledger
from tessenger.chat.present import Snapshot

USERS = ("aaa", "Bbb", "ccc", "ddd")
GROUPS = ("g", "Team", "x.y")
GRACE_MS = 30_000


def empty() -> Snapshot:
    """Return the present state of a new journal."""
    return Snapshot(0, 0, [], [], {}, {}, {})


class History:
    """Makes entries on behalf of people and returns them ordered, ready to be committed."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.ledger = Ledger(snapshot or empty(), GRACE_MS)
        self.now = 1_700_000_000_000
        self.ahead = 0  # by how much (ms) the wall clock is ahead of that
        self.generation = 1
        self._n = 0
        self._claims = 0
        self._requests: dict[int, int] = {}
        self.ledger.follow(1, self.generation)

    def append(self, *batch: AnyEntry) -> list[AnyEntry]:
        """Order what the worker appends."""
        first = self._n + 1
        self._n += len(batch)
        self.now += 7
        at = self.now + self.ahead
        return self.ledger.clock(self.now, at) + self.ledger.order(1, self.generation, first, batch, self.now, at)

    def online(self, user: str) -> list[AnyEntry]:
        """Sign someone in."""
        self._claims += 1
        claim, token = self._claims, b"h%d" % self._claims
        account = self.ledger.present.account(user)
        entry = entries.Online(claim, claim, 1, user, "127.0.0.1", 13000, self.generation, token, self.now + 10**9)
        entry.account = 0 if account is None else account.number
        return self.append(entry)

    def message(self, user: str, to: str, text: str = "hi") -> list[AnyEntry]:
        """Send a private message."""
        return self.append(entries.Message(*self._issue(user), user, to, text, events.message_body(user, text)))

    def to_group(self, user: str, group: str, text: str = "hi all") -> list[AnyEntry]:
        """Send a message to a group."""
        return self.append(
            entries.GroupMessage(*self._issue(user), user, group, text, events.group_body(group, user, text))
        )

    def signal(self, user: str, to: str) -> list[AnyEntry]:
        """Offer a file."""
        body = events.signal_body(user, {"transfer": "0" * 16, "name": "a.mp4", "size": 1})
        return self.append(entries.Signal(*self._issue(user), user, to, "p2pvideo", body))

    def command(self, user: str, name: str = "activeuser", code: str = "") -> list[AnyEntry]:
        """Ask who is online, or be refused something."""
        return self.append(entries.Command(*self._issue(user), user, name, code))

    def create(self, user: str, group: str, *members: str, private: bool = False) -> list[AnyEntry]:
        """Create a group."""
        return self.append(entries.GroupCreated(*self._issue(user), user, group, [user, *members], 0, private))

    def join(self, user: str, group: str) -> list[AnyEntry]:
        """Join a group."""
        return self.append(entries.GroupJoined(*self._issue(user), user, group, 0))

    def leave(self, user: str, group: str, member: str = "") -> list[AnyEntry]:
        """Leave a group, or remove someone from it."""
        return self.append(entries.GroupLeft(*self._issue(user), user, member or user, group))

    def invite(self, user: str, to: str, group: str) -> list[AnyEntry]:
        """Ask someone to join a group."""
        return self.append(entries.Invited(*self._issue(user), user, to, group))

    def away(self, user: str, text: str) -> list[AnyEntry]:
        """Say that someone does not look."""
        return self.append(entries.AwaySet(*self._issue(user), user, text))

    def seen(self, user: str, upto: int | None = None) -> list[AnyEntry]:
        """Say that everything, or everything up to `upto`, was shown."""
        return self.append(entries.Seen(self._issue(user)[0], self.ledger.seq if upto is None else upto))

    def detach(self, user: str) -> list[AnyEntry]:
        """Break someone's connection."""
        session, number, _ = self._issue(user)
        return self.append(entries.Detached(session, number, user, "127.0.0.1", 13000, 0))

    def resume(self, user: str) -> list[AnyEntry]:
        """Attach someone's session again."""
        self._claims += 1
        session = self._issue(user)[0]
        return self.append(entries.Resumed(session, self._claims, 9, user, "127.0.0.2", 13001, self.generation))

    def offline(self, user: str, reason: entries.OfflineReason = "logout") -> list[AnyEntry]:
        """End someone's session."""
        session, number, request = self._issue(user)
        return self.append(entries.Offline(session, number, request, user, "127.0.0.1", 13000, reason))

    def accounts(self, wanted: dict[str, str]) -> list[AnyEntry]:
        """Let these have an account, names with their tags, and nobody else."""
        return self.ledger.set_accounts(wanted, self.now)

    def void(self, user: str) -> list[AnyEntry]:
        """Change someone's password."""
        return self.ledger.void_tokens([user.lower()], self.now)

    def fail(self, user: str, failures: int) -> list[AnyEntry]:
        """Enter a wrong password."""
        return self.append(entries.LoginFailed(user, "127.0.0.1", failures))

    def block(self, user: str) -> list[AnyEntry]:
        """Enter one wrong password too many."""
        return self.append(entries.Blocked(user, "127.0.0.1", self.now + 5_000, 5.0))

    def wait(self, ms: int) -> list[AnyEntry]:
        """Let time pass."""
        self.now += ms
        return self.ledger.due(self.now)

    def mark(self) -> list[AnyEntry]:
        """Append a barrier."""
        return self.append(entries.Mark())

    def die(self) -> list[AnyEntry]:
        """Kill the worker, and put another one in its slot."""
        released = self.ledger.release(1, self.generation, self.now)
        self.generation += 1
        self._n = 0
        self.ledger.follow(1, self.generation)
        return released

    def random(self, action: int, one: int, other: int) -> list[AnyEntry]:
        """Do one of everything above, told by three numbers."""
        user, to = USERS[one % len(USERS)], USERS[other % len(USERS)]
        group = GROUPS[other % len(GROUPS)]
        actions: list[Callable[[], list[AnyEntry]]] = [
            lambda: self.online(user),
            lambda: self.online(user.upper()),
            lambda: self.message(user, to, "a\\b\n" * (one % 3) + "\u2603\U0001f600"),
            lambda: self.to_group(user, group),
            lambda: self.signal(user, to),
            lambda: self.command(user, "creategroup", "group_exists" if other % 2 else ""),
            lambda: self.create(user, group, to),
            lambda: self.join(user, group),
            lambda: self.seen(user, min(self.ledger.seq, one * 3)),
            lambda: self.detach(user),
            lambda: self.resume(user),
            lambda: self.offline(user, ("logout", "removed")[other % 2]),
            lambda: self.void(user),
            lambda: self.fail(user, 1 + other % 2),
            lambda: self.block(user),
            lambda: self.wait(other * 1_000),
            self.mark,
            self.die,
            lambda: self.leave(user, group),
            lambda: self.leave(user, group, to),
            lambda: self.invite(user, to, group),
            lambda: self.away(user, "at lunch" * (other % 2)),
            lambda: self.create(user, f"{group}-own", to, private=True),
            lambda: self.join(user, f"{group}-own"),
            lambda: self.accounts({user: str(other) for place, user in enumerate(USERS) if (one | 8) >> place & 1}),
        ]
        return actions[action % len(actions)]()

    def _issue(self, user: str) -> tuple[int, int, int]:
        """Return session, number and a new request id of someone; of nobody if they are not online."""
        session = self.ledger.present.find(user)
        if session is None:
            return 0, 0, 1
        request = self._requests.get(session.id, 1) + 1
        self._requests[session.id] = request
        return session.id, session.number, request
