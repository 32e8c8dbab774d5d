"""kill -9 on every role under load: what was acknowledged is there exactly once, and others notice but a pause."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.deadline import until
from tests.support.faults import faulty_server, stopped
from tests.support.server_process import DEADLINE, ServerProcess, running_server
from tests.support.wire_client import WireClient

CONFIG = "[limits]\nmessages_per_second = 0\n"


class Talker:
    """Writes to bbb, message by message, from a thread; resumes where its connection breaks, and sends again."""

    def __init__(self, server: ServerProcess, user: str) -> None:
        self.user = user
        self.sent: dict[str, int] = {}
        self._server = server
        self._client = WireClient(server.port)
        welcome = self._client.login(user)
        self._token, self._after = welcome["token"], welcome["seq"]
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def talk_on(self, count: int) -> None:
        """Wait until that many more were acknowledged."""
        with self._progress:
            wanted = len(self.sent) + count
            assert self._progress.wait_for(lambda: len(self.sent) >= wanted or self._problem, 20), self._server.report()
        assert self._problem is None, f"{self._problem!r}\n{self._server.report()}"

    def stop(self) -> None:
        """Finish the message that is under way."""
        self._stopping.set()
        self._thread.join(30)
        self._client.close()
        assert self._problem is None, f"{self._problem!r}\n{self._server.report()}"

    def _run(self) -> None:
        try:
            number = 0
            while not self._stopping.is_set():
                number += 1
                self._say(f"{self.user} {number}", self._client.next_id)
        except BaseException as problem:  # noqa: BLE001 shown by the test's own thread
            self._problem = problem
            with self._progress:
                self._progress.notify_all()

    def _say(self, text: str, number: int) -> None:
        while True:
            try:
                answer = self._client.ask("msgto", id=number, to="bbb", text=text)
            except (EOFError, OSError):
                self._come_back()
                continue
            assert answer["type"] == "sent", answer
            with self._progress:
                self.sent[text] = answer["seq"]
                self._progress.notify_all()
            return

    def _come_back(self) -> None:
        next_id = self._client.next_id
        while True:
            self._client.close()
            try:
                self._client = WireClient(self._server.port)
                self._client.next_id = next_id + 1_000
                answer = self._client.ask("resume", token=self._token, after=self._after)
            except (EOFError, OSError):
                continue
            if answer["type"] == "welcome":
                self._client.next_id = next_id
                return
            assert answer["code"] == "unavailable", answer


def came_back(server: ServerProcess, token: str, after: int) -> WireClient:
    """Return a new connection that resumed a session."""
    client = WireClient(server.port)
    assert client.ask("resume", id=1_000_000, token=token, after=after)["type"] == "welcome"
    return client


def check_exactly_once(server: ServerProcess, sent: dict[str, int], got: list[dict[str, Any]]) -> None:
    """Compare what was acknowledged with journal, log and recipient."""
    with closing(sqlite3.connect(f"file:{server.data_dir / 'journal.db'}?mode=ro", uri=True)) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    received = [event["text"] for event in got]
    assert len(received) == len(set(received))
    assert [event["seq"] for event in got] == sorted(event["seq"] for event in got)
    assert {event["text"]: event["seq"] for event in got} == sent
    path = server.data_dir / "messagelog.txt"
    until(lambda: path.read_bytes().count(b"\n") == len(sent), f"each has its line\n{server.report()}")
    log = [line.split("; ") for line in path.read_text().splitlines()]
    assert {fields[4]: int(fields[0]) for fields in log} == sent


@pytest.mark.parametrize("role", ["logger", "manager", "acceptor", "worker 1", "worker 2"])
def test_a_role_that_is_killed_under_load_is_replaced_and_nothing_is_lost_or_doubled(tmp_path: Path, role: str) -> None:
    """Twice in a row; sign-in and groups work again, and connections of others have held."""
    with running_server(tmp_path, config=CONFIG) as server:
        bbb = WireClient(server.port)
        welcome = bbb.login("bbb")
        got: list[dict[str, Any]] = []
        talkers = [Talker(server, user) for user in ("aaa", "ccc")]
        try:
            for round_ in range(2):
                for talker in talkers:
                    talker.talk_on(20)
                old = server.kill_role(role)
                for talker in talkers:
                    talker.talk_on(20)
                server.wait_for_replacement(role, old)
                with WireClient(server.port) as ddd:
                    ddd.login("ddd")
                    assert ddd.ask("creategroup", group=f"g{round_}", members=[])["type"] == "created"
        finally:
            for talker in talkers:
                talker.stop()
        try:
            got += bbb.synced()
        except EOFError:
            assert role.startswith("worker")
            got += [event for event in bbb.events if event["type"] == "message"]
            last = got[-1]["seq"] if got else welcome["seq"]
            bbb.close()
            bbb = came_back(server, welcome["token"], last)
            got += bbb.synced()
        sent = {text: seq for talker in talkers for text, seq in talker.sent.items()}
        assert len(sent) >= 160
        check_exactly_once(server, sent, got)
        bbb.close()
        assert not (server.data_dir / "error.log").exists(), server.report()


def test_the_sessions_of_a_dead_worker_are_still_online_and_resume_elsewhere(tmp_path: Path) -> None:
    """Detached: in activeuser, reached by messages, which wait; connections on the other worker have held."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        welcome = bbb.login("bbb")
        on = {title: server.pid_of(title) for title in ("worker 1", "worker 2")}
        server.kill_role("worker 2")
        lost, kept, session = (bbb, aaa, welcome)
        try:
            kept.synced()
        except EOFError:
            pytest.fail("the connection on worker 1 was lost with worker 2")
        assert lost.until_closed() == []
        assert [user["user"] for user in kept.ask("activeuser")["users"]] == ["aaa", "bbb"]
        sent = kept.ask("msgto", to="bbb", text="are you there?")
        assert sent["type"] == "sent"
        with came_back(server, session["token"], session["seq"]) as again:
            assert [event["text"] for event in again.synced()] == ["are you there?"]
        assert server.wait_for_replacement("worker 2", on["worker 2"])
        assert server.pid_of("worker 1") == on["worker 1"]


def test_who_does_not_come_back_goes_offline_after_the_grace(tmp_path: Path) -> None:
    """Whether a connection or a worker died."""
    config = "[sessions]\ngrace_seconds = 0.5\n"
    with running_server(tmp_path, config=config) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        with WireClient(server.port) as bbb, WireClient(server.port) as ccc:
            bbb.login("bbb")
            ccc.login("ccc")
            server.kill_role("worker 2")
            bbb.close()
            server.wait_for(">> bbb is offline")
            assert aaa.ask("msgto", to="bbb", text="hi")["text"] == "user bbb not online"
            assert [user["user"] for user in aaa.ask("activeuser")["users"]] == ["aaa", "ccc"]


def test_a_block_ends_on_time_though_manager_and_logger_died(tmp_path: Path) -> None:
    """The log remembers both: the block holds, and its end is announced, once."""
    config = "[auth]\nmax_attempts = 1\nblock_seconds = 8\n"  # two processes are replaced in that time
    with running_server(tmp_path, config=config) as server:

        def attempt() -> dict[str, Any]:
            with WireClient(server.port) as client:
                return client.ask("login", user="aaa", password="123")

        with WireClient(server.port) as guesser:
            assert guesser.ask("login", user="aaa", password="no")["code"] == "blocked_now"
        for role in ("manager", "logger"):
            server.wait_for_replacement(role, server.kill_role(role))
            assert attempt()["code"] == "blocked"
        server.wait_for("has been unblocked aaa")
        assert attempt()["type"] == "welcome"
        assert server.lines.count("has been unblocked aaa") == 1
        log = (server.data_dir / "userlog.txt").read_text()
        assert log.count("; unblocked") == 1


def test_a_worker_that_hangs_gets_no_more_connections(tmp_path: Path) -> None:
    """Whoever comes to it in its first second waits; from then on the other one serves everybody, until it goes on."""
    with faulty_server(tmp_path) as (server, _), ExitStack() as clients:

        def is_served() -> bool:
            client = clients.enter_context(WireClient(server.port, tls=False))
            client.socket.settimeout(1.0)
            try:
                return bool(client.ask("ping")["type"] == "pong")
            except TimeoutError:
                return False

        def descriptors(pid: int) -> int:
            return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())

        worker = server.pid_of("worker 1")
        deadline = time.monotonic() + DEADLINE
        assert all(is_served() for _ in range(4))  # the acceptor knows both
        with stopped(worker):
            while not all(is_served() for _ in range(10)):  # the more one serves, the sooner the other is chosen
                assert time.monotonic() < deadline, server.report()
            before = descriptors(worker)
        while descriptors(worker) < before + 10:  # it has the fewest now, and gets them again
            assert is_served()
            assert time.monotonic() < deadline, server.report()
