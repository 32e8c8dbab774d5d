"""Messages to people who are away, on a real server that is restarted meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.piped_client import PipedClient
from tests.support.server_process import running_server
from tests.support.wire_client import WireClient

CONFIG = "[messages]\noffline_delivery = true\n"
CLIENT = [sys.executable, "-m", "tessenger", "client"]


def home(tmp_path: Path, user: str) -> Path:
    """Return a home directory of someone's own."""
    path = tmp_path / user
    path.mkdir()
    return path


def test_a_message_outlives_the_server_until_its_recipient_signs_in(tmp_path: Path) -> None:
    """Accepted while bbb has never signed in, shown once after a restart."""
    with running_server(tmp_path, config=CONFIG) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        sent = aaa.ask("msgto", to="bbb", text="see you tomorrow")
        assert sent["away"] is True
    with running_server(tmp_path, config=CONFIG) as server:
        with WireClient(server.port) as bbb:
            bbb.login("bbb")
            unread, event = bbb.synced()
            assert unread == {"type": "unread", "count": 1}
            assert (event["from"], event["text"], event["at"]) == ("aaa", "see you tomorrow", sent["at"])
            assert bbb.ask("logout")["type"] == "bye"
        with WireClient(server.port) as again:
            again.login("bbb")
            assert again.synced() == []


def test_a_person_is_told_what_came_while_they_were_away(tmp_path: Path) -> None:
    """Both see it: who sends, that it waits; who comes, how many there are, above them and in their order."""
    with running_server(tmp_path / "server", config=CONFIG) as server:
        with PipedClient(server.port, home(tmp_path, "aaa"), command=CLIENT) as aaa:
            aaa.sign_in("aaa")
            times = []
            for text in ("one", "two"):
                aaa.type(f"/msgto bbb {text}")
                first, second = aaa.answer()
                assert second == "user bbb not online, gets it at the next sign-in"
                times.append(first.removeprefix("message sent at "))
        with PipedClient(server.port, home(tmp_path, "bbb"), command=CLIENT) as bbb:
            bbb.sign_in("bbb")
            assert bbb.answer() == ["2 messages while you were away:"]
            assert bbb.answer() == [f"{times[0]}, aaa: one"]
            assert bbb.answer() == [f"{times[1]}, aaa: two"]
            bbb.type("/logout")
            assert bbb.rest() == ["Bye, bbb!"]
