"""`tessenger-server redact`, beside a server that runs, and without one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.server_process import DEADLINE, ROOT, running_server
from tests.support.wire_client import WireClient

SECRET = "my password is hunter2-hunter2"


def redact(folder: Path, *arguments: object) -> tuple[int, str]:
    """Run the command for the server in `folder`; return its status and what it said."""
    command = [sys.executable, "-m", "tessenger", "server", "redact", *map(str, arguments)]
    command += ["--config", str(folder / "config.toml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE * 2, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def files_with(folder: Path, text: str) -> list[str]:
    """Return the names of the files in the data directory that have `text`."""
    files = [path for path in (folder / "data").iterdir() if path.is_file()]
    return sorted(path.name for path in files if text.encode() in path.read_bytes())


def test_while_the_server_runs(tmp_path: Path) -> None:
    """The text is gone from every file and from history at once; who is connected stays so."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        bbb.login("bbb")
        seq = aaa.ask("msgto", to="bbb", text=SECRET)["seq"]
        aaa.ask("msgto", to="bbb", text="something else")
        bbb.synced()
        assert "messagelog.txt" in files_with(tmp_path, SECRET)
        assert redact(tmp_path, seq) == (0, f"message {seq} has been redacted")
        assert redact(tmp_path, seq) == (0, f"message {seq} has been redacted")
        assert files_with(tmp_path, SECRET) == []
        texts = [message["text"] for message in bbb.ask("history", **{"with": "aaa"})["messages"]]
        assert texts == ["[redacted]", "something else"]
        server.wait_for(f"message {seq} has been redacted")
        assert bbb.synced() == []


def test_without_a_server(tmp_path: Path) -> None:
    """It works on the files; the next server goes on from them, and its numbers rise."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        bbb.login("bbb")
        seq = aaa.ask("msgto", to="bbb", text=SECRET)["seq"]
        bbb.synced()
    assert files_with(tmp_path, SECRET) != []
    assert redact(tmp_path, seq) == (0, f"message {seq} has been redacted")
    assert files_with(tmp_path, SECRET) == []
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        assert aaa.login("aaa")["seq"] > seq + 1
        assert [m["text"] for m in aaa.ask("history")["messages"]] == ["[redacted]"]


def test_what_is_no_message(tmp_path: Path) -> None:
    """Other entries, numbers of nothing, data directories of nobody: said in one line, and nothing is changed."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        seq = aaa.login("aaa")["seq"]
        assert redact(tmp_path, seq) == (1, f"tessenger-server: there is no message {seq}")
        assert redact(tmp_path, 10**9) == (1, f"tessenger-server: there is no message {10**9}")
        assert redact(tmp_path, -1)[0] == 2
        assert redact(tmp_path, "it")[0] == 2
    assert redact(tmp_path, seq) == (1, f"tessenger-server: there is no message {seq}")
    status, said = redact(tmp_path, 1, "--data-dir", tmp_path / "nowhere")
    assert (status, "there is no journal in the data directory" in said) == (3, True)
    assert not (tmp_path / "nowhere").exists()


def test_a_logger_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    """The command waits for the next one."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        bbb.login("bbb")
        seq = aaa.ask("msgto", to="bbb", text=SECRET)["seq"]
        server.kill_role("logger", signal.SIGKILL)
        assert redact(tmp_path, seq) == (0, f"message {seq} has been redacted")
        assert files_with(tmp_path, SECRET) == []


def test_the_socket_takes_no_nonsense(tmp_path: Path) -> None:
    """It is for nobody but the server's own user, and whatever comes over it ends nothing."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        path = tmp_path / "data/run/admin.sock"
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
        logger = server.pid_of("logger")
        for nonsense in (b"\n", b"hello\n", b"[" * 100_000 + b"\n", b'{"type":"redact","seq":0}\n'):
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(DEADLINE)
                line.connect(str(path))
                line.sendall(nonsense)
                assert line.recv(4096).startswith(b'{"type":"refused"'), nonsense
        assert aaa.synced() == []
        assert server.pid_of("logger") == logger
