"""Every limit on a connection: who meets one is told its name, and nobody else notices."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tests.support.server_process import running_server
from tests.support.wire_client import WireClient


def test_connections_from_one_address_are_limited(tmp_path: Path) -> None:
    """One too many is told why and closed; when another one has gone there is room again."""
    config = "[limits]\nconnections_per_address = 3\n"
    with running_server(tmp_path, config=config) as server:
        clients = [WireClient(server.port) for _ in range(3)]
        for client in clients:
            assert client.ask("ping")["type"] == "pong"
        with WireClient(server.port) as one_more:
            (reason,) = one_more.until_closed()
            assert (reason["type"], reason["code"]) == ("error", "too_many_connections")
            assert reason["text"] == "There are too many connections from your address."
        clients.pop().close()
        deadline = time.monotonic() + 20
        while not _is_served(server.port):  # until the acceptor has heard of it
            assert time.monotonic() < deadline, server.report()
            time.sleep(0.05)
        for client in clients:
            assert client.ask("ping")["type"] == "pong"
            client.close()


def test_who_was_refused_takes_nobody_s_place(tmp_path: Path) -> None:
    """Even while a refused connection is still held open: once there is room again, the next one is served."""
    with running_server(tmp_path, config="[limits]\nconnections_per_address = 1\n") as server:
        first = WireClient(server.port)
        assert first.ask("ping")["type"] == "pong"
        with socket.create_connection(("127.0.0.1", server.port)):  # refused, and never shakes hands
            with WireClient(server.port) as refused:  # after this one's answer the one before it was placed, too
                assert [line["code"] for line in refused.until_closed()] == ["too_many_connections"]
            first.close()
            deadline = time.monotonic() + 8  # below the 15 s that a handshake may take
            while not _is_served(server.port):  # until the acceptor has heard of it
                assert time.monotonic() < deadline, server.report()
                time.sleep(0.05)


def _is_served(port: int) -> bool:
    """Whether a connection is taken now; one that is refused is told why, or only closed where too many were told."""
    try:
        with WireClient(port) as client:
            client.send("ping")
            return bool(client.read()["type"] == "pong")
    except (EOFError, OSError):
        return False


def test_connections_in_all_are_limited(tmp_path: Path) -> None:
    """Over all workers; those who are in go on."""
    config = "[limits]\nconnections = 2\n"
    with (
        running_server(tmp_path, config=config) as server,
        WireClient(server.port) as aaa,
        WireClient(server.port) as bbb,
    ):
        aaa.login("aaa")
        bbb.login("bbb")
        with WireClient(server.port) as one_more:
            (reason,) = one_more.until_closed()
            assert reason["code"] == "server_full"
            assert reason["text"] == "The server has no room for more connections. Please try again later."
        assert aaa.ask("msgto", to="bbb", text="hi")["type"] == "sent"


def test_who_does_not_sign_in_is_sent_away(tmp_path: Path) -> None:
    """After `login_seconds`, with a reason; a ping is no sign-in. Who has signed in stays."""
    with running_server(tmp_path, config="[limits]\nlogin_seconds = 1\n") as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        with WireClient(server.port) as idle:
            began = time.monotonic()
            assert idle.ask("ping")["type"] == "pong"
            (reason,) = idle.until_closed()
            assert time.monotonic() - began >= 0.8
            assert (reason["code"], reason["text"]) == ("login_timeout", "Nobody signed in within 1 seconds.")
        assert aaa.synced() == []


def test_a_reader_that_is_too_slow_is_cut_off_and_misses_nothing(tmp_path: Path) -> None:
    """Above `queue_bytes` with a reason; the others are not held up; a resume brings the rest, once and in order."""
    config = "[limits]\nqueue_bytes = 65536\nmessages_per_second = 0\n"
    with running_server(tmp_path, config=config) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        with WireClient(server.port, receive_buffer=4_096) as slow:
            welcome = slow.login("bbb")
            text = "x" * 40_000
            count = 0
            while ">> bbb lost the connection" not in server.lines:
                assert aaa.ask("msgto", to="bbb", text=f"{count} {text}")["type"] == "sent"
                count += 1
                assert count < 1_000, server.report()
            lines = slow.until_closed()
            assert (lines[-1]["type"], lines[-1].get("code")) == ("error", "too_slow")
            got = [line for line in lines if line["type"] == "message"]
        assert aaa.ask("msgto", to="bbb", text=f"{count} late")["type"] == "sent"
        with WireClient(server.port) as again:
            last = got[-1]["seq"] if got else welcome["seq"]
            assert again.ask("resume", token=welcome["token"], after=last)["type"] == "welcome"
            got += again.synced()
        assert [int(message["text"].split()[0]) for message in got] == list(range(count + 1))
        numbers = [message["seq"] for message in got]
        assert numbers == sorted(numbers)


def test_who_sends_too_fast_is_read_later_without_an_error(tmp_path: Path) -> None:
    """60 messages at 50 a second, 10 of them at once, take a second; all of them arrive."""
    config = "[limits]\nmessages_per_second = 50\nburst = 10\n"
    with (
        running_server(tmp_path, config=config, workers=1) as server,
        WireClient(server.port) as aaa,
        WireClient(server.port) as bbb,
    ):
        bbb.login("bbb")
        aaa.login("aaa")
        began = time.monotonic()
        for n in range(60):
            aaa.ask("msgto", to="bbb", text=str(n))
        assert time.monotonic() - began > 0.8
        assert [event["text"] for event in bbb.synced()] == [str(n) for n in range(60)]


def test_lines_that_cannot_be_decoded_cost_nobody_else_anything(tmp_path: Path) -> None:
    """From strangers, in the same worker: they are bad lines of their own connections, and leave nothing in a log."""
    config = "[server]\nworkers = 1\n[limits]\nbad_lines = 4\nmessages_per_second = 0\n"
    deep = b'{"type":"ping","id":7,"x":' + b"[" * 1_001 + b"]" * 1_001 + b"}\n"
    with running_server(tmp_path, config=config) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        for turn in range(20):
            with WireClient(server.port) as stranger:
                for line in (deep, b"\xff\n", b'{"a":' * 5_000 + b"\n"):
                    asked = aaa.send("msgto", to="aaa", text=f"before {turn}")
                    stranger.send_raw(line)
                    for number in (asked, aaa.send("msgto", to="aaa", text=f"behind {turn}")):
                        assert aaa.answer(number)["type"] == "error"  # to oneself: answered all the same
                assert stranger.ask("ping")["type"] == "pong"
                stranger.send_raw(deep)
                lines = stranger.until_closed()
                assert [line["code"] for line in lines[-2:]] == ["bad_request", "too_many_bad_lines"]
                assert lines[-2]["text"] == "This is no valid request: it is nested too deeply"
        assert not (server.data_dir / "error.log").exists(), server.report()
