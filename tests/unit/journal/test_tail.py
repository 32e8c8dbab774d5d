"""The journal's tail: what is committed there is found again, whole and once, however the process ends."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessenger.chat.entries import AnyEntry
from tessenger.errors import JournalBusy, JournalError
from tessenger.journal import reader as reading
from tessenger.journal import store, tail
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import as_of_version_4
from tests.support.log_history import History

ALL = 10_000


class Life:
    """A journal over the deaths of its process, and what was committed to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.tail = folder / "journal.db-tail"
        self.history = History()
        self.committed: list[AnyEntry] = []
        self.journal = SqliteJournal(self.path, "process")
        self.journal.begin_epoch(0, 0)
        self.commit(self.history.online("aaa") + self.history.online("Bbb"))

    def commit(self, batch: list[AnyEntry]) -> None:
        """Commit, and remember that."""
        self.journal.commit(batch)
        self.committed += batch

    def say(self, count: int = 1, size: int = 20) -> None:
        """Commit a batch of messages."""
        self.commit([e for n in range(count) for e in self.history.message("aaa", "Bbb", f"{n} ".ljust(size, "x"))])

    def die(self) -> None:
        """End as kill -9 does, and open the journal again."""
        self.journal.abandon()
        self.journal = SqliteJournal(self.path, "process")

    def found(self) -> list[AnyEntry]:
        """Return what the journal has."""
        return self.journal.entries_after(0, ALL)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """One."""
    one = Life(tmp_path)
    yield one
    one.journal.abandon()


def test_a_lone_message_writes_nothing_but_its_record(life: Life) -> None:
    """The write-ahead file grows when much is settled at once, by a few pages for all of it."""
    wal = life.path.with_name("journal.db-wal")
    before = wal.stat().st_size
    for _ in range(100):
        life.say(size=64)
    assert wal.stat().st_size == before
    assert not life.journal.is_settled
    life.journal.settle()
    assert life.journal.is_settled
    assert 0 < wal.stat().st_size - before <= 8 * (4_096 + 24)


def test_readers_wait_until_it_is_settled(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only in the tail, the writer itself finds; a reader waits for it, but not for ever."""
    life.say()
    last = life.journal.last_seq
    assert life.found() == life.committed
    with closing(SqliteReader(life.path)) as reader:
        assert reader.missed("Bbb", 0, last) == []
        monkeypatch.setattr(reading, "PATIENCE_SECONDS", 0.01)
        with pytest.raises(JournalBusy, match=f"up to entry {last}"):
            reader.wait_for(last)
        monkeypatch.setattr(reading, "PATIENCE_SECONDS", 20.0)
        found = threading.Thread(target=reader.wait_for, args=(last,))
        found.start()
        assert found.is_alive()
        life.journal.settle()
        found.join(20)
        assert not found.is_alive()
        assert reader.missed("Bbb", 0, last) == [last]


def test_what_a_dead_process_left_is_taken_over(life: Life) -> None:
    """The next process has it in the tables at once, and begins with an empty tail."""
    for _ in range(5):
        life.say()
    life.die()
    assert life.journal.is_settled
    assert life.found() == life.committed
    with closing(SqliteReader(life.path)) as reader:
        assert len(reader.missed("Bbb", 0, life.journal.last_seq)) == 5
    life.die()
    life.say()
    life.die()
    assert life.found() == life.committed


def test_records_of_different_lengths_over_each_other(life: Life) -> None:
    """What an older, longer generation left behind the last record is not taken for its continuation."""
    for size in (900, 30, 500, 30, 30):
        for _ in range(4):
            life.say(size=size)
        life.journal.settle()
        life.say(size=size // 3)
        life.journal.settle()
    life.say()
    life.die()
    assert life.found() == life.committed


def test_killed_between_the_tables_and_the_tail(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables have it, and the tail still has it, too: it is there once."""
    life.say()
    life.say()
    with monkeypatch.context() as patched:
        patched.setattr(tail.Tail, "settled", lambda _: None)
        life.journal.settle()
    life.die()
    assert life.found() == life.committed


def test_a_torn_tail_ends_with_a_whole_batch(life: Life, tmp_path: Path) -> None:
    """Wherever the file was torn, and whatever stands there now: whole batches, from the first on."""
    ends = {life.journal.last_seq}
    for size in (10, 300, 10, 40, 200):
        life.say(count=3, size=size)
        ends.add(life.journal.last_seq)
    whole = life.tail.read_bytes()
    length = len(whole.rstrip(b"\0"))
    found = set()
    for cut in (*range(0, length, length // 61), length):
        for rest in (b"", b"\0" * 2_000, b"\xff" * 2_000, whole[:2_000]):
            folder = tmp_path / f"torn-{cut}-{rest[:1].hex()}"
            folder.mkdir()
            for suffix in ("", "-wal"):
                shutil.copy(tmp_path / f"journal.db{suffix}", folder)
            (folder / "journal.db-tail").write_bytes(whole[:cut] + rest)
            with closing(SqliteJournal(folder / "journal.db", "process")) as torn:
                assert torn.last_seq in ends
                assert torn.entries_after(0, ALL) == life.committed[: torn.last_seq]
                found.add(torn.last_seq)
    assert len(found) == len(ends)


@pytest.mark.parametrize("same_run", [True, False])
def test_a_backup_takes_nothing_from_a_later_tail(life: Life, tmp_path: Path, same_run: bool) -> None:
    """A journal from yesterday, put back beside today's tail: its own end, and not what came long after."""
    life.say()
    life.journal.settle()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"journal.db{suffix}", tmp_path / f"backup{suffix}")
    backed_up = list(life.committed)
    if not same_run:
        life.journal.close()
        life.journal = SqliteJournal(life.path, "process")
        life.journal.begin_epoch(0, 0)
    else:
        life.say()
        life.journal.settle()
    life.say()
    life.journal.abandon()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"backup{suffix}", tmp_path / f"journal.db{suffix}")
    (tmp_path / "journal.db-shm").unlink(missing_ok=True)
    life.journal = SqliteJournal(life.path, "process")
    assert life.found() == backed_up


def test_a_journal_takes_nothing_from_the_tail_of_another_past(life: Life, tmp_path: Path) -> None:
    """A backup ran on and was killed; the journal that it had replaced is put back beside the tail that it left."""
    life.journal.close()
    yesterday = life.path.read_bytes()

    def run_on(words: int) -> bytes:
        """Start, commit a batch that is settled, and return the journal's file."""
        life.path.write_bytes(yesterday)
        life.journal = SqliteJournal(life.path, "process")
        life.journal.begin_epoch(0, 0)
        life.history = History(life.journal.load())
        life.say(words)
        life.journal.settle()
        life.journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return life.path.read_bytes()

    today = run_on(2)
    found = life.found()
    life.journal.close()
    run_on(2)
    life.say(3)
    life.journal.abandon()
    life.path.write_bytes(today)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"journal.db{suffix}").unlink(missing_ok=True)
    assert b"TESSTAIL" in life.tail.read_bytes()
    life.journal = SqliteJournal(life.path, "process")
    assert life.found() == found


def test_what_a_process_of_version_4_left_is_taken_over(life: Life) -> None:
    """Its tail is known by the number of the run, for runs had no names."""
    life.say()
    life.say()
    life.journal.abandon()
    with closing(sqlite3.connect(life.path, isolation_level=None)) as db:
        as_of_version_4(db)
    with life.tail.open("r+b") as file:
        file.write(struct.pack("<8sQ", b"TESSTAIL", 1))
    life.journal = SqliteJournal(life.path, "process")
    assert life.found() == life.committed


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, life: Life, *, tables: bool) -> Iterator[None]:
    """Let no write to the tail succeed; `tables`: nor one to the tables that needs more room."""

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", no_room)
        if tables:
            (pages,) = life.journal._db.execute("PRAGMA page_count").fetchone()
            life.journal._db.execute(f"PRAGMA max_page_count = {pages}")
        yield
    life.journal._db.execute("PRAGMA max_page_count = 1000000")


def test_no_room_in_the_tail(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then each batch goes into the tables, with what the tail had before it."""
    life.say()
    with full_disk(monkeypatch, life, tables=False):
        life.say()
        assert life.journal.is_settled
        life.die()  # and the next process cannot even make one
        life.say()
        assert life.journal.is_settled
    life.die()
    assert life.found() == life.committed


def test_no_room_in_the_tables(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tail has is kept, and comes into the tables later; beyond that, nothing is taken."""
    for _ in range(30):
        life.say(size=10_000)
    refused = life.history.message("aaa", "Bbb", "refused at first")
    with full_disk(monkeypatch, life, tables=True):
        with pytest.raises(JournalBusy, match="No space is left"):
            life.journal.settle()
        with pytest.raises(JournalBusy, match="No space is left"):
            life.journal.commit(refused)
        assert life.found() == life.committed
    life.commit(refused)
    life.journal.settle()
    life.die()
    assert life.found() == life.committed


def test_no_more_is_kept_there_than_is_settled_at_once(life: Life) -> None:
    """A large batch, long texts, and one entry too many: they take all into the tables."""
    life.say()
    life.say(count=store.SMALL + 1)
    assert life.journal.is_settled
    for _ in range(store.IN_TAIL):
        life.say()
        assert not life.journal.is_settled
    life.say()
    assert life.journal.is_settled
    life.say(count=store.SMALL, size=tail.SIZE // store.SMALL)
    assert life.journal.is_settled
    assert life.found() == life.committed


def test_what_nobody_may_read_any_more_is_not_in_the_file(life: Life) -> None:
    """Neither a text that was redacted, nor one that was pruned, even while others wait there."""
    secret = life.history.message("aaa", "Bbb", "the secret")
    life.commit(secret)
    life.commit(life.history.message("aaa", "Bbb", "a pruned text"))
    assert b"the secret" in life.tail.read_bytes()
    life.commit(life.history.ledger.redact(secret[0].seq, life.history.now))
    assert b"the secret" not in life.tail.read_bytes()
    life.say(size=30)
    life.journal.settle()
    long = life.history.message("aaa", "Bbb", "pruned".rjust(5_000, "x"))
    life.commit(long)
    life.say()
    life.journal.settle()
    life.commit(life.history.message("aaa", "Bbb", "in the way"))
    life.journal.prune([long[0].seq])
    assert b"pruned" not in life.tail.read_bytes()
    life.die()
    assert life.found()[-2:] == life.committed[-2:]


def test_what_cannot_be_overwritten_at_once_is_later(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redaction is committed all the same, and the tail is blanked as soon as that works again."""
    secret = life.history.message("aaa", "Bbb", "the secret")
    life.commit(secret)
    with full_disk(monkeypatch, life, tables=False):
        life.commit(life.history.ledger.redact(secret[0].seq, life.history.now))
        assert b"the secret" in life.tail.read_bytes()
    life.say(size=5)
    life.journal.settle()
    assert b"the secret" not in life.tail.read_bytes()


def test_with_power_there_is_none(life: Life) -> None:
    """What a server with durability "process" left, one with "power" takes over; then every batch is on the disk."""
    life.say()
    life.journal.abandon()
    life.journal = SqliteJournal(life.path, "power")
    assert life.found() == life.committed
    assert not life.tail.exists()
    life.say()
    assert life.journal.is_settled
    life.die()
    assert life.found() == life.committed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.sampled_from([1, 2, 5, store.SMALL, store.SMALL + 1]), st.integers(1, 3_000)),
            st.tuples(st.sampled_from(["settle", "die", "note", "turn"]), st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
def test_any_life(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens in whatever order: everything is there, once, in order, and counted alike."""
    life = Life(tmp_path_factory.mktemp("life"))
    for what, count, size in steps:
        match what:
            case "say":
                life.say(count, size)
            case "settle":
                life.journal.settle()
            case "die":
                life.die()
            case "note":
                life.journal.note_logged(life.journal.last_seq, {"messagelog.txt": 1})
                life.journal.keep_logged()
            case _:
                life.commit(life.history.offline("aaa") + life.history.online("aaa"))
        assert life.journal.last_seq == life.history.ledger.seq
    snapshot = life.journal.load()
    assert {s.user: s.highest for s in snapshot.sessions} == {
        s.user: s.highest for s in life.history.ledger.present.sessions.values()
    }
    life.die()
    assert life.found() == life.committed
    life.journal.close()
    assert [file.name for file in life.path.parent.iterdir()] == ["journal.db"]


@pytest.mark.parametrize("payload", [b"\x91" * 2_000, b"\x91\x9c\1\1\xa1\xff", b"\0"])
def test_a_record_that_makes_no_sense_is_reported(life: Life, payload: bytes) -> None:
    """Its checksum is right, so it was not torn: what was acknowledged may be in it, and is not passed over."""
    life.say()
    life.journal.abandon()
    head = life.tail.read_bytes()[: tail._HEAD.size]
    life.tail.write_bytes(head + struct.pack("<II", len(payload), zlib.crc32(payload)) + payload)
    with pytest.raises(JournalError, match=r"tail .* cannot be read .*Move it away"):
        SqliteJournal(life.path, "process")
