"""A client that is killed (kill -9) goes on where it was: nothing is lost, or shown twice but for a second's worth.

With a real server, the filter and --json as processes; the sender is the library.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessenger.client import Connection
from tests.support.piped_client import PATIENCE, PipedClient
from tests.support.server_process import DEADLINE, ServerProcess, running_server
from tests.support.wire_client import WireClient

CLIENT = [sys.executable, "-m", "tessenger", "client"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server, with TLS."""
    with running_server(tmp_path / "server") as running:
        yield running


def send(server: ServerProcess, home: Path, *texts: str) -> list[int]:
    """Send messages from aaa to bbb and return their numbers."""

    async def scenario() -> list[int]:
        connection = Connection.connect("127.0.0.1", server.port, user="aaa", password="123", state_dir=home / "sender")
        async with asyncio.timeout(DEADLINE), connection as chat:
            sent = await asyncio.gather(*(chat.send("bbb", text) for text in texts))
            return [answer.seq for answer in sent]

    return asyncio.run(scenario())


def reader(server: ServerProcess, home: Path, *options: str) -> PipedClient:
    """Return a client of bbb that prints what comes; its session begins soon."""
    return PipedClient(
        server.port, home, "--user", "bbb", *options, command=CLIENT, env={"TESSENGER_PASSWORD": "123"}
    )  # fmt: skip


def wait_for_sign_in(server: ServerProcess, count: int) -> None:
    """Wait until bbb has come online for the `count`th time."""
    server.wait_for(lambda _: server.lines.count(">> bbb is online") >= count)


def killed(client: PipedClient) -> list[str]:
    """Kill it at once, and return the lines that were still on their way to the test."""
    os.kill(client.process.pid, signal.SIGKILL)
    return client.rest()


def texts_in(lines: list[str]) -> list[str]:
    """Return the texts of the messages among lines, plain or JSON."""
    found = []
    for line in lines:
        if line.startswith("{"):
            event = json.loads(line)
            found += [event["text"]] if event["type"] == "message" else []
        elif match := re.search(r", aaa: (.*)", line):
            found.append(match[1])
    return found


def wait_until_saved(home: Path, seq: int) -> None:
    """Wait until the position is that of message `seq`."""
    deadline = time.monotonic() + PATIENCE
    folder = home / "state" / "shown"
    while not any(path.read_text().startswith(f"{seq} sha256:") for path in folder.glob("*bbb")):
        assert time.monotonic() < deadline, f"{seq} was not saved: {[p.read_text() for p in folder.glob('*')]}"
        time.sleep(0.005)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_lone_messages_are_shown_once_whenever_the_client_dies(
    server: ServerProcess, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The number of a message is saved at once behind it; the next client begins behind that."""
    home = tmp_path / "reader"
    home.mkdir()
    shown: list[str] = []
    for number in range(3):
        with reader(server, home, *options) as client:
            wait_for_sign_in(server, number + 1)
            (seq,) = send(server, tmp_path, f"m{number}")
            wait_until_saved(home, seq)
            killed(client)
            shown += texts_in(client.lines)
    with reader(server, home, *options) as client:
        client.end_input()
        shown += texts_in(client.rest())
    assert shown == ["m0", "m1", "m2"]


def test_a_burst_is_lost_to_nobody(server: ServerProcess, tmp_path: Path) -> None:
    """Killed in mid-burst: the next client begins behind the last saved number, at a message that was shown or next."""
    home = tmp_path / "reader"
    home.mkdir()
    texts = [f"m{number}" for number in range(150)]
    with reader(server, home) as client:
        wait_for_sign_in(server, 1)
        send(server, tmp_path, *texts)
        take(client, 75)
        killed(client)
        before = texts_in(client.lines)
    with reader(server, home) as client:
        client.end_input()
        after = texts_in(client.rest())
    assert before == texts[: len(before)], "out of order, or doubled within one run"
    assert len(before) >= 75
    again = len(before) + len(after) - len(texts)
    assert again >= 0, "something was lost"
    assert after == texts[len(before) - again :]


def test_a_new_server_in_the_old_ones_place_hides_nothing(tmp_path: Path) -> None:
    """Its numbers begin again: without TLS only they tell. What it has for someone is shown, whatever was saved."""
    home = tmp_path / "reader"
    (home / "state" / "shown").mkdir(parents=True)
    config = "[messages]\noffline_delivery = true\n"
    with running_server(tmp_path / "server", "--no-tls", config=config) as server:
        saved = home / "state" / "shown" / f"127.0.0.1:{server.port} bbb"
        saved.write_text("1000000 -\n")
        with WireClient(server.port, tls=False) as aaa:
            aaa.ask("login", user="aaa", password="123")
            aaa.ask("msgto", to="bbb", text="hello")
        with reader(server, home, "--no-tls") as client:
            client.end_input()
            assert texts_in(client.rest()) == ["hello"]
        assert int(saved.read_text().split()[0]) < 1_000_000


def take(client: PipedClient, count: int) -> None:
    """Read so many lines."""
    deadline = time.monotonic() + PATIENCE
    for _ in range(count):
        line = client._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
        assert line is not None, client.report()
        client.lines.append(line)
