"""A server whose data directory was put back from a backup: everybody is shown everything that it has, once.

With a real server, and people on the library: one whose session the backup brings back, one whose session began in the
time that is lost, and one whose program is started now and then and goes by what it has kept.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tessenger.client import Connection, Message
from tessenger.client.channel import WENT_BACK
from tests.support.server_process import DEADLINE, ServerProcess

CONFIG = "[messages]\noffline_delivery = true\n"
READERS = ("bbb", "ccc", "ddd")


class Team:
    """The server, which is stopped and started again, and how people reach it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = ServerProcess(folder / "server", config=CONFIG)
        self.port = self.server.port

    def person(self, user: str) -> Connection:
        """Return a connection that waits to be entered; what it keeps is there at the next one."""
        return Connection.connect(
            "127.0.0.1", self.port, user=user, password="123", state_dir=self._folder / f"state of {user}"
        )

    async def stop(self) -> None:
        """Stop the server."""
        assert await asyncio.to_thread(self.server.stop) == 0, self.server.report()

    async def start(self) -> None:
        """Start it again, on the same port."""
        folder, port = self._folder / "server", self.port
        self.server = await asyncio.to_thread(ServerProcess, folder, config=CONFIG, port=port)

    async def say(self, what: str, count: int) -> list[int]:
        """Let everybody be told so much by aaa; return the numbers."""
        async with self.person("aaa") as aaa:
            sent = [await aaa.send(user, f"{what} {n}") for n in range(count) for user in READERS]
        return [answer.seq for answer in sent]


async def heard(chat: Connection) -> list[str]:
    """Return the texts of all messages that have been ordered for someone until now and that they were not shown."""
    texts: list[str] = []
    await chat.sync()
    while not chat._inbox.is_empty:
        event = await anext(chat)
        if isinstance(event, Message):
            texts.append(event.text)
        chat._inbox.done()
    return texts


def test_nobody_misses_or_is_told_twice_what_a_restored_server_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The numbers of what is said then are those of what is lost; nobody takes the one for the other."""
    caplog.set_level(logging.INFO, "tessenger.client")
    team = Team(tmp_path)
    data, backup = team.server.data_dir, tmp_path / "backup"
    before, lost, restored = ([f"{what} {n}" for n in range(n)] for what, n in (("b", 3), ("l", 8), ("r", 20)))

    async def one_run(user: str) -> list[str]:
        async with team.person(user) as chat:
            return await heard(chat)

    async def scenario() -> None:
        async with asyncio.timeout(4 * DEADLINE), AsyncExitStack() as people:
            bbb = await people.enter_async_context(team.person("bbb"))
            await team.say("b", 3)
            assert [await heard(bbb), await one_run("ccc"), await one_run("ddd")] == [before] * 3
            await team.stop()
            shutil.copytree(data, backup)
            await team.start()
            ccc = await people.enter_async_context(team.person("ccc"))
            first = await team.say("l", 8)
            assert [await heard(chat) for chat in (bbb, ccc)] == [lost] * 2
            assert await one_run("ddd") == lost
            await team.stop()
            shutil.rmtree(data)
            shutil.copytree(backup, data)
            await team.start()
            second = await team.say("r", 20)
            assert second[0] <= first[0] < first[-1] < second[-1], "the numbers have overlapped"
            assert [await heard(chat) for chat in (bbb, ccc)] == [restored] * 2
            assert await one_run("ddd") == restored
            await team.say("z", 1)
            assert [await heard(chat) for chat in (bbb, ccc)] == [["z 0"]] * 2
        assert [await one_run(user) for user in READERS] == [[], [], ["z 0"]]

    try:
        asyncio.run(scenario())
    except BaseException:
        print(team.server.report())
        raise
    finally:
        team.server.stop()
    assert caplog.messages.count(WENT_BACK) == 3
