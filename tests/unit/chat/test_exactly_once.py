"""Nothing lost, nothing doubled, nothing out of order: random conversations under random interleavings and failures.

Every client behaves as the real one does: it remembers the last number that it received and what was not answered yet,
and after a break resumes with the one and sends the other again. What it ends up with is compared with the journal.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tessenger.chat import entries
from tessenger.wire.messages import (
    ActiveUser,
    ActiveUsers,
    AnyAnswer,
    AnyRequest,
    Created,
    CreateGroup,
    Error,
    GroupMessage,
    GroupMsg,
    Joined,
    JoinGroup,
    Message,
    MsgTo,
    Resume,
    Sent,
    Welcome,
)
from tests.support.hub_world import World

USERS = ("aaa", "bbb", "ccc", "ddd")
SLOTS = (1, 2, 3)

users = st.sampled_from(USERS)
slots = st.sampled_from(SLOTS)


class Person:
    """Somebody at a client that reconnects by itself."""

    def __init__(self, world: World, user: str, slot: int) -> None:
        self.world = world
        self.user = user
        self.client = world.sign_in(user, slot)
        self.token = self.client.token
        self.last_id = self.client.last_id
        (began,) = [e.seq for e in world.kept(entries.Online) if e.user == user]
        self.began = self.last_seq = began
        self.received: list[Message | GroupMessage] = []
        self.unanswered: dict[int, AnyRequest] = {}
        self.answers: dict[int, AnyAnswer] = {}
        self._asked: list[int] = []
        self._is_welcome = True

    def ask(self, request: AnyRequest) -> None:
        """Send a request, or keep it for when the connection is back."""
        number: int = request.id  # type: ignore[union-attr]  # `Seen`, which has none, is not asked here
        self.unanswered[number] = request
        if not self.client.is_closed and self._is_welcome:
            self._asked.append(number)
            self.client.send(request)

    def new_id(self) -> int:
        """Return the next request id."""
        self.last_id += 1
        return self.last_id

    def resume(self, slot: int) -> None:
        """Come back over a new connection."""
        self.read()
        self.client.lose()
        self.client = self.world.connect(slot)
        self._is_welcome = False
        self._asked = []
        self.client.send(Resume(self.new_id(), self.token, self.last_seq))

    def forget(self, count: int) -> None:
        """Lose what was received last, as a client does that dies before it has shown it."""
        if count and self.received:
            del self.received[-count:]
            self.last_seq = self.received[-1].seq if self.received else self.began

    def read(self) -> None:
        """Take what came, and check its order."""
        for line in self.client.rest():
            if isinstance(line, Welcome):
                self._is_welcome = True
                for request in list(self.unanswered.values()):
                    self.ask(request)
            elif isinstance(line, Message | GroupMessage):
                assert line.seq > self.last_seq, f"{self.user} got {line} behind {self.last_seq}"
                self.last_seq = line.seq
                self.received.append(line)
            else:
                self._answered(line)

    def _answered(self, line: AnyAnswer) -> None:
        assert isinstance(line, Sent | Created | Joined | ActiveUsers | Error), line
        assert line.re is not None
        assert self._asked.pop(0) == line.re, "answers out of order"
        assert not isinstance(line, Error) or line.code in {"group_exists", "already_member"}, line
        self.answers[line.re] = line
        del self.unanswered[line.re]


class Conversation(RuleBasedStateMachine):
    """Four people on three workers."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(workers=len(SLOTS))
        self.people: dict[str, Person] = {}
        self.texts = 0

    @initialize(places=st.tuples(slots, slots, slots, slots))
    def begin(self, places: tuple[int, ...]) -> None:
        """Everybody signs in; two groups are there."""
        for user, slot in zip(USERS, places, strict=True):
            self.people[user] = Person(self.world, user, slot)
        aaa = self.people["aaa"]
        aaa.ask(CreateGroup(aaa.new_id(), "g", ["bbb", "ccc"]))
        aaa.ask(CreateGroup(aaa.new_id(), "h", ["ddd"]))
        self.world.settle()

    # ---- what people do ----

    @rule(user=users, to=users)
    def message(self, user: str, to: str) -> None:
        """Someone writes to someone."""
        if user != to:
            person = self.people[user]
            person.ask(MsgTo(person.new_id(), to, self._text()))

    @rule(user=users, count=st.integers(1, 3))
    def group_messages(self, user: str, count: int) -> None:
        """Someone writes to a group that they are in."""
        person = self.people[user]
        for _ in range(count):
            person.ask(GroupMsg(person.new_id(), "h" if user == "ddd" else "g", self._text()))

    @rule(user=users)
    def join(self, user: str) -> None:
        """Someone joins the other group, maybe once more."""
        person = self.people[user]
        person.ask(JoinGroup(person.new_id(), "g" if user == "ddd" else "h"))

    @rule(user=users)
    def create(self, user: str) -> None:
        """Several want one group."""
        person = self.people[user]
        person.ask(CreateGroup(person.new_id(), "wanted", ["aaa"]))

    @rule(user=users)
    def list_users(self, user: str) -> None:
        """Someone looks who is there."""
        person = self.people[user]
        person.ask(ActiveUser(person.new_id()))

    # ---- what goes wrong ----

    @rule(user=users)
    def break_connection(self, user: str) -> None:
        """A connection breaks."""
        self.people[user].read()
        self.people[user].client.lose()

    @rule(user=users, slot=slots, forgotten=st.integers(0, 3))
    def resume(self, user: str, slot: int, forgotten: int) -> None:
        """A client comes back, on any worker, maybe without the last that it had received."""
        person = self.people[user]
        person.read()
        person.forget(forgotten)
        person.resume(slot)

    @rule(slot=slots)
    def kill(self, slot: int) -> None:
        """A worker dies."""
        for person in self.people.values():
            person.read()
        self.world.kill(slot)

    # ---- what happens next ----

    @rule(chosen=st.lists(slots, unique=True, min_size=1))
    def order(self, chosen: list[int]) -> None:
        """Some workers' entries are committed, as one batch."""
        self.world.order(*chosen)

    @rule(slot=slots)
    def apply(self, slot: int) -> None:
        """A worker hears of the next batch."""
        self.world.apply(slot)

    @rule(slot=slots)
    def work(self, slot: int) -> None:
        """A worker's office does its next job."""
        self.world.work(slot)

    @rule(chosen=st.lists(slots, unique=True, min_size=2), count=st.integers(1, 3))
    def turn(self, chosen: list[int], count: int) -> None:
        """Some workers do everything that they can, a few times over."""
        for _ in range(count):
            for slot in chosen:
                self.world.work(slot)
            self.world.order(*chosen)
            for slot in chosen:
                self.world.apply(slot)

    @invariant()
    def everybody_reads(self) -> None:
        """What came is looked at, at once."""
        for person in self.people.values():
            person.read()

    def teardown(self) -> None:
        """In the end everybody is back, has everything that they are due, once, and every question is answered."""
        for person in self.people.values():
            if person.client.is_closed:
                person.resume(1)
            self.world.settle()
            person.read()  # sends again what was not answered
        self.world.settle()
        for person in self.people.values():
            person.read()
            assert not person.unanswered
            assert [e.seq for e in person.received] == self._due(person)
            self._check_answers(person)
        texts = [e.text for e in self.world.journal.log if isinstance(e, entries.Message | entries.GroupMessage)]
        assert len(texts) == len(set(texts)) == self.texts

    def _due(self, person: Person) -> list[int]:
        """Say, straight from the journal, which events someone is due."""
        member_of: set[str] = set()
        due: list[int] = []
        for entry in self.world.journal.log:
            match entry:
                case entries.GroupCreated() if person.user in entry.members:
                    member_of.add(entry.group)
                case entries.GroupJoined(user=person.user):
                    member_of.add(entry.group)
                case entries.Message(to=person.user):
                    due.append(entry.seq)
                case entries.GroupMessage() if entry.group in member_of and entry.user != person.user:
                    due.append(entry.seq)
                case _:
                    pass
        return due

    def _check_answers(self, person: Person) -> None:
        """Every `sent` names the entry of its request."""
        by_seq = {entry.seq: entry for entry in self.world.journal.log}
        for re, answer in person.answers.items():
            if isinstance(answer, Sent):
                entry = by_seq[answer.seq]
                assert isinstance(entry, entries.Message | entries.GroupMessage)
                assert (entry.user, entry.request) == (person.user, re)

    def _text(self) -> str:
        self.texts += 1
        return f"text {self.texts}"


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
