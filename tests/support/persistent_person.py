"""A person who never gives up, as the client does: resumes what broke, sends again what was not answered.

Blocking, over the plain wire, and remembers everything, so that a test can compare what was acknowledged with what was
shown and what was written. `check_exactly_once` does that for everybody.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from tests.support.deadline import until
from tests.support.journal_file import entries_in
from tests.support.server_process import DEADLINE, ServerProcess
from tests.support.wire_client import WireClient

Line = dict[str, Any]


class Person:
    """Somebody with a session and, most of the time, a connection."""

    def __init__(self, port: int, user: str) -> None:
        """Sign in."""
        self.user = user
        self.acknowledged: dict[str, int] = {}
        """The texts that were answered with `sent`, and their sequence numbers."""
        self.not_done: set[str] = set()
        """The texts of which the server said that they were not carried out."""
        self.due: dict[str, Sequence[str]] = {}
        """For each text who must be shown it."""
        self.shown: list[tuple[int, str]] = []
        """The sequence number and text of every message shown, in order."""
        self.lost = 0
        """Connections that broke."""
        self.welcomes: list[Line] = []
        self.port = port
        self._open: dict[int, tuple[bytes, str]] = {}
        self._answers: dict[int, Line] = {}
        self.client = WireClient(port, tls=False)
        self._welcomed(self.client.ask("login", user=user, password="123"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()

    @property
    def token(self) -> str:
        """What resumes the session."""
        return str(self.welcomes[-1]["token"])

    @property
    def seen(self) -> int:
        """The number of the last event shown, or of the sign-in."""
        return self.shown[-1][0] if self.shown else int(self.welcomes[0]["seq"])

    # ---- what it says ----

    def say(self, text: str, *to: str, group: str = "") -> None:
        """Send a message to one person, or to a group whose other members `to` are. Waits for nothing."""
        self.say_all([(text, to, group)])

    def say_all(self, messages: Sequence[tuple[str, Sequence[str], str]]) -> None:
        """Send several of them in one piece, so that they are one batch."""
        lines = []
        for text, to, group in messages:
            self.due[text] = to
            target = {"type": "groupmsg", "group": group} if group else {"type": "msgto", "to": to[0]}
            lines.append(self._line(target | {"text": text}, text))
        self._transmit(b"".join(lines))

    def begin(self, type_: str, **fields: Any) -> int:
        """Send a request without waiting for its answer."""
        line = self._line({"type": type_, **fields}, "")
        self._transmit(line)
        return self.client.next_id - 1

    def end(self, number: int) -> Line:
        """Return the answer to a request that was begun, however often the connection breaks before it comes."""
        deadline = time.monotonic() + DEADLINE
        while number not in self._answers:
            assert time.monotonic() < deadline, f"{self.user} was never answered"
            self._read()
        return self._answers.pop(number)

    def ask(self, type_: str, **fields: Any) -> Line:
        """Send a request and return its answer."""
        return self.end(self.begin(type_, **fields))

    def settle(self) -> None:
        """Wait until everything is answered, and everything ordered before now is shown."""
        assert self.ask("sync")["type"] == "synced"
        assert not self._open

    def resume(self) -> None:
        """Give up this connection, and go on over another one."""
        self.lost += 1
        self.client.close()
        deadline = time.monotonic() + DEADLINE
        while not self._came_back():
            assert time.monotonic() < deadline, f"{self.user} could not resume"

    def read_once(self, reasons: list[str]) -> None:
        """Read a line, resuming where there is none; the code of an error that is no answer is added to `reasons`."""
        self._read(reasons)

    # ---- the connection ----

    def _line(self, request: Line, text: str) -> bytes:
        number, self.client.next_id = self.client.next_id, self.client.next_id + 1
        line = json.dumps({**request, "id": number}).encode() + b"\n"
        self._open[number] = line, text
        return line

    def _transmit(self, data: bytes) -> None:
        with suppress(OSError):  # the next read resumes, and sends it again
            self.client.send_raw(data)

    def _read(self, reasons: list[str] | None = None) -> None:
        try:
            message = self.client.read()
        except (EOFError, OSError):
            self.resume()
        else:
            if reasons is not None and message["type"] == "error" and message["re"] is None:
                reasons.append(message["code"])
            self._take(message)

    def _take(self, message: Line) -> None:
        if message["type"] in {"message", "groupmessage"}:
            self.shown.append((message["seq"], message["text"]))
        elif message.get("re") is not None:
            _, text = self._open.pop(message["re"], (b"", ""))
            if not text:
                self._answers[message["re"]] = message
            elif message["type"] == "sent":
                self.acknowledged[text] = message["seq"]
            else:
                assert message["code"] == "not_done", message
                self.not_done.add(text)

    def _came_back(self) -> bool:
        next_id = self.client.next_id + 1
        try:
            self.client = WireClient(self.port, tls=False)
            self.client.next_id = next_id
            number = self.client.send("resume", id=next_id - 1, token=self.token, after=self.seen)
            answer = self.client.read()
            assert answer.get("re", number) == number, answer
            if answer["type"] == "welcome":
                self._welcomed(answer)
                self.client.send_raw(b"".join(line for line, _ in self._open.values()))
                return True
            assert answer.get("code") == "unavailable", answer
        except (EOFError, OSError):  # closed again, or not there at the moment
            pass
        self.client.close()
        self.client.next_id = next_id
        return False

    def _welcomed(self, answer: Line) -> None:
        assert answer["type"] == "welcome", answer
        self.welcomes.append(answer)


@contextmanager
def people(server: ServerProcess, *users: str) -> Iterator[list[Person]]:
    """Sign these users in, in this order: the first on worker 1, the second on worker 2, and so on."""
    with ExitStack() as connections:
        yield [connections.enter_context(Person(server.port, user)) for user in users]


def check_exactly_once(server: ServerProcess, *people: Person) -> dict[str, int]:
    """Compare what was acknowledged with what was shown, the journal and the activity logs; return it.

    Everybody settles first. The journal is read while the server runs.
    """
    for person in people:
        person.settle()
    for person in people:  # what the others' last requests led to
        person.settle()
    acknowledged = {text: seq for person in people for text, seq in person.acknowledged.items()}
    not_done = {text for person in people for text in person.not_done}
    due = {text: to for person in people for text, to in person.due.items()}
    assert acknowledged.keys() | not_done == due.keys()
    assert not acknowledged.keys() & not_done
    for person in people:
        wanted = sorted((seq, text) for text, seq in acknowledged.items() if person.user in due[text])
        assert person.shown == wanted, f"{person.user}\n{server.report()}"
    in_order = sorted((seq, text) for text, seq in acknowledged.items())
    # Others find what was committed some milliseconds later.
    until(lambda: in_journal(server) == in_order, f"all is in the journal\n{server.report()}")
    until(lambda: in_text_logs(server) == in_order, f"all is in the activity logs\n{server.report()}")
    return acknowledged


def in_journal(server: ServerProcess) -> list[tuple[int, str]]:
    """Return number and text of every message in the journal."""
    return [(e["seq"], e["text"]) for e in entries_in(server.data_dir / "journal.db") if e["kind"] in ("m", "g")]


def in_text_logs(server: ServerProcess) -> list[tuple[int, str]]:
    """Return number and text of every line in the logs of messages, each log being in order."""
    found: Counter[tuple[int, str]] = Counter()
    for log in server.data_dir.glob("*messagelog.txt"):
        lines = [line.split("; ") for line in log.read_text().splitlines()]
        numbers = [int(fields[0]) for fields in lines]
        assert numbers == sorted(set(numbers)), f"{log.name} is out of order, or has a line twice"
        found.update((int(fields[0]), fields[-1]) for fields in lines)
    return sorted(found.elements())
