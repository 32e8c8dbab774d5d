"""Processes that are killed and files that are torn: what was reported as committed is there, whole and once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tessenger.chat import lines
from tessenger.chat.entries import AnyEntry
from tessenger.errors import JournalError
from tessenger.journal import store
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tests.support import journal_writer
from tests.support.log_history import History

ROOT = Path(__file__).parents[3]


@contextmanager
def writer(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that commits without end; it is killed -9 when the block ends."""
    command = [sys.executable, "-m", "tests.support.journal_writer", str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def reported(process: subprocess.Popen[str], count: int) -> int:
    """Wait for `count` commits and return the number of the last one's last entry."""
    assert process.stdout is not None
    found = [process.stdout.readline() for _ in range(count)]
    assert found[-1], "the writer ended by itself"
    return int(found[-1])


def all_entries(journal: SqliteJournal) -> list[AnyEntry]:
    """Return the whole log."""
    return journal.entries_after(0, 2**31)


def logs_of(log: list[AnyEntry]) -> dict[str, str]:
    """Return what the text logs of these entries are."""
    found: dict[str, str] = {}
    for entry in log:
        written = lines.text_log_line(entry)
        if written is not None:
            found[written[0]] = found.get(written[0], "") + written[1]
    return found


def logs_in(data_dir: Path) -> dict[str, str]:
    """Return what the text logs are, but for empty ones."""
    return {file.name: file.read_text() for file in data_dir.glob("*.txt") if file.stat().st_size}


@pytest.mark.parametrize("commits", [1, 2, 40, 400])
def test_killed_in_the_middle_of_commits(tmp_path: Path, commits: int) -> None:
    """Every reported commit is there, no batch is there in part, and the text logs agree with the journal."""
    with writer(tmp_path) as process:
        last = reported(process, commits)
    journal = SqliteJournal(tmp_path / "journal.db", "process")
    log = all_entries(journal)
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1))
    assert len(log) >= last
    assert (len(log) - 3) % journal_writer.BATCH == 0
    logs = TextLogs(tmp_path, journal)
    logs.recover()
    assert logs_in(tmp_path) == logs_of(log)
    logs.close()
    journal.close()


def test_killed_many_times(tmp_path: Path) -> None:
    """Over many lives every number is given at most once, and the logs have every entry once."""
    numbers = 0
    for commits in (3, 30, 1, 7):
        with writer(tmp_path) as process:
            last = reported(process, commits)
        assert last > numbers
        numbers = last
    journal = SqliteJournal(tmp_path / "journal.db", "process")
    log = all_entries(journal)
    seqs = [entry.seq for entry in log]
    assert seqs == sorted(set(seqs))
    logs = TextLogs(tmp_path, journal)
    logs.recover()
    assert logs_in(tmp_path) == logs_of(log)
    logs.close()
    journal.close()


def test_a_torn_write_ahead_file_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the last write was torn: the journal opens with a beginning of the log, of whole batches."""
    monkeypatch.setattr(store, "SMALL", 0)  # all goes there, and nothing into the tail
    journal = SqliteJournal(tmp_path / "journal.db", "process")
    history = History()
    journal.commit(history.online("aaa") + history.online("Bbb"))
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    ends = {journal.last_seq}
    for _ in range(6):
        journal.commit([entry for _ in range(5) for entry in history.message("aaa", "Bbb", "x" * 800)])
        ends.add(journal.last_seq)
    wal = (tmp_path / "journal.db-wal").read_bytes()
    for tail in (b"", b"\x00" * 3_000, b"\xff" * 3_000):
        found = []
        for cut in range(0, len(wal) + 1, len(wal) // 23):
            folder = tmp_path / f"torn-{cut}-{tail[:1].hex()}"
            folder.mkdir()
            shutil.copy(tmp_path / "journal.db", folder)
            (folder / "journal.db-wal").write_bytes(wal[:cut] + tail)
            torn = SqliteJournal(folder / "journal.db", "process")
            found.append(torn.load().seq)
            assert found[-1] in ends
            assert [entry.seq for entry in all_entries(torn)] == list(range(1, found[-1] + 1))
            torn.begin_epoch(0, 0)
            assert torn.load().seq >= journal.last_seq  # nothing that was seen is numbered again
            torn.close()
        assert found == sorted(found)
        assert len(set(found)) > 3
    journal.close()


def test_a_second_process_cannot_open_it(tmp_path: Path) -> None:
    """A second writer, which the server's own lock keeps out, gets an error and spoils nothing."""
    with writer(tmp_path) as process:
        reported(process, 1)
        with pytest.raises(JournalError, match="in use by another process"):
            SqliteJournal(tmp_path / "journal.db", "process")
        last = reported(process, 50)
    journal = SqliteJournal(tmp_path / "journal.db", "process")
    assert len(all_entries(journal)) >= last
    journal.close()
