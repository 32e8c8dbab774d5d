"""A text that is blanked is gone: from the journal's files, from its activity log, and from what is read back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tessenger.chat.entries import AnyEntry, Message
from tessenger.chat.ports import Question
from tessenger.errors import JournalError
from tessenger.journal import redaction
from tessenger.journal.reader import SqliteReader
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tests.support.log_history import History
from tests.support.memory_journal import MemoryJournal

SECRET = "correct horse battery staple"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """An empty journal."""
    with closing(SqliteJournal(tmp_path / "journal.db", "process")) as opened:
        yield opened


def keep(journal: SqliteJournal, logs: TextLogs, *batches: list[AnyEntry]) -> int:
    """Commit and write down each batch; return the number of the last entry."""
    for batch in batches:
        journal.commit(batch)
        logs.write(batch)
    return batches[-1][-1].seq


def with_secrets(folder: Path, journal: SqliteJournal, secret: str) -> tuple[History, TextLogs, int, int]:
    """Say a secret privately and in a group, between other messages; return the numbers of both."""
    history = History()
    logs = TextLogs(folder, journal)
    logs.recover()
    keep(journal, logs, history.online("aaa"), history.online("Bbb"), history.create("aaa", "g", "Bbb"))
    for number in range(50):
        keep(journal, logs, history.message("Bbb", "aaa", f"before {number}"), history.to_group("aaa", "g", "; ; 1; "))
    private = keep(journal, logs, history.message("aaa", "Bbb", secret))
    group = keep(journal, logs, history.to_group("aaa", "g", secret))
    keep(journal, logs, history.message("Bbb", "aaa", "after"), history.to_group("aaa", "g", "after"))
    return history, logs, private, group


@pytest.mark.parametrize("secret", [SECRET, "a; b; " + SECRET * 2_000, "\u2603" * 40])
def test_it_is_in_no_file_any_more(tmp_path: Path, journal: SqliteJournal, secret: str) -> None:
    """Neither in the journal (also not in pages that are free, nor in the write-ahead file) nor in the logs."""
    history, logs, private, group = with_secrets(tmp_path, journal, secret)
    hidden = secret.encode()[-40:]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # so that the main file has it, too
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.txt")}
    assert sum(hidden in data for data in before.values()) == 2
    keep(journal, logs, history.ledger.redact(private, history.now), history.ledger.redact(group, history.now))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [name for name, data in files.items() if hidden in data] == []
    for name in ("messagelog.txt", "g_messagelog.txt"):
        old, new = before[name].split(b"\n"), files[name].split(b"\n")
        assert len(before[name]) == len(files[name])
        ((was, now),) = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
        assert now.rstrip() == was.removesuffix(secret.encode()) + b"[redacted]"
    assert files["userlog.txt"].decode().endswith(f"; -; -; -; message {group} redacted\n")


def test_it_is_read_back_as_redacted(tmp_path: Path, journal: SqliteJournal) -> None:
    """By history, by who missed it, and by who sends it again; and nothing else changes."""
    history, logs, private, group = with_secrets(tmp_path, journal, SECRET)
    keep(journal, logs, history.ledger.redact(private, history.now), history.ledger.redact(group, history.now))
    with closing(SqliteReader(tmp_path / "journal.db")) as reader:
        page = reader.history(Question("Bbb", "", "", 4, 0, 0, 10_000))
        assert [entry.text for entry in page.found] == ["[redacted]", "[redacted]", "after", "after"]
        missed = reader.entries(reader.missed("Bbb", private - 1, group), 10_000)
        assert [getattr(entry, "body", b"").endswith(b'"text":"[redacted]"}') for entry in missed] == [True, True]


def test_journals_agree(tmp_path: Path, journal: SqliteJournal) -> None:
    """The journal in memory, which other tests rely on, redacts as the real one does."""
    history, plain = History(), MemoryJournal()
    batches = [
        history.online("aaa"),
        history.online("Bbb"),
        history.create("aaa", "g"),
        history.message("aaa", "Bbb", "x"),
    ]
    batches += [history.to_group("aaa", "g", "y"), history.ledger.redact(4, 0), history.ledger.redact(5, 0)]
    batches += [history.ledger.redact(1, 0)]
    for batch in batches:
        journal.commit(batch)
        plain.commit(batch)
    assert journal.entries_after(0, 99) == plain.entries_after(0, 99)
    assert journal.entries_after(0, 1) == batches[0]


def test_a_logger_that_died_before_the_text_log_does_it_again(tmp_path: Path, journal: SqliteJournal) -> None:
    """Committed, not yet written: the next logger blanks the line."""
    history, logs, private, _ = with_secrets(tmp_path, journal, SECRET)
    journal.commit(history.ledger.redact(private, history.now))
    logs.close()
    assert SECRET in (tmp_path / "messagelog.txt").read_text()
    TextLogs(tmp_path, journal).recover()
    text = (tmp_path / "messagelog.txt").read_text()
    assert SECRET not in text
    assert text.count("[redacted]") == 1
    assert len(text.splitlines()) == 52


def test_a_short_text_becomes_asterisks(tmp_path: Path) -> None:
    """Nothing of it stays, and its line keeps its length."""
    path = tmp_path / "messagelog.txt"
    path.write_text("1; now; aaa; bbb; hunter2\n2; now; aaa; bbb; hi\n")
    assert redaction.blank(path, 1, 4)
    assert path.read_text() == "1; now; aaa; bbb; *******\n2; now; aaa; bbb; hi\n"


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 10, 500])
def test_every_line_is_found(tmp_path: Path, lines: int) -> None:
    """By its number, whatever numbers there are and however long lines are; one that is not there is not."""
    path = tmp_path / "messagelog.txt"
    numbers = [3 * number + 5 for number in range(lines)]
    path.write_text("".join(f"{n}; now; aaa; bbb; {'x' * (n * 7 % 9_000)}{n:010}\n" for n in numbers))
    size = path.stat().st_size
    for number in [4, *numbers, *(n + 1 for n in numbers)][:: max(1, lines // 20)]:
        assert redaction.blank(path, number, 4) == (number in numbers)
        assert f"{number:010}\n" not in path.read_text() or number not in numbers
    assert path.stat().st_size == size
    assert not redaction.blank(tmp_path / "none.txt", 1, 4)


def test_a_part_that_cannot_be_read_spoils_nothing_else(tmp_path: Path, journal: SqliteJournal) -> None:
    """Neither blanking nor pruning there leaves a transaction open: what is said afterwards is kept."""
    history, logs, private, _ = with_secrets(tmp_path, journal, SECRET)
    journal.settle()
    (upto,) = journal._db.execute("SELECT min(upto) FROM chunks WHERE upto >= ?", (private,)).fetchone()
    journal._db.execute("UPDATE chunks SET rows = x'00' WHERE upto = ?", (upto,))
    with pytest.raises(JournalError, match="cannot be read"):
        journal.commit(history.ledger.redact(private, 0))
    with pytest.raises(JournalError, match="cannot be read"):
        journal.prune([private])
    seq = keep(journal, logs, history.message("aaa", "Bbb", "goes on"))
    journal.settle()
    (entry,) = journal.entries_after(seq - 1, 1)
    assert isinstance(entry, Message)
    assert entry.text == "goes on"
