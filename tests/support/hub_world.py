"""A whole chat without sockets, processes or time: several hubs, the ledger, the shared state and a journal in memory.

Nothing happens by itself. What a worker appended waits until `order`, what was committed waits for each worker until
`apply`, what a worker asked its office for waits until `work`; so a test, or hypothesis, chooses the interleaving.
`settle` does everything that is left. Every worker gets its own copy of an entry, as it comes over the real feed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from tessenger.chat import routing
from tessenger.chat.entries import AnyEntry, Message, Released
from tessenger.chat.hub import Hub, Rules
from tessenger.chat.ledger import Ledger
from tessenger.chat.link import Link
from tessenger.chat.ports import (
    ClaimResult,
    IsBlocked,
    Page,
    Question,
    SignedIn,
    SignInResult,
    TryLater,
    Unavailable,
    Worker,
    WrongPassword,
)
from tessenger.chat.present import Present
from tessenger.chat.requests import HANDLERS
from tessenger.chat.routing import Committed, Fed, Own, Placed, Told
from tessenger.state.memory import MemoryState, StateLimits
from tessenger.wire.framing import LineReader, TooLong
from tessenger.wire.messages import (
    AnyAnswer,
    AnyRequest,
    Error,
    Login,
    MsgTo,
    Resume,
    Sync,
    Synced,
    Welcome,
)
from tests.support.memory_journal import MemoryJournal

GRACE_MS = 30_000
BLOCK_MS = 10_000
TOKEN_MS = 3_600_000
LINE_BYTES = 65_536

_encode_request = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(AnyAnswer).decode
_encode_entry = msgspec.msgpack.Encoder().encode
_decode_entries = msgspec.msgpack.Decoder(list[AnyEntry]).decode
_Result = TypeVar("_Result")
_Answer = TypeVar("_Answer", bound=AnyAnswer)


class World:
    """All of one server."""

    def __init__(
        self,
        workers: int = 2,
        users: Sequence[str] = ("aaa", "bbb", "ccc", "ddd"),
        text_bytes: int = 49_152,
        group_members: int = 1_000,
        max_attempts: int = 3,
        *,
        offline_delivery: bool = False,
        journal: MemoryJournal | None = None,
    ) -> None:
        """Every user's password is `123`. `journal`: one that a server has left, for another run of it."""
        self.now = 1_700_000_000_000
        self.passwords = dict.fromkeys(users, "123")
        self.rules = Rules(text_bytes, group_members, LINE_BYTES, TOKEN_MS, offline_delivery=offline_delivery)
        self.journal = journal or MemoryJournal()
        self.journal.begin_run(self.now + GRACE_MS)
        self.ledger = Ledger(self.journal.load(), GRACE_MS)
        self.tags: dict[str, str] = {}
        self.journal.commit(self.ledger.set_accounts(self.accounts, self.now))
        limits = StateLimits(max_attempts, BLOCK_MS, 0, group_members)
        self.state = MemoryState(len(self.journal.runs), limits, self.journal.load(), lambda: self.now)
        self.passwords_checked = 0
        self.token_name = "secret" if journal is None else self.journal.runs[-1].name  # no two worlds have the same
        self.tokens = 0
        self.workers: dict[int, WorldWorker] = {}
        for slot in range(1, workers + 1):
            self._seat(slot, 1)

    # ---- accounts ----

    def canonical(self, user: str) -> str | None:
        """Return the name as the credentials have it, or None."""
        return next((name for name in self.passwords if name.lower() == user.lower()), None)

    def everybody(self) -> Iterable[str]:
        """Return all names."""
        return self.passwords.keys()

    def secret(self, user: str) -> str | None:
        """Return what stands for the user's password, or None."""
        return self.passwords.get(self.canonical(user) or "")

    def tag(self, user: str) -> str:
        """Return what tells the user's account from an earlier one of that name."""
        return self.tags.get(self.canonical(user) or "", "")

    @property
    def accounts(self) -> dict[str, str]:
        """Who has an account, as the credentials say."""
        return {user: self.tags.get(user, "") for user in self.passwords}

    def reload(self) -> list[AnyEntry]:
        """Let the log have the accounts of the credentials, as they are now."""
        return self.keep(self.ledger.set_accounts(self.accounts, self.now))

    # ---- what happens next ----

    def order(self, *slots: int) -> list[AnyEntry]:
        """Order and commit, as one batch, what these workers have appended (all, where none is named)."""
        ordered: list[AnyEntry] = []
        for slot in slots or self.workers:
            worker = self.workers[slot]
            batch, worker.outbox = worker.outbox, []
            first_n = worker.appended - len(batch) + 1
            ordered += self.ledger.order(slot, worker.id.generation, first_n, copies(batch), self.now)
        return self.keep(ordered)

    def keep(self, ordered: list[AnyEntry]) -> list[AnyEntry]:
        """Commit what is ordered and pass it on."""
        if ordered:
            self.journal.commit(ordered)
            self.state.apply(copies(routing.for_state(ordered)))
            for slot, due in routing.for_workers(ordered, self.workers, self.ledger.present).items():
                if due:
                    self.workers[slot].inbox.append(taken(due, ordered))
        return ordered

    def apply(self, slot: int) -> None:
        """Let a worker act on the next committed batch that it has not seen."""
        worker = self.workers[slot]
        if worker.inbox:
            worker.hub.committed(worker.inbox.popleft())

    def work(self, slot: int) -> None:
        """Let a worker's office do its next job."""
        jobs = self.workers[slot].office.jobs
        if jobs:
            jobs.popleft()()

    def settle(self) -> None:
        """Let everything happen, until nothing is left to happen."""
        while not self.is_quiet:
            for slot, worker in self.workers.items():
                while worker.office.jobs:
                    self.work(slot)
            self.order()
            for slot, worker in self.workers.items():
                while worker.inbox:
                    self.apply(slot)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits anywhere."""
        return not any(w.outbox or w.inbox or w.office.jobs for w in self.workers.values())

    def pass_time(self, ms: int) -> list[AnyEntry]:
        """Let time pass, and what it brings be ordered."""
        self.now += ms
        return self.keep(self.ledger.due(self.now))

    def kill(self, slot: int) -> None:
        """Kill a worker with everything that it had not sent, and put another one in its place."""
        worker = self.workers[slot]
        for client in worker.clients:
            client.is_closed = True
        ordered = self.ledger.release(slot, worker.id.generation, self.now)
        assert [type(entry) for entry in ordered] == [Released]
        self.keep(ordered)
        self._seat(slot, worker.id.generation + 1)

    def _seat(self, slot: int, generation: int) -> None:
        self.ledger.follow(slot, generation)
        self.journal.seat(slot, generation)
        self.workers[slot] = WorldWorker(self, Worker(slot, generation))

    # ---- clients ----

    def connect(self, slot: int = 1, ip: str = "127.0.0.1") -> WorldClient:
        """Connect to a worker."""
        return WorldClient(self, slot, ip)

    def sign_in(self, user: str, slot: int = 1, **fields: Any) -> WorldClient:
        """Connect, sign in and take the welcome; everything settles on the way."""
        client = self.connect(slot)
        client.send(Login(client.new_id(), user, "123", **fields))
        self.settle()
        welcome = client.take(Welcome)
        assert welcome.user == self.canonical(user)
        client.token = welcome.token
        return client

    # ---- what is kept ----

    def kept(self, kind: type[_Result]) -> list[_Result]:
        """Return the journal's entries of this kind, in order."""
        return [entry for entry in self.journal.log if isinstance(entry, kind)]


class WorldWorker:
    """One worker: its hub, and what waits on the way to it and from it."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.id = worker
        self.outbox: list[AnyEntry] = []
        self.appended = 0
        self.inbox: deque[list[Committed]] = deque()
        self.office = WorldOffice(world, worker)
        self.clients: list[WorldClient] = []
        self.hub = Hub(
            worker, Present(world.journal.snapshot()), self, self.office, world, world.rules,
            self._new_token, lambda: world.now, HANDLERS,
        )  # fmt: skip
        self._world = world

    def append(self, entry: AnyEntry) -> int:
        """Implement the port `Log`."""
        self.outbox.append(entry)
        self.appended += 1
        return self.appended

    def _new_token(self) -> str:
        self._world.tokens += 1
        return f"{self._world.token_name}-{self._world.tokens}"


class WorldOffice:
    """Implements the port `Office`: a job is done, and its result brought, when the world says so."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.jobs: deque[Callable[[], None]] = deque()
        self.is_unavailable = False
        self._world = world
        self._worker = worker

    def sign_in(
        self, user: str, password: str, address: str, then: Callable[[SignInResult], None], is_gone: Callable[[], bool]
    ) -> None:
        """Check a password, counted."""

        def check() -> SignInResult | TryLater:
            begun = self._world.state.begin_attempt(self._worker, user, address)
            if isinstance(begun, TryLater | IsBlocked):
                return begun
            self._world.passwords_checked += 1
            name = self._world.canonical(user)
            if name is not None and self._world.passwords[name] == password:
                number = self._world.state.attempt_succeeded(begun.attempt, user)
                return SignedIn(name, number, self._world.tag(name))
            failed = self._world.state.attempt_failed(begun.attempt, user)
            return WrongPassword(user, failed.failures, failed.blocked_until, BLOCK_MS / 1000, failed.place)

        def done(result: SignInResult | TryLater) -> None:
            if isinstance(result, TryLater):
                self.sign_in(user, password, address, then, is_gone)
            else:
                then(result)

        self._do(check, done)

    def attach(self, then: Callable[[ClaimResult], None]) -> None:
        """Claim a number."""
        self._do(self._world.state.attach, then)

    def create_group(self, group: str, user: str, then: Callable[[ClaimResult], None]) -> None:
        """Claim a group's name."""
        self._do(lambda: self._world.state.create_group(self._worker, group, user), then)

    def join_group(self, group: str, user: str, then: Callable[[ClaimResult], None]) -> None:
        """Claim a membership."""
        self._do(lambda: self._world.state.join_group(self._worker, group, user), then)

    def missed(self, user: str, after: int, upto: int, then: Callable[[list[int] | Unavailable], None]) -> None:
        """Read what was missed."""
        self._do(lambda: self._world.journal.missed(user, after, upto), then)

    def unread(
        self,
        user: str,
        after: int | None,
        upto: int,
        then: Callable[[list[int] | Unavailable], None],
        *,
        away: bool,
    ) -> None:
        """Read what was never shown."""
        self._do(lambda: self._world.journal.unread(user, after, upto, away=away), then)

    def entries(
        self, numbers: Sequence[int], max_bytes: int, then: Callable[[list[AnyEntry] | Unavailable], None]
    ) -> None:
        """Read the first of what was found."""
        self._do(lambda: self._world.journal.entries(numbers, max_bytes), then)

    def history(self, question: Question, then: Callable[[Page | Unavailable], None]) -> None:
        """Read what was said."""
        self._do(lambda: self._world.journal.history(question), then)

    def answer(self, session: int, request: int, then: Callable[[AnyEntry | Unavailable | None], None]) -> None:
        """Read what a request led to."""
        self._do(lambda: self._world.journal.answer(session, request), then)

    def _do(self, job: Callable[[], _Result], then: Callable[[Any], None]) -> None:
        self.jobs.append(lambda: then(Unavailable() if self.is_unavailable else job()))


class WorldClient:
    """A connection to one worker. `lines` is all that came over it; a test has looked at the first `taken` of them."""

    def __init__(self, world: World, slot: int, ip: str) -> None:
        self.world = world
        self.slot = slot
        self.lines: list[AnyAnswer] = []
        self.taken = 0
        self.is_closed = False
        self.token = ""
        self.last_id = 0
        self._hub = world.workers[slot].hub
        self._reader = LineReader(LINE_BYTES)
        self.is_read = True
        self._waits_for_room: Callable[[], None] | None = None
        self.link = Link(ip, self)
        world.workers[slot].clients.append(self)

    def fail(self) -> None:
        """Let the test see what went wrong."""
        raise  # noqa: PLE0704 it is called where an exception is handled

    def new_id(self) -> int:
        """Return the next request id."""
        self.last_id += 1
        return self.last_id

    def send(self, *requests: AnyRequest) -> None:
        """Send requests, in one piece."""
        self.send_bytes(b"".join(_encode_request(request) + b"\n" for request in requests))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        lines = self._reader.feed(data)
        self._hub.received(repeat(self.link), [line for line in lines if not isinstance(line, TooLong)])
        self._hub.flush()

    def ask(self, request: AnyRequest) -> AnyAnswer:
        """Send a request, let everything happen, and return the one line that came of it."""
        self.send(request)
        self.world.settle()
        (answer,) = self.rest()
        return answer

    def say(self, to: str, text: str) -> int:
        """Send a private message on its way and return its id."""
        number = self.new_id()
        self.send(MsgTo(number, to, text))
        return number

    def resume(self, token: str, after: int, slot: int | None = None, **fields: Any) -> WorldClient:
        """Connect again, ask to resume, and return the new connection; nothing is delivered yet."""
        client = self.world.connect(self.slot if slot is None else slot)
        client.token = token
        client.last_id = self.last_id
        client.send(Resume(client.new_id(), token, after, **fields))
        return client

    def take(self, kind: type[_Answer]) -> _Answer:
        """Return the next line, which is of this kind."""
        assert self.taken < len(self.lines), f"nothing more came after {self.lines}"
        line = self.lines[self.taken]
        assert isinstance(line, kind), line
        self.taken += 1
        return line

    def rest(self) -> list[AnyAnswer]:
        """Return every line that the test has not taken yet."""
        new = self.lines[self.taken :]
        self.taken = len(self.lines)
        return new

    def synced(self) -> list[AnyAnswer]:
        """Return what has come until a barrier of this client has come back."""
        number = self.new_id()
        self.send(Sync(number))
        self.world.settle()
        *before, last = self.rest()
        assert last == Synced(number)
        return before

    def refused(self, request: AnyRequest) -> tuple[str, str]:
        """Send a request and return the code and the text of the error that answers it."""
        answer = self.ask(request)
        assert isinstance(answer, Error), answer
        assert answer.re == getattr(request, "id", None)
        return answer.code, answer.text

    def lose(self) -> None:
        """Break the connection."""
        if not self.is_closed:
            self.is_closed = True
            self._hub.lost(self.link)

    # ---- the port `Carrier` ----

    def write(self, data: bytes) -> int:
        """Take what the server sends."""
        assert not self.is_closed, f"{data!r} was sent on a closed connection"
        assert data.endswith(b"\n")
        self.lines += [_decode_answer(line) for line in data[:-1].split(b"\n")]
        return len(data)

    def write_rest(self, data: bytes) -> None:
        """`write` takes everything."""
        raise AssertionError(data)

    def close(self) -> None:
        """Note the end."""
        self.is_closed = True

    def go_on(self) -> None:
        """Nothing is throttled here."""

    def when_written(self, then: Callable[[], None]) -> None:
        """There is room while `is_read`; otherwise from `read_on` on."""
        if self.is_read:
            then()
        else:
            self._waits_for_room = then

    def read_on(self) -> None:
        """Make room."""
        then, self._waits_for_room = self._waits_for_room, None
        if then is not None:
            then()

    def kept_back(self, size: int) -> None:
        """Any number of bytes may wait."""


def copies(batch: Iterable[AnyEntry]) -> list[AnyEntry]:
    """Return entries as another process gets them."""
    copied: list[AnyEntry] = _decode_entries(_encode_entry(list(batch)))
    return copied


def taken(fed: Sequence[Fed], ordered: Sequence[AnyEntry]) -> list[Committed]:
    """Return what a worker makes of what it is fed: its own messages, as appended, stand where they were placed."""
    came: list[Committed] = []
    for item in fed:
        if isinstance(item, Placed):
            first = next(place for place, entry in enumerate(ordered) if entry.seq == item.seq)
            own = [entry for entry in ordered[first : first + item.count] if isinstance(entry, Message)]
            assert [(entry.n, entry.seq) for entry in own] == [(item.n + i, item.seq + i) for i in range(item.count)]
            came.append(Own(item.n, item.seq, item.at, [replace(entry, seq=0, at=0, slot=0, n=0) for entry in own]))
        elif isinstance(item, Told):
            came.append(item)
        else:
            came += copies([item])
    return came
