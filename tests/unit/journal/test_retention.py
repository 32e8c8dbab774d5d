"""What may go and what stays; that deleting goes in small steps; and what is left of the logs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tessenger.chat.entries import AnyEntry
from tessenger.config import JournalSection
from tessenger.journal import chunks, retention, rotation, store
from tessenger.journal.reader import SqliteReader
from tessenger.journal.retention import STEP, Planner
from tessenger.journal.store import SqliteJournal
from tessenger.journal.text_logs import TextLogs
from tessenger.server.pruning import Pruning
from tests.support.journal_file import chunks_read, numbers_of_targets
from tests.support.log_history import GRACE_MS, History

DAY = 86_400_000


class Kept:
    """A journal with its logs, and a history that is written into both."""

    def __init__(self, folder: Path, **limits: int) -> None:
        self.folder = folder
        self.limits = JournalSection(**limits)  # type: ignore[arg-type]  # keys of whole numbers
        self.journal = SqliteJournal(folder / "journal.db", "process")
        self.logs = TextLogs(folder, self.journal, self.limits.log_bytes, self.limits.log_files)
        self.logs.recover()
        self.history = History()

    def keep(self, *batches: list[AnyEntry]) -> int:
        """Commit and write down; return the number of the last entry."""
        for batch in batches:
            self.journal.commit(batch)
            self.logs.write(batch)
        return self.history.ledger.seq

    def days_pass(self, days: int) -> None:
        """Let time pass; what follows has a later time, and everything before it is counted."""
        self.history.now += days * DAY
        self.keep(self.history.online("ddd"), self.history.offline("ddd"))
        self.journal.keep_logged()

    def prune(self, *, offline_delivery: bool = False, now: int = 0) -> None:
        """Do a whole round, as the logger does."""
        planner = Planner(self.folder / "journal.db", self.folder, self.limits, offline_delivery=offline_delivery)
        moment = now or self.history.now
        asyncio.run(Pruning(planner, self.journal, self.logs, lambda: True, lambda: moment, lambda: moment).round())

    def left(self) -> list[str]:
        """Return the texts of the messages that are there."""
        return [e.text for e in self.journal.entries_after(0, 100_000) if hasattr(e, "body") and hasattr(e, "text")]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Messages go after 30 days."""
    one = Kept(tmp_path, retention_days=30)
    yield one
    one.journal.close()


def test_what_is_old_and_was_shown_goes(kept: Kept) -> None:
    """Private, of groups, and everything else; what is younger stays, and so does the present state."""
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    kept.keep(
        history.create("aaa", "g", "Bbb"), history.message("aaa", "Bbb", "old"), history.to_group("aaa", "g", "old")
    )
    kept.keep(history.seen("aaa"), history.seen("Bbb"))
    kept.days_pass(31)
    kept.keep(history.message("aaa", "Bbb", "young"), history.seen("Bbb"))
    before = kept.journal.load()
    assert len(numbers_of_targets(kept.folder / "journal.db")) > 2
    kept.prune()
    assert kept.left() == ["young"]
    left = {entry.seq for entry in kept.journal.entries_after(0, 100)}
    assert {*numbers_of_targets(kept.folder / "journal.db")} <= left
    assert kept.journal.load() == before
    with closing(SqliteReader(kept.folder / "journal.db")) as reader:
        assert reader.snapshot() == before


def test_what_was_not_shown_stays(kept: Kept) -> None:
    """To someone who is away, to someone who never came, and in a group as long as one member lacks it."""
    history = kept.history
    for user in ("aaa", "Bbb", "ccc"):
        kept.keep(history.online(user))
    kept.keep(history.create("aaa", "g", "Bbb", "ccc"))
    kept.keep(history.message("aaa", "Bbb", "read"), history.to_group("aaa", "g", "read by all"))
    for user in ("aaa", "Bbb", "ccc"):
        kept.keep(history.seen(user))
    kept.keep(history.to_group("aaa", "g", "ccc lacks it"), history.message("aaa", "Bbb", "unread"))
    kept.keep(history.seen("aaa"), history.offline("ccc", "removed"), history.message("aaa", "eee", "never came"))
    kept.days_pass(31)
    kept.prune()
    assert kept.left() == ["ccc lacks it", "unread", "never came"]
    kept.keep(history.offline("Bbb"))
    kept.prune()
    assert kept.left() == ["ccc lacks it", "never came"]


def test_groups_wait_for_the_away_only_where_they_are_due(kept: Kept) -> None:
    """With offline delivery a member who left is due what came since; without it, they are not."""
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    kept.keep(history.create("aaa", "g", "Bbb"), history.offline("Bbb"), history.to_group("aaa", "g", "meanwhile"))
    kept.keep(history.seen("aaa"))
    kept.days_pass(31)
    kept.prune(offline_delivery=True)
    assert kept.left() == ["meanwhile"]
    kept.prune(offline_delivery=False)
    assert kept.left() == []


@pytest.mark.parametrize("offline_delivery", [True, False])
def test_a_membership_that_is_over_makes_nobody_wait(kept: Kept, offline_delivery: bool) -> None:
    """For what came after it; what came before it and was not shown stays."""
    history = kept.history
    for user in ("aaa", "Bbb", "ccc"):
        kept.keep(history.online(user))
    kept.keep(history.create("aaa", "g", "Bbb", "ccc"), history.to_group("aaa", "g", "unseen by ccc"))
    kept.keep(history.leave("aaa", "g", "ccc"), history.offline("ccc", "timeout"))
    kept.keep(history.to_group("aaa", "g", "later"))
    for user in ("aaa", "Bbb"):
        kept.keep(history.seen(user))
    kept.days_pass(31)
    kept.prune(offline_delivery=offline_delivery)
    assert kept.left() == ["unseen by ccc"]


def test_who_may_ask_again_is_answered(kept: Kept) -> None:
    """A detached session's requests stay until it is over: it may resume after a long stop of the server."""
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    kept.keep(history.message("aaa", "Bbb", "asked"), history.seen("Bbb"), history.detach("aaa"))
    kept.journal.keep_logged()
    (session,) = [s for s in kept.journal.load().sessions if s.user == "aaa"]
    kept.journal.commit(history.command("Bbb"))
    kept.journal.keep_logged()
    kept.prune(now=history.now + 40 * DAY)
    with closing(SqliteReader(kept.folder / "journal.db")) as reader:
        assert reader.answer(session.id, session.highest) is not None
    kept.keep(history.wait(GRACE_MS + 1))
    kept.journal.keep_logged()
    kept.prune(now=history.now + 40 * DAY)
    assert kept.left() == []


def test_the_end_of_the_log_stays(kept: Kept) -> None:
    """Numbers go on behind it, whatever else goes: a logger that starts gives none twice."""
    kept.keep(kept.history.online("aaa"), kept.history.offline("aaa"))
    kept.journal.keep_logged()
    kept.prune(now=kept.history.now + 400 * DAY)
    assert [entry.seq for entry in kept.journal.entries_after(0, 99)] == [2]
    kept.journal.close()
    kept.journal = SqliteJournal(kept.folder / "journal.db", "process")
    assert kept.journal.load().seq == 2


def test_the_last_hour_stays(tmp_path: Path) -> None:
    """However small the journal is to be."""
    kept = Kept(tmp_path, retention_mb=1)
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    for number in range(40):
        kept.keep(history.message("aaa", "Bbb", f"{number} " + "x" * 40_000))
    kept.keep(history.seen("Bbb"))
    kept.journal.keep_logged()
    kept.prune()
    assert len(kept.left()) == 40
    kept.prune(now=history.now + 2 * retention.KEEP_MS)
    assert 15 <= len(kept.left()) <= 25
    kept.journal.close()


def test_a_journal_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Space of what went is given back to the file system."""
    monkeypatch.setattr(store, "SPARE_PAGES", 10)
    kept = Kept(tmp_path, retention_days=1)
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    for _ in range(100):
        kept.keep(history.message("aaa", "Bbb", "x" * 40_000))
    kept.keep(history.offline("Bbb"))
    kept.days_pass(2)
    kept.prune()
    kept.journal.close()
    assert (tmp_path / "journal.db").stat().st_size < 400_000


def test_the_logger_goes_on_between_two_steps(tmp_path: Path) -> None:
    """No more than `STEP` entries go before the loop runs again, and what is committed meanwhile stays."""
    kept = Kept(tmp_path, retention_days=30)
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    for _ in range(10):
        kept.keep([entry for _ in range(STEP) for entry in history.message("aaa", "Bbb", "old")])
    kept.keep(history.seen("Bbb"))
    kept.days_pass(31)
    planner = Planner(tmp_path / "journal.db", tmp_path, kept.limits, offline_delivery=False)
    pruning = Pruning(planner, kept.journal, kept.logs, lambda: True, lambda: history.now, lambda: history.now)
    counts = [len(kept.left())]

    async def prune_and_talk() -> None:
        round_ = asyncio.ensure_future(pruning.round())
        while not round_.done():
            await asyncio.sleep(0)
            if counts[-1] != (count := kept.left().count("old")):
                counts.append(count)
                kept.keep(history.message("aaa", "Bbb", "young"))
        await round_

    asyncio.run(prune_and_talk())
    assert counts[-1] == 0
    assert all(0 < before - after <= STEP for before, after in pairwise(counts))
    assert kept.left().count("young") == len(counts) - 1
    kept.journal.close()


def test_nothing_goes_while_someone_is_behind(kept: Kept) -> None:
    """A worker that was stopped catches up from the journal."""
    kept.keep(kept.history.online("aaa"), kept.history.offline("aaa"))
    kept.days_pass(31)
    planner = Planner(kept.folder / "journal.db", kept.folder, kept.limits, offline_delivery=False)
    before = kept.journal.entries_after(0, 99)
    time = lambda: kept.history.now  # noqa: E731 both clocks
    asyncio.run(Pruning(planner, kept.journal, kept.logs, lambda: False, time, time).round())
    assert kept.journal.entries_after(0, 99) == before


# ---- activity logs ----


def all_lines(folder: Path, name: str) -> list[str]:
    """Return the lines of a log over all its files, the oldest first."""
    files = list(rotation.of_log(folder, name))
    return [line for path in reversed(files) for line in path.read_text().splitlines()]


def test_logs_rotate_by_size(tmp_path: Path) -> None:
    """Every line is in one file, whole, in order; each file is about as large as allowed; redaction reaches all."""
    kept = Kept(tmp_path, log_bytes=2_000)
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    kept.keep(history.create("aaa", "g"))
    first = kept.keep(history.message("aaa", "Bbb", "the very first"))
    for number in range(300):
        kept.keep(history.message("aaa", "Bbb", f"text {number}"))
    lines = all_lines(tmp_path, "messagelog.txt")
    assert [line.rpartition("; ")[2] for line in lines] == ["the very first", *(f"text {n}" for n in range(300))]
    files = list(rotation.of_log(tmp_path, "messagelog.txt"))
    assert len(files) >= 5
    assert all(path.stat().st_size < 2_200 for path in files)
    kept.keep(history.ledger.redact(first, history.now))
    assert all_lines(tmp_path, "messagelog.txt")[0].rstrip().endswith("; [redacted]")
    kept.journal.close()


def test_the_oldest_files_go(tmp_path: Path) -> None:
    """`log_files` is how many rotated ones stay."""
    kept = Kept(tmp_path, log_bytes=500, log_files=2)
    for user in ("aaa", "Bbb"):
        kept.keep(kept.history.online(user))
    for number in range(60):
        kept.keep(kept.history.message("aaa", "Bbb", f"text {number}"))
    names = sorted(path.name for path in rotation.of_log(tmp_path, "messagelog.txt"))
    assert set(names) <= {"messagelog.txt", "messagelog.txt.1", "messagelog.txt.2"}
    assert all_lines(tmp_path, "messagelog.txt")[-1].endswith("text 59")
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("messagelog")]) <= 3
    kept.journal.close()


def test_a_logger_that_dies_around_a_rotation_repeats_no_line(tmp_path: Path) -> None:
    """Before the file has its new name, or after: a new logger goes on with the next line."""
    kept = Kept(tmp_path, log_bytes=500)
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    for number in range(60):
        kept.keep(history.message("aaa", "Bbb", f"text {number}"))
        if number % 3 == 0:
            kept.logs = TextLogs(tmp_path, kept.journal, 500)  # as after a kill: nothing was closed, nothing kept
            kept.journal._logged_sizes.clear()
            (kept.journal._logged_seq,) = kept.journal._db.execute("SELECT logged_seq FROM meta").fetchone()
            kept.logs.recover()
    texts = [line.rpartition("; ")[2] for line in all_lines(tmp_path, "messagelog.txt")]
    assert texts == [f"text {number}" for number in range(60)]
    kept.journal.close()


def test_old_logs_go(kept: Kept) -> None:
    """A log begins anew when its first line is a day old; a file whose last line is too old is removed."""
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    kept.keep(history.message("aaa", "Bbb", "old"), history.offline("Bbb"))
    kept.days_pass(2)
    kept.prune()
    assert not (kept.folder / "messagelog.txt").exists()
    old = kept.folder / "messagelog.txt.1"
    assert old.read_text().endswith("; old\n")
    kept.prune()
    assert old.exists()
    os.utime(old, (0, 0))  # what the file system says of its time is what some clock said
    kept.prune()
    assert old.exists()
    kept.days_pass(31)
    kept.prune()
    assert not old.exists()
    kept.keep(history.message("aaa", "ccc", "new"))
    assert (kept.folder / "messagelog.txt").read_text().endswith("; new\n")
    assert not (kept.folder / "userlog.txt.1").exists()


def test_logs_that_are_too_much_together_go(tmp_path: Path) -> None:
    """The oldest first, until the rest is within `retention_mb`."""
    kept = Kept(tmp_path, retention_mb=1)
    for number in range(1, 5):
        path = tmp_path / f"messagelog.txt.{number}"
        path.write_bytes(b"x" * 400_000)
        os.utime(path, (1_000_000 - number, 1_000_000 - number))
    (tmp_path / "something-else.txt.9").write_bytes(b"x" * 2_000_000)
    kept.prune()
    left = sorted(path.name for path in tmp_path.glob("*.txt.*"))
    assert left == ["messagelog.txt.1", "messagelog.txt.2", "something-else.txt.9"]
    kept.journal.close()


def test_deciding_never_goes_through_the_whole_log(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """One plan looks at so many entries, and the next one behind them."""
    monkeypatch.setattr(retention, "_LOOKED_AT", 10)
    monkeypatch.setattr(chunks, "TOGETHER", 4)
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    for _ in range(40):
        kept.keep([entry for _ in range(10) for entry in history.message("aaa", "Bbb", "old")])
    kept.keep(history.seen("Bbb"))
    kept.days_pass(31)
    kept.keep(history.message("aaa", "Bbb", "young"))
    planner = Planner(kept.folder / "journal.db", kept.folder, kept.limits, offline_delivery=False)
    planned: list[int] = []
    for _ in range(20):
        with chunks_read(monkeypatch) as read:
            plan = planner.plan(history.now, history.now)
        assert plan.more
        assert len(plan.entries) == 10
        planned += plan.entries
        assert len(read) < 40  # of 120: halving finds the times, and then come a few in order
    assert planned == list(range(1, 201))


# ---- a clock that was set ----


def test_an_hour_is_an_hour_whatever_the_clock_says(kept: Kept) -> None:
    """What was written within the last hour stays, though the clock was at 1970 then, or is years ahead by now."""
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    planner = Planner(kept.folder / "journal.db", kept.folder, kept.limits, offline_delivery=False)

    def prune() -> None:
        at = history.now + history.ahead
        pruning = Pruning(planner, kept.journal, kept.logs, lambda: True, lambda: history.now, lambda: at)
        asyncio.run(pruning.round())

    prune()  # from here on the planner knows what is new
    history.ahead = -history.now
    kept.keep(history.message("aaa", "Bbb", "in 1970"), history.seen("Bbb"))
    history.ahead = 10 * 365 * DAY
    kept.keep(history.online("ccc"))
    kept.journal.keep_logged()
    prune()
    history.now += 3_000_000
    prune()
    assert kept.left() == ["in 1970"]
    history.now += 1_000_000
    prune()
    assert kept.left() == []


def test_a_stamp_from_the_future_holds_up_nothing(kept: Kept) -> None:
    """The clock was ten years ahead for a moment: what is older goes in its time, and so does what was said then."""
    history = kept.history
    for user in ("aaa", "Bbb"):
        kept.keep(history.online(user))
    kept.keep(history.message("aaa", "Bbb", "before"))
    history.ahead = 10 * 365 * DAY
    kept.keep(history.message("aaa", "Bbb", "in ten years"))
    history.ahead = 0
    kept.keep(history.message("aaa", "Bbb", "after"), history.seen("Bbb"))
    kept.days_pass(29)
    kept.prune()
    assert kept.left() == ["before", "in ten years", "after"]
    kept.days_pass(2)
    kept.prune()
    assert kept.left() == []
