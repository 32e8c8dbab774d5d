"""Tokens on a real server: what is kept of them, and what makes them void."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server_process import running_server
from tests.support.wire_client import WireClient


def resumed(port: int, token: str) -> str:
    """Try to resume; return the answer's code, or its type where that is a welcome."""
    with WireClient(port) as client:
        answer = client.ask("resume", token=token, after=0)
        return str(answer.get("code", answer["type"]))


def test_no_file_has_a_token(tmp_path: Path) -> None:
    """While the session lives and after: the data directory has its hash only."""
    with running_server(tmp_path) as server:
        with WireClient(server.port) as aaa:
            token = aaa.login("aaa")["token"]
            aaa.synced()
            secret = token.partition(".")[2].encode()
            files = [path for path in server.data_dir.rglob("*") if path.is_file()]
            assert any(path.name.startswith("journal.db") for path in files)
            assert [path.name for path in files if secret in path.read_bytes()] == []
        assert resumed(server.port, token) == "welcome"
    assert [path.name for path in (tmp_path / "data").iterdir() if path.is_file() and secret in path.read_bytes()] == []


def test_a_logout_makes_it_void(tmp_path: Path) -> None:
    """On every worker, and after a restart."""
    with running_server(tmp_path) as server:
        with WireClient(server.port) as aaa:
            token = aaa.login("aaa")["token"]
            assert aaa.ask("logout")["type"] == "bye"
        assert {resumed(server.port, token) for _ in range(4)} == {"session_expired"}
    with running_server(tmp_path) as server:
        assert resumed(server.port, token) == "session_expired"


@pytest.mark.parametrize(("grace", "outcome"), [("0", "session_expired"), ("30", "welcome")])
def test_the_grace_decides_whether_it_is_good_after_a_break(tmp_path: Path, grace: str, outcome: str) -> None:
    """With 0 a session ends with its connection: nobody can resume it, and messages to its person are refused."""
    with (
        running_server(tmp_path, config=f"[sessions]\ngrace_seconds = {grace}\n") as server,
        WireClient(server.port) as bbb,
        WireClient(server.port) as aaa,
        WireClient(server.port) as again,
    ):
        bbb.login("bbb")
        token = aaa.login("aaa")["token"]
        aaa.close()
        server.wait_for(">> aaa lost the connection" if outcome == "welcome" else ">> aaa is offline")
        answer = bbb.ask("msgto", to="aaa", text="hi")
        assert answer.get("code", answer["type"]) == ("sent" if outcome == "welcome" else "not_online")
        answer = again.ask("resume", token=token, after=0)
        assert answer.get("code", answer["type"]) == outcome
        if outcome == "welcome":
            assert [event["text"] for event in again.synced()] == ["hi"]
