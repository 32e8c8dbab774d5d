"""A client that is gone without a word is noticed."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.support.server_process import running_server
from tests.support.wire_client import WireClient

TCP_REPAIR = 19
"""A socket in this mode is closed without telling its peer (tcp(7)); needs the right to administer the network."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a socket vanish")
def test_a_client_that_vanishes_is_noticed(tmp_path: Path) -> None:
    """No packet says that it went; the server asks, its session is detached, and can be resumed."""
    with (
        running_server(tmp_path, "--no-tls", config="[limits]\ndead_peer_seconds = 2\n") as server,
        WireClient(server.port, tls=False) as aaa,
        WireClient(server.port, tls=False) as again,
    ):
        aaa.login("aaa")
        try:
            aaa.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            pytest.skip("needs the right to administer the network")
        aaa.close()
        server.wait_for(">> aaa lost the connection")
        answer = again.ask("resume", token=aaa.token, after=0)
        assert answer["type"] == "welcome"
