"""A person of the chaos run: talks, loses the connection, comes back, and remembers everything. Speaks the plain wire.

Deliberately not the client's own connection: a second implementation of the protocol finds what both ends of the first
one may misunderstand.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

AGAIN_SECONDS = (0.02, 0.2)
"""Between which the pause before another attempt to connect is chosen."""

MAX_OPEN = 256
"""Unanswered requests above which a person waits with the next message."""


class Participant:
    """One signed-in person."""

    def __init__(self, name: str, where: Callable[[], int], per_second: float, choices: random.Random) -> None:
        """`where` tells the server's port; `per_second` messages are sent while it goes."""
        self.name = name
        self.acknowledged: dict[str, int] = {}
        """The texts that were answered with `sent`, and their sequence numbers."""
        self.not_done: set[str] = set()
        """The texts of which the server said that they were not carried out."""
        self.due: dict[str, list[str]] = {}
        """For each text who must be shown it."""
        self.shown: list[tuple[int, str]] = []
        """The sequence number and text of every message shown, in order."""
        self.lost = 0
        """Connections that broke."""
        self._where = where
        self._pause = 1 / per_second if per_second else 0.0
        self._random = choices
        self.peer = ""
        """To whom half of the messages go."""
        self._group = ""
        self._others: list[str] = []
        self._next_id = 1
        self._count = 0
        self._token = ""
        self._seen = 0
        self._run: dict[str, Any] = {}  # that of the server, which `_seen` is of, and those that led to it
        self._open: dict[int, tuple[bytes, str]] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._listening = asyncio.Event()
        self._listening.set()
        self._leaving = False
        self.is_quiet = False
        """Whether nothing more is said for the moment."""

    # ---- what it does ----

    async def connect(self) -> None:
        """Sign in, however long that takes."""
        self._reading = asyncio.ensure_future(self._stay_connected())
        await self._connected.wait()

    async def create_group(self, group: str, members: list[str]) -> None:
        """Make a group."""
        await self._ask({"type": "creategroup", "group": group, "members": members})

    def joined(self, group: str, members: list[str]) -> None:
        """Talk in this group from now on."""
        self._group = group
        self._others = [member for member in members if member != self.name]

    async def talk(self, goes_on: Callable[[], bool]) -> None:
        """Send messages while it goes on, half of them to the peer and half to the group."""
        while goes_on():
            await asyncio.sleep(self._pause * self._random.uniform(0.5, 1.5))
            if self.is_quiet or len(self._open) >= MAX_OPEN or not self._connected.is_set():
                continue
            if self._random.random() < 0.5:
                self.tell(self.peer)
            else:
                text = self._new_text()
                self.due[text] = self._others
                self._send({"type": "groupmsg", "group": self._group, "text": text}, text)

    def tell(self, to: str, padding: int = 0) -> None:
        """Send a private message with so many characters behind what makes it unique."""
        text = self._new_text() + "x" * padding
        self.due[text] = [to]
        self._send({"type": "msgto", "to": to, "text": text}, text)

    def _new_text(self) -> str:
        self._count += 1
        return f"{self.name} no {self._count}"

    def stop_listening(self) -> None:
        """Read nothing any more, but stay, and talk on."""
        self._listening.clear()

    def listen(self) -> None:
        """Read again."""
        self._listening.set()

    @property
    def is_cut_off(self) -> bool:
        """Whether writing found out that the server has closed the connection."""
        return self._writer is not None and self._writer.is_closing()

    async def settle(self) -> None:
        """Wait until all is answered, and shown what was ordered before now."""
        await self._ask({"type": "sync"})  # answers come in order: all that was asked before is answered then
        assert not self._open

    def remembered(self) -> tuple[dict[str, int], set[str], int]:
        """Return what is known of the past as of now: acknowledged, not done, and how many were shown."""
        return dict(self.acknowledged), set(self.not_done), len(self.shown)

    def go_back(self, past: tuple[dict[str, int], set[str], int]) -> None:
        """Know no more than at that time: the server has lost what came after it."""
        acknowledged, not_done, shown = past
        self.acknowledged, self.not_done = dict(acknowledged), set(not_done)
        del self.shown[shown:]
        self.due = {text: names for text, names in self.due.items() if text in acknowledged or text in not_done}

    async def connected(self) -> None:
        """Wait until there is a connection."""
        await self._connected.wait()

    async def leave(self) -> None:
        """Log out."""
        self._leaving = True
        await self._ask({"type": "logout"})
        if self._reading is not None:
            await self._reading

    # ---- the connection ----

    async def _stay_connected(self) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self._where(), limit=1 << 20)
                await self._introduce(reader)
                await self._read(reader)
            except (OSError, EOFError):
                pass
            if self._leaving:
                return
            if self._connected.is_set():
                self.lost += 1
                self._connected.clear()
            if self._writer is not None:
                self._writer.close()
            await asyncio.sleep(self._random.uniform(*AGAIN_SECONDS))

    async def _introduce(self, reader: asyncio.StreamReader) -> None:
        """Sign in or resume, and send again what was not answered."""
        assert self._writer is not None
        number, self._next_id = self._next_id, self._next_id + 1
        if self._token:
            known = {"token": self._token, "after": self._seen, **self._run}
            self._write({"type": "resume", "id": number, **known})
        else:
            self._write({"type": "login", "id": number, "user": self.name, "password": "pw"})
        line = await reader.readline()
        if not line:
            raise EOFError
        answer = json.loads(line)
        if answer["type"] != "welcome":
            if answer.get("code") == "unavailable":
                raise EOFError
            raise RuntimeError(f"{self.name} was not let in: {answer}")
        self._token = answer["token"]
        self._run = {"run": answer["run"], "runs": answer["runs"]}
        self._seen = min(self._seen, answer.get("after", self._seen))
        for line, _ in list(self._open.values()):
            self._writer.write(line)
        self._connected.set()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if not line.endswith(b"\n"):
                raise EOFError
            self._take(json.loads(line))
            await self._listening.wait()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if "seq" in message and "re" not in message:
            self._seen = max(self._seen, message["seq"])
        if kind in {"message", "groupmessage"}:
            self.shown.append((message["seq"], message["text"]))
        elif "re" in message:
            self._answered(message)

    def _answered(self, message: dict[str, Any]) -> None:
        number = message["re"]
        _, text = self._open.pop(number, (b"", ""))
        if message["type"] == "sent" and text:
            self.acknowledged[text] = message["seq"]
        elif message["type"] == "error" and text:
            if message["code"] != "not_done":
                raise RuntimeError(f"{self.name} got {message}")
            self.not_done.add(text)
        waiting = self._answers.pop(number, None)
        if waiting is not None:
            waiting.set_result(message)

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, again after every break, and return its answer."""
        number = self._send(request, "")
        self._answers[number] = asyncio.get_running_loop().create_future()
        return await self._answers[number]

    def _send(self, request: dict[str, Any], text: str) -> int:
        number, self._next_id = self._next_id, self._next_id + 1
        line = json.dumps({**request, "id": number}).encode() + b"\n"
        self._open[number] = (line, text)
        if self._connected.is_set() and self._writer is not None and not self._writer.is_closing():
            self._writer.write(line)  # otherwise it is sent again when the connection is back
        return number

    def _write(self, request: dict[str, Any]) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(request).encode() + b"\n")
