"""What growth costs our server: idle connections, worker processes, a long journal. A part of bench/chat.py.

The same few messages are measured in a small and in a large server; a delivery has to cost about the same. The long
journal is built through the project's own journal, by people who take no part in what is measured.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from bench.chat_report import Growth
from bench.cost import Cost, cost_of
from bench.peers import Peer, Running, ours, running
from bench.people import People
from tessenger.chat import entries, events
from tessenger.journal.store import SqliteJournal

ACTIVE = 10
PAIRS = 100
WORKERS = (1, 4, 8)
BATCH = 500
WRITERS = 100


def measure(program: Path, both: tuple[int, int] | None, folder: Path, options: argparse.Namespace) -> list[Growth]:
    """Measure every kind of growth, each size in every round."""

    def row(what: str, size: int) -> Growth:
        return Growth(what, f"{size:,}", [], [], [])

    plain, crowded = (row(f"{ACTIVE} active pairs among idle connections", size) for size in (0, options.people))
    workers = {count: row(f"workers, {PAIRS} pairs", count) for count in WORKERS}
    empty, long = (row(f"entries in the journal, {PAIRS} pairs", size) for size in (0, options.entries))
    journal = options.journal or folder / "journal"
    if not journal.exists():
        _make_journal(journal, options.entries)

    def one(peer: Peer, pairs: int, into: Growth) -> None:
        with running(peer, program, both) as server, server.people() as people:
            people.pairs(pairs, peer.at_once)
            _talk(server, people, pairs, options.seconds, into)

    for _ in range(options.rounds):
        with running(ours(), program, both) as server, server.people() as people:
            people.pairs(ACTIVE, server.peer.at_once)
            _talk(server, people, ACTIVE, options.seconds, plain)
            people.pairs(options.people // 2, server.peer.at_once)
            _talk(server, people, ACTIVE, options.seconds, crowded)
        for count, into in workers.items():
            one(ours(workers=count), PAIRS, into)
        one(ours(), PAIRS, empty)
        one(ours(journal=journal), PAIRS, long)
    return [plain, crowded, *workers.values(), empty, long]


def _talk(server: Running, people: People, pairs: int, seconds: float, into: Growth) -> None:
    for window, costs in ((1, into.window1), (32, into.window32)):
        what = f"{into.what}: {into.size}, window {window}"
        cost = cost_of(server.pid, people, partial(people.direct, 0, pairs, window, seconds), partial(_show, what))
        costs.append(cost.cpu)
        into.elsewhere.append(cost.elsewhere)


def _show(what: str, cost: Cost) -> None:
    print(f"# {what}: {cost.cpu:.2f} µs, other programs {cost.elsewhere:.0%}", file=sys.stderr, flush=True)


def _make_journal(folder: Path, count: int) -> None:
    """Make a data directory whose journal has `count` messages, of which the activity logs are taken for written."""
    folder.mkdir(mode=0o700)
    began = time.monotonic()
    journal = SqliteJournal(folder / "journal.db", "process")
    journal.begin_epoch(0, 0)
    text = "x" * 64
    for first in range(1, count + 1, BATCH):
        journal.commit([_message(seq, text) for seq in range(first, min(first + BATCH, count + 1))])
    journal.note_logged(count, {})
    journal.close()
    print(f"# a journal of {count:,} entries took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _message(seq: int, text: str) -> entries.Message:
    writer = seq % WRITERS
    user, to = f"old{writer}", f"old{(seq * 7 + 1) % WRITERS}"
    body = events.message_body(user, text)
    at = 1_700_000_000_000 + seq
    return entries.Message(writer + 1, writer + 1, seq, user, to, text, body, seq=seq, at=at, slot=1, n=seq)
