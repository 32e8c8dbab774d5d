"""What strangers have had a server keep is given back when they have gone."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.server_process import ServerProcess, running_server
from tests.support.wire_client import WireClient

STRANGERS = 100
ROUNDS = 4
BACK_SECONDS = 30.0


def pss_kib(server: ServerProcess) -> int:
    """Return what the worker takes, its share of what is shared included."""
    lines = Path(f"/proc/{server.pid_of('worker 1')}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def test_half_lines_of_strangers_leave_nothing(tmp_path: Path) -> None:
    """They connect with TLS, send much of a line, and go: soon the worker has hardly more than before."""
    with running_server(tmp_path, workers=1) as server:
        with WireClient(server.port) as somebody:
            somebody.login("aaa")
        before = pss_kib(server)
        for _ in range(ROUNDS):
            strangers = [WireClient(server.port) for _ in range(STRANGERS)]
            for stranger in strangers:
                stranger.send_raw(b'{"type":"login","id":1,"user":"' + b"a" * 60_000)
            for stranger in strangers:
                stranger.close()
        deadline = time.monotonic() + BACK_SECONDS
        while (now := pss_kib(server)) > before * 1.25:
            assert time.monotonic() < deadline, f"{before} KiB before, {now} KiB now"
            time.sleep(0.2)
