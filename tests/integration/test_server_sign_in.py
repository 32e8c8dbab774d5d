"""Sign-in, blocklist, takeover and SIGHUP against a real server with several workers."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.server_process import ServerProcess, running_server
from tests.support.wire_client import WireClient

BLOCKED_NOW = "Invalid details. Your account has been blocked. Please try again later."
BLOCKED = "Your account is blocked due to multiple login failures. Please try again later."


def guess(server: ServerProcess, user: str, password: str) -> dict[str, Any]:
    """Try to sign in over a connection of its own."""
    with WireClient(server.port) as client:
        return client.ask("login", user=user, password=password)


def test_three_failures_over_three_connections_block_for_a_while(tmp_path: Path) -> None:
    """On different workers; the right password does not help meanwhile; the console says so, and the end on time."""
    with running_server(tmp_path, config="[auth]\nblock_seconds = 3\n", workers=3) as server:
        with WireClient(server.port) as open_session:
            token = open_session.login("aaa")["token"]
            first = guess(server, "aaa", "111")
            assert (first["code"], first["text"]) == ("invalid_password", "Invalid password. Please try again.")
            assert guess(server, "AAA", "111")["code"] == "invalid_password"
            third = guess(server, "aaa", "111")
            began = time.monotonic()
            assert (third["code"], third["text"]) == ("blocked_now", BLOCKED_NOW)
            right = guess(server, "aaa", "123")
            assert (right["code"], right["text"]) == ("blocked", BLOCKED)
            assert open_session.synced() == []
        with WireClient(server.port) as resumed:
            assert resumed.ask("resume", token=token, after=0)["type"] == "welcome"
            server.wait_for("has been unblocked aaa")
            assert time.monotonic() - began >= 2.9  # how late it may be depends on the machine
            assert guess(server, "aaa", "123")["type"] == "welcome"
            assert resumed.until_closed()[-1]["type"] == "replaced"
            server.wait_for(lambda line: line == ">> aaa lost the connection" and server.lines.count(line) == 2)
            about = [line for line in server.lines if "blocked" in line or "maximum" in line]
            assert about == [
                "has reached maximum failed attempts aaa",
                "has been blocked for 3 seconds aaa",
                "has been unblocked aaa",
            ]


def test_of_twenty_guesses_at_once_three_are_looked_at(tmp_path: Path) -> None:
    """Over as many connections and all workers: two get `invalid`, one `blocked now`, the others were never checked."""
    with running_server(tmp_path, workers=4) as server, ThreadPoolExecutor(20) as threads:
        codes = list(threads.map(lambda n: guess(server, "aaa", f"wrong {n}")["code"], range(20)))
        assert sorted(codes) == ["blocked"] * 17 + ["blocked_now"] + ["invalid_password"] * 2
        server.wait_for("has been blocked for 10 seconds aaa")  # the logs are written before the console
        log = (server.data_dir / "userlog.txt").read_text().splitlines()
        about = [line.split("; ")[2:] for line in log if "; aaa; " in line]
        assert sorted(about) == [  # of different workers: in any order
            ["aaa", "127.0.0.1", "-", "blocked for 10 seconds"],
            ["aaa", "127.0.0.1", "-", "failed login 1"],
            ["aaa", "127.0.0.1", "-", "failed login 2"],
        ]


def test_hashed_and_plain_passwords_of_several_users(tmp_path: Path) -> None:
    """Both kinds of line in credentials.txt sign in; neither the hash itself nor a wrong password does."""
    from argon2 import PasswordHasher  # noqa: PLC0415  slow to import, and of use here alone

    hashed = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash("geheim")
    with running_server(tmp_path, users=f"Eve {hashed}\nbob 123\n") as server:
        assert guess(server, "eve", "geheim")["user"] == "Eve"
        assert guess(server, "bob", "123")["user"] == "bob"
        assert guess(server, "eve", hashed)["code"] == "invalid_password"
        assert guess(server, "eve", "123")["code"] == "invalid_password"
        assert guess(server, "ghost", "123")["code"] == "invalid_password"


def test_a_sign_in_elsewhere_takes_over(tmp_path: Path) -> None:
    """The old connection is told and closed, whichever worker it is on, and its token is void."""
    with running_server(tmp_path) as server:
        for _ in range(2):  # on the same and on another worker
            with WireClient(server.port) as old, WireClient(server.port) as other, WireClient(server.port) as new:
                token = old.login("aaa")["token"]
                other.login("bbb")
                new.login("aaa")
                (replaced,) = old.until_closed()
                assert replaced == {
                    "type": "replaced",
                    "text": "You have signed in from another place. This session is over.",
                }
                other.ask("msgto", to="aaa", text="hi")
                (event,) = new.synced()
                assert event["text"] == "hi"
                new.send_raw(b'{"type":"seen","seq":%d}\n' % event["seq"])
                with WireClient(server.port) as late:
                    assert late.ask("resume", token=token, after=0)["code"] == "session_expired"
                assert new.synced() == []


def test_hangup_rereads_credentials_and_limits(tmp_path: Path) -> None:
    """Who is gone is signed out with a reason; a changed password voids the token; limits hold from then on."""
    with (
        running_server(tmp_path) as server,
        WireClient(server.port) as aaa,
        WireClient(server.port) as bbb,
        WireClient(server.port) as ccc,
    ):
        aaa.login("aaa")
        token = bbb.login("bbb")["token"]
        ccc.login("ccc")
        server.credentials.write_text("bbb 456\nccc 123\nnew 123\n")
        server.config.write_text("[limits]\ntext_bytes = 10\n")
        server.reload()
        (removed,) = aaa.until_closed()
        assert (removed["code"], removed["text"]) == ("removed", "Your account has been removed. This session is over.")
        assert guess(server, "aaa", "123")["code"] == "invalid_password"
        assert guess(server, "new", "123")["type"] == "welcome"
        assert bbb.synced() == []
        assert ccc.ask("msgto", to="bbb", text="x" * 11)["code"] == "text_too_long"
        bbb.close()
        with WireClient(server.port) as again:
            denied = again.ask("resume", token=token, after=0)
            assert denied["code"] == "invalid_password"
            assert denied["text"] == "Your password has been changed. Please sign in with the new one."
            assert again.ask("login", user="bbb", password="123")["code"] == "invalid_password"
            again.login("bbb", "456")


def test_hangup_with_a_mistake_changes_nothing_and_says_so(tmp_path: Path) -> None:
    """Neither users nor limits; the reason is on standard error."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        server.credentials.write_text("aaa\n")
        server.config.write_text("[limits]\ntext_bytes = 10\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_error("nothing was reloaded")
        assert guess(server, "bbb", "123")["type"] == "welcome"
        assert aaa.ask("msgto", to="bbb", text="x" * 11)["type"] == "sent"


def test_sign_ins_from_one_address_have_a_rate(tmp_path: Path) -> None:
    """Those above it wait for their turn, and are served."""
    users = [f"user-{n}" for n in range(8)]
    lines = "".join(f"{user} 123\n" for user in users)
    with running_server(tmp_path, config="[limits]\nlogins_per_second = 5\n", users=lines) as server:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda user: guess(server, user, "123")["type"], users))
        assert time.monotonic() - began >= 0.5  # five at once, then one every 200 ms
        assert answers == ["welcome"] * 8
