"""A server whose wall clock is set while it runs: what ends does so in its time, and stamps are what the clock says."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess
from tests.support.wall_clock import COMPILER, WallClock
from tests.support.wire_client import WireClient

pytestmark = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="needs a C compiler, and a dynamic linker that preloads"
)

CONFIG = """
[auth]
block_seconds = 1.5
[sessions]
grace_seconds = 1.5
"""
HOURS = 7_200


@contextmanager
def server_with(folder: Path, clock: WallClock) -> Iterator[ServerProcess]:
    """A server that has this clock, without TLS."""
    server = ServerProcess(folder, "--no-tls", config=CONFIG, workers=1, variables=clock.variables)
    try:
        yield server
    finally:
        assert server.stop() == 0, server.report()


def off_by(at: int) -> float:
    """Return how many seconds a stamp differs from now."""
    return at / 1000 - time.time()


def block(server: ServerProcess) -> None:
    """Let somebody try the wrong password until that blocks the account."""
    with WireClient(server.port, tls=False) as stranger:
        codes = [stranger.ask("login", user="ddd", password="wrong", udp_port=0)["code"] for _ in range(3)]
    assert codes[-1] == "blocked_now"


def test_a_clock_that_is_set_makes_nothing_longer(tmp_path: Path) -> None:
    """It was two hours ahead, is set right, and two hours back: a grace and a block end in seconds nevertheless."""
    clock = WallClock(tmp_path, HOURS)
    with server_with(tmp_path, clock) as server, WireClient(server.port, tls=False) as aaa:
        aaa.login("aaa")
        with WireClient(server.port, tls=False) as bbb:
            bbb.login("bbb")
            sent = aaa.ask("msgto", to="bbb", text="two hours ahead")
            assert off_by(sent["at"]) == pytest.approx(HOURS, abs=60)
            clock.set(0)
            server.wait_for(f"the system's clock went back by {HOURS} seconds")
        server.wait_for(">> bbb is offline")  # its grace has begun after the step
        block(server)
        clock.set(-HOURS)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("has been unblocked ddd")
        with WireClient(server.port, tls=False) as ddd:
            ddd.login("ddd")
            sent = aaa.ask("msgto", to="ddd", text="two hours behind")
            assert off_by(sent["at"]) == pytest.approx(-HOURS, abs=60)
            clock.set(0)
            server.wait_for(f"the system's clock went forward by {HOURS} seconds")
            sent = aaa.ask("msgto", to="ddd", text="right")
            assert off_by(sent["at"]) == pytest.approx(0, abs=60)


def test_a_block_outlives_no_restart_by_more_than_its_length(tmp_path: Path) -> None:
    """The clock is set back by two hours while the server is down."""
    clock = WallClock(tmp_path)
    with server_with(tmp_path, clock) as server:
        block(server)
    clock.set(-HOURS)
    with server_with(tmp_path, clock) as server:
        server.wait_for("has been unblocked ddd")
        with WireClient(server.port, tls=False) as ddd:
            ddd.login("ddd")
