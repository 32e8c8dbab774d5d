"""The logger dies at each point between an entry's arrival and its line in the logs, and while it feeds workers."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tessenger.server.faults import Point
from tests.support.faults import PLAIN, faulty_server, restart, stopped
from tests.support.journal_file import insert_alone
from tests.support.persistent_person import check_exactly_once, people


def batch(name: str, count: int = 10) -> list[tuple[str, tuple[str, ...], str]]:
    """Return messages of aaa to bbb and, every other one, to the group g: two activity logs are written."""
    return [
        (f"{name} {n}", ("bbb", "ccc"), "g") if n % 2 else (f"{name} {n}", ("bbb",), "") for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("point", "arrival"),
    [
        ("logger.ordered", 1),
        ("logger.committed", 1),
        ("logger.passed_on", 1),
        ("logger.text_log", 1),
        ("logger.text_log", 2),
    ],
)
def test_a_batch_whose_way_is_cut_is_kept_shown_and_written_once(tmp_path: Path, point: Point, arrival: int) -> None:
    """By a kill at any step: acknowledged once, shown once in order, in journal and logs once; others talk on."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb", "ccc") as (aaa, bbb, ccc):
        assert aaa.ask("creategroup", group="g", members=["bbb", "ccc"])["type"] == "created"
        aaa.say_all(batch("before"))
        aaa.settle()
        faults.arm(point, "kill", arrival=arrival)
        aaa.say_all(batch("during"))
        faults.wait_until_struck()
        bbb.say("meanwhile", "aaa")
        aaa.say_all(batch("after"))
        acknowledged = check_exactly_once(server, aaa, bbb, ccc)
        assert len(acknowledged) == 31  # all of it was sent again where it was not ordered
        assert aaa.lost == bbb.lost == ccc.lost == 0
        first = next(seq for text, seq in acknowledged.items() if text == "before 0")
        assert min(acknowledged.values()) == first


def test_the_logger_dies_again_while_a_worker_catches_up(tmp_path: Path) -> None:
    """A worker that missed megabytes gets each entry once, over three loggers."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb", "ccc") as (aaa, bbb, ccc):
        assert aaa.ask("creategroup", group="g", members=["bbb", "ccc"])["type"] == "created"
        with stopped(server.pid_of("worker 2")):  # of bbb; what its socket cannot hold dies with the logger
            for n in range(30):
                aaa.say(f"{n} " + "x" * 40_000, "bbb", "ccc", group="g")
            aaa.settle()
            faults.arm("logger.catching_up", "kill")
            first = server.kill_role("logger")
            second = server.wait_for_replacement("logger", first)
            aaa.say("while the worker was stopped", "bbb", "ccc", group="g")
            aaa.settle()
        faults.wait_until_struck()
        assert server.wait_for_replacement("logger", second) != first
        aaa.say("at last", "bbb", "ccc", group="g")
        assert len(check_exactly_once(server, aaa, bbb, ccc)) == 32
        assert aaa.lost == bbb.lost == ccc.lost == 0


@pytest.mark.parametrize("tail", ["as it was", "as it is", "none"])
def test_a_power_cut_gives_no_number_twice(tmp_path: Path, tail: str) -> None:
    """With durability "process" the last messages may be gone, but whoever saw them is shown what comes after.

    The cut is simulated: the journal as it was at an earlier moment, which is not older than its last sync, is put
    in the place of the journal of a server that was killed. Its tail may be of any moment.
    """
    with faulty_server(tmp_path, workers=1) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        aaa.say("kept", "bbb")
        bbb.settle()
        aaa.settle()
        files = ["journal.db", "journal.db-wal", *(["journal.db-tail"] if tail == "as it was" else [])]
        on_disk = [server.data_dir / name for name in files]
        with stopped(server.pid_of("logger")):  # and with it the checkpoints, which sync
            for path in on_disk:
                shutil.copy(path, tmp_path)
        for n in range(50):
            aaa.say(f"taken back {n}", "bbb")
        aaa.settle()
        bbb.settle()
        assert len(bbb.shown) == 51
        highest = bbb.seen
        if tail == "as it is":
            on_disk.append(server.data_dir / "journal.db-tail")
            shutil.copy(on_disk[-1], tmp_path)
        server.kill()
        for name in ("journal.db-shm", "journal.db-tail"):
            (server.data_dir / name).unlink(missing_ok=True)
        for path in on_disk:
            shutil.copy(tmp_path / path.name, path)
        restart(server)
        aaa.say("after the cut", "bbb")
        aaa.settle()
        bbb.settle()
        assert bbb.shown[-1][1] == "after the cut"
        assert bbb.shown[-1][0] > highest
        numbers = [seq for seq, _ in bbb.shown]
        assert numbers == sorted(set(numbers))


def test_a_logger_whose_journal_breaks_is_replaced(tmp_path: Path) -> None:
    """What it cannot go on from ends it, and does not leave it standing: another one goes on behind what there is."""
    config = f'{PLAIN}[journal]\ndurability = "power"\n'
    with faulty_server(tmp_path, config=config) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        aaa.say("before", "bbb")
        aaa.settle()
        logger = server.pid_of("logger")
        with closing(sqlite3.connect(server.data_dir / "journal.db")) as db:
            (last,) = db.execute("SELECT max(upto) FROM chunks").fetchone()
            with db:  # a number that is the logger's to give
                insert_alone(db, {"seq": last + 1, "at": 1, "kind": "c", "data": b"\x81\xa4name\xa1x"})
        aaa.say("at last", "bbb")
        server.wait_for_replacement("logger", logger)
        assert len(check_exactly_once(server, aaa, bbb)) == 2
        assert aaa.lost == bbb.lost == 0
        log = (server.data_dir / "error.log").read_text()
        assert "Another process has written to the journal" in log


def test_the_write_ahead_file_stays_small_under_load(tmp_path: Path) -> None:
    """Ten times `wal_bytes` are written, and the file is never more than a quarter and a batch above it."""
    wal_bytes, text = 1 << 20, "x" * 20_000
    config = f"{PLAIN}[journal]\nwal_bytes = {wal_bytes}\n"
    with faulty_server(tmp_path, config=config) as (server, _):
        wal = server.data_dir / "journal.db-wal"
        with people(server, "aaa", "bbb") as (aaa, bbb):
            largest = 0
            for round_ in range(50):
                aaa.say_all([(f"{round_} {n} {text}", ("bbb",), "") for n in range(10)])
                aaa.settle()
                bbb.settle()  # a reader that waits is no part of this
                largest = max(largest, wal.stat().st_size)
            assert len(aaa.acknowledged) == 500
            assert largest > wal_bytes // 2
            assert largest <= wal_bytes * 5 // 4 + 2 * 10 * len(text), f"{largest:,}"


def test_a_logger_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGSTOP between commit and feed: nothing is answered meanwhile, everything once afterwards."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        logger = server.pid_of("logger")
        faults.arm("logger.committed", "stop")
        aaa.say("held up", "bbb")
        faults.wait_until_struck()
        bbb.say("waits", "aaa")
        assert aaa.client.ask("ping")["type"] == "pong"
        assert not aaa.acknowledged
        os.kill(logger, signal.SIGCONT)
        assert len(check_exactly_once(server, aaa, bbb)) == 2
        assert server.pid_of("logger") == logger
