"""What every implementation of the ports `Journal` and `Reader` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from tessenger.chat import entries, ports
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Present, Snapshot
from tessenger.journal import store
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tests.support.log_history import GRACE_MS, USERS, History
from tests.support.memory_journal import MemoryJournal


class Pair(Struct):
    """A journal and a reader of it."""

    journal: Any
    reader: Any

    def commit(self, batch: list[AnyEntry]) -> list[AnyEntry]:
        """Commit so that the reader finds it, and return the batch."""
        self.journal.commit(batch)
        self.journal.settle()
        return batch


Opened = Callable[[], AbstractContextManager[Pair]]


@pytest.fixture(params=["sqlite", "memory"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Opened:
    """Open a journal and a reader; a second call opens a pair that shares nothing with the first."""
    monkeypatch.setattr(store, "COUNT_EVERY", 5)  # so that short histories cross it
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    monkeypatch.setattr(store, "COUNT_STEP", 2)

    @contextmanager
    def memory() -> Iterator[Pair]:
        journal = MemoryJournal()
        yield Pair(journal, journal)

    @contextmanager
    def sqlite() -> Iterator[Pair]:
        path = tmp_path_factory.mktemp("journal") / "journal.db"
        journal = SqliteJournal(path, "process")
        reader = SqliteReader(path)
        try:
            yield Pair(journal, reader)
        finally:
            reader.close()
            journal.close()

    return memory if request.param == "memory" else sqlite


@pytest.fixture
def pair(opened: Opened) -> Iterator[Pair]:
    """One pair."""
    with opened() as one:
        yield one


def state(snapshot: Snapshot) -> dict[str, object]:
    """Return a snapshot as something that compares, also in the order of members and groups."""
    return {
        "seq": snapshot.seq,
        "at": snapshot.at,
        "sessions": sorted(snapshot.sessions, key=lambda s: s.id),
        "groups": [
            (g.name, g.creator, g.seq, list(g.members.items()), g.private, g.invited, g.former) for g in snapshot.groups
        ],
        "failures": snapshot.failures,
        "blocks": snapshot.blocks,
        "known": snapshot.known,
        "accounts": sorted(snapshot.accounts, key=lambda a: a.user),
        "accounts_begun": snapshot.accounts_begun,
    }


def state_of(present: Present) -> dict[str, object]:
    """Return the same of a present state in memory."""
    return state(
        Snapshot(
            present.seq, present.at, list(present.sessions.values()), list(present.groups.values()), present.failures,
            present.blocks, {}, known=present.known.of, accounts=list(present.accounts.values()),
            accounts_begun=present.accounts_begun,
        )
    )  # fmt: skip


def texts(reader: ports.Reader, numbers: list[int]) -> list[str]:
    """Return the texts of messages, and the commands of signals, read in one page."""
    found = reader.entries(numbers, 1_000_000)
    assert [entry.seq for entry in found] == numbers
    return [str(getattr(entry, "text", "") or getattr(entry, "name", "")) for entry in found]


def play(history: History, pair: Pair, actions: list[tuple[int, int, int]], cuts: list[int]) -> list[AnyEntry]:
    """Commit what `actions` lead to in batches of `cuts`; return what was journaled."""
    pending: list[AnyEntry] = []
    journaled: list[AnyEntry] = []
    generation = history.generation
    pair.journal.seat(1, generation)
    for count, action in enumerate(actions):
        pending += history.random(*action)
        if history.generation == generation and len(pending) < cuts[count % len(cuts)]:
            continue
        journaled += [entry for entry in pair.commit(pending) if entry.seq]
        pending = []
        if history.generation != generation:
            generation = history.generation
            pair.journal.seat(1, generation)
    return journaled + [entry for entry in pair.commit(pending) if entry.seq]


random_actions = st.lists(st.tuples(st.integers(0, 24), st.integers(0, 7), st.integers(0, 7)), max_size=80)
random_cuts = st.lists(st.integers(1, 12), min_size=1, max_size=5)
fresh = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fresh
@given(actions=random_actions, cuts=random_cuts)
def test_keeps_what_the_entries_add_up_to(opened: Opened, actions: list[tuple[int, int, int]], cuts: list[int]) -> None:
    """Whatever happened, and however it was cut into batches: the journal has the state that the logger judged by."""
    history = History()
    with opened() as pair:
        play(history, pair, actions, cuts)
        last = pair.commit(history.online("ddd"))[-1]
        expected = state_of(history.ledger.present) | {"at": last.at}
        assert state(pair.journal.load()) == expected
        assert state(pair.reader.snapshot()) == expected
        assert pair.journal.load().slots == {1: (history.generation, last.n)}


@fresh
@given(actions=random_actions, cuts=random_cuts, limit=st.integers(1, 30))
def test_gives_entries_back_as_they_were(
    opened: Opened, actions: list[tuple[int, int, int]], cuts: list[int], limit: int
) -> None:
    """Read page by page, the log is what was committed: every kind, every field, every body, in order."""
    with opened() as pair:
        journaled = play(History(), pair, actions, cuts)
        read: list[AnyEntry] = []
        while page := pair.journal.entries_after(read[-1].seq if read else 0, limit):
            assert len(page) <= limit
            read += page
        assert read == journaled


@fresh
@given(actions=random_actions, cuts=random_cuts, after=st.integers(0, 40), upto=st.integers(0, 80))
def test_readers_get_what_a_plain_search_finds(
    opened: Opened, actions: list[tuple[int, int, int]], cuts: list[int], after: int, upto: int
) -> None:
    """Catch-up, what is unread, and answers to repeats are what going through every entry gives."""
    plain = MemoryJournal()
    with opened() as pair:
        journaled = play(History(), pair, actions, cuts)
        play(History(), Pair(plain, plain), actions, cuts)
        for user in (*USERS, "AAA", "nobody"):
            assert pair.reader.missed(user, after, upto) == plain.missed(user, after, upto)
            assert pair.reader.unread(user, after, upto) == plain.unread(user, after, upto)
            assert pair.reader.unread(user, None, 2**53) == plain.unread(user, None, 2**53)
            for peer, group in (("", ""), ("Bbb", ""), ("", "g")):
                question = ports.Question(user, peer, group, 50, 0, upto, 100_000)
                assert pair.reader.history(question) == plain.history(question)
        online = pair.journal.load().sessions
        for entry in journaled:
            if isinstance(entry, entries.Issued) and entry.session in {session.id for session in online}:
                assert pair.reader.answer(entry.session, entry.request) == entry
        for session in online:
            assert pair.reader.answer(session.id, session.highest + 1) is None


def test_new_journal_is_empty(pair: Pair) -> None:
    """Nothing is there before the first commit."""
    assert state(pair.journal.load()) == state(Snapshot(0, 0, [], [], {}, {}, {}))
    assert pair.journal.entries_after(0, 10) == []
    assert pair.reader.answer(1, 1) is None


def test_an_answer_is_of_a_request_alone(pair: Pair) -> None:
    """Not of how a session began, broke or went on, whose entries carry the session's number and an id, or 0."""
    history = History()
    (begun,) = pair.commit(history.online("aaa"))
    assert isinstance(begun, entries.Online)
    pair.commit(history.detach("aaa"))
    assert [pair.reader.answer(begun.session, number) for number in (0, begun.request)] == [None, None]
    (resumed,) = pair.commit(history.resume("aaa"))
    assert isinstance(resumed, entries.Resumed)
    assert pair.reader.answer(begun.session, resumed.request) is None
    messages = [pair.commit(history.message("aaa", "bbb"))[0] for _ in range(10)]
    (same_id,) = (m for m in messages if isinstance(m, entries.Message) and m.request == resumed.request)
    assert pair.reader.answer(begun.session, resumed.request) == same_id


def test_missed_has_only_what_is_due(pair: Pair) -> None:
    """A resumed session gets messages to it and to its groups since its user joined: no more, and not its own."""
    history = History()
    for user in USERS:
        pair.commit(history.online(user))
    pair.commit(history.create("aaa", "g", "Bbb"))
    pair.commit(history.to_group("aaa", "g", "before ccc joined"))
    pair.commit(history.join("ccc", "g"))
    begin = history.ledger.seq
    pair.commit(history.to_group("aaa", "g", "for all"))
    pair.commit(history.to_group("ccc", "g", "own"))
    pair.commit(history.message("aaa", "ccc", "private"))
    pair.commit(history.message("ccc", "aaa", "sent"))
    pair.commit(history.command("ccc"))
    pair.commit(history.signal("aaa", "ccc"))
    assert texts(pair.reader, pair.reader.missed("ccc", 0, history.ledger.seq)) == ["for all", "private", "p2pvideo"]
    assert texts(pair.reader, pair.reader.missed("CCC", begin, history.ledger.seq - 1)) == ["for all", "private"]
    assert texts(pair.reader, pair.reader.missed("ddd", 0, history.ledger.seq)) == []


def test_pages_are_bounded_by_their_texts(pair: Pair) -> None:
    """A page ends with the entry that fills it, and has one at least; what does not exist any more is left out."""
    history = History()
    pair.commit(history.online("aaa"))
    for size in (50, 49, 1, 200, 3):
        pair.commit(history.message("aaa", "Bbb", "x" * size))
    numbers = pair.reader.missed("Bbb", 0, 2**53)
    assert len(numbers) == 5
    first = pair.reader.entries(numbers, 100)
    assert [len(entry.text) for entry in first if isinstance(entry, entries.Message)] == [50, 49, 1]
    assert [entry.seq for entry in pair.reader.entries(numbers[3:], 100)] == numbers[3:4]
    assert [entry.seq for entry in pair.reader.entries([2**50, numbers[4], 2**51], 100)] == numbers[4:]
    assert pair.reader.entries([2**50], 100) == []


def test_unread_after_a_broken_session(pair: Pair) -> None:
    """Who came back too late gets what was not shown: private messages up to now, groups' until the session ended."""
    history = History()
    for user in ("aaa", "Bbb"):
        pair.commit(history.online(user))
    pair.commit(history.create("aaa", "g", "Bbb"))
    pair.commit(history.message("aaa", "Bbb", "shown"))
    pair.commit(history.seen("Bbb"))
    pair.commit(history.detach("Bbb"))
    pair.commit(history.message("aaa", "Bbb", "accepted meanwhile"))
    pair.commit(history.to_group("aaa", "g", "meanwhile"))
    pair.commit(history.signal("aaa", "Bbb"))
    pair.commit(history.wait(GRACE_MS + 1))
    pair.commit(history.to_group("aaa", "g", "while away"))
    pair.commit(history.message("aaa", "Bbb", "left for later"))
    assert texts(pair.reader, pair.reader.unread("bbb", None, 2**53)) == [
        "accepted meanwhile",
        "meanwhile",
        "left for later",
    ]
    first = pair.reader.unread("bbb", None, 2**53)[0]
    assert texts(pair.reader, pair.reader.unread("bbb", first, 2**53)) == ["meanwhile", "left for later"]
    assert texts(pair.reader, pair.reader.unread("bbb", None, first)) == ["accepted meanwhile"]


def test_nothing_is_unread_after_logout(pair: Pair) -> None:
    """A clean logout has shown everything; what is ordered after it is unread."""
    history = History()
    for user in ("aaa", "Bbb"):
        pair.commit(history.online(user))
    pair.commit(history.create("aaa", "g", "Bbb"))
    pair.commit(history.message("aaa", "Bbb", "shown"))
    pair.commit(history.to_group("aaa", "g", "shown"))
    pair.commit(history.offline("Bbb"))
    assert pair.reader.unread("Bbb", None, 2**53) == []
    pair.commit(history.message("aaa", "Bbb", "accepted, but too late"))
    assert texts(pair.reader, pair.reader.unread("Bbb", None, 2**53)) == ["accepted, but too late"]


def test_a_replaced_session_ends_where_the_new_one_begins(pair: Pair) -> None:
    """Who signs in elsewhere gets there what the first client was not shown, also in groups."""
    history = History()
    for user in ("aaa", "Bbb"):
        pair.commit(history.online(user))
    pair.commit(history.create("aaa", "g", "Bbb"))
    pair.commit(history.to_group("aaa", "g", "never shown"))
    first = history.ledger.present.find("bbb")
    assert first is not None
    pair.commit(history.online("bbb"))
    pair.commit(history.to_group("aaa", "g", "live"))
    pair.commit([entries.Seen(first.id, history.ledger.seq)])
    assert texts(pair.reader, pair.reader.unread("Bbb", None, 2**53)) == ["never shown"]


def test_seen_only_rises(pair: Pair) -> None:
    """A position that was said late does not take back one that was said before."""
    history = History()
    for user in ("aaa", "Bbb"):
        pair.commit(history.online(user))
    pair.commit(history.message("aaa", "Bbb", "one"))
    one = history.ledger.seq
    pair.commit(history.message("aaa", "Bbb", "two"))
    pair.commit(history.seen("Bbb"))
    pair.commit(history.seen("Bbb", one))
    assert pair.reader.unread("Bbb", None, 2**53) == []


def test_a_name_of_somebody_else_has_nothing_of_what_was_before(pair: Pair) -> None:
    """Neither what was missed nor what waits nor history; what comes from then on is there, and the others' stays."""
    history = History()
    pair.commit(history.accounts(dict.fromkeys(USERS, "")))
    for user in ("aaa", "Bbb"):
        pair.commit(history.online(user))
    pair.commit(history.create("Bbb", "g", "aaa"))
    pair.commit(history.message("aaa", "Bbb", "old"))
    pair.commit(history.to_group("aaa", "g", "old, for all"))
    ended, removed, added = pair.commit(history.accounts({**dict.fromkeys(USERS, ""), "Bbb": "new"}))
    assert isinstance(ended, entries.Offline)
    assert isinstance(removed, entries.AccountRemoved)
    assert isinstance(added, entries.AccountAdded)
    assert pair.journal.load().sessions[0].user == "aaa"
    pair.commit(history.message("aaa", "Bbb", "new"))
    pair.commit(history.to_group("aaa", "g", "for those who are left"))
    pair.commit(history.online("bbb"))
    asked = ports.Question("Bbb", "", "", 50, 0, 0, 100_000)
    for numbers in (
        pair.reader.missed("bbb", 0, 2**53), pair.reader.unread("bbb", None, 2**53),
        pair.reader.unread("bbb", 0, 2**53, away=True),
        [entry.seq for entry in pair.reader.history(asked).found],
    ):  # fmt: skip
        assert texts(pair.reader, numbers) == ["new"]
    for question in (replace(asked, group="g"), replace(asked, user="Bbb", peer="ccc")):
        assert pair.reader.history(question).found == []
    found = pair.reader.history(replace(asked, user="aaa")).found
    assert [entry.text for entry in found] == ["old", "old, for all", "new", "for those who are left"]
    (group,) = pair.journal.load().groups
    assert (list(group.members), group.creator, group.former) == (["aaa"], "", set())


def test_a_batch_without_entries_changes_nothing(pair: Pair) -> None:
    """Marks and refusals are passed on, not kept."""
    history = History()
    pair.commit(history.online("aaa"))
    before = state(pair.journal.load())
    pair.commit([])
    pair.commit(history.mark())
    refused = pair.commit(history.message("nobody", "aaa"))
    assert isinstance(refused[0], entries.Refused)
    assert state(pair.journal.load()) == before


def test_implements_the_ports() -> None:
    """The type checker holds the implementations to the ports."""
    journals: list[type[ports.Journal]] = [SqliteJournal, MemoryJournal]
    readers: list[type[ports.Reader]] = [SqliteReader, MemoryJournal]
    assert len(journals) == len(readers)
