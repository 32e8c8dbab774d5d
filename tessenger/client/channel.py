"""The client's side of a session: numbered requests, their answers in order, events, keep-alive. Runs in the client.

The core that the programs and the library share. Everything that comes is handed on synchronously and in the order of
the wire: an answer to who asked, an event to `on_event`. Token, last sequence number and unanswered requests are kept
apart from the socket (`link.Link`), so that a session can outlive one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from tessenger.client.comeback import Comeback, Ending
from tessenger.client.delivery import Delivery, Event, Relay
from tessenger.client.keep_alive import KeepAlive
from tessenger.client.link import LOST, NONSENSE, Link
from tessenger.client.position import Position
from tessenger.client.progress import Progress
from tessenger.client.reconnect import Dial, Ends, Patience
from tessenger.client.unanswered import Unanswered
from tessenger.errors import ConnectionFailed
from tessenger.wire.messages import (
    AnyAnswer,
    AnyRequest,
    Bye,
    Closing,
    Error,
    Login,
    Logout,
    Ping,
    Replaced,
    Resume,
    Seen,
    Unread,
    Welcome,
)
from tessenger.wire.text import clean_line

WINDOW = 256
"""Unanswered requests before `room` waits; the server allows 1,024."""

HEAR_SECONDS = 15.0
"""How long a server without TLS may take for its first answer, before anybody is asked for a password."""

NOT_HEARD = "Whoever listens there does not answer as a server of Tessenger does."

HUNG_UP = (
    "The server hung up without a word. A server with TLS, which is the usual case, needs a client without --no-tls."
)

WENT_BACK = "The server has gone back to an earlier state, perhaps a backup: it does not have all that you have seen."

_T = TypeVar("_T")


class Channel:
    """A session with the server. After a break it resumes by itself, for as long as `patience` lasts.

    `fingerprint` is that of the server's key, "" without TLS. `relay` sees what is handed on, as it came.
    """

    def __init__(
        self, dialer: Dial, patience: Patience, on_notice: Callable[[str], None], relay: Relay | None = None
    ) -> None:
        self._dialer = dialer
        self._patience = patience
        self._delivery = Delivery(relay)
        self._link: Link | None = None
        self._unanswered = Unanswered()
        self._comeback = Comeback(dialer, patience, self._unanswered, on_notice)
        self._keep_alive = KeepAlive(lambda: self.request(Ping(id=0), _ignore_pong), self.break_off)
        self._closing = False
        self._resuming: asyncio.Task[None] | None = None
        self._progress = Progress(lambda seq: self._send(msgspec.json.encode(Seen(seq=seq))))
        self._on_notice = on_notice
        self._said = ""
        self._paused = False
        self.fingerprint = ""
        self.token = ""
        self.user = ""
        self.missed_until = 0
        self.line_bytes = 65_536
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Connect; raises `ConnectionFailed` or `ConnectionRefusedError`."""
        link = await self._dialer.dial(self._receive, self._lost)
        if not link.is_open:
            raise ConnectionFailed(self._said or LOST)
        self.fingerprint = link.fingerprint
        self._use(link)
        if not link.fingerprint:
            await self._hear(link)

    def deliver_to(self, on_event: Callable[[Event], None]) -> None:
        """Hand events on from here on; those that came right behind the sign-in first."""
        self._delivery.begin(on_event)

    # ---- requests ----

    def request(self, request: AnyRequest, on_answer: Callable[[AnyAnswer], None]) -> None:
        """Send a request under the next id; `on_answer` gets each answer to it (lists may come in several)."""
        if isinstance(request, Logout):
            self._comeback.sign_in_with(None)  # whoever leaves does not come back
        _, line = self._unanswered.add(request, on_answer)
        self._send(line)
        self._flow()

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
        return self._unanswered.size(request) <= self.line_bytes

    @property
    def state(self) -> str:
        """The connection in a word, for people."""
        if self.ended.done():
            return "offline"
        return "connected" if self._link is not None else "reconnecting"

    @property
    def retry_at(self) -> float | None:
        """The loop's time of the next attempt to connect, None while there is none to wait for."""
        return self._comeback.retry_at

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return len(self._unanswered)

    async def settled(self, at_most: int = 0) -> None:
        """Wait until at most that many requests are unanswered, or the session has ended."""
        await self._unanswered.at_most(at_most, self.ended)

    async def room(self) -> None:
        """Wait until another request may be sent without running ahead of the server."""
        await self.settled(WINDOW - 1)

    def keep(self, position: Position) -> None:
        """From here on keep in `position` what was shown; where it is known already, sign in with it."""
        self._progress.keep(position)

    def come_back_with(self, login: Login) -> None:
        """Sign in with this after an absence longer than the server keeps a session, unless that is done elsewhere."""
        self._comeback.sign_in_with(login)

    @property
    def run(self) -> str:
        """The name of the server's run, "" where it has none."""
        return self._progress.run

    @property
    def branch(self) -> int:
        """What the numbers of events that come now are of; see `shown`."""
        return self._progress.branch

    def shown(self, seq: int, branch: int) -> None:
        """Note that everything up to `seq` was shown; the server hears of it, and the file, within a second.

        `branch` is what it was when that came: where the server has gone back since, the number says nothing any more.
        """
        self._progress.shown(seq, branch)

    def ask_again(self, seq: int) -> None:
        """Take events behind `seq` as if they had not come: the next connection brings them."""
        self._progress.received = min(self._progress.received, seq)

    def tell_seen(self) -> None:
        """Tell the server, and the file, now what was shown."""
        self._progress.tell()

    # ---- flow, breaks and endings ----

    def pause(self) -> None:
        """Read no events for the moment: while no answer is waited for, nothing is read at all."""
        self._paused = True
        self._flow()

    def go_on(self) -> None:
        """Read events again."""
        self._paused = False
        self._flow()

    def break_off(self, reason: str) -> None:
        """Give the connection up, not the session, which goes on over another one."""
        if self._link is not None:
            self._comeback.forget_pauses()  # it is this side's wish
            self._link.drop(reason)

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

    async def closed(self) -> None:
        """End the session on this side, and wait until its connection is closed."""
        link = self._link
        self.close()
        if link is not None:
            await link.closed()

    # ---- what comes ----

    def _receive(self, answer: AnyAnswer) -> None:
        self._keep_alive.heard()
        re = getattr(answer, "re", None)
        if re is not None:
            self._answered(re, answer)
        elif isinstance(answer, Event) and not self.token:
            self.break_off(NONSENSE)  # before anybody has signed in there are none, nor is there anybody to take them
        elif isinstance(answer, Unread):
            self._delivery.event(answer)
        elif isinstance(answer, Event):
            if self._progress.came(answer.seq):
                self._delivery.event(answer)
        elif isinstance(answer, Replaced | Closing | Error):
            self._said = clean_line(answer.text)
            self._closing = isinstance(answer, Closing)
            if isinstance(answer, Replaced) or (isinstance(answer, Error) and answer.code == "removed"):
                self._finish(Ending(answer.text, said=True))  # there is nothing to come back to

    def _answered(self, re: int, answer: AnyAnswer) -> None:
        asked = self._unanswered.request(re)
        on_answer = self._unanswered.answered(re, answer)
        if on_answer is None:
            return
        if isinstance(answer, Welcome) and isinstance(asked, Login | Resume):
            self.token, self.user = answer.token, answer.user
            self.line_bytes = answer.limits.line_bytes
            self.missed_until = answer.seq
            if self._progress.welcomed(answer):
                self._on_notice(WENT_BACK)
        if isinstance(answer, Bye) and isinstance(asked, Logout):
            self._finish(Ending("", ok=True))
        self._delivery.answer(answer, on_answer)
        self._unanswered.changed()
        self._flow()

    def _lost(self, reason: str) -> None:
        if self._link is None:
            return  # in an attempt to connect, which says so itself
        self._link = None
        self._comeback.lost()
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
        self._progress.end()
        if self._resuming is not None and self._resuming is not asyncio.current_task():
            self._resuming.cancel()
        if not self.ended.done():
            self.ended.set_result(ending)
        self._unanswered.changed()

    def _send(self, line: bytes) -> None:
        if self._link is not None:
            self._link.send(line)

    def _flow(self) -> None:
        """Read, or pause. A paused link hears no pong either, so it is not watched."""
        if self._link is None or self.ended.done():
            return
        if self._link.is_reading != (self._paused and not self._unanswered):
            return
        if self._link.is_reading:
            self._keep_alive.stop()
            self._link.pause()
        else:
            self._link.go_on()
            self._keep_alive.start()

    async def _hear(self, link: Link) -> None:
        """Wait for a sign of life: without TLS nothing else says that it is no password for somebody else."""
        try:
            async with asyncio.timeout(HEAR_SECONDS):
                await self.ask(Ping(0))
        except TimeoutError:
            link.close()
            raise ConnectionFailed(NOT_HEARD) from None
        except ConnectionFailed as error:
            raise ConnectionFailed(HUNG_UP if str(error) == LOST else str(error)) from None

    # ---- a session outlives its connection ----

    async def _resume(self, ending: Ending) -> None:
        ends = Ends(self._receive, self._use, self._lost, self._over)
        ended = await self._comeback.take_up(ending, self._presented, ends)
        if ended is not None:
            self._finish(ended)

    def _presented(self) -> Resume:
        resume = Resume(0, self.token, self._progress.reached)
        return replace(resume, **self._progress.fields())

    def _over(self) -> Login | None:
        login = self._comeback.another_session(self._answered)
        return replace(login, **self._progress.fields(), after=self._progress.reached or None) if login else None

    def _use(self, link: Link) -> None:
        self._link = link
        self._keep_alive.start()
        self._flow()


def _ignore_pong(answer: AnyAnswer) -> None:
    """That something came is all that counts."""
