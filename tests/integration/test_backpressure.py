"""Whoever is slow, stopped or does not read slows down those who send to it, and costs nobody memory without bound."""

from __future__ import annotations

import json
import os
import select
from pathlib import Path

import pytest

from tessenger.server.connection import MAX_HELD_BYTES
from tessenger.server.console import MAX_WAITING_BYTES, Console
from tessenger.server.log_link import MAX_OPEN_BYTES
from tests.support.faults import PLAIN, faulty_server, resident_bytes, stopped
from tests.support.persistent_person import check_exactly_once, people
from tests.support.server_process import DEADLINE, running_server
from tests.support.wire_client import WireClient

MIB = 1 << 20

READ_BYTES = 256_000
"""What a worker's event loop takes from a connection at once."""

BLOCKED_SECONDS = 0.5
"""A server that takes nothing from any connection for so long has stopped reading."""


class Flood:
    """A client that sends messages to a group of its own as fast as they are taken, and reads when told to."""

    def __init__(self, port: int, user: str, text: str) -> None:
        """Sign in, and make the group."""
        self.client = WireClient(port, tls=False)
        self.client.login(user)
        assert self.client.ask("creategroup", group=f"of-{user}", members=[])["type"] == "created"
        self.first = self.next = self.client.next_id
        self.taken = 0
        self._user, self._text = user, text
        self._rest = b""

    def fill(self) -> None:
        """Send until the socket takes no more."""
        while True:
            if not self._rest:
                request = {"type": "groupmsg", "id": self.next, "group": f"of-{self._user}", "text": self._text}
                self._rest = json.dumps(request).encode() + b"\n"
                self.next += 1
            try:
                sent = self.client.socket.send(self._rest)
            except BlockingIOError:
                return
            self.taken += sent
            self._rest = self._rest[sent:]

    def finish(self) -> None:
        """Read an answer to each message, in order; the one that was cut in the middle is sent to its end first."""
        for re in range(self.first, self.next - 1):
            answer = self.client.read()
            assert (answer["type"], answer["re"]) == ("sent", re)
        if self._rest:
            self.client.send_raw(self._rest)
            assert self.client.read()["type"] == "sent"
        self.client.close()


def fill_until_blocked(floods: list[Flood], most: int) -> int:
    """Send until the server reads from none of them any more; return how many bytes it and the kernel took."""
    sockets = {flood.client.socket: flood for flood in floods}
    for ready in sockets:
        ready.setblocking(False)
    while writable := select.select([], list(sockets), [], BLOCKED_SECONDS)[1]:
        for ready in writable:
            sockets[ready].fill()
        taken = sum(flood.taken for flood in floods)
        assert taken < most, f"{taken:,} bytes were taken without an end"
    for ready in sockets:
        ready.settimeout(DEADLINE)
    return sum(flood.taken for flood in floods)


@pytest.mark.slow  # resident memory: other work on the machine moves it
def test_a_logger_that_stands_still_stops_the_senders_and_fills_no_memory(tmp_path: Path) -> None:
    """Workers stop reading at `MAX_OPEN_BYTES`, answer pings until then, and go on with nothing lost."""
    with faulty_server(tmp_path, workers=1) as (server, _):
        floods = [Flood(server.port, user, "x" * 40_000) for user in ("aaa", "bbb", "ccc")]
        worker, logger = server.pid_of("worker 1"), server.pid_of("logger")
        before = resident_bytes(worker)
        with stopped(logger):
            assert floods[0].client.ask("ping")["type"] == "pong"
            floods[0].first = floods[0].next = floods[0].client.next_id
            fill_until_blocked(floods, 256 * MIB)
            held = resident_bytes(worker) - before
            # Each entry is held as it was read and as it is on its way to the logger, on top of a read of each client.
            assert MAX_OPEN_BYTES < held < 3 * MAX_OPEN_BYTES + 2 * READ_BYTES * len(floods), f"{held:,}"
        for flood in floods:
            flood.finish()
        assert resident_bytes(logger) < 256 * MIB
        assert server.pid_of("worker 1") == worker


def test_requests_that_wait_behind_a_sign_in_are_bounded(tmp_path: Path) -> None:
    """Nobody has signed in yet, the manager stands still, and a client sends without end: it is not read any more."""
    with faulty_server(tmp_path, workers=1) as (server, _):
        flood = Flood(server.port, "aaa", "x" * 60_000)
        flood.client.close()
        worker = server.pid_of("worker 1")
        before = resident_bytes(worker)
        with stopped(server.pid_of("manager")):
            flood.client = WireClient(server.port, tls=False)
            flood.first = flood.next = 2
            flood.client.send("login", id=1, user="aaa", password="123")
            fill_until_blocked([flood], 64 * MIB)
            held = resident_bytes(worker) - before
            assert held < 4 * (MAX_HELD_BYTES + READ_BYTES), f"{held:,}"
        welcome = flood.client.read()
        assert welcome["type"] in {"welcome", "denied"}  # as it happened: the manager was away for half a second
        flood.client.close()


def test_a_member_who_does_not_read_a_flood_is_cut_off_and_misses_nothing(tmp_path: Path) -> None:
    """At the queue limit, with `too_slow`; the group goes on, and a resume brings the rest once and in order."""
    config = f"{PLAIN}queue_bytes = 65536\n"
    with faulty_server(tmp_path, config=config) as (server, _), people(server, "aaa", "bbb", "ccc") as (aaa, bbb, ccc):
        assert aaa.ask("creategroup", group="g", members=["bbb", "ccc"])["type"] == "created"
        text = "x" * 30_000
        worker = server.pid_of("worker 2")
        before = resident_bytes(worker)
        count = 0
        while ">> bbb lost the connection" not in server.lines:  # bbb reads nothing all the time
            aaa.say(f"{count} {text}", "bbb", "ccc", group="g")
            ccc.say(f"{count} too {text}", "aaa", "bbb", group="g")
            aaa.settle()
            ccc.settle()
            count += 1
            assert count < 1_000, server.report()
        assert resident_bytes(worker) - before < 16 * MIB
        reasons: list[str] = []
        while not bbb.lost:
            bbb.read_once(reasons)
        assert reasons == ["too_slow"]
        assert len(check_exactly_once(server, aaa, bbb, ccc)) == 2 * count
        assert bbb.lost == 1
        assert aaa.lost == ccc.lost == 0


def test_someone_who_missed_more_than_a_queue_holds_gets_it_on_one_connection(tmp_path: Path) -> None:
    """However slowly it is read; over TLS, as everybody has it, and the worker holds little of it."""
    config = f"{PLAIN}queue_bytes = 65536\n[messages]\noffline_delivery = true\n"
    with running_server(tmp_path, config=config, workers=1) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        for number in range(200):
            aaa.ask("msgto", to="bbb", text=f"{number} {'x' * 40_000}")
        before = resident_bytes(server.pid_of("worker 1"))
        with WireClient(server.port, receive_buffer=4_096) as bbb:
            bbb.login("bbb")
            for _ in range(50):  # bbb reads nothing yet, and the others notice nothing of that
                aaa.ask("ping")
            assert bbb.read() == {"type": "unread", "count": 200}
            shown = [bbb.read() for _ in range(200)]
            assert resident_bytes(server.pid_of("worker 1")) - before < 4 * MIB
            assert bbb.synced() == []
        assert [event["text"].partition(" ")[0] for event in shown] == [str(number) for number in range(200)]


def test_who_does_not_read_what_they_missed_is_cut_off_when_more_comes_than_a_queue_holds(tmp_path: Path) -> None:
    """What comes meanwhile waits behind it; beyond the limit it is left to the next connection, and nothing is lost."""
    config = f"{PLAIN}queue_bytes = 65536\n[messages]\noffline_delivery = true\n"
    with faulty_server(tmp_path, config=config) as (server, _), WireClient(server.port, tls=False) as aaa:
        aaa.login("aaa")
        for number in range(200):
            aaa.ask("msgto", to="bbb", text=f"{number} {'x' * 40_000}")
        count = 200
        with WireClient(server.port, tls=False, receive_buffer=4_096) as bbb:
            bbb.login("bbb")
            while ">> bbb lost the connection" not in server.lines:
                aaa.ask("msgto", to="bbb", text=f"{count} {'x' * 10_000}")
                count += 1
                assert count < 1_000, server.report()
            lines = bbb.until_closed()
        assert (lines[-1]["type"], lines[-1]["code"]) == ("error", "too_slow")
        shown = [line for line in lines if line["type"] == "message"]
        with WireClient(server.port, tls=False) as again:
            seen = shown[-1]["seq"] if shown else 0
            assert again.ask("resume", token=bbb.token, after=seen)["type"] == "welcome"
            shown += again.synced()
    assert [event["text"].partition(" ")[0] for event in shown] == [str(number) for number in range(count)]


def test_a_stopped_worker_stops_nobody_else_and_catches_up(tmp_path: Path) -> None:
    """Its feed is cut at `feed_bytes`, people on other workers chat on, and afterwards it has everything once."""
    config = f"{PLAIN}feed_bytes = {MIB}\nqueue_bytes = {64 * MIB}\n"
    with faulty_server(tmp_path, config=config) as (server, faults), people(server, "aaa", "bbb", "ccc") as everybody:
        aaa, bbb, ccc = everybody  # on workers 1, 2, 1
        assert aaa.ask("creategroup", group="g", members=["bbb", "ccc"])["type"] == "created"
        faults.arm("logger.catching_up", "hold")
        with stopped(server.pid_of("worker 2")):
            for n in range(100):
                aaa.say(f"{n} " + "x" * 40_000, "bbb", "ccc", group="g")
                aaa.settle()
                ccc.settle()
            assert len(ccc.shown) == 100
        faults.wait_until_struck()  # so it was cut off
        faults.release()
        assert len(check_exactly_once(server, aaa, bbb, ccc)) == 100
        assert aaa.lost == bbb.lost == ccc.lost == 0


def test_a_console_that_is_blocked_keeps_so_much_and_counts_the_rest() -> None:
    """Lines beyond `MAX_WAITING_BYTES` are left out, and their number is said when there is room again."""
    read, write = os.pipe()
    console = Console(write)
    line = "x" * 99_999
    for _ in range(200):  # 20 MB, and nobody reads
        console.print([line, line])
    with os.fdopen(read, "rb", MIB) as reader:
        kept = [reader.readline() for _ in range(20)]  # so there is room again
        console.print(["again"])
        while (said := reader.readline()).startswith(b"x"):
            kept.append(said)
        assert set(kept) == {line.encode() + b"\n"}
        assert said == f"({400 - len(kept)} console lines left out)\n".encode()
        assert len(kept) * 100_000 <= MAX_WAITING_BYTES + 2 * 200_000  # one batch is waiting, one is being written
        assert reader.readline() == b"again\n"
        console.close(DEADLINE)
    os.close(write)


def test_memory_of_this_process_is_told_in_bytes() -> None:
    """What these tests measure with: a process of Python has some megabytes, and fewer than a machine."""
    assert MIB < resident_bytes(os.getpid()) < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
