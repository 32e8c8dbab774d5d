"""Messages to people who are away, on a real server that is restarted meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.support.server_process import running_server
from tests.support.wire_client import WireClient

CONFIG = "[messages]\noffline_delivery = true\n"


def test_a_message_outlives_the_server_until_its_recipient_signs_in(tmp_path: Path) -> None:
    """Accepted while bbb has never signed in, shown once after a restart."""
    with running_server(tmp_path, config=CONFIG) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        sent = aaa.ask("msgto", to="bbb", text="see you tomorrow")
        assert sent["away"] is True
    with running_server(tmp_path, config=CONFIG) as server:
        with WireClient(server.port) as bbb:
            bbb.login("bbb")
            (event,) = bbb.synced()
            assert (event["from"], event["text"], event["at"]) == ("aaa", "see you tomorrow", sent["at"])
            assert bbb.ask("logout")["type"] == "bye"
        with WireClient(server.port) as again:
            again.login("bbb")
            assert again.synced() == []
