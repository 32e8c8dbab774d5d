"""Retention and rotation on a server that runs."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from tessenger.journal.store import SqliteJournal
from tests.support.journal_file import entries_in
from tests.support.log_history import History
from tests.support.server_process import DEADLINE, running_server
from tests.support.wire_client import WireClient


def test_old_messages_go_while_people_talk(tmp_path: Path) -> None:
    """Thousands of old ones, of which nobody lacks any, are gone soon; nobody's connection or message suffers."""
    data = tmp_path / "data"
    data.mkdir()
    history = History()  # of years ago
    with closing(SqliteJournal(data / "journal.db", "process")) as journal:
        journal.commit(history.online("aaa") + history.online("bbb"))
        for _ in range(30):
            journal.commit([entry for _ in range(100) for entry in history.message("aaa", "bbb", "long ago")])
        journal.commit(history.message("aaa", "ccc", "never shown"))
        journal.commit(history.offline("aaa") + history.offline("bbb"))
    config = "[journal]\nretention_days = 30\n[sessions]\ngrace_seconds = 0\n[limits]\nmessages_per_second = 0\n"
    with (
        running_server(tmp_path, config=config) as server,
        WireClient(server.port) as aaa,
        WireClient(server.port) as bbb,
    ):
        aaa.login("aaa")
        bbb.login("bbb")
        deadline = time.monotonic() + DEADLINE
        sent = 0
        while _old(data) > 1:
            assert time.monotonic() < deadline, f"{_old(data)} are left\n{server.report()}"
            assert aaa.ask("msgto", to="bbb", text=str(sent))["type"] == "sent"
            sent += 1
        assert [event["text"] for event in bbb.synced()] == [str(number) for number in range(sent)]
        with WireClient(server.port) as ccc:
            ccc.login("ccc")
            assert [event["text"] for event in ccc.synced() if event["type"] == "message"] == ["never shown"]
        assert not (data / "error.log").exists()
    log = "".join(path.read_text() for path in sorted(data.glob("messagelog.txt*"), reverse=True))
    assert log.count("; long ago\n") == 3_000, "logs go by whole files, a day later"
    assert log.count("\n") == 3_001 + sent


def test_logs_rotate_while_people_talk(tmp_path: Path) -> None:
    """With the logger killed between: every line stands in one of the files, once and in order."""
    config = "[journal]\nlog_bytes = 2000\n[limits]\nmessages_per_second = 0\n"
    with (
        running_server(tmp_path, config=config) as server,
        WireClient(server.port) as aaa,
        WireClient(server.port) as bbb,
    ):
        aaa.login("aaa")
        bbb.login("bbb")
        for number in range(200):
            if number in (50, 120):
                server.kill_role("logger")
            assert aaa.ask("msgto", to="bbb", text=str(number))["type"] == "sent"
        bbb.synced()
    files = sorted((tmp_path / "data").glob("messagelog.txt.*"), key=lambda path: -int(path.suffix[1:]))
    assert len(files) >= 2  # lines that are written at once stay together, and so do those that a new logger completes
    lines = "".join(
        path.read_text() for path in [*files, tmp_path / "data/messagelog.txt"] if path.exists()
    ).splitlines()
    assert [line.rpartition("; ")[2] for line in lines] == [str(number) for number in range(200)]


def _old(data: Path) -> int:
    """Return how many of the old messages the journal has."""
    return sum(entry["text"] in ("long ago", "never shown") for entry in entries_in(data / "journal.db"))
