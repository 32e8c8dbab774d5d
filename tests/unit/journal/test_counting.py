"""Counting in steps: whatever was written of what was counted, and whoever dies meanwhile, everything is found once."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessenger.chat.entries import Issued
from tessenger.chat.ports import Question
from tessenger.errors import JournalBusy
from tessenger.journal import store, targets
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import counted_upto, numbers_of_targets
from tests.support.log_history import USERS, History
from tests.support.memory_journal import MemoryJournal

AGO = 2**53


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the journal is; it counts after three entries, in steps of one row."""
    monkeypatch.setattr(store, "COUNT_EVERY", 3)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    monkeypatch.setattr(store, "COUNT_STEP", 1)
    return tmp_path / "journal.db"


def test_what_was_counted_comes_into_the_tables_row_by_row(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction writes more of it than a step, and the number moves with the last one."""
    monkeypatch.setattr(store, "COUNT_EVERY", 30)
    history = History()
    with closing(SqliteJournal(path, "process")) as journal:
        for user in USERS:
            journal.commit(history.online(user))
        found = []
        for _ in range(50):
            journal.commit([entry for user in USERS[1:] for entry in history.message(USERS[0], user)])
            journal.settle()
            journal.write_counted()
            found.append((len(numbers_of_targets(path)), counted_upto(path)))
    runs = [after[0] - before[0] for before, after in pairwise(found)]
    # A run has what one of them got, which is a part of it, and there are steps without a run: requests, and the end.
    assert max(runs) <= 30 / len(USERS[1:]) + 1
    assert runs.count(0) > 5
    moved = [after[1] for before, after in pairwise(found) if after[1] != before[1]]
    assert len(moved) >= 3
    assert moved == sorted(set(moved))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0, 2, 2, 2, 3, 3, 4, 6, 7, 9, 11, 18, 20]), st.integers(0, 7), st.integers(0, 7)),
        min_size=10,
        max_size=60,
    ),
    dies=st.sets(st.integers(0, 60)),
    step=st.integers(1, 5),
)
def test_a_writer_that_dies_between_two_steps(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[int, int, int]],
    dies: set[int],
    step: int,
) -> None:
    """The next one goes on, and a reader that was there before, as one that comes, finds what a plain one does."""
    monkeypatch.setattr(store, "COUNT_EVERY", 3)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    monkeypatch.setattr(store, "COUNT_STEP", step)
    monkeypatch.setattr(targets, "RUN", 2)
    path = tmp_path_factory.mktemp("counting") / "journal.db"
    plain, history = MemoryJournal(), History()
    journal = SqliteJournal(path, "process")
    reader = SqliteReader(path)
    for user in USERS:
        batch = history.online(user)
        journal.commit(batch)
        plain.commit(batch)
    for number, action in enumerate(steps):
        batch = history.random(*action)
        journal.commit(batch)
        plain.commit(batch)
        if number in dies:
            journal.abandon()
            journal = SqliteJournal(path, "process")
        journal.settle()
        if number % 3:
            journal.write_counted()
        with closing(SqliteReader(path)) as new:
            for user in USERS:
                assert reader.missed(user, 0, AGO) == new.missed(user, 0, AGO) == plain.missed(user, 0, AGO)
                assert reader.unread(user, None, AGO) == new.unread(user, None, AGO) == plain.unread(user, None, AGO)
            for before in (0, *range(max(1, journal.last_seq - 4), journal.last_seq)):
                asked = Question(USERS[0], USERS[1], "", 100, 0, before, 2**30)
                assert reader.history(asked).found == new.history(asked).found == plain.history(asked).found
    reader.close()
    with closing(SqliteReader(path)) as new:
        sessions = {session.id for session in journal.load().sessions}
        for entry in plain.log:
            if isinstance(entry, Issued) and entry.session in sessions:
                assert new.answer(entry.session, entry.request) == entry
    assert journal.load() == state_of(path)
    journal.keep_logged()
    journal.close()
    assert max(Counter(numbers_of_targets(path)).values(), default=1) == 1


def state_of(path: Path) -> object:
    """Return the present state as a reader finds it."""
    with closing(SqliteReader(path)) as reader:
        return reader.snapshot()


def test_a_step_that_finds_no_room_is_done_again(path: Path) -> None:
    """With a later transaction, and nothing that was counted is lost or there twice."""
    history = History()
    with closing(SqliteJournal(path, "process")) as journal:
        for user in USERS:
            journal.commit(history.online(user))
        (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
        refused = 0
        for number in range(60):
            journal._db.execute(f"PRAGMA max_page_count = {pages if number % 3 else 1_000_000}")
            batch = [entry for user in USERS[1:] for entry in history.message(USERS[0], user, "x" * 200)]
            try:
                journal.commit(batch)
                journal.settle()
                journal.write_counted()
            except JournalBusy:
                refused += 1
                journal._db.execute("PRAGMA max_page_count = 1000000")
                if journal.last_seq < batch[-1].seq:
                    journal.commit(batch)
                journal.settle()
                journal.write_counted()
            (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
        assert refused > 5
        journal.keep_logged()
        with closing(SqliteReader(path)) as reader:
            for user in USERS[1:]:
                assert len(reader.missed(user, 0, AGO)) == 60
    assert max(Counter(numbers_of_targets(path)).values()) == 1


def test_what_was_counted_costs_the_file_hardly_more_than_a_page_a_row(tmp_path: Path) -> None:
    """However long the rows are that each of them had before: a page that is full is not split between two others."""
    people = [f"user{number}" for number in range(100)]
    history = History()
    with closing(SqliteJournal(tmp_path / "journal.db", "process")) as journal:
        for user in people:
            journal.commit(history.online(user))
        journal.keep_logged()

        def pages(rush: int) -> float:
            """Let everybody get so many messages, and return what keeping that adds to the write-ahead file, a row."""
            for _ in range(rush):
                journal.commit([entry for user in people for entry in history.message(people[0], user)])
            journal.settle()
            journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            journal._counting.take(journal.last_seq)
            rows = journal._counting.taken
            while journal._counting.is_writing:
                journal._db.execute("BEGIN IMMEDIATE")
                journal._counting.write(journal._db, 1)
                journal._db.execute("COMMIT")
                journal._counting.written()
            return (tmp_path / "journal.db-wal").stat().st_size / store.PAGE / rows

        pages(60)
        assert max(pages(60) for _ in range(5)) < 3.1  # 2.6 to 2.8; with rows in order of targets up to 4.4
