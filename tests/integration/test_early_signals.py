"""Signals that come before the server is ready for them: sent before its program begins, as early as can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import DEADLINE, ROOT

SEND_FIRST = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGTERM, signal.SIGINT))
os.kill(os.getpid(), int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "tessenger", "server", *sys.argv[2:]])
"""
"""Becomes a server to which a signal has come already, and waits, as `bin/tessenger-server` has it wait."""


def started(folder: Path, number: signal.Signals) -> subprocess.Popen[str]:
    """Start a server to which this signal has come."""
    (folder / "credentials.txt").write_text("ann 123\n")
    config = folder / "config.toml"
    config.write_text("")
    command = [sys.executable, "-c", SEND_FIRST, str(int(number)), "127.0.0.1", "0", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TESSENGER_SERVER_WORKERS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_means_the_end_ends_it_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """With nothing said, and the status of a server that was told to stop."""
    with started(tmp_path, number) as server:
        output, errors = server.communicate(timeout=DEADLINE)
    assert (server.returncode, output, errors) == (0, "", "")


def test_a_hangup_reloads(tmp_path: Path) -> None:
    """And the server serves."""
    with started(tmp_path, signal.SIGHUP) as server:
        assert server.stderr is not None
        assert server.stdout is not None
        assert server.stderr.readline() == "tessenger-server: reloaded\n"
        assert server.stdout.readline().startswith("Listening on 127.0.0.1:")
        server.terminate()
        assert server.wait(DEADLINE) == 0
