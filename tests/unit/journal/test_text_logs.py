"""The activity logs have each entry exactly once, whatever breaks between two writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import pytest

from tessenger.chat import lines
from tessenger.chat.entries import AnyEntry
from tessenger.errors import JournalError
from tessenger.journal import store, text_logs
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tests.support.log_history import GROUPS, USERS, History


class Logger:
    """A journal with its text logs, as the logger role drives them, in a data directory of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.dir = data_dir
        self.history = History()
        self.committed: list[AnyEntry] = []
        self.start()

    def start(self) -> None:
        """Begin, or begin again."""
        self.journal = SqliteJournal(self.dir / "journal.db", "process")
        self.logs = TextLogs(self.dir, self.journal)
        self.logs.recover()

    def die(self) -> None:
        """End as kill -9 does."""
        self.logs.close()
        self.journal.abandon()

    def commit(self, batch: Sequence[AnyEntry]) -> None:
        """Commit, and die before the logs are written."""
        self.journal.commit(batch)
        self.committed += batch

    def write(self, batch: Sequence[AnyEntry]) -> None:
        """Commit, and write the logs."""
        self.commit(batch)
        self.logs.write(batch)

    def expected(self) -> dict[str, str]:
        """Return what each log must be."""
        found: dict[str, str] = {}
        for entry in self.committed:
            written = lines.text_log_line(entry)
            if written is not None:
                found[written[0]] = found.get(written[0], "") + written[1]
        return found

    def actual(self) -> dict[str, str]:
        """Return what each log is."""
        return {file.name: file.read_text() for file in self.dir.glob("*.txt") if file.stat().st_size}


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logger]:
    """A logger with four people and a group, whose logs are noted every 8 entries."""
    monkeypatch.setattr(store, "COUNT_EVERY", 8)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    one = Logger(tmp_path)
    for user in USERS:
        one.write(one.history.online(user))
    one.write(one.history.create("aaa", "g", *USERS[1:]))
    yield one
    one.die()


def talk(logger: Logger, rounds: int = 5) -> Iterator[list[AnyEntry]]:
    """Make batches with lines for every kind of log."""
    for number in range(rounds):
        yield logger.history.message("aaa", "Bbb", f"private {number}") + logger.history.to_group("Bbb", "g", "hi\nall")
        yield logger.history.to_group("ccc", "g", f"again {number}") + logger.history.fail("ddd", number)


def test_lines_follow_the_commits(logger: Logger) -> None:
    """Each committed batch is in the logs when it is written."""
    for batch in talk(logger):
        logger.write(batch)
        assert logger.actual() == logger.expected()
    assert sorted(logger.actual()) == ["g_messagelog.txt", "messagelog.txt", "userlog.txt"]


@pytest.mark.parametrize("written", range(12))
def test_killed_between_commit_and_logs(logger: Logger, written: int) -> None:
    """What was committed and not yet logged is logged at the next start; nothing is logged twice."""
    for count, batch in enumerate(talk(logger, 6)):
        logger.commit(batch)
        if count < written:
            logger.logs.write(batch)
    logger.die()
    logger.start()
    assert logger.actual() == logger.expected()
    for batch in talk(logger):
        logger.write(batch)
    assert logger.actual() == logger.expected()


@pytest.mark.parametrize("log", ["userlog.txt", "messagelog.txt", "g_messagelog.txt"])
@pytest.mark.parametrize("kept", [0, 1, 20])
def test_killed_within_a_write(logger: Logger, log: str, kept: int) -> None:
    """Half a line, or half a batch, is completed: a torn line is cut off and written again."""
    for batch in talk(logger):
        logger.write(batch)
    before = (logger.dir / log).stat().st_size
    for batch in talk(logger, 1):
        logger.write(batch)
    logger.die()
    os.truncate(logger.dir / log, before + kept)
    logger.start()
    assert logger.actual() == logger.expected()


def test_a_power_cut_takes_the_end_of_a_log(logger: Logger) -> None:
    """A log that is shorter than it is known to have been is completed from its last whole line on."""
    for batch in talk(logger, 20):
        logger.write(batch)
    logger.logs.close()
    logger.journal.close()
    os.truncate(logger.dir / "messagelog.txt", (logger.dir / "messagelog.txt").stat().st_size // 2)
    logger.start()
    assert logger.actual() == logger.expected()


@pytest.mark.parametrize(
    "rubbish", ["evil; 0; online\n", "\n", "no number\n\n; 1; 2\n", "99999999; x; y\n", "12x; y\n"]
)
def test_a_last_line_that_makes_no_sense(logger: Logger, rubbish: str) -> None:
    """The file is completed behind what of it does: no line is written twice, and none is left out."""
    logger.journal.keep_logged()
    logger.write(logger.history.message("aaa", "Bbb", "before it"))
    with (logger.dir / "messagelog.txt").open("a") as log:
        log.write(rubbish)
    logger.commit(logger.history.message("aaa", "Bbb", "behind it"))
    logger.die()
    logger.start()
    private = logger.expected()["messagelog.txt"].splitlines(keepends=True)
    assert logger.actual()["messagelog.txt"] == "".join([*private[:-1], rubbish, private[-1]])
    assert logger.actual()["userlog.txt"] == logger.expected()["userlog.txt"]


def test_only_rubbish_behind_the_known_place(logger: Logger) -> None:
    """Then the file has what the journal says that it has."""
    logger.write(logger.history.message("aaa", "Bbb", "known"))
    logger.logs.reopen()  # which has the place kept
    with (logger.dir / "messagelog.txt").open("a") as log:
        log.write("rubbish\n" * 20_000)
    logger.commit(logger.history.message("aaa", "Bbb", "new"))
    logger.die()
    logger.start()
    texts = [line.rpartition("; ")[2] for line in logger.actual()["messagelog.txt"].splitlines()]
    assert [text for text in texts if text != "rubbish"] == ["known", "new"]


def test_a_journal_that_was_put_back_under_its_logs(logger: Logger, tmp_path: Path) -> None:
    """What they have of the lost time stays, and what comes then is written once, killed at once or not."""
    logger.write(logger.history.message("aaa", "Bbb", "before the backup"))
    logger.die()
    names = [path.name for path in tmp_path.glob("journal.db*")]
    backup = {name: (tmp_path / name).read_bytes() for name in names}
    at_the_backup = deepcopy(logger.history)
    logger.start()
    for _ in range(30):
        logger.write(logger.history.message("aaa", "Bbb", "lost"))
        logger.write(logger.history.to_group("aaa", "g", "lost"))
    logger.die()
    for path in tmp_path.glob("journal.db*"):
        path.unlink()
    for name, data in backup.items():
        (tmp_path / name).write_bytes(data)
    logger.start()
    logger.history = at_the_backup
    for number in range(20):
        logger.commit(logger.history.message("aaa", "Bbb", f"private {number}"))
        logger.commit(logger.history.to_group("aaa", "g", f"group {number}"))
        logger.die()
        logger.start()
    for name, kind in (("messagelog.txt", "private"), ("g_messagelog.txt", "group")):
        texts = [line.rpartition("; ")[2] for line in logger.actual()[name].splitlines()]
        assert [text for text in texts if text.startswith(kind)] == [f"{kind} {number}" for number in range(20)]
        assert texts.count("lost") == 30


def test_a_long_last_line(logger: Logger) -> None:
    """The number of the last line is found however long the line is."""
    long = "\\" * 200_000
    logger.write(logger.history.message("aaa", "Bbb", long))
    logger.commit(logger.history.message("aaa", "Bbb", long))
    logger.die()
    logger.start()
    assert logger.actual() == logger.expected()


def test_a_disk_without_room_loses_no_line(logger: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a log cannot be written, commits go on; when it can, what it lacks is completed, in order, once."""
    room = 10_000
    write = os.write

    def until_full(fd: int, data: bytes | memoryview) -> int:
        nonlocal room
        if room == 0:
            raise OSError(28, "No space left on device")
        done = write(fd, bytes(data)[:room])
        room -= done
        return done

    monkeypatch.setattr(os, "write", until_full)
    batches = list(talk(logger, 30))
    room = 30  # within the first line
    for batch in batches[:20]:
        logger.write(batch)
        assert logger.logs.failure == "The activity logs cannot be written at the moment: No space left on device"
    room = 150  # one file's lines fit, the next one's do not
    logger.write(batches[20])
    assert logger.logs.failure
    room = 10**9
    logger.write(batches[21])
    assert logger.logs.failure == ""
    assert logger.actual() == logger.expected()
    for batch in batches[22:]:
        logger.write(batch)
    assert logger.actual() == logger.expected()


def test_killed_while_there_is_no_room(logger: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start on a full disk does not fail: the logs are completed when there is room."""

    def full(fd: int, data: bytes | memoryview) -> int:
        raise OSError(28, "No space left on device")

    for batch in talk(logger):
        logger.write(batch)
    with monkeypatch.context() as no_room:
        no_room.setattr(os, "write", full)
        for batch in talk(logger):
            logger.write(batch)
        logger.die()
        logger.start()
        assert logger.logs.failure
    logger.write(logger.history.message("aaa", "Bbb", "there is room"))
    assert logger.logs.failure == ""
    assert logger.actual() == logger.expected()


def move_away(logger: Logger) -> dict[str, str]:
    """Rename the logs as logrotate does, and return what the old ones must be in the end."""
    for file in list(logger.dir.glob("*.txt")):
        file.rename(file.with_suffix(".old"))
    return logger.expected()


def old(logger: Logger) -> dict[str, str]:
    """Return what was moved away."""
    return {file.with_suffix(".txt").name: file.read_text() for file in logger.dir.glob("*.old")}


@pytest.mark.parametrize("killed", [False, True], ids=["lives", "killed"])
def test_logs_that_were_moved_away(logger: Logger, *, killed: bool) -> None:
    """Until it is told, the logger goes on in the old files; from then on in new ones, each line in one of the two."""
    for batch in talk(logger):
        logger.write(batch)
    move_away(logger)
    for batch in talk(logger, 1):
        logger.write(batch)
    before = logger.expected()
    logger.logs.reopen()
    assert old(logger) == before
    for batch in talk(logger):
        logger.write(batch)
    if killed:
        logger.commit(logger.history.message("aaa", "Bbb", "only committed"))
        logger.die()
        logger.start()
    both = {name: before[name] + text for name, text in logger.actual().items()}
    assert both == logger.expected()
    assert old(logger) == before


def test_few_files_stay_open(logger: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many groups there are, a bounded number of logs is open, and every line arrives."""
    monkeypatch.setattr(text_logs, "MAX_OPEN", 4)
    for number in range(20):
        logger.write(logger.history.create("aaa", f"group{number}"))
    for number in range(60):
        logger.write(logger.history.to_group("aaa", f"group{number * 7 % 20}", f"text {number}"))
        assert len(logger.logs._files) <= 4
    assert logger.actual() == logger.expected()


def test_only_the_owner_may_read_them(logger: Logger) -> None:
    """Logs hold private messages: their mode is 0600."""
    for batch in talk(logger):
        logger.write(batch)
    assert {file.stat().st_mode & 0o777 for file in logger.dir.glob("*.txt")} == {0o600}


def test_a_log_that_cannot_be_opened(logger: Logger) -> None:
    """A directory in a log's place is an error at start that names it."""
    for batch in talk(logger):
        logger.write(batch)
    logger.logs.close()
    logger.journal.close()
    (logger.dir / "userlog.txt").unlink()
    (logger.dir / "userlog.txt").mkdir()
    with pytest.raises(JournalError, match=r"userlog\.txt"):
        logger.start()
    logger.journal.close()
    (logger.dir / "userlog.txt").rmdir()
    logger.start()


def test_random_histories_with_deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many lives of the logger, ending before or after the logs were written, every line is there once."""
    monkeypatch.setattr(store, "COUNT_EVERY", 8)
    monkeypatch.setattr(store, "COUNT_BATCHES", 0)
    logger = Logger(tmp_path)
    step: Callable[[int], int] = lambda value: (value * 1_103_515_245 + 12_345) % 2**31  # noqa: E731 a fixed sequence
    number = 7
    for group in GROUPS:
        logger.write(logger.history.online("aaa"))
        logger.write(logger.history.create("aaa", group, *USERS[1:]))
    for _ in range(600):
        number = step(number)
        batch = logger.history.random(number >> 8, number >> 12, number >> 16)
        if number % 31 == 0:
            logger.commit(batch)
        else:
            logger.write(batch)
        if number % 31 < 2:
            logger.die()
            logger.start()
            assert logger.actual() == logger.expected()
    assert logger.actual() == logger.expected()
    logger.die()
