"""A scripted server that speaks the wire, for tests of the client alone.

It answers requests plausibly (anyone whose password is `password`, "123", may sign in), records every request, and
does on demand what a test needs: push an event, answer otherwise, drop a connection. It runs in a thread of the test.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from tessenger.wire.messages import (
    ActiveUser,
    ActiveUsers,
    Answer,
    AnyRequest,
    Away,
    AwayAnswer,
    Bye,
    Created,
    CreateGroup,
    Denied,
    Error,
    GroupMsg,
    Joined,
    JoinGroup,
    Limits,
    Login,
    Logout,
    Message,
    MsgTo,
    Names,
    NamesAnswer,
    Offered,
    Ping,
    Pong,
    Request,
    Resume,
    Seen,
    Sent,
    Sync,
    Synced,
    UserLine,
    Welcome,
    Whois,
    WhoisAnswer,
)

PATIENCE = 20.0
"""Seconds that a test waits for something that must happen."""

AT = 1_699_649_830_000
"""The time of everything: 10 November 2023 20:57:10 UTC."""

R = TypeVar("R", bound=Request)
_DECODER = msgspec.json.Decoder(AnyRequest)


class FakeServer:
    """A server on 127.0.0.1, on a free port unless told otherwise.

    `script` maps a type of request to what answers it; `greeting` is sent to whoever connects.
    """

    def __init__(self, *, greeting: bytes = b"", port: int = 0) -> None:
        self.script: dict[type[Request], Callable[[AnyRequest], list[Answer]]] = {}
        self.password = "123"
        self.limits = Limits(line_bytes=65_536, text_bytes=49_152, group_members=1_000)
        self.groups: list[str] = ["g"]
        self.offline: list[str] = []
        self.logins: list[Login] = []
        self._greeting = greeting
        self._requests: queue.Queue[AnyRequest] = queue.Queue()
        self._kinds: set[type[Request]] = set()
        self._passed: list[AnyRequest] = []
        self._online: dict[str, socket.socket] = {}
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._seq = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        _cut(self._listener)  # a mere close leaves it listening while the thread waits in `accept`
        for sock in self._sockets:
            _cut(sock)

    # ---- what a test does ----

    def expect(self, kind: type[R]) -> R:
        """Return the next request of this type, or fail after `PATIENCE`."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                request = self._requests.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind.__name__} came; before: {self._passed[-10:]}") from None
            self._passed.append(request)
            if isinstance(request, kind):
                return request

    def has_got(self, kind: type[Request]) -> bool:
        """Tell whether a request of this type has come, ever."""
        return kind in self._kinds

    def push(self, user: str, *answers: Answer) -> None:
        """Send events to someone, once they are signed in."""
        self._send(self._of(user), *answers)

    def push_raw(self, user: str, data: bytes) -> None:
        """Send someone these bytes, whatever they are."""
        with self._writing:
            self._of(user).sendall(data)

    def say(self, to: str, text: str, sender: str = "bbb") -> None:
        """Send someone a private message."""
        self.push(to, Message(self.number(), sender, text, AT))

    def drop(self, user: str) -> None:
        """Cut someone's connection."""
        _cut(self._of(user))

    def hang_up(self, *answers: Answer) -> None:
        """Send this to the newest connection and close it, whoever it is."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._sockets, PATIENCE), "nobody has connected"
        self._send(self._sockets[-1], *answers)
        _cut(self._sockets[-1])

    def number(self) -> int:
        """Return the next sequence number."""
        self._seq += 1
        return self._seq

    def _of(self, user: str) -> socket.socket:
        with self._changed:
            assert self._changed.wait_for(lambda: user in self._online, PATIENCE), f"{user} did not sign in"
            return self._online[user]

    # ---- what it does by itself ----

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # stopped
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._changed:
                self._sockets.append(sock)
                self._changed.notify_all()
            sock.sendall(self._greeting)
            with sock, sock.makefile("rb") as lines:
                for line in lines:
                    if not line.startswith(b"{"):
                        return  # another protocol: TLS
                    request = _DECODER.decode(line)
                    answers = self._answer(request, sock)
                    self._requests.put(request)
                    self._kinds.add(type(request))
                    self._send(sock, *answers)
                    if any(isinstance(a, Bye) or (isinstance(a, Denied) and "blocked" in a.code) for a in answers):
                        return
        except OSError:
            return  # the client is gone, or the test cut it off

    def _answer(self, request: AnyRequest, sock: socket.socket) -> list[Answer]:
        if isinstance(request, Login):
            self.logins.append(request)
        scripted = self.script.get(type(request))
        if scripted is not None:
            answers = scripted(request)
        elif isinstance(request, Login):
            answers = self._sign_in(request)
        else:
            answers = self._plausible(request)
        for answer in answers:
            if isinstance(answer, Welcome):
                with self._changed:
                    self._online[answer.user] = sock
                    self._changed.notify_all()
        return answers

    def _sign_in(self, login: Login) -> list[Answer]:
        if login.password != self.password:
            return [Denied(login.id, "invalid_password", "Invalid password. Please try again.")]
        return [Welcome(login.id, login.user, f"token-{login.user}", self._seq, self.limits)]

    def _plausible(self, request: AnyRequest) -> list[Answer]:
        match request:
            case MsgTo(id=re, to=to):
                if to not in self._online and to != "bbb":
                    return [Error("not_online", f"user {to} not online", re)]
                return [Sent(re, self.number(), AT)]
            case GroupMsg(id=re):
                return [Sent(re, self.number(), AT)]
            case ActiveUser(id=re):
                return [ActiveUsers(re, [UserLine(user, "127.0.0.1", 13_000, AT) for user in self._online])]
            case CreateGroup(id=re, group=group, members=members):
                return [Created(re, group, members)]
            case JoinGroup(id=re, group=group):
                return [Joined(re, group, ["aaa", "bbb"])]
            case Names(id=re, everybody=everybody):
                return [NamesAnswer(re, [*self._online, "bbb"], self.groups, others=self.offline if everybody else [])]
            case Whois(id=re, user=user) if user in (*self._online, "bbb"):
                return [WhoisAnswer(re, user, since=AT, ip="127.0.0.1")]
            case Whois(id=re, user=user) if user in self.offline:
                return [WhoisAnswer(re, user)]
            case Whois(id=re, user=user):
                return [Error("unknown_user", f"user {user} does not exist", re)]
            case Away(id=re, text=text):
                return [AwayAnswer(re, text)]
            case Ping(id=re):
                return [Pong(re)]
            case Sync(id=re):
                return [Synced(re)]
            case Logout(id=re):
                return [Bye(re)]
            case Seen():
                return []
            case Resume(id=re, token=token):
                return [Welcome(re, token.removeprefix("token-"), token, self._seq, self.limits)]
            case _:
                return [Offered(request.id, getattr(request, "transfer", ""))]

    def _send(self, sock: socket.socket, *answers: Answer) -> None:
        with self._writing:
            sock.sendall(b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers))


def _cut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was gone already
    finally:
        sock.close()


# ---- answers for `script` ----


def expired(request: AnyRequest) -> list[Answer]:
    """The session is over."""
    assert isinstance(request, Resume)
    return [Denied(request.id, "session_expired", "Your session is over.")]


def elsewhere(request: AnyRequest) -> list[Answer]:
    """The person has another connection."""
    assert isinstance(request, Login)
    return [Denied(request.id, "online_elsewhere", "You are elsewhere.")]
