"""The SQLite journal: what survives, how numbers go on, what happens when there is no room."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from tessenger.chat import entries
from tessenger.chat.entries import AnyEntry
from tessenger.errors import JournalBusy, JournalError
from tessenger.journal import counters, store
from tessenger.journal.checkpointer import Checkpointer
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import chunks_read, counted_upto, entries_in, rewrite
from tests.support.log_history import History

Open = Callable[..., SqliteJournal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Open]:
    """Open the journal, as often as wanted; what is left open at the end was not closed by its test on purpose."""
    opened: list[SqliteJournal] = []

    def open_one(durability: Literal["process", "power"] = "process", wal_bytes: int = 2**26) -> SqliteJournal:
        opened.append(SqliteJournal(path, durability, wal_bytes))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.abandon()


def abandon(journal: SqliteJournal) -> None:
    """Drop a journal as the death of its process does: without a word to the disk."""
    journal.abandon()


def messages(history: History, count: int) -> list[AnyEntry]:
    """Sign two people in and let one write to the other."""
    batch = history.online("aaa") + history.online("Bbb")
    for number in range(count):
        batch += history.message("aaa", "Bbb", f"message {number}")
    return batch


def test_numbers_go_on_behind_the_last_entry_after_a_clean_end(open_journal: Open) -> None:
    """A server that ended cleanly starts with the next number: no gap."""
    journal = open_journal()
    journal.begin_epoch(0, 0)
    journal.commit(messages(History(), 5))
    journal.close()
    journal = open_journal()
    assert journal.begin_epoch(0, 0) == 2
    assert journal.load().seq == 7


def test_a_replaced_logger_goes_on_without_a_gap(open_journal: Open) -> None:
    """The death of the logger takes no commit back, so its successor has the next number."""
    journal = open_journal()
    journal.begin_epoch(0, 0)
    journal.commit(messages(History(), 5))
    abandon(journal)
    assert open_journal().load().seq == 7


def test_a_start_after_a_power_cut_jumps_over_what_may_have_been_seen(open_journal: Open) -> None:
    """Numbers that were given out are not given out again, even if the disk lost their entries."""
    journal = open_journal()
    journal.begin_epoch(0, 0)
    journal.commit(messages(History(), 5))
    rewrite(journal._db, lambda entry: entry if entry["seq"] <= 4 else None)  # what a power cut does
    abandon(journal)
    journal = open_journal()
    journal.begin_epoch(0, 0)
    start = journal.load().seq
    assert start >= 7
    history = History(journal.load())
    journal.commit(history.online("ccc"))
    abandon(journal)
    assert open_journal().load().seq == start + 1


def test_the_reserve_is_on_the_disk_before_a_number_is_used(
    open_journal: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever a batch is committed, a block behind its numbers was reserved in an earlier, synced transaction."""
    monkeypatch.setattr(store, "BLOCK", 10)
    journal = open_journal()
    journal.begin_epoch(0, 0)
    history = History()
    observer = sqlite3.connect(path)
    steps: list[str] = []
    journal._db.set_trace_callback(steps.append)
    for batch in (history.online("aaa"), messages(history, 25), history.message("aaa", "Bbb")):
        journal.commit(batch)
        (reserved,) = observer.execute("SELECT reserved_seq FROM meta").fetchone()
        assert reserved >= batch[-1].seq
    observer.close()
    synced = [at for at, step in enumerate(steps) if step == "PRAGMA synchronous = FULL"]
    assert len(synced) == 2  # for the first batch, and for the one that crossed the block
    for at in synced:
        assert steps[at + 1 : at + 5][0].startswith("BEGIN")
        assert "reserved_seq" in steps[at + 2]
        assert steps[at + 3] == "COMMIT"


def test_power_syncs_every_commit_and_reserves_nothing(open_journal: Open) -> None:
    """With durability "power" a number that was seen is on the disk, so a killed server goes on without a gap."""
    journal = open_journal("power")
    journal.begin_epoch(0, 0)
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.commit(messages(History(), 5))
    abandon(journal)
    journal = open_journal("power")
    journal.begin_epoch(0, 0)
    assert journal.load().seq == 7


def test_nothing_lasts_longer_than_it_was_to(open_journal: Open) -> None:
    """A block and a token, over starts of the server at whatever time its clock says, before or after their end."""
    journal = open_journal()
    journal.begin_epoch(0, 0)
    history = History()
    journal.commit(history.online("aaa"))
    number = history.ledger.present.online["aaa"].number
    until = history.now + 10_000
    journal.commit(history.append(entries.Blocked("bbb", "ip", until, 10.0)))
    online = entries.Online(9, number + 1, 1, "aaa", "ip", 0, 1, b"hash", history.now + 60_000, 60_000)
    journal.commit(history.append(online))
    expires = history.ledger.present.online["aaa"].expires
    for now in (history.now + 4_000, 1_000_000, 5, 10**15):
        journal.begin_epoch(now, 30_000)
        expires, until = min(expires, now + 60_000), min(until, now + 10_000)
        kept = journal.load()
        assert [(s.expires, s.detached_until) for s in kept.sessions] == [(expires, now + 30_000)]
        assert kept.blocks == {"bbb": ("bbb", until)}
    assert (expires, until) == (60_005, 10_005)


def test_each_start_is_a_run_of_its_own(open_journal: Open, path: Path) -> None:
    """With a name that no other run has, whoever writes meanwhile; readers know them, with where each begins."""
    journal = open_journal()
    assert journal.load().runs == []
    journal.begin_epoch(0, 0)
    (first,) = journal.load().runs
    journal.commit(messages(History(), 5))
    abandon(journal)
    journal = open_journal("power")  # another logger
    assert journal.load().runs == [first]
    journal.close()
    journal = open_journal()
    journal.begin_epoch(0, 0)
    runs = journal.load().runs
    assert [run.after for run in runs] == [0, 7]
    assert runs[0] == first
    assert runs[1].name != first.name
    with closing(SqliteReader(path)) as reader:
        assert reader.snapshot().runs == runs


def test_runs_of_a_backup_go_on_under_other_names(open_journal: Open, path: Path) -> None:
    """Two servers that begin with the same files are told apart from there on."""
    journal = open_journal()
    journal.begin_epoch(0, 0)
    journal.commit(messages(History(), 5))
    journal.close()
    backup = path.read_bytes()
    names = []
    for _ in range(2):
        path.write_bytes(backup)
        journal = open_journal()
        journal.begin_epoch(0, 0)
        names.append([run.name for run in journal.load().runs])
        journal.close()
    assert names[0][0] == names[1][0]
    assert names[0][1] != names[1][1]


def test_so_many_runs_are_kept(open_journal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started every minute fills no table."""
    monkeypatch.setattr(store, "KEPT_RUNS", 3)
    journal = open_journal()
    names = []
    for _ in range(5):
        journal.begin_epoch(0, 0)
        names.append(journal.load().runs[-1].name)
    assert [run.name for run in journal.load().runs] == names[-3:]


def test_a_start_detaches_every_session(open_journal: Open) -> None:
    """No connection survives the server: every stored session is detached for the grace time, and no slot is taken."""
    journal = open_journal()
    assert journal.begin_epoch(0, 0) == 1
    journal.seat(1, 1)
    journal.commit(messages(History(), 2))
    abandon(journal)
    journal = open_journal()
    assert journal.begin_epoch(1_000, 30_000) == 2
    snapshot = journal.load()
    assert [session.detached_until for session in snapshot.sessions] == [31_000, 31_000]
    assert [session.highest for session in snapshot.sessions] == [3, 1]
    assert snapshot.slots == {}


def test_what_an_earlier_process_of_a_slot_left_in_the_tail_does_not_count_for_the_next(open_journal: Open) -> None:
    """It is seated with nothing, although the tables have not taken over yet what was committed before."""
    journal = open_journal()
    history = History()
    journal.seat(1, 1)
    journal.commit(messages(history, 2))
    journal.commit(history.message("aaa", "Bbb"))
    assert not journal.is_settled
    journal.seat(1, 2)
    journal.keep_logged()
    assert journal.load().slots == {1: (2, 0)}


def test_large_batches_are_counted_less_often(open_journal: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many come at a time, so do the writings of what is found by whom it is to."""
    monkeypatch.setattr(store, "COUNT_EVERY", 3)
    monkeypatch.setattr(store, "COUNT_BATCHES", 4)
    journal = open_journal()
    history = History()
    counted = []
    for _ in range(12):
        journal.commit(messages(history, 3))
        counted.append(journal._db.execute("SELECT counted_seq FROM meta").fetchone())
    assert len(set(counted)) == 1 + 2  # behind the fourth batch of five, and behind the eighth
    abandon(journal)
    assert [entry.seq for entry in open_journal().entries_after(0, 100)] == list(range(1, history.ledger.seq + 1))


def test_notes_of_the_text_logs_are_kept_with_a_later_commit(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was noted is on the disk after as many entries as are counted at a time, or at once where that is asked."""
    monkeypatch.setattr(store, "COUNT_EVERY", 3)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    monkeypatch.setattr(store, "COUNT_STEP", 100)
    journal = open_journal()
    history = History()
    journal.commit(messages(history, 3))
    journal.note_logged(5, {"userlog.txt": 100})
    abandon(journal)
    journal = open_journal()
    assert journal.logged() == (0, {})
    journal.note_logged(5, {"userlog.txt": 100, "messagelog.txt": 50})
    journal.note_logged(6, {"messagelog.txt": 60})
    journal.commit(history.online("ccc"))
    abandon(journal)
    journal = open_journal()
    assert journal.logged() == (6, {"userlog.txt": 100, "messagelog.txt": 60})
    journal.note_logged(7, {"messagelog.txt": 0})
    journal.keep_logged()
    abandon(journal)
    assert open_journal().logged() == (7, {"userlog.txt": 100, "messagelog.txt": 0})


def test_no_room_commits_nothing_and_can_be_tried_again(open_journal: Open) -> None:
    """On a full disk the batch is refused whole; with room again, the same batch goes through."""
    journal = open_journal()
    history = History()
    journal.commit(messages(history, 2))
    before = journal.load()
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    large = history.online("ccc") + history.message("aaa", "Bbb", "x" * 50_000)
    for _ in range(2):
        with pytest.raises(JournalBusy, match="No space is left"):
            journal.commit(large)
        assert journal.load() == before
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.commit(large)
    assert [session.user for session in journal.load().sessions] == ["aaa", "Bbb", "ccc"]
    assert journal.entries_after(before.seq, 10) == large


def test_another_writer_is_noticed(open_journal: Open) -> None:
    """Whoever writes beside another one, where no tail keeps them apart, cannot write over its entries."""
    stale, successor = open_journal("power"), open_journal("power")
    first, second = History(), History()
    stale.commit(first.online("aaa"))
    second.append(*first.online("aaa"))
    successor.commit(messages(History(successor.load()), 1))
    with pytest.raises(JournalError, match="Another process has written"):
        stale.commit(first.message("aaa", "aaa"))


def test_readers_see_whole_batches_while_the_journal_is_written(open_journal: Open, path: Path) -> None:
    """A reader on another thread sees each batch whole or not at all, and never an error."""
    journal = open_journal(wal_bytes=2**20)
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    reader, checkpointer = SqliteReader(path), Checkpointer(path, 2**18, interval=0.001)
    journal.wal.may_restart = checkpointer.may_restart
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(reader.missed("Bbb", 0, 2**53)))

    thread = threading.Thread(target=read)
    thread.start()
    checkpointer.start()
    try:
        for _ in range(100):
            journal.commit([entry for _ in range(10) for entry in history.message("aaa", "Bbb", "x" * 500)])
    finally:
        done.set()
        thread.join()
        checkpointer.stop()
    journal.settle()
    seen.append(len(reader.missed("Bbb", 0, 2**53)))
    reader.close()
    assert seen == sorted(seen)
    assert all(count % 10 == 0 for count in seen)
    assert seen[-1] == 1_000


def test_the_write_ahead_file_stays_small(open_journal: Open, path: Path) -> None:
    """Above the limit the file is truncated between two batches; while a reader is in the way, when it is gone."""
    journal = open_journal(wal_bytes=2**20)
    wal = path.with_name("journal.db-wal")
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))

    def write() -> int:
        journal.commit([entry for _ in range(100) for entry in history.message("aaa", "Bbb", "x" * 1_000)])
        return wal.stat().st_size

    assert max(write() for _ in range(100)) < 2 * 2**20
    assert min(write() for _ in range(20)) < 2**20
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM chunks").fetchone()
    assert max(write() for _ in range(30)) > 2 * 2**20
    reader.execute("COMMIT")
    reader.close()
    assert min(write() for _ in range(10)) < 2**20


def test_a_long_write_ahead_file_begins_anew_when_it_is_copied(open_journal: Open, path: Path) -> None:
    """As soon as the checkpointer says so, without becoming shorter; a reader in the way puts that off."""
    journal = open_journal(wal_bytes=2**26)
    wal = path.with_name("journal.db-wal")
    history = History()
    due = False

    def write(count: int) -> int:
        for _ in range(count):
            journal.commit([entry for _ in range(100) for entry in history.message("aaa", "Bbb", "x" * 1_000)])
            journal.settle()
        return wal.stat().st_size

    def may_restart() -> bool:
        nonlocal due
        is_due, due = due, False
        return is_due

    journal.wal.may_restart = may_restart
    journal.commit(history.online("aaa") + history.online("Bbb"))
    size = write(20)
    for _ in range(3):
        due = True
        size = write(1)
        assert write(10) == size
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        due = True
        assert write(20) > size
    assert [entry.seq for entry in journal.entries_after(0, 10_000)] == list(range(1, history.ledger.seq + 1))


def test_a_checkpointer_says_once_that_a_long_file_is_copied(open_journal: Open, path: Path) -> None:
    """Long is half of what it may have."""
    journal = open_journal()
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    while path.with_name("journal.db-wal").stat().st_size <= 2**19 + 2**16:
        journal.commit([entry for _ in range(10) for entry in history.message("aaa", "Bbb", "x" * 1_000)])
    checkpointer = Checkpointer(path, 2**20, interval=0.001)
    assert not checkpointer.may_restart()
    checkpointer.start()
    try:
        deadline = time.monotonic() + 20
        while not checkpointer.may_restart():
            assert time.monotonic() < deadline
    finally:
        checkpointer.stop()
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:  # without the write-ahead file
        assert db.execute("SELECT max(upto) FROM chunks").fetchone() == (history.ledger.seq,)
    checkpointer.may_restart()
    assert not checkpointer.may_restart()


def test_what_comes_into_the_write_ahead_file_is_told(open_journal: Open, path: Path) -> None:
    """About: the checkpointer goes by it, and neither waits for ever nor copies each second."""
    journal = open_journal("power")  # without a tail
    history = History()
    journal.commit(messages(history, 10))
    wal = path.with_name("journal.db-wal")
    for count, size in ((500, 10), (20, 2_000), (10, 20_000)):
        before, told = wal.stat().st_size, journal.wal.written
        for _ in range(count):
            journal.commit(history.message("aaa", "Bbb", "x" * size))
        ratio = (journal.wal.written - told) / (wal.stat().st_size - before)
        assert 1 / 3 < ratio < 3, (count, size, ratio)


def test_one_message_touches_few_pages(open_journal: Open, path: Path) -> None:
    """A lone message costs the write-ahead file little more than a page: the entry's, seldom one above.

    Whom it is to is written down with many others, later.
    """
    journal = open_journal()
    history = History()
    journal.commit(messages(history, 500))
    wal = path.with_name("journal.db-wal")
    before = wal.stat().st_size
    for _ in range(100):
        journal.commit(history.message("aaa", "Bbb", "x" * 64))
    assert (wal.stat().st_size - before) / 100 <= 1.2 * (4_096 + 24)


def test_close_leaves_one_file(open_journal: Open, path: Path) -> None:
    """After a clean end there is the journal alone, whole."""
    journal = open_journal()
    journal.commit(messages(History(), 3))
    journal.close()
    assert [file.name for file in path.parent.iterdir()] == ["journal.db"]


def test_close_writes_everything_to_the_journal_itself(open_journal: Open, path: Path) -> None:
    """After a clean end a copy of the one file is a whole backup, even if a reader still has it open."""
    journal = open_journal()
    journal.commit(messages(History(), 3))
    reader = SqliteReader(path)
    assert reader.snapshot().seq == 5
    journal.close()
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    reader.close()
    restored = SqliteJournal(copy, "process")
    assert restored.load().seq == 5
    restored.close()


def test_data_of_an_older_program_is_readable(open_journal: Open, path: Path) -> None:
    """A field that has been added to a kind since takes its default in rows that do not have it."""
    journal = open_journal()
    history = History()
    journal.commit(history.online("aaa") + history.command("aaa", "creategroup", "group_exists"))
    (command,) = (entry for entry in entries_in(path) if entry["kind"] == "c")
    assert b"code" in command["data"]
    older = {"data": msgspec.msgpack.encode({"name": "x"})}
    rewrite(journal._db, lambda entry: entry | older if entry["kind"] == "c" else entry)
    [found] = journal.entries_after(1, 10)
    assert isinstance(found, entries.Command)
    assert (found.name, found.code) == ("x", "")


def test_a_row_that_makes_no_sense_is_reported(open_journal: Open) -> None:
    """A damaged entry is named, and no traceback of a decoder's."""
    journal = open_journal()
    journal.commit(History().online("aaa"))
    not_utf8, deep = b"\x81\xa1x\xa1\xff", b"\x81\xa1x" + b"\x91" * 2_000
    for damage in ({"data": b"\0"}, {"kind": "??"}, {"data": None}, {"data": not_utf8}, {"data": deep}):
        rewrite(journal._db, lambda entry, damage=damage: entry | damage)  # type: ignore[misc]
        with pytest.raises(JournalError, match="entry 1 cannot be read"):
            journal.entries_after(0, 10)
    for packed in (b"\0", b"", b"\x91\x91\1", b"\xff" * 100, b"\x91" * 2_000, b"\x91\x9c\1\1\xa1\xff"):
        journal._db.execute("UPDATE chunks SET rows = ?", (packed,))
        with pytest.raises(JournalError, match="a part of the log cannot be read"):
            journal.entries_after(0, 10)


def test_repeats_find_their_answer_among_many(open_journal: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest requests of a session are found wherever they lie, and what is kept for that stays bounded."""
    monkeypatch.setattr(store, "COUNT_EVERY", 3)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    monkeypatch.setattr(counters, "REPEATABLE", 50)
    journal = open_journal()
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    sent: list[AnyEntry] = []
    for number in range(400):
        sent += history.message("aaa", "Bbb")
        journal.commit(sent[-1:])
        if number % 10 == 0:
            journal.commit(history.message("Bbb", "aaa"))
    journal.settle()
    reader = SqliteReader(path)
    for entry in sent[-50:]:
        assert isinstance(entry, entries.Message)
        assert reader.answer(entry.session, entry.request) == entry
    reader.close()
    (kept,) = journal._db.execute("SELECT count(*) FROM requests").fetchone()
    assert kept < 100
    journal.commit(history.offline("aaa") + history.offline("Bbb"))
    assert journal._db.execute("SELECT count(*) FROM requests").fetchone() == (0,)


def test_many_repeats_look_through_the_log_once(
    open_journal: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that was cut off in the middle of a thousand requests asks again for all; more may come meanwhile."""
    journal = open_journal()
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    sent: list[AnyEntry] = []
    reader = SqliteReader(path)
    with chunks_read(monkeypatch) as read:
        for _ in range(4):
            batch = [entry for _ in range(200) for entry in history.message("aaa", "Bbb")]
            journal.commit(batch)
            sent += batch
            for entry in sent:
                assert isinstance(entry, entries.Message)
                assert reader.answer(entry.session, entry.request) == entry
            assert reader.answer(sent[0].session, 100_000) is None  # type: ignore[union-attr]
    reader.close()
    asked = sum(200 * part for part in range(1, 5))
    assert len(read) < asked + 50  # one for each answer, and the log once


def test_what_is_counted_after_a_rush_comes_into_the_tables_by_and_by(
    open_journal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few rows with each commit, however much it was; then as often as before the rush, not at once but soon."""
    monkeypatch.setattr(store, "COUNT_EVERY", 8)
    monkeypatch.setattr(store, "SMALL", 0)  # every commit is a transaction
    journal = open_journal()
    history = History()
    journal.commit(messages(history, 640))  # a large transaction: counted when it is time for the next one
    taken: list[int] = []
    before = counted_upto(journal.path)
    for _ in range(1_000):
        journal.commit(messages(history, 1))
        counted = counted_upto(journal.path)
        if counted != before:
            taken.append(counted - before)
            before = counted
    assert taken[0] >= 640
    assert taken == sorted(taken, reverse=True)
    assert taken[-1] == taken[-2] == store.COUNT_BATCHES * len(messages(history, 1))
