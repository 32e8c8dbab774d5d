"""The line between acceptor and worker: counts, however many connections there are, and who hangs."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tessenger.server import roles
from tessenger.server.acceptor import SERVE, STUCK_SECONDS, WorkerLine
from tessenger.server.acceptor_line import TAKEN_AT_ONCE, AcceptorLine

SLOT = 1


@pytest.fixture(autouse=True)
def _in_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets have relative names."""
    monkeypatch.chdir(tmp_path)
    Path(roles.worker_socket(SLOT)).parent.mkdir(parents=True, exist_ok=True)


async def until(line: WorkerLine, now: float, happened: Callable[[], bool]) -> None:
    """Let both ends work until something has happened."""
    async with asyncio.timeout(20):
        while not happened():
            assert line.listen(now)
            await asyncio.sleep(0)


async def connected(served: list[str], taken: list[bytes]) -> tuple[AcceptorLine, WorkerLine]:
    """Return both ends of a line of which the worker's serves these addresses."""

    def take(accepted: socket.socket, word: bytes) -> None:
        accepted.close()
        taken.append(word)

    worker = AcceptorLine(lambda: served, take, lambda: taken.append(b"full"))
    worker.open(SLOT)
    line = WorkerLine(SLOT)
    assert line.connect()
    await asyncio.sleep(0)
    return worker, line


def test_any_number_of_connections_is_told() -> None:
    """More than a socket's buffer holds, from as many IPv6 addresses; then one is gone."""
    asyncio.run(_tell_many())


async def _tell_many() -> None:
    addresses = [f"2001:db8:aaaa:{number:x}:cccc:dddd:eeee:1" for number in range(20_000)]
    worker, line = await connected(addresses, [])
    await until(line, 0, lambda: line.told)
    assert line.connections == 20_000
    assert len(line.addresses) == 20_000
    worker.gone(addresses[7])
    await until(line, 0, lambda: line.connections == 19_999)
    assert len(line.addresses) == 19_999
    worker.close()
    line.lost()


def test_a_worker_that_takes_nothing_is_stuck_until_it_has_taken_all() -> None:
    """Counted from the first socket that it left, or from when it took one of several."""
    asyncio.run(_get_stuck())


async def _get_stuck() -> None:
    taken: list[bytes] = []
    worker, line = await connected([], taken)
    await until(line, 0, lambda: line.told)
    assert not line.is_stuck(10 * STUCK_SECONDS)
    client, accepted = socket.socketpair()
    for number in range(TAKEN_AT_ONCE + 3):
        assert line.hand_over(accepted, SERVE, now=number * 0.001)
    assert not line.is_stuck(STUCK_SECONDS)
    assert line.is_stuck(1.01 * STUCK_SECONDS)
    await until(line, 5.0, lambda: not line.is_stuck(10.0))
    assert taken == [SERVE] * (TAKEN_AT_ONCE + 3)
    client.close()
    accepted.close()
    worker.close()
    line.lost()


def test_a_socket_for_which_there_is_no_descriptor() -> None:
    """The worker hears of it, and the acceptor, who took it for served, counts anew on the next line."""
    asyncio.run(_run_out())


async def _run_out() -> None:
    taken: list[bytes] = []
    worker, line = await connected(["192.0.2.1"], taken)
    await until(line, 0, lambda: line.told)
    here, there = socket.socketpair()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with here, there:
        assert line.hand_over(here, SERVE, 0)
        line.count("192.0.2.2", 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free(), limits[1]))
        try:
            async with asyncio.timeout(20):
                while line.listen(0):
                    assert taken in ([], [b"full"])
                    await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    line.lost()
    assert taken == [b"full"]
    assert line.connect()
    await until(line, 0, lambda: line.told)
    assert dict(line.addresses) == {"192.0.2.1": 1}
    worker.close()
    line.lost()


def _lowest_free() -> int:
    """Return the number that the next descriptor gets: with that as the limit, there is none."""
    free = os.dup(0)
    os.close(free)
    return free
