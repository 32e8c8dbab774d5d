"""Opening a journal: what is refused, and with which words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tessenger.chat.entries import GroupMessage, Message
from tessenger.errors import JournalError
from tessenger.journal import chunks, schema, targets
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import as_of_version_4, entries_in
from tests.support.log_history import History


def made(path: Path) -> Path:
    """Make a journal of some size at `path`, cleanly closed."""
    journal = SqliteJournal(path, "process")
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    for number in range(300):
        journal.commit(history.message("aaa", "Bbb", f"message {number} " + "x" * 100))
    journal.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.db"


def refused(path: Path, words: str) -> None:
    """Expect that neither a writer nor a reader opens `path`."""
    with pytest.raises(JournalError, match=words):
        SqliteJournal(path, "process")
    with pytest.raises(JournalError):
        SqliteReader(path)


def test_garbage_is_no_journal(path: Path) -> None:
    """A file of anything is left as it is."""
    path.write_bytes(b"hello" * 1_000)
    refused(path, "is damaged")
    assert path.read_bytes() == b"hello" * 1_000


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    """Nothing is added to somebody else's database."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = path.read_bytes()
    refused(path, "of another program")
    assert path.read_bytes() == before


def test_a_newer_journal_is_refused(path: Path) -> None:
    """A journal that a newer program wrote is not touched by an older one."""
    db = sqlite3.connect(made(path))
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()
    refused(path, "use a newer Tessenger")


def test_a_truncated_journal_is_damaged(path: Path) -> None:
    """A file that has lost its end is noticed at start, not when the lost part is read."""
    size = made(path).stat().st_size
    with path.open("r+b") as file:
        file.truncate(size // 2)
    refused(path, "is damaged")


def test_an_overwritten_page_is_damaged(path: Path) -> None:
    """Bytes of something else over the tables of the present state are noticed at start."""
    db = sqlite3.connect(made(path))
    (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sessions'").fetchone()
    db.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xff" * 4_096)
    with pytest.raises(JournalError, match="is damaged"):
        SqliteJournal(path, "process")


def test_a_missing_table_is_damage(path: Path) -> None:
    """A journal without one of its tables cannot be used."""
    db = sqlite3.connect(made(path))
    db.execute("DROP TABLE blocks")
    db.close()
    with pytest.raises(JournalError, match="blocks"):
        SqliteJournal(path, "process")


def test_no_data_directory(tmp_path: Path) -> None:
    """Where the data directory is missing or is a file, the message says so."""
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file" / "journal.db", "is no directory")
    refused(tmp_path / "missing" / "journal.db", "is no directory")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file"]


def test_the_journal_is_a_directory(path: Path) -> None:
    """A directory in the journal's place is named."""
    path.mkdir()
    refused(path, "is a directory")


def test_a_journal_that_cannot_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file or file system is noticed at start (`query_only` here: permissions do not hold root back)."""
    made(path)
    is_journal = schema._is_journal

    def then_read_only(db: sqlite3.Connection, at: Path) -> bool:
        found = is_journal(db, at)
        db.execute("PRAGMA query_only = ON")
        return found

    monkeypatch.setattr(schema, "_is_journal", then_read_only)
    with pytest.raises(JournalError, match="cannot be opened for writing"):
        SqliteJournal(path, "process")


def test_no_room_at_the_first_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the first start is named; with room, the next start makes the journal."""
    create = schema._create

    def without_room(db: sqlite3.Connection, at: Path) -> None:
        db.execute("PRAGMA max_page_count = 5")
        create(db, at)

    with monkeypatch.context() as full:
        full.setattr(schema, "_create", without_room)
        with pytest.raises(JournalError, match="No space is left"):
            SqliteJournal(path, "process")
    journal = SqliteJournal(path, "process")
    assert journal.load().seq == 0
    journal.close()


def test_a_reader_needs_a_journal(path: Path) -> None:
    """A reader makes nothing."""
    with pytest.raises(JournalError):
        SqliteReader(path)
    assert not path.exists()


def test_every_query_of_the_log_goes_along_a_key(path: Path) -> None:
    """What is read by number or for one person touches no more, and is found in order."""
    made(path)
    with closing(schema.open_reader(path)) as db:

        def plan(query: str) -> list[str]:
            return [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {query}", [1] * query.count("?"))]

        by_number = "SEARCH chunks USING INTEGER PRIMARY KEY (rowid"
        by_target = "SEARCH targets USING INDEX sqlite_autoindex_targets_1 (target=? AND upto"
        plans = [plan(query) for query in (chunks.HOLDING, chunks.PREVIOUS, targets.HOLDING, targets.PREVIOUS)]
        assert plans == [[f"{key}{sign}?)"] for key in (by_number, by_target) for sign in (">", "<")]
        assert plan(chunks.NEWEST) == ["SEARCH chunks"]


def test_a_read_that_stops_early_holds_no_transaction_open(path: Path) -> None:
    """Or what is committed meanwhile would make the next transaction of the connection fail."""
    made(path)
    with closing(schema.open_writer(path)) as db, closing(schema.open_writer(path)) as other:
        reads = [chunks.forward(db, 0), chunks.backward(db)]
        for read in reads:
            assert next(read)
            other.execute("UPDATE meta SET epoch = epoch + 1")
            db.execute("BEGIN IMMEDIATE")
            db.execute("COMMIT")


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_journal_of_an_older_version_opens_and_works(path: Path, version: int) -> None:
    """Its tables become those of today; nothing is lost, and what is said from then on is found with what was said."""
    journal = SqliteJournal(path, "process")
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb") + history.create("aaa", "g", "Bbb"))
    for number in range(30):
        journal.commit(history.message("aaa", "Bbb", str(number)) + history.to_group("aaa", "g", f"g {number}"))
    journal.commit(history.command("Bbb", "creategroup", "group_exists"))
    before = journal.entries_after(0, 1_000)
    journal.close()
    _make_older(path, version)
    for _ in range(2):  # the second time there is nothing to do
        journal = SqliteJournal(path, "process")
        if not _:
            assert journal.entries_after(0, 1_000) == before
        journal.commit(history.message("aaa", "bbb", "new") + history.to_group("aaa", "G", "g new"))
        journal.close()
    expected = [text for number in range(30) for text in (str(number), f"g {number}")] + ["new", "g new"] * 2
    with closing(SqliteReader(path)) as reading:
        found = reading.entries(reading.missed("BBB", 0, 2**53), 2**30)
        assert [entry.text for entry in found if isinstance(entry, Message | GroupMessage)] == expected
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_schema")} == _tables_of_a_new_one(path)


def test_what_an_older_version_kept_can_be_redacted(path: Path) -> None:
    """Moving the log to its new table leaves nothing of it behind in the file."""
    journal = SqliteJournal(path, "process")
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    for number in range(300):
        journal.commit(history.message("aaa", "Bbb", f"{number} " + ("SECRET" * 9 if number == 100 else "x" * 50)))
    (secret,) = (e.seq for e in journal.entries_after(0, 1_000) if isinstance(e, Message) and "SECRET" in e.text)
    journal.close()
    _make_older(path, 2)
    assert b"SECRET" in path.read_bytes()
    journal = SqliteJournal(path, "process")
    journal.commit(History(journal.load()).ledger.redact(secret, 0))
    journal.close()
    assert b"SECRET" not in path.read_bytes()


def _make_older(path: Path, version: int) -> None:
    """Let a journal have the tables that it had in an older version of the program."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = ON")
        as_of_version_4(db)
        if version < 4:
            db.execute("ALTER TABLE targets RENAME TO unordered")
            db.execute(
                "CREATE TABLE targets (target TEXT NOT NULL COLLATE NOCASE, upto INTEGER NOT NULL, found BLOB NOT NULL,"
                " PRIMARY KEY (target, upto)) WITHOUT ROWID"
            )
            db.execute("INSERT INTO targets SELECT target, upto, found FROM unordered")
            db.execute("DROP TABLE unordered")
        db.execute(f"PRAGMA user_version = {version}")
        if version < 3:
            _make_log_older(db, [tuple(entry.values()) for entry in entries_in(path)], version)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _make_log_older(db: sqlite3.Connection, rows: list[tuple[object, ...]], version: int) -> None:
    """Let it have a row for each entry, as up to version 2."""
    db.execute(
        "CREATE TABLE entries (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, session INTEGER"
        " NOT NULL, number INTEGER NOT NULL, request INTEGER NOT NULL, slot INTEGER NOT NULL, n INTEGER NOT NULL,"
        " user TEXT COLLATE NOCASE, target TEXT COLLATE NOCASE, text TEXT, data BLOB)"
    )
    db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.execute("DROP TABLE chunks")
    db.execute("DROP TABLE targets")
    db.execute("UPDATE meta SET counted_seq = 20")
    if version == 1:
        db.execute("DROP TABLE invitations")
        db.execute("ALTER TABLE sessions DROP COLUMN away")
        db.execute("ALTER TABLE groups DROP COLUMN private")
        db.execute("CREATE INDEX entries_target ON entries (target) WHERE target IS NOT NULL")
    else:
        db.execute(
            "CREATE TABLE targets (target TEXT NOT NULL COLLATE NOCASE, seq INTEGER NOT NULL,"
            " PRIMARY KEY (target, seq)) WITHOUT ROWID"
        )
        db.execute("INSERT INTO targets SELECT target, seq FROM entries WHERE target IS NOT NULL AND seq <= 20")


def _tables_of_a_new_one(path: Path) -> set[str]:
    other = path.with_name("other.db")
    SqliteJournal(other, "process").close()
    with closing(sqlite3.connect(other)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
