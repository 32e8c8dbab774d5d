"""Entries by the time that is stamped on them, by a clock that is set now and then."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tessenger.chat.ports import Question
from tessenger.journal import by_time, chunks
from tessenger.journal.reader import SqliteReader
from tessenger.journal.rows import Row
from tessenger.journal.store import SqliteJournal
from tests.support.log_history import History

HOUR = 3_600_000


def row(seq: int, at: int) -> Row:
    """Return an entry."""
    return (seq, at, "m", 1, 1, seq, 1, seq, "aaa", "bbb", "hi", None)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-40, 5)), min_size=1, max_size=60),
    st.integers(-30, 60),
    st.integers(-30, 60),
)
def test_halving_finds_what_looking_at_each_would(log: list[tuple[int, int]], since: int, now: int) -> None:
    """With gaps between the numbers, and a clock that goes back as often as it likes."""
    seq = at = 0
    rows: list[Row] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(chunks.TABLE)
        db.execute(by_time.TABLE)
        for gap, step in log:
            seq, at = seq + gap, at + step
            rows.append(row(seq, at))
            if step < 0:
                db.execute(by_time.INSERT, (seq,))
        for start in range(0, len(rows), 4):
            db.executemany(chunks.INSERT, chunks.made_of(rows[start : start + 4]))
        older = [r[0] for r in rows if r[1] < since]
        floor = by_time.behind_what_is_older(db, since)
        assert [r[0] for r in rows if r[0] >= floor] == [r[0] for r in rows if not older or r[0] > older[-1]]
        young = [r[0] for r in rows if since <= r[1] <= now]
        assert by_time.oldest_since(db, since, now) == (young[0] if young else seq + 1)


def test_history_since_a_time_when_the_clock_was_set(tmp_path: Path) -> None:
    """It goes back as far as the stamps do: the clock was two hours ahead for a while, and one moment in 1970."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, "process")
    journal.begin_epoch(0, 0)
    history = History(journal.load())
    for user in ("aaa", "Bbb"):
        journal.commit(history.online(user))
    start = history.now

    def say(text: str, *, ahead: int = 0) -> None:
        history.ahead = ahead
        journal.commit(history.message("aaa", "Bbb", text))
        history.now += HOUR // 4

    say("early")
    history.now += 3 * HOUR
    say("two hours ahead", ahead=2 * HOUR)
    say("right again")
    say("in 1970", ahead=-start)
    say("late")
    journal.settle()
    now = history.now

    def since(at: int) -> list[str]:
        with closing(SqliteReader(path)) as reader:
            found = reader.history(Question("aaa", peer="Bbb", group="", since=at, before=0, limit=50, max_bytes=10**6))
        return [message.text for message in found.found]

    assert since(now - HOUR // 2) == ["late"]
    assert since(0) == since(1) == ["early", "two hours ahead", "right again", "in 1970", "late"]
    journal.close()
