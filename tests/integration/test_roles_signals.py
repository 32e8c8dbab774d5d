"""Signals that reach all processes of a server at once, as a terminal and systemd send them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.server_process import DEADLINE, children_of, is_running, running_server, title_of
from tests.support.wire_client import WireClient


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_stops_the_server_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """The roles wait for the supervisor's word: the client is told, and everything is in the journal's one file."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        roles = [pid for pid in children_of(server.process.pid) if title_of(pid).startswith("tessenger: ")]
        assert len(roles) == 5
        for pid in [*roles, server.process.pid]:
            os.kill(pid, number)
        assert [line["type"] for line in aaa.until_closed()] == ["closing"]
        assert server.process.wait(DEADLINE) == 0
        assert not [pid for pid in roles if is_running(pid)]
        assert "replaced" not in server.report()
        assert not (server.data_dir / "journal.db-wal").exists()
        assert not (server.data_dir / "run").exists()
