"""The client's side of a session: numbered requests, their answers in order, events, keep-alive. Runs in the client.

Everything that comes is handed on synchronously and in the order of the wire: an answer to who asked, an event to
`on_event`. The connection keeps the token, the last sequence number and the unanswered requests apart from the socket
(`link.Link`), so that a session can outlive one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from tessenger.client.keep_alive import KeepAlive
from tessenger.client.link import LOST, Link
from tessenger.client.reconnect import Patience, Refused, retry
from tessenger.errors import ConnectionFailed
from tessenger.wire.messages import (
    Accepted,
    AnyAnswer,
    AnyRequest,
    Bye,
    Cancelled,
    Closing,
    Denied,
    Error,
    GroupMessage,
    Message,
    Offer,
    Ping,
    Pong,
    Rejected,
    Replaced,
    Resume,
    Seen,
    Unread,
    Welcome,
)

SEEN_SECONDS = 1.0
"""How often, at most, the server is told what was shown."""

RESUME_SECONDS = 10.0
"""How long the server may take to answer an attempt to resume."""

WINDOW = 256
"""Unanswered requests before `room` waits; the server allows 1,024."""

Event = Message | GroupMessage | Offer | Accepted | Rejected | Cancelled | Unread
_T = TypeVar("_T")


class Dial(Protocol):
    """What makes a link; `link.Dialer` over TCP."""

    async def dial(self, on_answer: Callable[[AnyAnswer], None], on_lost: Callable[[str], None]) -> Link:
        """Connect."""


class Ending(Struct, frozen=True):
    """How a session ended. `text` is for the person; `said` where it is the server's own word."""

    text: str
    ok: bool = False
    said: bool = False


class _Pending(Struct, frozen=True):
    line: bytes
    on_answer: Callable[[AnyAnswer], None]


class Channel:
    """A session with the server. After a break it resumes by itself, for as long as `patience` lasts."""

    def __init__(self, dialer: Dial, patience: Patience, on_notice: Callable[[str], None]) -> None:
        self._dialer = dialer
        self._patience = patience
        self._on_notice = on_notice
        self._on_event: Callable[[Event], None] | None = None
        self._early: list[Event] = []
        self._link: Link | None = None
        self._encoder = msgspec.json.Encoder()
        self._pending: dict[int, _Pending] = {}
        self._last_id = 0
        self._keep_alive = KeepAlive(lambda: self.request(Ping(id=0), _ignore_pong), self._drop)
        self._closing = False
        self._resuming: asyncio.Task[None] | None = None
        self._welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen_timer: asyncio.TimerHandle | None = None
        self._shown = 0
        self._seen = 0
        self._less: asyncio.Event = asyncio.Event()
        self._said = ""
        self.token = ""
        self.user = ""
        self.last_seq = 0
        self.line_bytes = 65_536
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Connect; raises `ConnectionFailed` or `ConnectionRefusedError`."""
        link = await self._dialer.dial(self._receive, self._lost)
        if not link.is_open:
            raise ConnectionFailed(self._said or LOST)
        self._use(link)

    def deliver_to(self, on_event: Callable[[Event], None]) -> None:
        """Hand events on from here on; those that came right behind the sign-in first."""
        self._on_event = on_event
        early, self._early = self._early, []
        for event in early:
            on_event(event)

    # ---- requests ----

    def request(self, request: AnyRequest, on_answer: Callable[[AnyAnswer], None]) -> None:
        """Send a request under the next id; `on_answer` gets each answer to it (lists may come in several)."""
        self._last_id += 1
        line = self._encoder.encode(msgspec.structs.replace(request, id=self._last_id))
        self._pending[self._last_id] = _Pending(line, on_answer)
        self._send(line)

    async def ask(self, request: AnyRequest) -> AnyAnswer:
        """Send a request and wait for its (single) answer; raises `ConnectionFailed` if the session ends first."""
        answer: asyncio.Future[AnyAnswer] = asyncio.get_running_loop().create_future()

        def on_answer(value: AnyAnswer) -> None:
            if not answer.done():
                answer.set_result(value)

        self.request(request, on_answer)
        return await self.unless_ended(answer)

    async def unless_ended(self, wanted: asyncio.Future[_T]) -> _T:
        """Wait for `wanted`, or raise `ConnectionFailed` with the reason when the session ends before."""
        either: set[asyncio.Future[Any]] = {wanted, self.ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            wanted.cancel()
            raise
        if wanted.done():
            return wanted.result()
        wanted.cancel()
        raise ConnectionFailed(self.ended.result().text)

    def fits(self, request: AnyRequest) -> bool:
        """Tell whether the server takes a line as long as this request's (its id still to come)."""
        return len(self._encoder.encode(request)) + 20 <= self.line_bytes

    @property
    def state(self) -> str:
        """The connection in a word, for people."""
        if self.ended.done():
            return "offline"
        return "connected" if self._link is not None else "reconnecting"

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return len(self._pending)

    async def settled(self, at_most: int = 0) -> None:
        """Wait until at most that many requests are unanswered, or the session has ended."""
        while len(self._pending) > at_most and not self.ended.done():
            self._less.clear()
            await self._less.wait()

    async def room(self) -> None:
        """Wait until another request may be sent without running ahead of the server."""
        await self.settled(WINDOW - 1)

    def shown(self, seq: int) -> None:
        """Note that everything up to `seq` was shown; the server hears of it within `SEEN_SECONDS`."""
        self._shown = max(self._shown, seq)
        if self._seen_timer is None and self._shown > self._seen and not self.ended.done():
            self._seen_timer = asyncio.get_running_loop().call_later(SEEN_SECONDS, self.tell_seen)

    def tell_seen(self) -> None:
        """Tell the server now what was shown."""
        if self._seen_timer is not None:
            self._seen_timer.cancel()
            self._seen_timer = None
        if self._shown > self._seen:
            self._seen = self._shown
            self._send(self._encoder.encode(Seen(seq=self._seen)))

    def abandon(self, reason: str) -> None:
        """End the session on this side because of `reason`."""
        self._finish(Ending(reason))
        if self._link is not None:
            self._link.close()

    def close(self) -> None:
        """End the session on this side; what was sent still goes out."""
        if self._link is not None:
            self._link.close()
        self._finish(Ending("", ok=True))

    # ---- what comes ----

    def _receive(self, answer: AnyAnswer) -> None:
        self._keep_alive.heard()
        re = getattr(answer, "re", None)
        if re is not None:
            self._answered(re, answer)
        elif isinstance(answer, Unread):
            self._hand_on(answer)
        elif isinstance(answer, Event):
            if answer.seq > self.last_seq:  # what a resumed session has shown already is not shown again
                self.last_seq = answer.seq
                self._hand_on(answer)
        elif isinstance(answer, Replaced | Closing | Error):
            self._said = answer.text
            self._closing = isinstance(answer, Closing)
            if isinstance(answer, Replaced):
                self._finish(Ending(answer.text, said=True))

    def _hand_on(self, event: Event) -> None:
        if self._on_event is None:
            self._early.append(event)
        else:
            self._on_event(event)

    def _answered(self, re: int, answer: AnyAnswer) -> None:
        pending = self._pending.get(re)
        if pending is None:
            return
        if not getattr(answer, "more", False):
            del self._pending[re]
        if isinstance(answer, Welcome):
            self.token, self.user = answer.token, answer.user
            self.line_bytes = answer.limits.line_bytes
        if isinstance(answer, Bye):
            self._finish(Ending("", ok=True))
        pending.on_answer(answer)
        self._less.set()

    def _lost(self, reason: str) -> None:
        if self._link is None:  # in an attempt to connect or to resume
            if self._resuming is not None and not self._welcomed.done():
                self._welcomed.set_exception(ConnectionFailed(reason))
            return
        self._link = None
        self._keep_alive.stop()
        ending = Ending(self._said, said=True) if self._said and reason == LOST else Ending(reason)
        self._said = ""
        resumes = self._patience.after_closing if self._closing else self._patience.seconds > 0
        if self.token and resumes and not self.ended.done():
            self._resuming = asyncio.ensure_future(self._resume(ending))
        else:
            self._finish(ending)

    def _finish(self, ending: Ending) -> None:
        self._keep_alive.stop()
        if self._seen_timer is not None:
            self._seen_timer.cancel()
        if self._resuming is not None and self._resuming is not asyncio.current_task():
            self._resuming.cancel()
        if not self.ended.done():
            self.ended.set_result(ending)
        self._less.set()

    def _drop(self, reason: str) -> None:
        if self._link is not None:
            self._link.drop(reason)

    def _send(self, line: bytes) -> None:
        if self._link is not None:
            self._link.send(line)

    # ---- a session outlives its connection ----

    async def _resume(self, ending: Ending) -> None:
        """Reconnect and take the session up again, or end it with what ended the connection."""
        self._on_notice(f"{ending.text} Connecting again ...")
        try:
            await retry(self._attempt, self._patience)
        except TimeoutError:
            self._finish(ending)
        except ConnectionFailed as error:
            self._finish(Ending(str(error), said=isinstance(error, Refused)))
        else:
            self._on_notice("Connected again.")

    async def _attempt(self) -> None:
        """Connect once more and present the token; what was not answered is sent again behind it."""
        self._welcomed = asyncio.get_running_loop().create_future()
        link = await self._dialer.dial(self._receive, self._lost)
        self._last_id += 1
        resume = Resume(self._last_id, self.token, self.last_seq)

        def answered(answer: AnyAnswer) -> None:
            if isinstance(answer, Welcome):
                self._use(link)
                for number in sorted(self._pending):
                    link.send(self._pending[number].line)
                self._welcomed.set_result(None)
            elif isinstance(answer, Denied) and answer.code != "unavailable":
                self._welcomed.set_exception(Refused(answer.text))
            else:
                link.drop(LOST)

        line = self._encoder.encode(resume)
        self._pending[resume.id] = _Pending(line, answered)
        link.send(line)
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                await self._welcomed
        except TimeoutError:
            raise ConnectionFailed(LOST) from None
        finally:
            self._pending.pop(resume.id, None)
            if self._link is not link:
                link.close()

    def _use(self, link: Link) -> None:
        self._link = link
        self._keep_alive.start()


def _ignore_pong(answer: AnyAnswer) -> None:
    assert isinstance(answer, Pong | Error), answer
