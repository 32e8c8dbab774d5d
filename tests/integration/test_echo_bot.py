"""The bot of examples/echo_bot.py, a process of its own, with a real server whose workers are killed under it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tessenger.client import Connection, ConnectionFailed, Message
from tests.support.server_process import DEADLINE, ROOT, ServerProcess, running_server

ROUNDS = 4
EACH = 25


@contextmanager
def running_bot(port: int, home: Path) -> Iterator[subprocess.Popen[str]]:
    """The bot, signed in as bbb."""
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "TESSENGER_PASSWORD": "123"}
    environment["XDG_STATE_HOME"] = str(home / "state")
    command = [sys.executable, str(ROOT / "examples/echo_bot.py"), "127.0.0.1", str(port), "bbb"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            process.wait(DEADLINE)


async def talk(server: ServerProcess, home: Path) -> tuple[list[str], list[str]]:
    """Send texts to the bot, killing a worker in the middle of each round; return them, and what came back."""
    sent: list[str] = []
    echoes: list[str] = []
    async with (
        asyncio.timeout(2 * DEADLINE),
        Connection.connect("127.0.0.1", server.port, user="aaa", password="123", state_dir=home) as chat,
    ):
        for number in range(ROUNDS):
            worker = f"worker {number % 2 + 1}"
            texts = [f"round {number}, no {each}" for each in range(EACH)]
            sending = [asyncio.ensure_future(chat.send("bbb", text)) for text in texts]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            old = await asyncio.to_thread(server.kill_role, worker)
            await asyncio.gather(*sending)
            sent += texts
            while len(echoes) < len(sent):
                event = await anext(chat)
                assert isinstance(event, Message)
                echoes.append(event.text)
            await asyncio.to_thread(server.wait_for_replacement, worker, old)
        await chat.sync()
        assert not chat._inbox._events, "something came twice"
    return sent, echoes


def test_each_message_is_echoed_once_though_workers_die(tmp_path: Path) -> None:
    """Both the bot and whoever talks to it resume by themselves: nothing is lost, doubled or out of order."""
    with running_server(tmp_path / "server") as server, running_bot(server.port, tmp_path / "bot"):
        sent, echoes = asyncio.run(talk(server, tmp_path / "person"))
        assert echoes == [f"echo: {text}" for text in sent]


def test_ctrl_c_signs_the_bot_out(tmp_path: Path) -> None:
    """It waits for nothing at that moment, so it leaves as it should."""
    with running_server(tmp_path / "server") as server, running_bot(server.port, tmp_path / "bot") as bot:
        bot.send_signal(signal.SIGINT)
        server.wait_for(">> bbb logout")
        bot.wait(DEADLINE)


def test_the_servers_key_can_be_named(tmp_path: Path) -> None:
    """A bot that is told the key needs no file of known servers, and talks to no other server."""

    async def scenario(server: ServerProcess) -> None:
        def connect(fingerprint: str = "", state: str = "new") -> Connection:
            return Connection.connect(
                "127.0.0.1", server.port, user="aaa", password="123", fingerprint=fingerprint,
                state_dir=tmp_path / state,
            )  # fmt: skip

        async with connect(state="pinned"):
            pinned = (tmp_path / "pinned" / "known_servers").read_text().split()[1]
        async with connect(pinned) as chat:
            await chat.ping()
        assert not (tmp_path / "new" / "known_servers").exists()
        with pytest.raises(ConnectionFailed, match="not sha256:other"):
            await connect("sha256:other").__aenter__()

    with running_server(tmp_path / "server") as server:
        asyncio.run(scenario(server))
