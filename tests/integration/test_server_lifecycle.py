"""How a server starts, stops, and comes back; and what it says where it cannot start."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.server_process import (
    DEADLINE,
    ROOT,
    USERS,
    ServerProcess,
    children_of,
    outliving,
    running_server,
    title_of,
)
from tests.support.wire_client import WireClient


def failed_start(folder: Path, *options: str, users: str = USERS, config: str = "") -> tuple[int, str]:
    """Start a server that cannot start; return its exit status and what it says."""
    folder.mkdir(exist_ok=True)
    (folder / "credentials.txt").write_text(users)
    (folder / "config.toml").write_text(config)
    command = [sys.executable, "-m", "tessenger", "server", *options, "--config", str(folder / "config.toml")]
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Listening" not in done.stdout
    return done.returncode, done.stderr


def everything_of(server: ServerProcess) -> list[int]:
    """Return the pids of a server's processes."""
    return [server.process.pid, *children_of(server.process.pid)]


# ---- processes ----


def test_every_process_names_itself(tmp_path: Path) -> None:
    """So that `ps` tells them apart."""
    with running_server(tmp_path, workers=3) as server:
        titles = {title_of(pid) for pid in everything_of(server)}
        assert titles >= {
            f"tessenger: server 127.0.0.1:{server.port}",
            "tessenger: acceptor",
            "tessenger: manager",
            "tessenger: logger",
            "tessenger: worker 1",
            "tessenger: worker 2",
            "tessenger: worker 3",
        }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """Clients are told, the status is 0, and nothing is left: no process, no socket, no run directory."""
    server = ServerProcess(tmp_path)
    pids = everything_of(server)
    with WireClient(server.port) as aaa, WireClient(server.port) as stranger:
        aaa.login("aaa")
        assert stranger.ask("ping")["type"] == "pong"
        server.process.send_signal(number)
        assert aaa.until_closed() == [{"type": "closing", "text": "The server is shutting down."}]
        assert stranger.until_closed() == [{"type": "closing", "text": "The server is shutting down."}]
    assert server.process.wait(5) == 0
    assert server.stop() == 0
    assert outliving(pids) == []
    left = {path.name for path in server.data_dir.iterdir()}
    assert left <= {"journal.db", "lock", "tls-key.pem", "tls-certificate.pem", "userlog.txt", "messagelog.txt"}
    assert (server.folder / "stderr.txt").read_text() == ""


def test_what_was_acknowledged_before_the_end_is_in_the_journal(tmp_path: Path) -> None:
    """SIGTERM with 200 messages in flight: every `sent` has its entry, and its line in the log; the file is intact."""
    server = ServerProcess(tmp_path, config="[limits]\nmessages_per_second = 0\n")
    with WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        bbb.login("bbb")
        for n in range(200):
            aaa.send("msgto", to="bbb", text=f"number {n}")
        first = aaa.read()
        server.process.send_signal(signal.SIGTERM)
        sent = [line["seq"] for line in [first, *aaa.until_closed()] if line["type"] == "sent"]
    assert server.stop() == 0
    with closing(sqlite3.connect(server.data_dir / "journal.db")) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    lines = [int(line.split(";")[0]) for line in (server.data_dir / "messagelog.txt").read_text().splitlines()]
    assert len(lines) == len(set(lines))
    assert sent
    assert set(sent) <= set(lines)


def test_a_restart_goes_on_where_the_server_was(tmp_path: Path) -> None:
    """The sequence, groups and members, blocks, and sessions, which resume with what they missed."""
    config = "[auth]\nmax_attempts = 1\nblock_seconds = 600\n"
    server = ServerProcess(tmp_path, config=config)
    with WireClient(server.port) as aaa, WireClient(server.port) as bbb, WireClient(server.port) as ccc:
        welcome = aaa.login("aaa")
        bbb.login("bbb")
        aaa.ask("creategroup", group="Team", members=["bbb"])
        assert ccc.ask("login", user="ccc", password="wrong")["code"] == "blocked_now"
        aaa.close()
        last = bbb.ask("groupmsg", group="team", text="before the end")
    assert server.stop() == 0
    with running_server(tmp_path, config=config) as server, WireClient(server.port) as bbb:
        bbb.login("bbb")
        assert [u["user"] for u in bbb.ask("activeuser")["users"]] == ["aaa", "bbb"]
        with WireClient(server.port) as aaa, WireClient(server.port) as ccc:
            assert aaa.ask("resume", token=welcome["token"], after=welcome["seq"])["type"] == "welcome"
            assert [event["text"] for event in aaa.synced()] == ["before the end"]
            aaa.next_id = 100
            assert aaa.ask("creategroup", group="TEAM", members=[])["code"] == "group_exists"
            sent = aaa.ask("groupmsg", group="Team", text="after")
            assert sent["seq"] > last["seq"]
            assert [event["text"] for event in bbb.synced()] == ["after"]
            assert ccc.ask("login", user="ccc", password="123")["code"] == "blocked"


def test_the_death_of_the_supervisor_ends_everything_and_a_restart_continues(tmp_path: Path) -> None:
    """Kill -9: the other processes notice; the next server takes the data directory, and goes on."""
    server = ServerProcess(tmp_path)
    with WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        welcome = bbb.login("bbb")
        aaa.ask("creategroup", group="g", members=["bbb"])
        sent = aaa.ask("groupmsg", group="g", text="last")
        server.kill()  # asserts that no process outlives it
    with running_server(tmp_path) as server, WireClient(server.port) as bbb:
        assert bbb.ask("resume", token=welcome["token"], after=welcome["seq"])["type"] == "welcome"
        (event,) = bbb.synced()
        assert (event["seq"], event["text"]) == (sent["seq"], "last")
        bbb.next_id = 50
        assert bbb.ask("groupmsg", group="g", text="next")["seq"] > sent["seq"]


# ---- where it cannot start ----


def test_two_servers_do_not_share_a_port_or_a_data_directory(tmp_path: Path) -> None:
    """The second one says what is taken and ends with status 3; the first goes on."""
    with running_server(tmp_path / "one") as server:
        status, error = failed_start(tmp_path / "two", "127.0.0.1", str(server.port))
        assert status == 3
        assert error == f"tessenger-server: cannot listen on 127.0.0.1:{server.port}: address already in use\n"
        status, error = failed_start(tmp_path / "three", "127.0.0.1", "0", "--data-dir", str(server.data_dir))
        assert status == 3
        assert error == (
            f"tessenger-server: another server (process {server.process.pid}) uses the data directory "
            f"{server.data_dir}\n"
        )
        with WireClient(server.port) as aaa:
            aaa.login("aaa")


def test_one_server_at_several_addresses(tmp_path: Path) -> None:
    """People come by either family, are seen under the address that they have, and talk to each other."""
    server = ServerProcess(tmp_path, "--no-tls", host="127.0.0.1,::1")
    try:
        assert server.lines[0] == f"Listening on 127.0.0.1:{server.port}, [::1]:{server.port} with 2 workers"
        with (
            WireClient(server.port, tls=False) as aaa,
            WireClient(server.port, tls=False, host="::1") as bbb,
        ):
            aaa.login("aaa")
            bbb.login("bbb")
            assert [(u["user"], u["ip"]) for u in bbb.ask("activeuser")["users"]] == [
                ("aaa", "127.0.0.1"),
                ("bbb", "::1"),
            ]
            aaa.ask("msgto", to="bbb", text="hi")
            assert [event["text"] for event in bbb.synced()] == ["hi"]
    finally:
        assert server.stop() == 0, server.report()


def test_everywhere_is_beyond_loopback(tmp_path: Path) -> None:
    """So the demonstration users are refused; of somebody who comes by IPv4 that address is seen."""
    for host in ("::", "*", "127.0.0.1,0.0.0.0"):
        status, said = failed_start(tmp_path, host, "0")
        assert (status, "listens on loopback only" in said) == (2, True), said
    server = ServerProcess(tmp_path / "open", host="::", users="ann 123\n")
    try:
        with WireClient(server.port) as ann:
            ann.login("ann")
            assert [u["ip"] for u in ann.ask("activeuser")["users"]] == ["127.0.0.1"]
        assert "; ann; 127.0.0.1; 0; online" in (server.data_dir / "userlog.txt").read_text()
    finally:
        assert server.stop() == 0, server.report()


def test_a_data_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    """A file of that name, or a folder that cannot be made."""
    (tmp_path / "data").write_text("a file")
    assert failed_start(tmp_path, "127.0.0.1", "0") == (
        3,
        f"tessenger-server: the data directory {tmp_path / 'data'} is no directory\n",
    )
    status, error = failed_start(tmp_path, "127.0.0.1", "0", "--data-dir", str(tmp_path / "data" / "below"))
    assert status == 3
    assert error.startswith("tessenger-server: cannot make the data directory ")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database" * 500),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 3]),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["other content", "cut off", "a folder"],
)
def test_a_journal_that_cannot_be_read_is_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """With its path, status 3 and no traceback; and the journal is left as it is."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
    journal = tmp_path / "data" / "journal.db"
    damage(journal)
    status, error = failed_start(tmp_path, "127.0.0.1", "0")
    assert status == 3
    assert error.startswith("tessenger-server: ")
    assert error.count("\n") == 1
    assert str(journal) in error


@pytest.mark.parametrize(
    ("options", "users", "status", "words"),
    [
        (("0.0.0.0", "0", "--no-tls"), USERS, 2, "without TLS"),
        (("0.0.0.0", "0"), USERS, 2, "demonstration users"),
        (("127.0.0.1", "0"), "aaa\n", 4, "credentials.txt"),
        (("192.0.2.1", "0"), "me secret\n", 3, "cannot listen on 192.0.2.1:0"),
        (("127.0.0.1", "65536"), USERS, 2, "65536"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    tmp_path: Path, options: tuple[str, ...], users: str, status: int, words: str
) -> None:
    """With a status of its own for each kind of mistake."""
    demonstration = (ROOT / "credentials.txt").read_text() if words == "demonstration users" else users
    found, error = failed_start(tmp_path, *options, users=demonstration)
    assert found == status, error
    assert words in error


def test_a_role_that_cannot_start_again_stops_the_server_with_its_reason(tmp_path: Path) -> None:
    """The certificate was destroyed while the server ran, and a worker dies: no loop, but an end with status 3."""
    server = ServerProcess(tmp_path)
    pids = everything_of(server)
    (server.data_dir / "tls-certificate.pem").write_text("garbage")
    server.kill_role("worker 1")
    assert server.process.wait(DEADLINE) == 3, server.report()
    assert server.stop() == 3
    error = (server.folder / "stderr.txt").read_text()
    assert re.search(
        r"^tessenger-server: worker 1: the certificate or the key in .* cannot be used", error, re.MULTILINE
    )
    assert "Traceback" not in error
    assert outliving(pids) == []


# ---- the console ----


def test_a_console_that_nobody_reads_delays_no_commit(tmp_path: Path) -> None:
    """Standard output is a full pipe: messages are acknowledged and delivered as ever, and the server stops on time."""
    (tmp_path / "credentials.txt").write_text(USERS)
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nmessages_per_second = 0\n")
    read, write = os.pipe()
    server = subprocess.Popen(
        [sys.executable, "-m", "tessenger", "server", "127.0.0.1", "0", "--workers", "2", "--config", str(config)],
        stdout=write, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(write)
    watchdog = threading.Timer(DEADLINE * 2, server.kill)
    watchdog.start()
    try:
        line = b""
        while not line.endswith(b"workers\n"):
            line += os.read(read, 1)
        port = int(re.findall(rb":(\d+) ", line)[0])
        with WireClient(port) as aaa, WireClient(port) as bbb:
            aaa.login("aaa")
            bbb.login("bbb")
            text = "x" * 4_000
            for n in range(100):  # 400 kB of lines into a pipe of 64 kB
                assert aaa.ask("msgto", to="bbb", text=f"{n} {text}")["type"] == "sent"
            assert len(bbb.synced()) == 100
            server.send_signal(signal.SIGTERM)
            assert server.wait(6) == 0
    finally:
        server.kill()
        server.wait(DEADLINE)
        watchdog.cancel()
        os.close(read)
    lines = (tmp_path / "data" / "messagelog.txt").read_text().splitlines()
    assert len(lines) == 100
    assert lines[-1].split("; ")[4].startswith("99 ")
