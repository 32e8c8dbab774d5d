"""A worker dies, or sleeps and wakes up late, with entries, claims and sessions half way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.faults import faulty_server, stopped
from tests.support.journal_file import entries_in
from tests.support.persistent_person import Person, check_exactly_once, in_journal, people
from tests.support.server_process import DEADLINE
from tests.support.wire_client import WireClient


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_entries_that_never_left_their_worker_are_sent_again_and_kept_once(tmp_path: Path, action: str) -> None:
    """Appended and not sent, the worker is killed, or stopped until its people have resumed and sent them again."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        worker = server.pid_of("worker 1")
        faults.arm("worker.sending", "kill" if action == "kill" else "stop")
        for n in range(5):
            aaa.say(f"{n}", "bbb")
        faults.wait_until_struck()
        if action == "stop":
            with WireClient(server.port, tls=False):  # on worker 1, so that the next connection is not
                aaa.resume()
                aaa.settle()
            os.kill(worker, signal.SIGCONT)
        assert len(check_exactly_once(server, aaa, bbb)) == 5
        assert aaa.lost == 1
        assert bbb.lost == 0


def test_a_dead_worker_is_read_to_its_end_before_it_is_released(tmp_path: Path) -> None:
    """What it had sent is ordered though it died, and before its sessions are detached; a resume finds the answers."""
    with faulty_server(tmp_path) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        with stopped(server.pid_of("logger")):
            for n in range(5):
                aaa.say(f"{n}", "bbb")
            for _ in range(2):  # each takes the worker's loop another turn: what was said before is sent
                assert aaa.client.ask("ping")["type"] == "pong"
            old = server.kill_role("worker 1")
            server.wait_for_replacement("worker 1", old)
        acknowledged = check_exactly_once(server, aaa, bbb)
        assert len(acknowledged) == 5
        assert aaa.lost == 1
        (released,) = (e["seq"] for e in entries_in(server.data_dir / "journal.db") if e["kind"] == "rel")
        assert max(acknowledged.values()) < released


def test_a_worker_that_wakes_up_late_changes_nothing(tmp_path: Path) -> None:
    """Its session was resumed elsewhere: what it had still to send is refused, and the old connection closed."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        worker = server.pid_of("worker 1")
        old = aaa.client
        faults.arm("worker.sending", "stop")
        stale = old.send("msgto", to="bbb", text="from the past")
        faults.wait_until_struck()
        with WireClient(server.port, tls=False):  # on worker 1, so that the next connection is not
            aaa.client = WireClient(server.port, tls=False)
            aaa.client.next_id = stale + 1
            welcome = aaa.client.ask("resume", token=aaa.token, after=aaa.seen)
            assert welcome["type"] == "welcome"
            aaa.say("from here", "bbb")
            aaa.settle()
        os.kill(worker, signal.SIGCONT)
        told = old.until_closed()
        old.close()
        assert [line["type"] for line in told] in ([], ["replaced"])
        assert list(check_exactly_once(server, aaa, bbb)) == ["from here"]
        answer = aaa.client.ask("msgto", id=stale, to="bbb", text="from the past")
        assert (answer["type"], answer["code"]) == ("error", "not_done")
        assert server.pid_of("worker 1") == worker


def test_a_sign_in_elsewhere_ends_a_session_on_a_worker_that_sleeps(tmp_path: Path) -> None:
    """It wakes up, tells its client `replaced`, and nothing that client had sent meanwhile is carried out."""
    with faulty_server(tmp_path) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        with WireClient(server.port, tls=False) as spare:  # on worker 1
            assert spare.ask("ping")["type"] == "pong"
            with stopped(server.pid_of("worker 1")):
                aaa.client.send("msgto", to="bbb", text="too late")
                with Person(server.port, "aaa") as new:
                    new.say("from elsewhere", "bbb")
                    new.settle()
                    bbb.say("for the new one", "aaa")
                    bbb.settle()
                    new.settle()
            told = aaa.client.until_closed()
            assert [line["type"] for line in told] == ["replaced"]
        assert [text for _, text in bbb.shown] == ["from elsewhere"]
        assert [text for _, text in new.shown] == ["for the new one"]
        assert server.stop() == 0  # puts everything into the journal's tables that is in its tail
        assert [text for _, text in in_journal(server)] == ["from elsewhere", "for the new one"]


def test_a_request_that_was_passed_over_is_never_carried_out_late(tmp_path: Path) -> None:
    """A repeat is answered from the journal; a lower id that led to nothing is `not_done`, whatever it asks."""
    with faulty_server(tmp_path) as (server, _), people(server, "aaa", "bbb") as (aaa, bbb):
        first = aaa.client.ask("msgto", id=10, to="bbb", text="tenth")
        server.kill_role("worker 1")
        assert aaa.client.until_closed() == []
        aaa.resume()
        repeat = aaa.client.ask("msgto", id=10, to="bbb", text="tenth")
        assert repeat == first
        for type_, fields in (
            ("msgto", {"to": "bbb", "text": "ninth"}),
            ("creategroup", {"group": "g", "members": ["bbb"]}),
            ("activeuser", {}),
        ):
            answer = aaa.client.ask(type_, id=9, **fields)
            assert (answer["type"], answer["code"]) == ("error", "not_done"), answer
        bbb.settle()
        assert [text for _, text in bbb.shown] == ["tenth"]
        assert bbb.ask("joingroup", group="g")["code"] == "unknown_group"


def test_live_delivery_waits_for_what_was_missed(tmp_path: Path) -> None:
    """Messages that come while the missed ones are being read are shown behind them, each once."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        assert aaa.ask("creategroup", group="g", members=["bbb"])["type"] == "created"
        bbb.client.close()
        for n in range(20):
            aaa.say(f"missed {n}", "bbb", group="g" if n % 2 else "")
        aaa.settle()
        faults.arm("worker.read", "hold")
        bbb.resume()
        faults.wait_until_struck()
        for n in range(20):
            aaa.say(f"live {n}", "bbb", group="g" if n % 2 else "")
        aaa.settle()  # committed, and fed to bbb's worker
        assert bbb.shown == []
        faults.release()
        assert len(check_exactly_once(server, aaa, bbb)) == 40


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_a_worker_is_struck_between_the_resume_and_what_was_missed(tmp_path: Path, action: str) -> None:
    """The session is attached, and what was missed is read and not sent: it comes, and what came meanwhile, once."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        aaa.say("missed", "bbb")
        aaa.settle()
        worker = server.pid_of("worker 2")
        with WireClient(server.port, tls=False), bbb.client:  # on both workers, so that the next one is on worker 2
            bbb.client = WireClient(server.port, tls=False)
            faults.arm("worker.read", "kill" if action == "kill" else "stop")
            bbb.begin("resume", token=bbb.token, after=bbb.seen)
            faults.wait_until_struck()
        aaa.say("meanwhile", "bbb")
        aaa.settle()
        if action == "stop":
            os.kill(worker, signal.SIGCONT)
        assert len(check_exactly_once(server, aaa, bbb)) == 2
        assert (aaa.lost, bbb.lost) == (0, 1 if action == "kill" else 0)


def test_a_claim_on_a_group_falls_with_its_worker(tmp_path: Path) -> None:
    """Killed between claim and entry: the name is free again for whoever asks first, and there is one such group."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        faults.arm("worker.claimed", "kill")
        waiting = aaa.begin("creategroup", group="g", members=["bbb"])
        faults.wait_until_struck()
        deadline = time.monotonic() + DEADLINE
        while (answer := bbb.ask("creategroup", group="g", members=["aaa"]))["type"] != "created":
            assert answer["code"] == "group_exists"  # until the log has the release of the dead worker
            assert time.monotonic() < deadline, server.report()
        answer = aaa.end(waiting)
        assert (answer["type"], answer["code"]) == ("error", "group_exists")
        aaa.say("to bbb's group", "bbb", group="g")
        assert len(check_exactly_once(server, aaa, bbb)) == 1
        groups = [line for line in server.lines if line.startswith(">> Group chat room has been created")]
        assert groups == [">> Group chat room has been created, room name: g, user in this room are: bbb,aaa"]
