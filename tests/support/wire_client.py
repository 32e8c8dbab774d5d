"""A client that speaks the wire and nothing else: for tests that look at the server from outside."""

from __future__ import annotations

import json
import socket
import ssl
from types import TracebackType
from typing import Any, Self

DEADLINE = 20.0


class WireClient:
    """A blocking connection: `ask` sends a request and returns its answer, events that come meanwhile are kept."""

    def __init__(self, port: int, *, tls: bool = True, receive_buffer: int = 0, host: str = "127.0.0.1") -> None:
        """Connect to this port; `receive_buffer` makes the kernel's small (bytes), for slow readers.

        Raises `OSError` when the server closes before the connection is made.
        """
        plain = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(DEADLINE)
        plain.connect((host, port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            try:
                self.socket: socket.socket = context.wrap_socket(plain)
            except OSError:  # an SSLError is one: the server closed instead of shaking hands
                plain.close()
                raise
        else:
            self.socket = plain
        self.socket.settimeout(DEADLINE)
        self._file = self.socket.makefile("rb")
        self.events: list[dict[str, Any]] = []
        self.next_id = 1
        self.token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def send(self, type_: str, **fields: Any) -> int:
        """Send a request without waiting, and return its id."""
        number = fields.pop("id", None) or self.next_id
        self.next_id = max(self.next_id, number) + 1
        self.send_raw(json.dumps({"type": type_, "id": number, **fields}).encode() + b"\n")
        return int(number)

    def send_raw(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read(self) -> dict[str, Any]:
        """Return the next line, whatever it is. Raises `EOFError` when the server has closed."""
        try:
            line = self._file.readline()
        except (ConnectionResetError, ssl.SSLError):
            line = b""
        if not line:
            raise EOFError("the server has closed the connection")
        message: dict[str, Any] = json.loads(line)
        return message

    def answer(self, re: int) -> dict[str, Any]:
        """Return the answer to request `re`; what comes before is kept in `events`."""
        while (message := self.read()).get("re") != re:
            self.events.append(message)
        return message

    def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        return self.answer(self.send(type_, **fields))

    def login(self, user: str, password: str = "123", **fields: Any) -> dict[str, Any]:
        """Sign in, and expect to be welcome."""
        welcome = self.ask("login", user=user, password=password, **fields)
        assert welcome["type"] == "welcome", welcome
        self.token = welcome["token"]
        return welcome

    def synced(self) -> list[dict[str, Any]]:
        """Return every event that has come until now: a barrier proves that there are no more."""
        answer = self.ask("sync")
        assert answer["type"] == "synced", answer
        events, self.events = self.events, []
        return events

    def until_closed(self) -> list[dict[str, Any]]:
        """Return everything that comes until the server closes."""
        lines = []
        while True:
            try:
                lines.append(self.read())
            except EOFError:
                return lines

    def close(self) -> None:
        """Close without a logout, as a connection that breaks."""
        self._file.close()
        self.socket.close()
