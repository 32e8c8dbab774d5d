"""The manager, the acceptor or the supervisor dies between a decision and those who must hear of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tessenger.server.faults import Point
from tests.support.faults import PLAIN, faulty_server, restart
from tests.support.persistent_person import check_exactly_once, people
from tests.support.server_process import DEADLINE, is_running, running_server
from tests.support.wire_client import WireClient

# ---- the manager ----


def test_two_workers_race_for_a_group_over_the_managers_death(tmp_path: Path) -> None:
    """It dies between granting the name and saying so: both ask the next one, one gets it; chats go on meanwhile."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb", "ccc") as (aaa, bbb, ccc):
        for round_ in (1, 2):
            name = f"g{round_}"
            faults.arm("manager.granted", "kill")
            asked = [(person, person.begin("creategroup", group=name, members=[])) for person in (aaa, bbb)]
            faults.wait_until_struck()
            ccc.say(f"meanwhile {round_}", "aaa")
            ccc.settle()
            answers = [person.end(number) for person, number in asked]
            assert sorted(answer["type"] for answer in answers) == ["created", "error"], answers
            (refused,) = [answer for answer in answers if answer["type"] == "error"]
            assert (refused["code"], refused["text"]) == (
                "group_exists",
                f"Failed to create the group chat {name}: {name} exists!",
            )
            server.wait_for_replacement("manager", -1)
        check_exactly_once(server, aaa, bbb, ccc)
        assert aaa.lost == bbb.lost == ccc.lost == 0
        assert ccc.ask("joingroup", group="g2")["type"] == "joined"


def test_a_claim_that_a_dead_manager_granted_holds_at_the_next_one(tmp_path: Path) -> None:
    """A worker holds it, with its entry not appended: it reports the claim, so nobody else gets the name."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        faults.arm("worker.claimed", "hold")
        waiting = aaa.begin("creategroup", group="g", members=["bbb"])
        faults.wait_until_struck()
        server.wait_for_replacement("manager", server.kill_role("manager"))
        answer = bbb.ask("creategroup", group="G", members=["aaa"])
        assert (answer["type"], answer.get("code")) == ("error", "group_exists")
        faults.release()
        assert aaa.end(waiting)["type"] == "created"


@pytest.mark.parametrize("point", ["manager.attempt_begun", "manager.attempt_failed"])
def test_an_attempt_counts_though_the_manager_dies_with_it(tmp_path: Path, point: Point) -> None:
    """At the first, second or third guess, before or after it is counted: the third is the one that blocks."""
    with faulty_server(tmp_path, config=f"{PLAIN}[auth]\nblock_seconds = 60\n") as (server, faults):
        for user, nth in (("aaa", 1), ("bbb", 2), ("ccc", 3)):
            codes = []
            for guess in (1, 2, 3, 4):
                if guess == nth:
                    faults.arm(point, "kill")
                with WireClient(server.port, tls=False) as client:
                    codes.append(client.ask("login", user=user, password=f"guess {guess}")["code"])
            faults.wait_until_struck()
            assert codes == ["invalid_password", "invalid_password", "blocked_now", "blocked"]
            server.wait_for(f"has been blocked for 60 seconds {user}")  # the logs are written before the console
        log = (server.data_dir / "userlog.txt").read_text().splitlines()
        assert [line.rpartition("; ")[2] for line in log] == [
            *["failed login 1", "failed login 2", "blocked for 60 seconds"] * 3
        ]


# ---- the acceptor ----


def test_a_new_acceptor_knows_who_is_connected(tmp_path: Path) -> None:
    """Those who come while it is being replaced meet the limit, though all who fill it came to the one before."""
    config = f"{PLAIN}connections_per_address = 4\n"
    with running_server(tmp_path, "--no-tls", config=config, workers=3) as server:
        inside = [WireClient(server.port, tls=False) for _ in range(4)]
        for client in inside:
            assert client.ask("ping")["type"] == "pong"
        for _ in range(3):
            old = server.kill_role("acceptor")
            with WireClient(server.port, tls=False) as one_more:  # waits in the kernel for the next acceptor
                (reason,) = one_more.until_closed()
                assert reason["code"] == "too_many_connections"
            server.wait_for_replacement("acceptor", old)
        for client in inside:
            assert client.ask("ping")["type"] == "pong"
            client.close()


def test_a_connection_that_dies_with_the_acceptor_costs_a_reconnect(tmp_path: Path) -> None:
    """Taken from the kernel, given to no worker: its client sees it close, and the next attempt succeeds."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        faults.arm("acceptor.accepted", "kill")
        with WireClient(server.port, tls=False) as unlucky:
            assert unlucky.until_closed() == []
        began = time.monotonic()
        with people(server, "ccc") as (ccc,):
            assert time.monotonic() - began < 2
            ccc.say("hi", "aaa")
            check_exactly_once(server, aaa, bbb, ccc)
            assert aaa.lost == bbb.lost == ccc.lost == 0


# ---- the supervisor ----


def test_the_supervisor_dies_while_a_worker_is_being_replaced(tmp_path: Path) -> None:
    """Everything ends by itself; the next server goes on, with what the dead worker had been told and not answered."""
    with faulty_server(tmp_path) as (server, faults), people(server, "aaa", "bbb") as (aaa, bbb):
        aaa.say("before", "bbb")
        aaa.settle()
        pids = [server.pid_of(title) for title in ("logger", "manager", "acceptor", "worker 2")]
        faults.arm("supervisor.replacing", "kill")
        worker = server.kill_role("worker 1")
        aaa.say("to a dead worker", "bbb")
        faults.wait_until_struck()
        deadline = time.monotonic() + DEADLINE
        while any(is_running(pid) for pid in (worker, *pids)):
            assert time.monotonic() < deadline, server.report()
            time.sleep(0.01)
        server.kill()  # takes leave of the process that is gone
        restart(server)
        bbb.say("after", "aaa")
        assert len(check_exactly_once(server, aaa, bbb)) == 3
