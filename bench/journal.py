"""What a commit to the journal costs: microseconds for each message, beside a bare SQLite insert of the same messages.

    python -m bench.journal [--entries N] [--rounds N] [--power]

The bare insert has a table of six columns and one index, nothing else: no present state, no request ids, no numbers
reserved, no text kept apart. Prints a table for batches of 1, 32 and 500 messages between 100 people; the figures are
CPU time of the committing thread in the fastest round, which was disturbed least.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from tessenger.chat import entries, events
from tessenger.journal.store import SqliteJournal

PEOPLE = 100
TEXT = "x" * 64

Commit = Callable[[Sequence[entries.Message]], None]


def batches(size: int, total: int) -> list[list[entries.Message]]:
    """Return `total` messages in batches of `size`, numbered from 1, from everyone to everyone in turn."""
    made = []
    for seq in range(1, total + 1):
        sender = seq % PEOPLE
        user, to = f"user{sender}", f"user{(seq * 7 + 1) % PEOPLE}"
        body = events.message_body(user, TEXT)
        at = 1_700_000_000_000 + seq
        made.append(
            entries.Message(
                sender + 1, sender + 1, seq, user, to, TEXT, body, seq=seq, at=at, slot=1 + sender % 4, n=seq
            )
        )
    return [made[start : start + size] for start in range(0, total, size)]


def online() -> list[entries.Online]:
    """Return the sign-ins of everyone."""
    return [
        entries.Online(i + 1, i + 1, 0, f"user{i}", "127.0.0.1", 0, 1, b"h" * 32, 2**41, slot=1 + i % 4)
        for i in range(PEOPLE)
    ]


def bare(folder: Path) -> Commit:
    """Return the commit of a bare insert."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE m (seq INTEGER PRIMARY KEY, at INT, kind INT, sender TEXT, target TEXT, body TEXT)")
    db.execute("CREATE INDEX mi ON m (target, seq)")

    def commit(batch: Sequence[entries.Message]) -> None:
        rows = [(e.seq, e.at, 1, e.user, e.to, e.text) for e in batch]
        db.execute("BEGIN")
        db.executemany("INSERT INTO m VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    return commit


def journal(folder: Path, durability: Literal["process", "power"]) -> Commit:
    """Return the commit of the journal, everyone being online."""
    store = SqliteJournal(folder / "journal.db", durability)
    store.begin_epoch(0, 0)
    signed_in = online()
    for seq, entry in zip(count(-PEOPLE), signed_in, strict=False):
        entry.seq = seq
    store.commit(signed_in)
    return store.commit


def measure(commit: Commit, work: list[list[entries.Message]]) -> float:
    """Return microseconds of CPU for each message."""
    begin = time.thread_time_ns()
    for batch in work:
        commit(batch)
    return (time.thread_time_ns() - begin) / 1000 / sum(map(len, work))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=20_000, help="messages a round (a tenth of it in batches of 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--power", action="store_true", help="measure durability power too: one fsync a batch")
    options = parser.parse_args()
    print(f"{'batch':>6} {'bare, µs':>10} {'journal, µs':>12} {'ratio':>6}" + (" power, µs" if options.power else ""))
    for size in (1, 32, 500):
        work = batches(size, options.entries if size > 1 else options.entries // 10)
        figures: dict[str, list[float]] = {"bare": [], "process": [], "power": []}
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                figures["bare"].append(measure(bare(Path(folder)), work))
                figures["process"].append(measure(journal(Path(folder), "process"), work))
            if options.power:
                with tempfile.TemporaryDirectory() as folder:
                    figures["power"].append(measure(journal(Path(folder), "power"), work))
        base, ours = min(figures["bare"]), min(figures["process"])
        power = f" {min(figures['power']):9.1f}" if options.power else ""
        print(f"{size:>6} {base:>10.1f} {ours:>12.1f} {ours / base:>6.2f}{power}")


if __name__ == "__main__":
    main()
