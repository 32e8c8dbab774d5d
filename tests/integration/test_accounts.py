"""Accounts on a real server: a name that changes hands, one that a group has, and files that are hardly meant."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import ROOT, USERS, ServerProcess, running_server
from tests.support.wire_client import WireClient

KEEPING = "[messages]\noffline_delivery = true\n"


def texts(events: list[dict[str, object]]) -> list[object]:
    """Return the texts among what came."""
    return [event["text"] for event in events if "text" in event]


def history(client: WireClient) -> list[object]:
    """Return the texts of all that somebody may read."""
    return texts(client.ask("history")["messages"])


def keep_users(server: ServerProcess, *arguments: str) -> None:
    """Edit the credentials with the program that is made for that; passwords are 123."""
    command = [sys.executable, "-m", "tessenger", "server", "users", *arguments, "--credentials"]
    subprocess.run(
        [*command, str(server.credentials)], input=b"123\n", cwd=server.folder, env={"PYTHONPATH": str(ROOT)},
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def denied(server: ServerProcess, user: str) -> bool:
    """Tell whether somebody cannot sign in with the right password of the file."""
    with WireClient(server.port) as client:
        return bool(client.ask("login", user=user, password="123").get("code") == "invalid_password")


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_name_that_changes_hands(tmp_path: Path, is_restarted: bool) -> None:
    """Removed and added between two readings, with the same password: only the tag tells. It is said and logged."""
    with running_server(tmp_path, config=KEEPING) as server:
        with WireClient(server.port) as aaa, WireClient(server.port) as ccc:
            aaa.login("aaa")
            ccc.login("ccc")
            ccc.ask("creategroup", group="club", members=["aaa"], private=True)
            ccc.ask("groupmsg", group="club", text="OLD club")
            aaa.ask("msgto", to="ccc", text="OLD")
            ccc.close()
            aaa.ask("msgto", to="ccc", text="OLD, waiting")
            keep_users(server, "remove", "ccc")
            keep_users(server, "add", "ccc")
            if not is_restarted:
                server.reload()
        if not is_restarted:
            check_nothing_is_left(server)
    with running_server(tmp_path, config=KEEPING) as server:
        server.wait_for("the account ccc has been removed") if is_restarted else None
        check_nothing_is_left(server)
        with WireClient(server.port) as ccc:
            ccc.login("ccc")
            assert history(ccc) == ["NEW"] * (1 if is_restarted else 2)
    events = [line.split("; ")[5] for line in (tmp_path / "data" / "userlog.txt").read_text().splitlines()]
    assert [event for event in events if "account" in event] == ["account removed", "account added"]


def check_nothing_is_left(server: ServerProcess) -> None:
    """Look at everything that the new owner of the name can see; leave one message for them."""
    with WireClient(server.port) as ccc, WireClient(server.port) as aaa:
        ccc.login("ccc")
        assert "OLD" not in str(ccc.synced())
        assert "OLD" not in str(history(ccc))
        assert ccc.ask("groups")["groups"] == []
        assert ccc.ask("joingroup", group="club")["code"] == "unknown_group"
        aaa.login("aaa")
        aaa.ask("msgto", to="ccc", text="NEW")
        assert texts(ccc.synced()) == ["NEW"]
        assert [text for text in history(aaa) if "OLD" in str(text)] == ["OLD club", "OLD", "OLD, waiting"]
        ccc.ask("logout")


def test_a_name_that_a_group_has(tmp_path: Path) -> None:
    """Whoever gets it in the credentials has no account; that is said, and everything else is taken up."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        aaa.ask("creategroup", group="newguy", members=["bbb"], private=True)
        server.credentials.write_text(USERS + "Newguy 123\neve 123\n")
        server.reload()
        server.wait_for_error("the user Newguy has no account: a group has that name")
        assert denied(server, "newguy")
        assert not denied(server, "eve")
        assert aaa.ask("msgto", to="newguy", text="x")["code"] == "unknown_user"


def test_files_that_remove_nobody(tmp_path: Path) -> None:
    """One that is missing, empty, or another server's: neither while it runs nor at a start, unless that is meant."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        aaa.ask("creategroup", group="club", members=["ccc"])
        kept = server.credentials.read_text()
        server.credentials.unlink()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_error("nothing was reloaded", 1)
        for times, wrong in enumerate(("", "eve 123\n"), 2):
            server.credentials.write_text(wrong)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_error("nothing was reloaded", times)
        server.wait_for_error("has none of the accounts that there are (aaa, bbb, ccc, ddd)", 2)
        assert aaa.synced() == []
    with pytest.raises(AssertionError):
        ServerProcess(tmp_path)
    assert "all of them would be removed for good" in (tmp_path / "stderr.txt").read_text()
    server.credentials.write_text(kept)
    with running_server(tmp_path) as server, WireClient(server.port) as ccc:
        ccc.login("ccc")
        assert [group["group"] for group in ccc.ask("groups")["groups"]] == ["club"]
        ccc.ask("logout")
    server.credentials.write_text("eve 123\n")
    with running_server(tmp_path, "--remove-accounts") as server:
        server.wait_for("the account aaa has been removed")
        assert denied(server, "aaa")
        assert not denied(server, "eve")


def test_a_logger_that_dies_at_the_reading_is_replaced_by_one_that_knows_the_accounts(tmp_path: Path) -> None:
    """What was said to it in vain, the next one begins with."""
    with running_server(tmp_path) as server, WireClient(server.port) as ccc:
        ccc.login("ccc")
        old = server.kill_role("logger", signal.SIGSTOP)
        server.credentials.write_text(USERS.replace("ccc 123\n", "") + "eve 123\n")
        server.process.send_signal(signal.SIGHUP)
        server.kill_role("logger")
        server.wait_for_replacement("logger", old)
        server.wait_for_error("tessenger-server: reloaded")
        assert [line["code"] for line in ccc.until_closed()] == ["removed"]
        assert denied(server, "ccc")
        assert not denied(server, "eve")
