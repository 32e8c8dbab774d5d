"""The log in chunks and what is found by target, against plain lists."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessenger.errors import JournalError
from tessenger.journal import chunks, targets
from tessenger.journal.rows import SEQ, TARGET, TEXT, USER, Row
from tessenger.wire import names

PEOPLE = ("aaa", "Bbb", "BBB", None)


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """Have the tables that this is about, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for table in (chunks.TABLE, targets.TABLE, "CREATE TABLE meta (counted_seq INTEGER NOT NULL)"):
            db.execute(table)
        db.execute("INSERT INTO meta VALUES (0)")
        yield db


def row(seq: int, target: str | None, text: str = "") -> Row:
    """Return a message from `aaa`."""
    return (seq, seq * 10, "m", 1, 1, seq, 1, seq, "aaa", target, text, None)


def keep(db: sqlite3.Connection, new: list[Row]) -> None:
    """Add rows to the log."""
    db.executemany(chunks.INSERT, chunks.made_of(new))


def log(draw: st.DrawFn) -> tuple[list[list[Row]], int]:
    """Return batches of rows, whose numbers may jump, and up to which number they are counted."""
    seq = 0
    batches = []
    for size in draw(st.lists(st.integers(1, 12), min_size=1, max_size=8)):
        seq += draw(st.sampled_from([0, 0, 0, 5, 100]))
        batch = []
        for _ in range(size):
            seq += 1
            batch.append(row(seq, draw(st.sampled_from(PEOPLE)), f"text {seq}"))
        batches.append(batch)
    return batches, draw(st.integers(0, seq))


LOGS = st.composite(log)()


@settings(max_examples=150, deadline=None)
@given(LOGS, st.sets(st.integers(0, 60)), st.integers(0, 130), st.integers(0, 130))
def test_a_log_in_chunks_is_the_log(
    batches_counted: tuple[list[list[Row]], int], gone: set[int], one: int, other: int
) -> None:
    """Read forward, backward, or one by one, with entries taken out and blanked."""
    batches, _ = batches_counted
    with pytest.MonkeyPatch.context() as patch, database() as db:
        patch.setattr(chunks, "TOGETHER", 4)
        for batch in batches:
            keep(db, batch)
        plain = [row for batch in batches for row in batch]
        last = plain[-1][SEQ]
        gone -= {last}
        assert chunks.remove(db, gone) == [row for row in plain if row[SEQ] in gone]
        plain = [row for row in plain if row[SEQ] not in gone]
        chunks.blank(db, one, "[redacted]")
        plain = [(*row[:TEXT], "[redacted]", None) if row[SEQ] == one else row for row in plain]
        assert list(chunks.forward(db, 0)) == plain
        assert list(chunks.backward(db)) == plain[::-1]
        low, high = min(one, other), max(one, other)
        assert list(chunks.forward(db, low, high)) == [row for row in plain if low < row[SEQ] <= high]
        assert list(chunks.backward(db, high, low)) == [row for row in reversed(plain) if low <= row[SEQ] < high]
        lookup = chunks.Lookup(db)
        by_number = {row[SEQ]: row for row in plain}
        for seq in (*range(last, 0, -1), *range(last + 2)):
            assert lookup.find(seq) == by_number.get(seq)
        assert chunks.newest(db) == last


@settings(max_examples=150, deadline=None)
@given(LOGS, st.sets(st.integers(0, 60)), st.integers(0, 130), st.integers(0, 130))
def test_what_is_to_somebody_is_found(
    batches_counted: tuple[list[list[Row]], int], gone: set[int], one: int, other: int
) -> None:
    """In the table and behind it, by a reader that looks again and again, forward and backward."""
    batches, counted = batches_counted
    with pytest.MonkeyPatch.context() as patch, database() as db:
        patch.setattr(targets, "RUN", 3)
        runs, reader, plain = targets.Runs(), targets.Targets(), list[Row]()
        low, high = min(one, other), max(one, other)
        for batch in batches:
            keep(db, batch)
            runs.count(batch)
            plain += batch
            if batch[0][SEQ] <= counted:
                db.executemany(targets.INSERT, runs.rows())
                db.execute("UPDATE meta SET counted_seq = ?", (batch[-1][SEQ],))
                removed = chunks.remove(db, gone - {batch[-1][SEQ]})
                targets.forget(db, removed)
                plain = [row for row in plain if row not in removed]
            reader.refresh(db)
            for user in ("AAA", "bbb", "nobody"):
                got = [
                    (row[SEQ], "m", row[USER])
                    for row in plain
                    if low < row[SEQ] <= high and names.key(row[TARGET] or "") == names.key(user)
                ]
                assert list(reader.to(db, user, low, high)) == got
                assert list(reader.newest_to(db, user, high + 1, low + 1)) == got[::-1]


def test_large_texts_have_chunks_of_few_entries() -> None:
    """Whoever reads one of them does not read megabytes."""
    long = [row(seq, "aaa", "x" * 40_000) for seq in range(1, 10)]
    short = [row(seq, "aaa", "x") for seq in range(10, 400)]
    made = chunks.made_of(long + short)
    assert [upto for upto, _ in made[-3:]] == [256, 384, 399]
    assert all(len(packed) <= chunks.LARGE for _, packed in made)
    with database() as db:
        keep(db, long + short)
        assert list(chunks.forward(db, 0)) == long + short


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 300))
def test_parts_become_chunks_without_being_packed_anew(sizes: list[int], most: int) -> None:
    """As many in each as it may have, however many there are in each part."""
    new = [row(seq, "aaa", f"text {seq}") for seq in range(1, sum(sizes) + 1)]
    with pytest.MonkeyPatch.context() as patch, database() as db:
        patch.setattr(chunks, "TOGETHER", most)
        rest = iter(new)
        parts = [part for size in sizes for part in chunks.parts_of(list(islice(rest, size)))]
        made = chunks.joined(parts)
        db.executemany(chunks.INSERT, made)
        assert list(chunks.forward(db, 0)) == new
    wanted: list[int] = []
    for part in parts:
        if wanted and wanted[-1] + part.length <= most:
            wanted[-1] += part.length
        else:
            wanted.append(part.length)
    uptos = [upto for upto, _ in made]
    assert [upto - before for before, upto in pairwise([0, *uptos])] == wanted


def test_a_run_that_makes_no_sense_is_reported() -> None:
    """As the journal's damage, not as a decoder's."""
    with database() as db:
        db.execute("INSERT INTO targets VALUES ('aaa', 9, x'91')")
        db.execute("UPDATE meta SET counted_seq = 9")
        reader = targets.Targets()
        reader.refresh(db)
        with pytest.raises(JournalError, match="the table of targets cannot be read"):
            list(reader.to(db, "aaa", 0, 9))
