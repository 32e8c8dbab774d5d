"""Reading back: what is found, in which steps, and with how much work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tessenger.chat.entries import GroupMessage, Message
from tessenger.chat.ports import Question
from tessenger.journal import chunks, store
from tessenger.journal import history as queries
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import chunks_read, rewrite
from tests.support.log_history import GROUPS, USERS, History
from tests.support.memory_journal import MemoryJournal

MUCH = 2**40
"""Bytes that no page has."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """An empty journal."""
    with closing(SqliteJournal(path, "process")) as opened:
        yield opened


def paged(journal: SqliteJournal, question: Question) -> list[list[str]]:
    """Ask on until there is no more; return the texts of each page."""
    pages = []
    journal.settle()
    with closing(SqliteReader(journal.path)) as reader:
        while True:
            page = reader.history(question)
            pages.append([entry.text for entry in page.found])
            assert not page.before or not question.before or page.before < question.before, "every page goes on"
            if not page.before:
                return pages
            question = structs.replace(question, before=page.before)


def joined(pages: list[list[str]]) -> list[str]:
    """Return all texts of all pages, the oldest first."""
    return [text for page in reversed(pages) for text in page]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    actions=st.lists(
        st.tuples(st.sampled_from([0, 2, 2, 2, 3, 3, 4, 6, 7, 11, 18]), st.integers(0, 7), st.integers(0, 7)),
        min_size=8,
    ),
    peer=st.sampled_from(["", *USERS]),
    group=st.sampled_from(["", *GROUPS]),
    limit=st.integers(1, 5),
    scanned=st.integers(1, 9),
    since=st.integers(0, 400),
    before=st.integers(0, 60),
    count_every=st.integers(1, 40),
)
def test_pages_add_up_to_what_a_plain_search_finds(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    actions: list[tuple[int, int, int]],
    peer: str,
    group: str,
    limit: int,
    scanned: int,
    since: int,
    before: int,
    count_every: int,
) -> None:
    """However small the steps are: nobody's messages are missing, twice, or out of order, and nobody else's come."""
    monkeypatch.setattr(queries, "SCANNED", scanned)
    monkeypatch.setattr(queries, "SCANNED_TEXT", scanned * 2)
    monkeypatch.setattr(store, "COUNT_EVERY", count_every)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    monkeypatch.setattr(store, "COUNT_STEP", 2)
    path = tmp_path_factory.mktemp("history") / "journal.db"
    plain, history = MemoryJournal(), History()
    with closing(SqliteJournal(path, "process")) as journal:
        start = history.now
        for user in USERS:
            actions.insert(0, (0, USERS.index(user), 0))
        for number, (action, one, other) in enumerate(actions):
            user, to = USERS[one % len(USERS)], USERS[other % len(USERS)]
            batch = history.message(user, to, str(number)) if action == 2 else history.random(action, one, other)
            journal.commit(batch)
            plain.commit(batch)
        for user in (*USERS, "AAA"):
            whole = Question(user, "" if group else peer, group, 10_000, start + since, before, MUCH)
            expected = [entry.text for entry in plain.history(whole).found]
            question = Question(user, whole.peer, group, limit, whole.since, before, MUCH)
            assert joined(paged(journal, question)) == expected


def test_only_what_one_was_entitled_to(journal: SqliteJournal, path: Path) -> None:
    """One's own conversations, and a group's since one was a member."""
    history = History()
    for user in USERS:
        journal.commit(history.online(user))
    journal.commit(history.create("aaa", "g", "Bbb"))
    journal.commit(history.to_group("aaa", "g", "before"))
    journal.commit(history.join("ccc", "g"))
    journal.commit(history.to_group("ccc", "g", "after"))
    journal.commit(history.message("aaa", "Bbb", "not for ccc"))
    journal.commit(history.message("ccc", "aaa", "for aaa"))
    assert paged(journal, Question("ccc", "", "", 9, 0, 0, MUCH)) == [["after", "for aaa"]]
    assert paged(journal, Question("ccc", "", "g", 9, 0, 0, MUCH)) == [["after"]]
    assert paged(journal, Question("ccc", "bbb", "", 9, 0, 0, MUCH)) == [[]]
    assert paged(journal, Question("ddd", "", "g", 9, 0, 0, MUCH)) == [[]]
    assert paged(journal, Question("ddd", "", "", 9, 0, 0, MUCH)) == [[]]
    assert paged(journal, Question("AAA", "CCC", "", 9, 0, 0, MUCH)) == [["for aaa"]]


def test_a_page_is_bounded_in_bytes(journal: SqliteJournal, path: Path) -> None:
    """Long texts come a few at a time, and one that is longer than allowed alone."""
    history = History()
    for user in ("aaa", "Bbb"):
        journal.commit(history.online(user))
    texts = ["a" * 100, "\u2603" * 30, "b" * 10, "c" * 1_000]
    for text in texts:
        journal.commit(history.message("aaa", "Bbb", text))
    journal.settle()
    with closing(SqliteReader(path)) as reader:
        page = reader.history(Question("aaa", "Bbb", "", 9, 0, 0, 100))
        assert [e.text for e in page.found] == texts[3:]
        page = reader.history(Question("aaa", "Bbb", "", 9, 0, page.before, 100))
        assert [e.text for e in page.found] == texts[1:3]
        page = reader.history(Question("aaa", "Bbb", "", 9, 0, page.before, 100))
        assert [e.text for e in page.found] == texts[:1]


def test_looking_is_bounded_in_entries(journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation that lies under many others is come to step by step, each of bounded work."""
    monkeypatch.setattr(queries, "SCANNED", 100)
    history = History()
    for user in ("aaa", "Bbb", "ccc"):
        journal.commit(history.online(user))
    journal.commit(history.message("aaa", "Bbb", "long ago"))
    for number in range(950):
        journal.commit(history.message("ccc", "Bbb", str(number)))
    assert paged(journal, Question("aaa", "Bbb", "", 5, 0, 0, MUCH)) == [[]] * 9 + [["long ago"]]


def test_since_is_found_by_halving(journal: SqliteJournal, path: Path) -> None:
    """Messages from a moment on, whatever gaps the numbers have; from the future, none."""
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    sent: list[Message | GroupMessage] = []
    for number in range(40):
        (entry,) = history.message("aaa", "Bbb", str(number))
        assert isinstance(entry, Message)
        journal.commit([entry])
        sent.append(entry)
    journal.settle()
    with sqlite3.connect(path) as db:
        rewrite(db, lambda entry: entry if entry["seq"] % 3 else None)
    left = [entry for entry in sent if entry.seq % 3]
    for entry in left:
        assert joined(paged(journal, Question("aaa", "", "", 99, entry.at, 0, MUCH))) == [
            e.text for e in left if e.at >= entry.at
        ]
    assert joined(paged(journal, Question("aaa", "", "", 99, left[-1].at + 1, 0, MUCH))) == []


def test_looking_stops_where_the_page_is_full(
    journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the log and a conversation are: no more of it is read than the page needs."""
    history = History()
    for user in ("aaa", "Bbb"):
        journal.commit(history.online(user))
    journal.commit(history.create("aaa", "g", "Bbb"))
    for number in range(40):
        journal.commit(
            [
                entry
                for _ in range(chunks.TOGETHER)
                for entry in history.message("aaa", "Bbb", str(number)) + history.to_group("Bbb", "g", str(number))
            ]
        )
    journal.keep_logged()
    middle = history.ledger.seq // 2
    with closing(SqliteReader(path)) as reader:
        for before in (0, middle):
            for question in (
                Question("aaa", "", "", 10, 0, before, MUCH),
                Question("aaa", "Bbb", "", 10, 0, before, MUCH),
                Question("aaa", "", "g", 10, 0, before, MUCH),
            ):
                with chunks_read(monkeypatch) as read:
                    assert len(reader.history(question).found) == 10
                assert 1 <= len(read) <= 3
