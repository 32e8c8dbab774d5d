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
from tessenger.journal import history as queries
from tessenger.journal import store
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
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
    actions=st.lists(st.tuples(st.sampled_from([0, 2, 2, 3, 3, 6, 7, 11]), st.integers(0, 7), st.integers(0, 7))),
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
    monkeypatch.setattr(store, "COUNT_EVERY", count_every)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    path = tmp_path_factory.mktemp("history") / "journal.db"
    plain, history = MemoryJournal(), History()
    with closing(SqliteJournal(path, "process")) as journal:
        start = history.now
        for action in actions:
            batch = history.random(*action)
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
        db.execute("DELETE FROM entries WHERE seq % 3 = 0")
    left = [entry for entry in sent if entry.seq % 3]
    for entry in left:
        assert joined(paged(journal, Question("aaa", "", "", 99, entry.at, 0, MUCH))) == [
            e.text for e in left if e.at >= entry.at
        ]
    assert joined(paged(journal, Question("aaa", "", "", 99, left[-1].at + 1, 0, MUCH))) == []


def test_every_query_goes_backwards_through_an_index(journal: SqliteJournal, path: Path) -> None:
    """No query goes through the whole log, nor sorts what it finds before it stops."""
    db = sqlite3.connect(path)
    values = {
        "user": "aaa", "peer": "bbb", "group": "g", "target": "aaa", "floor": 1, "before": 9, "limit": 5, "scanned": 5,
        "indexed": 5,
    }  # fmt: skip

    def plan(query: str) -> list[str]:
        return [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]

    by_target = "SEARCH targets USING PRIMARY KEY (target=? AND seq>? AND seq<?)"
    behind = "SEARCH entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    for query, times in ((queries.BETWEEN_TWO, 2), (queries.OF_GROUP, 1), (queries.NTH_OF_TARGET, 1)):
        assert sum(step == by_target for step in plan(query)) == times
        assert sum(step == behind for step in plan(query)) == times
    assert plan(queries.NTH_OF_ALL) == [behind]
    assert {step for step in plan(queries.ENDS) if "entries" in step} == {"SEARCH entries"}
    of_all = plan(queries.OF_ALL)
    assert of_all[0] == "SEARCH entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    assert of_all[-1] == "SEARCH memberships USING INDEX memberships_user (user=? AND name=?)"
    for query in (queries.BETWEEN_TWO, queries.OF_GROUP, queries.NTH_OF_TARGET, queries.OF_ALL):
        assert not [step for step in plan(query) if "TEMP B-TREE" in step or step.startswith("SCAN")]
    db.close()
