"""The checkpointer: the disk has what was committed soon, and it is copied when that is worth it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tessenger.journal import checkpointer
from tessenger.journal.checkpointer import Checkpointer
from tessenger.journal.store import SqliteJournal
from tests.support.log_history import History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """A journal, of which nothing is in the write-ahead file alone."""
    with closing(SqliteJournal(path, "process")) as journal:
        journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        yield journal


def in_journal_alone(path: Path) -> int | None:
    """Return the last number that the journal has without its write-ahead file."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
        (last,) = db.execute("SELECT max(upto) FROM chunks").fetchone()
    return last if last is None else int(last)


def test_a_checkpointer_syncs_each_turn_and_copies_when_there_is_much(
    journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written little of stays in the write-ahead file, on the disk, until its turn comes."""
    turns = threading.Semaphore(0)
    synced = set[int]()

    def sync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        really(descriptor)
        turns.release()

    really = checkpointer.to_disk
    monkeypatch.setattr(checkpointer, "to_disk", sync)
    monkeypatch.setattr(checkpointer, "TURNS", 1_000_000)
    history = History()
    journal.commit(history.online("aaa"))
    written = 0
    thread = Checkpointer(path, 80_000, interval=0.001, written=lambda: written)
    thread.start()
    try:
        for _ in range(5):
            assert turns.acquire(timeout=20)
        assert in_journal_alone(path) is None
        written = 9_999  # an eighth is 10,000
        for _ in range(5):
            assert turns.acquire(timeout=20)
        assert in_journal_alone(path) is None
        written = 10_000
        deadline = time.monotonic() + 20
        while in_journal_alone(path) is None:
            assert time.monotonic() < deadline
        journal.commit(history.online("Bbb"))
        for _ in range(5):
            assert turns.acquire(timeout=20)
        last = in_journal_alone(path)
        assert last is not None
        assert last < history.ledger.seq
    finally:
        thread.stop()
    assert synced == {path.with_name("journal.db-wal").stat().st_ino}


def test_a_checkpointer_copies_little_after_some_turns(journal: SqliteJournal, path: Path) -> None:
    """However little came: a write-ahead file that nobody copies is read through at each start."""
    journal.commit(History().online("aaa"))
    thread = Checkpointer(path, 80_000, interval=0.001)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while in_journal_alone(path) is None:
            assert time.monotonic() < deadline
    finally:
        thread.stop()
