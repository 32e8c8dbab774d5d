"""Groups, invitations and people, between real clients of a server with several workers."""

from __future__ import annotations

import re
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.support.piped_client import PipedClient
from tests.support.server_process import running_server
from tests.support.wire_client import WireClient

CLIENT = [sys.executable, "-m", "tessenger", "client"]
TIME = re.compile(r"\d+ \w+ \d{4} \d\d:\d\d:\d\d")


def asked(client: PipedClient, line: str) -> list[str]:
    """Type a command and return its answer, with TIME for each time."""
    client.type(line)
    return heard(client)


def heard(client: PipedClient) -> list[str]:
    """Return the next answer or event."""
    return [TIME.sub("TIME", line) for line in client.answer()]


def test_a_private_group_from_its_making_to_its_end(tmp_path: Path) -> None:
    """What each of three people sees, and that the server forgets none of it when it is started again."""
    for user in ("aaa", "bbb", "ccc"):
        (tmp_path / user).mkdir()
    with running_server(tmp_path, workers=3) as server, ExitStack() as stack:
        aaa, bbb, ccc = (
            stack.enter_context(PipedClient(server.port, tmp_path / user, command=CLIENT))
            for user in ("aaa", "bbb", "ccc")
        )
        for client, user in ((aaa, "aaa"), (bbb, "bbb"), (ccc, "ccc")):
            client.sign_in(user)
        assert asked(aaa, "/creategroup -p board bbb") == ["Group chat created board"]
        assert asked(ccc, "/joingroup board") == ["Groupchat board does not exist"]
        assert asked(ccc, "/groups") == ["There are no group chats."]
        assert asked(bbb, "/groups") == ["board: 2 members, private, joined"]
        assert asked(bbb, "/invite board ccc") == ["ccc is invited to Groupchat board"]
        assert heard(ccc) == ["TIME, bbb invites you to Groupchat board (/joingroup board)"]
        assert asked(ccc, "/joingroup board") == ["You have joined Groupchat board"]
        assert asked(ccc, "/members board") == ["Groupchat board:", "aaa, created it", "bbb", "ccc"]
        bbb.type("/talk board")
        assert asked(bbb, "a plain line") == ["Group chat message sent at:TIME"]
        assert heard(aaa) == heard(ccc) == ["TIME, board, bbb: a plain line"]
        assert asked(bbb, "/leavegroup board") == ["You have left Groupchat board"]
        assert heard(aaa) == heard(ccc) == ["TIME, bbb has left Groupchat board"]
        assert asked(bbb, "a plain line")[0].startswith("Unknown command a.")
        assert asked(ccc, "/remove board aaa") == ["Only aaa, who created Groupchat board, can do that"]
        assert asked(aaa, "/remove board ccc") == ["ccc is removed from Groupchat board"]
        assert heard(ccc) == ["TIME, aaa has removed you from Groupchat board"]
        assert asked(aaa, "/groupmsg board alone") == ["Group chat message sent at:TIME"]
        assert asked(bbb, "/groupmsg board hi") == ["Groupchat board does not exist"]
        server.wait_for(">> ccc is removed from group chat room board")
    with running_server(tmp_path, workers=3) as server, WireClient(server.port) as wire:
        wire.login("aaa")
        answer = wire.ask("members", group="board")
        assert [member["user"] for member in answer["members"]] == ["aaa"]
        assert answer["private"] is True


def test_who_is_away_and_who_is_ignored(tmp_path: Path) -> None:
    """Who writes to someone away is told once; who is ignored is not seen, also after a restart of the client.

    Each /whois is a barrier too: its worker has everything before it in the log then, and has delivered it.
    """
    with running_server(tmp_path, workers=2) as server, WireClient(server.port) as bbb:
        bbb.login("bbb")
        with PipedClient(server.port, tmp_path, command=CLIENT) as aaa:
            aaa.sign_in("aaa")
            assert bbb.ask("away", text="at lunch")["text"] == "at lunch"
            assert asked(aaa, "/whois bbb") == ["bbb is online since TIME, 127.0.0.1, 0", "bbb is away: at lunch"]
            assert asked(aaa, "/msgto bbb hi") == ["message sent at TIME", "bbb is away: at lunch"]
            assert asked(aaa, "/msgto bbb hi") == ["message sent at TIME"]
            assert asked(aaa, "/whois ccc") == ["ccc is not online"]
            assert asked(aaa, "/away reading a book") == ["Others are told that you are away: reading a book"]
            assert bbb.ask("whois", user="aaa")["away"] == "reading a book"
            assert bbb.ask("msgto", to="aaa", text="one")["note"] == "reading a book"
            assert heard(aaa) == ["TIME, bbb: one"]
            assert asked(aaa, "/away") == ["You are not away any more."]
            assert asked(aaa, "/ignore BBB")[0].startswith("You ignore BBB")
            bbb.ask("msgto", to="aaa", text="two")
            assert asked(aaa, "/history") == ["TIME, aaa to bbb: hi", "TIME, aaa to bbb: hi"]
            aaa.type("/quit")
            assert aaa.rest()[-1] == "Bye, aaa!"
        with PipedClient(server.port, tmp_path, command=CLIENT) as aaa:
            aaa.sign_in("aaa")
            bbb.ask("msgto", to="aaa", text="three")
            assert asked(aaa, "/whois ccc") == ["ccc is not online"]
            assert asked(aaa, "/ignore") == ["You ignore BBB."]
            assert asked(aaa, "/ignore bbb") == ["You do not ignore bbb any more."]
            bbb.ask("msgto", to="aaa", text="four")
            assert heard(aaa) == ["TIME, bbb: four"]
