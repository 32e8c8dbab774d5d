"""Every command against a real server: its answers, what others get, the console's lines and the activity logs."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessenger.wire.times import local_time
from tests.support.faults import stopped
from tests.support.server_process import ServerProcess, running_server
from tests.support.wire_client import WireClient

KEY = "k" * 43


def log(server: ServerProcess, name: str) -> list[str]:
    """Return the lines of an activity log."""
    return (server.data_dir / name).read_text().splitlines()


def test_the_console_and_the_logs_show_each_command_word_for_word(tmp_path: Path) -> None:
    """What the original description shows, line by line and in order, from sign-in to logout."""
    with (
        running_server(tmp_path) as server,
        WireClient(server.port) as aaa,
        WireClient(server.port) as bbb,
        WireClient(server.port) as ccc,
    ):
        aaa.login("aaa", udp_port=13000)
        bbb.login("bbb", udp_port=13001)
        ccc.login("ccc")
        users = aaa.ask("activeuser")["users"]
        sent = aaa.ask("msgto", to="bbb", text="how are u ?")
        assert bbb.ask("msgto", to="ddd", text="hi")["text"] == "user ddd not online"
        created = aaa.ask("creategroup", group="g", members=["aaa", "bbb", "ccc"])
        assert created["members"] == ["aaa", "bbb", "ccc"]
        taken = ccc.ask("creategroup", group="g", members=["aaa"])
        assert taken["text"] == "Failed to create the group chat g: g exists!"
        assert bbb.ask("joingroup", group="g")["text"] == "You have already joined Groupchat g"
        to_group = bbb.ask("groupmsg", group="g", text='ha"ha\n!')
        offer = {"transfer": "0" * 16, "name": "example1.mp4", "size": 9, "key": KEY}
        assert aaa.ask("p2pvideo", to="bbb", **offer)["type"] == "offered"
        assert bbb.ask("accept", to="aaa", transfer="0" * 16, key=KEY)["type"] == "offered"
        assert aaa.ask("logout")["type"] == "bye"
        server.wait_for(">> aaa logout")
        listed = [f"{u['user']}, {u['ip']}, {u['udp_port']}, {local_time(u['since'])}" for u in users]
        assert [line.split(", ")[:3] for line in listed] == [
            ["aaa", "127.0.0.1", "13000"],
            ["bbb", "127.0.0.1", "13001"],
            ["ccc", "127.0.0.1", "0"],
        ]
        assert server.lines == [
            f"Listening on 127.0.0.1:{server.port} with 2 workers",
            ">> aaa is online",
            ">> bbb is online",
            ">> ccc is online",
            ">> aaa issued activeuser command",
            ">> Return active user list:",
            f"{listed[0]}.",
            f"{listed[1]}.",
            listed[2],
            ">> aaa issued msgto command",
            f'>> aaa message to bbb "how are u ?" at {local_time(sent["at"])}',
            ">> bbb issued msgto command",
            ">> aaa issued creategroup command",
            ">> Group chat room has been created, room name: g, user in this room are: aaa,bbb,ccc",
            ">> ccc issued creategroup command",
            ">> Return message Groupname g already exists.",
            ">> bbb issued joingroup command",
            ">> bbb issued groupmsg command",
            f'>> bbb sent a message in group chat g:{local_time(to_group["at"])}: "ha"ha\\n!"',
            ">> aaa issued p2pvideo command",
            ">> aaa issued logout command",
            ">> aaa logout",
        ]
        assert log(server, "messagelog.txt") == [f"{sent['seq']}; {local_time(sent['at'])}; aaa; bbb; how are u ?"]
        assert log(server, "g_messagelog.txt") == [f'{to_group["seq"]}; {local_time(to_group["at"])}; bbb; ha"ha\\n!']
        assert [line.split("; ")[2:] for line in log(server, "userlog.txt")] == [
            ["aaa", "127.0.0.1", "13000", "online"],
            ["bbb", "127.0.0.1", "13001", "online"],
            ["ccc", "127.0.0.1", "0", "online"],
            ["aaa", "127.0.0.1", "13000", "offline (logout)"],
        ]


def test_people_on_different_workers_chat(tmp_path: Path) -> None:
    """Private and group messages, whole and in order; names in any case; texts that once broke the original."""
    with running_server(tmp_path, workers=4) as server:
        clients = {user: WireClient(server.port) for user in ("aaa", "bbb", "ccc", "ddd")}
        for user, client in clients.items():
            client.login(user)
        aaa, bbb, ccc, ddd = clients.values()
        long = ("0123456789 \N{PILE OF POO}" * 900)[:9_000]
        texts = ["Bye", "blocked", "Welcome to TESSENGER!", '{"type":"bye"}', long, "x" * 49_152, "two\nlines"]
        answers = [aaa.ask("msgto", to="BBB", text=text) for text in texts]
        assert [answer["type"] for answer in answers] == ["sent"] * len(texts)
        events = bbb.synced()
        assert [(e["from"], e["text"]) for e in events] == [("aaa", text) for text in texts]
        assert [e["seq"] for e in events] == [answer["seq"] for answer in answers]
        assert aaa.ask("creategroup", group="g", members=["bbb", "ccc"])["type"] == "created"
        assert ddd.ask("joingroup", group="G") == {
            "type": "joined", "re": ddd.next_id - 1, "group": "g", "members": ["aaa", "bbb", "ccc", "ddd"]
        }  # fmt: skip
        for n in range(20):
            for client in (aaa, bbb, ccc):
                client.send("groupmsg", group="g", text=str(n))
        for client in (aaa, bbb, ccc):
            while client.answer(client.next_id - 1)["type"] != "sent":
                pass
        orders = [[e["seq"] for e in ddd.synced()]]
        assert len(orders[0]) == 60
        for client in (aaa, bbb, ccc):
            client.synced()
        for client in clients.values():
            client.close()


def test_who_sends_at_the_same_time_as_many_others_is_acknowledged(tmp_path: Path) -> None:
    """Though nothing else is due to them, with which the acknowledgement could come."""
    names = [f"user{number}" for number in range(12)]
    users = "".join(f"{name} 123\n" for name in names)
    with running_server(tmp_path, "--no-tls", users=users, workers=1) as server, ExitStack() as stack:
        clients = [stack.enter_context(WireClient(server.port, tls=False)) for _ in names]
        for client, name in zip(clients, names, strict=True):
            client.login(name)
        for _ in range(3):
            with stopped(server.pid_of("logger")):  # so that all are committed together
                sent = [client.send("msgto", to=names[0], text="hello") for client in clients[1:]]
                for client in clients[1:]:
                    assert client.ask("ping")["type"] == "pong"  # its message is on the way
            for client, number in zip(clients[1:], sent, strict=True):
                answer = client.read()
                assert (answer["type"], answer["re"]) == ("sent", number)


def test_what_cannot_be_done_is_refused_with_a_code(tmp_path: Path) -> None:
    """Each refusal of the description's open cases, as the wire has it."""
    cases: list[tuple[str, dict[str, object], str]] = [
        ("msgto", {"to": "bbb", "text": "x" * 49_153}, "text_too_long"),
        ("msgto", {"to": "bbb", "text": ""}, "empty_text"),
        ("msgto", {"to": "aaa", "text": "me"}, "to_self"),
        ("msgto", {"to": "ghost", "text": "hi"}, "unknown_user"),
        ("msgto", {"to": "ddd", "text": "hi"}, "not_online"),
        ("groupmsg", {"group": "nowhere", "text": "hi"}, "unknown_group"),
        ("groupmsg", {"group": "theirs", "text": "hi"}, "not_member"),
        ("creategroup", {"group": "bbb", "members": []}, "name_taken"),
        ("creategroup", {"group": "a b", "members": []}, "bad_name"),
        ("creategroup", {"group": "x" * 33, "members": []}, "bad_name"),
        ("creategroup", {"group": "h", "members": ["ghost"]}, "unknown_user"),
        ("creategroup", {"group": "THEIRS", "members": []}, "group_exists"),
        ("joingroup", {"group": "nowhere"}, "unknown_group"),
        ("p2pvideo", {"to": "bbb", "transfer": "0" * 16, "name": "a", "size": 1, "key": KEY}, "no_files"),
        ("login", {"user": "bbb", "password": "123"}, "already_signed_in"),
        ("msgto", {"to": "bbb"}, "bad_request"),
        ("dance", {}, "bad_request"),
    ]
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        assert aaa.ask("activeuser")["code"] == "not_signed_in"
        aaa.login("aaa")
        bbb.login("bbb")
        bbb.ask("creategroup", group="theirs", members=[])
        for type_, fields, code in cases:
            answer = aaa.ask(type_, **fields)
            assert (answer["type"], answer["code"]) == ("error", code), (type_, fields)
            assert answer["text"]
        assert aaa.synced() == bbb.synced() == []


def test_a_text_that_could_steer_a_terminal_arrives_harmless(tmp_path: Path) -> None:
    """At the other client, on the console, and in the log, where it stays one line."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        bbb.login("bbb")
        aaa.ask("msgto", to="bbb", text="\x1b]52;c;eA==\x07\x9b2J\u202e\r1; fake\n2; line")
        (event,) = bbb.synced()
        assert event["text"] == "␛]52;c;eA==␇\ufffd2J\ufffd␍1; fake\n2; line"
        (line,) = log(server, "messagelog.txt")
        assert line.endswith("; aaa; bbb; ␛]52;c;eA==␇\ufffd2J\ufffd␍1; fake\\n2; line")
        server.wait_for(lambda line: "␛]52;c;eA==␇\ufffd2J\ufffd␍1; fake\\n2; line" in line)


def test_long_lists_come_in_parts(tmp_path: Path) -> None:
    """A group of 600 is joined: the answer's parts have the same `re`, all but the last with `more`."""
    users = "".join(f"user-{n:04} 123\n" for n in range(600)) + "aaa 123\nbbb 123\n"
    with running_server(tmp_path, users=users) as server, WireClient(server.port) as aaa:
        aaa.login("aaa")
        members = [f"user-{n:04}" for n in range(600)]
        assert aaa.ask("creategroup", group="g", members=members)["members"] == ["aaa", *members]
        with WireClient(server.port) as bbb:
            bbb.login("bbb")
            first = bbb.ask("joingroup", group="g")
            rest = bbb.answer(first["re"])
            assert first["more"] is True
            assert "more" not in rest
            assert first["members"] + rest["members"] == ["aaa", *members, "bbb"]


# ---- what is no conversation ----


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_junk_never_ends_a_worker(tmp_path: Path, tls: bool) -> None:
    """Any bytes to the port, before TLS or instead of lines: the server goes on, and nobody notices."""
    options = () if tls else ("--no-tls",)
    with running_server(tmp_path, *options) as server, WireClient(server.port, tls=tls) as aaa:
        aaa.login("aaa")
        pids = {title: server.pid_of(title) for title in ("worker 1", "worker 2", "acceptor")}

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.binary(max_size=200), max_size=4), st.booleans())
        def throw(pieces: list[bytes], lines: bool) -> None:
            with socket.create_connection(("127.0.0.1", server.port), 10) as junk:
                try:
                    for piece in pieces:
                        junk.sendall(piece + b"\n" * lines)
                except (BrokenPipeError, ConnectionResetError):  # the server has closed on it, as it may
                    pass

        throw()
        for _ in range(2):
            with WireClient(server.port, tls=tls) as bbb:
                bbb.login("bbb")
                assert bbb.ask("msgto", to="aaa", text="hi")["type"] == "sent"
        assert len(aaa.synced()) == 2
        assert pids == {title: server.pid_of(title) for title in pids}
        assert not (server.data_dir / "error.log").exists()


def test_bad_lines_are_answered_and_counted(tmp_path: Path) -> None:
    """Ten of them, or one that is too long, close the connection with a reason; the session can be resumed."""
    with running_server(tmp_path) as server, WireClient(server.port) as bbb:
        bbb.login("bbb")
        with WireClient(server.port) as aaa:
            welcome = aaa.login("aaa")
            for _ in range(9):
                aaa.send_raw(b"nonsense\n")
            assert aaa.ask("msgto", to="bbb", text="in between")["type"] == "sent"
            assert [event["code"] for event in aaa.synced()] == ["bad_request"] * 9
            aaa.send_raw(b'{"type":"msgto","id":77}\n')
            bad, reason = aaa.until_closed()
            assert (bad["code"], bad["re"]) == ("bad_request", 77)
            assert (reason["code"], reason["text"]) == ("too_many_bad_lines", "10 lines were no valid requests.")
        with WireClient(server.port) as aaa:
            assert aaa.ask("resume", token=welcome["token"], after=welcome["seq"])["type"] == "welcome"
            aaa.send_raw(b"x" * 70_000)
            (line,) = aaa.until_closed()
            assert (line["code"], line["text"]) == ("line_too_long", "A line is longer than 65536 bytes.")
        assert [event["text"] for event in bbb.synced()] == ["in between"]


def test_half_a_line_and_silence_costs_nobody_anything(tmp_path: Path) -> None:
    """Others are served; the rest of the line, when it comes, completes the request."""
    with running_server(tmp_path, workers=1) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        aaa.send_raw(b'{"type":"msgto","id":9,"to":"bbb",')
        bbb.login("bbb")
        assert bbb.ask("msgto", to="aaa", text="hi")["type"] == "sent"
        aaa.send_raw(b'"text":"whole"}\n')
        assert aaa.answer(9)["type"] == "sent"
        assert [event["text"] for event in bbb.synced()] == ["whole"]


def test_requests_may_be_pipelined_behind_the_login_and_only_ping_overtakes(tmp_path: Path) -> None:
    """Answers come in order; the ping's comes before the login's, which has to wait for the password check."""
    with running_server(tmp_path) as server, WireClient(server.port) as bbb, WireClient(server.port) as aaa:
        bbb.login("bbb")
        aaa.send_raw(
            b'{"type":"login","id":1,"user":"aaa","password":"123"}\n'
            b'{"type":"creategroup","id":2,"group":"g","members":["bbb"]}\n'
            b'{"type":"groupmsg","id":3,"group":"g","text":"hi"}\n'
            b'{"type":"ping","id":4}\n{"type":"msgto","id":5,"to":"nobody","text":"x"}\n{"type":"sync","id":6}\n'
        )
        lines = [aaa.read() for _ in range(6)]
        assert [(line["type"], line["re"]) for line in lines] == [
            ("pong", 4), ("welcome", 1), ("created", 2), ("sent", 3), ("error", 5), ("synced", 6)
        ]  # fmt: skip
        assert [event["text"] for event in bbb.synced()] == ["hi"]
