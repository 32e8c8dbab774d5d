"""History from a real server, for a program and for a person."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from tessenger.chat.ports import Page, Question, Reader, Worker
from tessenger.journal.store import SqliteJournal
from tessenger.server.office import Office
from tessenger.server.sign_ins import WaitingLimits
from tessenger.state.credentials import Credentials
from tests.support.journal_file import entries_in
from tests.support.log_history import History
from tests.support.piped_client import PipedClient
from tests.support.server_process import DEADLINE, running_server
from tests.support.wire_client import WireClient

CLIENT = [sys.executable, "-m", "tessenger", "client"]


def test_what_was_said_is_read_back(tmp_path: Path) -> None:
    """Over two workers: what one was told and said, with `since` and `before`, and the console says who looked."""
    with running_server(tmp_path) as server, WireClient(server.port) as aaa, WireClient(server.port) as bbb:
        aaa.login("aaa")
        bbb.login("bbb")
        sent = [aaa.ask("msgto", to="bbb", text=f"text {number}") for number in range(5)]
        bbb.ask("msgto", to="aaa", text="answer")
        answer = bbb.ask("history", **{"with": "aaa", "since": sent[3]["at"]})
        texts = [message["text"] for message in answer["messages"]]
        assert texts[-3:] == ["text 3", "text 4", "answer"]
        assert answer["messages"][-1] | {"seq": 0, "at": 0} == {
            "type": "message", "seq": 0, "at": 0, "from": "bbb", "to": "aaa", "text": "answer",
        }  # fmt: skip
        answer = bbb.ask("history", limit=2, before=sent[2]["seq"])
        assert [message["text"] for message in answer["messages"]] == ["text 0", "text 1"]
        server.wait_for(">> bbb issued history command")


def test_a_person_sees_lines_as_they_came(tmp_path: Path) -> None:
    """In a pipe: the lines of before, the oldest first, one's own with whom they went to."""
    with (
        running_server(tmp_path) as server,
        WireClient(server.port) as bbb,
        PipedClient(server.port, tmp_path, command=CLIENT) as aaa,
    ):
        bbb.login("bbb")
        aaa.sign_in("aaa")
        aaa.type("/history today")
        assert aaa.answer() == ["No messages."]
        aaa.type("/msgto bbb how are u ?")
        (sent,) = aaa.answer()
        stamp = sent.removeprefix("message sent at ")
        bbb.ask("msgto", to="aaa", text="fine")
        (came,) = aaa.answer()
        aaa.type("/history bbb 1h")
        assert aaa.answer() == [f"{stamp}, aaa to bbb: how are u ?", came]
        aaa.type("/history bbb yesterday")
        (problem,) = aaa.answer()
        assert problem.endswith("not yesterday.")


def test_reading_history_delays_no_other_read(tmp_path: Path) -> None:
    """While one question about the past takes its time, what a resumed session missed is read."""
    path = tmp_path / "journal.db"
    history = History()
    with closing(SqliteJournal(path, "process")) as journal:
        for batch in (history.online("aaa"), history.online("Bbb"), history.message("aaa", "Bbb")):
            journal.commit(batch)
        journal.settle()
        asyncio.run(_read_both(path))
        assert len(entries_in(path)) == 3


async def _read_both(path: Path) -> None:
    office = Office(Worker(1, 1), 1, cast(Credentials, None), path, 10, WaitingLimits(1, 1, 1))
    go_on = threading.Event()
    asked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    missed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def slowly(reader: Reader) -> Page:
        assert go_on.wait(DEADLINE)
        return reader.history(Question("aaa", "", "", 9, 0, 0, 9))

    query: Callable[[Reader], Page] = slowly
    office._looking_back.ask(query, asked.set_result)
    office.missed("Bbb", 0, 3, missed.set_result)
    found = await asyncio.wait_for(missed, DEADLINE)
    assert len(found) == 1
    assert not asked.done()
    go_on.set()
    page = await asyncio.wait_for(asked, DEADLINE)
    assert [entry.text for entry in page.found] == ["hi"]
