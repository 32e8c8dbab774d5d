"""What a message costs in reads and writes of the whole server: counted, not timed, so that none is added unnoticed.

The kernel counts them for each process (/proc/PID/io). A read follows a wake-up, so with the reads these are counted.
When a change is worth more of them, raise the bound in the same commit, and say why; when some were saved, lower it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.deadline import until
from tests.support.server_process import ServerProcess, children_of, running_server
from tests.support.wire_client import WireClient

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the counts are in /proc")

CONFIG = """
[limits]
messages_per_second = 0
logins_per_second = 0
[console]
level = "events"
"""
TEXT = "x" * 64
MESSAGES = 200
MEMBERS = 20
REST_SECONDS = 0.1
"""Who reads and writes nothing for so long has nothing to do."""


class Calls(NamedTuple):
    """Reads and writes of all processes of a server."""

    reads: float
    writes: float


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """Two workers, without TLS."""
    users = "sender 123\n" + "".join(f"member{number} 123\n" for number in range(MEMBERS))
    with running_server(tmp_path, "--no-tls", config=CONFIG, users=users) as running:
        yield running


def calls(server: ServerProcess) -> Calls:
    """Return what the processes of a server have done so far."""
    reads = writes = 0
    for pid in children_of(server.process.pid):
        fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        reads += int(fields["syscr"])
        writes += int(fields["syscw"])
    return Calls(reads, writes)


def calls_at_rest(server: ServerProcess) -> Calls:
    """Return the same when nothing is done any more for those who have just signed in."""
    found = [calls(server)]

    def is_at_rest() -> bool:
        time.sleep(REST_SECONDS)
        found.append(calls(server))
        return found[-1] == found[-2]

    until(is_at_rest, "rest")
    return found[-1]


def calls_of(server: ServerProcess, work: Callable[[], None]) -> Calls:
    """Return what each of the messages that `work` sends costs."""
    before = calls_at_rest(server)
    work()
    after = calls(server)
    return Calls((after.reads - before.reads) / MESSAGES, (after.writes - before.writes) / MESSAGES)


def say_one_by_one(sender: WireClient, readers: list[WireClient], request: dict[str, str]) -> None:
    """Send messages, each when everyone has read the one before; so each is a batch of its own."""
    for _ in range(MESSAGES):
        assert sender.ask(**request)["type"] == "sent"
        for reader in readers:
            assert reader.read()["text"] == TEXT


def test_a_lone_message_costs_no_more_calls_than_it_did(server: ServerProcess) -> None:
    """From a person on one worker to one on the other: read, append, commit, feed, answer and event."""
    with WireClient(server.port, tls=False) as sender, WireClient(server.port, tls=False) as recipient:
        sender.login("sender")
        recipient.login("member0")
        request = {"type_": "msgto", "to": "member0", "text": TEXT}
        cost = calls_of(server, lambda: say_one_by_one(sender, [recipient], request))
    assert cost.reads <= 4.5
    assert cost.writes <= 8.7


def test_messages_that_come_together_are_read_kept_and_passed_on_together(server: ServerProcess) -> None:
    """However the kernel cuts them: a small part of a call for each message."""
    with WireClient(server.port, tls=False) as sender, WireClient(server.port, tls=False) as recipient:
        sender.login("sender")
        recipient.login("member0")
        lines = [
            json.dumps({"type": "msgto", "id": 10 + n, "to": "member0", "text": TEXT}).encode() + b"\n"
            for n in range(MESSAGES)
        ]

        def say_all_at_once() -> None:
            sender.send_raw(b"".join(lines))
            for number in range(MESSAGES):
                assert sender.read()["re"] == 10 + number
                assert recipient.read()["text"] == TEXT

        cost = calls_of(server, say_all_at_once)
    assert cost.reads <= 0.1
    assert cost.writes <= 0.25


def test_a_lone_message_to_a_group_costs_one_write_for_each_member(server: ServerProcess) -> None:
    """Beside those, it costs what a private message does."""
    with ExitStack() as stack:
        sender, *members = [stack.enter_context(WireClient(server.port, tls=False)) for _ in range(1 + MEMBERS)]
        sender.login("sender")
        for number, member in enumerate(members):
            member.login(f"member{number}")
        names = [f"member{number}" for number in range(MEMBERS)]
        assert sender.ask("creategroup", group="room", members=names)["type"] == "created"
        for member in members:
            member.synced()  # has heard of the group
        request = {"type_": "groupmsg", "group": "room", "text": TEXT}
        cost = calls_of(server, lambda: say_one_by_one(sender, members, request))
    assert cost.reads <= 4.5
    assert cost.writes <= MEMBERS + 7.7


IDLE = 200
IDLE_KB = 32


def test_what_an_idle_tls_connection_takes(tmp_path: Path) -> None:
    """Anonymous memory of the worker, in kB for each: 26 where large blocks have pages of their own, 46 otherwise."""
    users = "".join(f"idle{number} 123\n" for number in range(-20, IDLE))
    with running_server(tmp_path, config=CONFIG, users=users, workers=1) as server, ExitStack() as connections:
        worker = server.pid_of("worker 1")
        for number in range(-20, 0):  # they need what is needed once, and free large blocks when they go
            with WireClient(server.port) as passing:
                passing.login(f"idle{number}")
        before = anonymous_kb(worker)
        for number in range(IDLE):
            connections.enter_context(WireClient(server.port)).login(f"idle{number}")
        each = (anonymous_kb(worker) - before) / IDLE
        assert each <= IDLE_KB, each


def anonymous_kb(pid: int) -> int:
    """Return the memory of a process that no other one has."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
