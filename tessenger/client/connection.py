"""Tessenger for programs: `from tessenger.client import Connection`. Runs in the process that uses it.

No terminal, no configuration file, no process of its own: the same channel as the client's, with methods around it.
docs/library.md explains it with examples.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tessenger.client.channel import Channel
from tessenger.client.delivery import Event
from tessenger.client.identity import Identity, KnownServers, PinnedKey
from tessenger.client.inbox import Inbox
from tessenger.client.link import Dialer
from tessenger.client.position import Positions
from tessenger.client.reconnect import Patience
from tessenger.client.requests import Requests
from tessenger.client.sign_in import attempt
from tessenger.client.whole import whole
from tessenger.config import is_loopback
from tessenger.errors import ConfigError, ConnectionFailed, RequestRefused, SessionOver, SignInDenied
from tessenger.wire.messages import Answer, AnyAnswer, AnyRequest, Denied, Error, Login, Logout

A = TypeVar("A", bound=Answer)

LOGOUT_SECONDS = 5.0
"""How long leaving waits for the server's answer."""

_log = logging.getLogger("tessenger.client")


class Connection(Requests, AsyncIterator[Event]):
    """A signed-in user: requests are methods, events come by `async for`. Made by `connect`, used by `async with`.

    A connection that breaks is resumed: what was not answered is sent again and carried out once, and events go on
    where they were. At most one task may iterate; requests may come from any task of the event loop.
    """

    def __init__(self, dialer: Dialer, login: Login, state_dir: Path, *, resume_seconds: float, queue: int) -> None:
        """Use `connect`."""
        self._dialer = dialer
        self._login = login
        self._state_dir = state_dir
        self._patience = Patience(resume_seconds, after_closing=resume_seconds > 0)
        self._queue = queue
        self._open: tuple[Channel, Inbox] | None = None

    @classmethod
    def connect(
        cls,
        host: str,
        port: int = 12_000,
        *,
        user: str,
        password: str,
        fingerprint: str = "",
        tls: bool = True,
        state_dir: Path | str | None = None,
        resume_seconds: float = math.inf,
        queue: int = 1_000,
    ) -> Self:
        """Return a connection for `async with`, which signs in and, in the end, out.

        `fingerprint`: the server's key as the client shows it (`sha256:...`); "": the key is pinned at first use in
        `state_dir`, which also keeps how far events were read (None: the client's own folder). `tls=False`: for a
        server on this machine with --no-tls. `resume_seconds`: how long a broken connection is resumed. `queue`: events
        that may wait for this program before the connection is read no more; the server keeps the rest.
        """
        if not tls and not is_loopback(host):
            raise ConfigError(
                f"{host} is not on this machine: without TLS the password would cross the network in clear."
            )
        if queue < 1:
            raise ValueError("queue must be at least 1")
        folder = Path(state_dir).expanduser().absolute() if state_dir is not None else _usual_state_dir()
        identity: Identity | None = None
        if tls:
            identity = PinnedKey(fingerprint) if fingerprint else KnownServers(folder)
        dialer = Dialer(host, port, identity, _log.warning)
        return cls(dialer, Login(0, user, password), folder, resume_seconds=resume_seconds, queue=queue)

    async def __aenter__(self) -> Self:
        """Connect and sign in.

        Raises `SignInDenied`, `ConnectionFailed` or `ConnectionRefusedError`, where nobody listens.
        """
        channel = Channel(self._dialer, self._patience, _log.info)
        try:
            await channel.open()
            await self._sign_in(channel)
        except BaseException:
            await channel.closed()
            raise
        inbox = Inbox(channel, self._queue)
        channel.deliver_to(inbox.put)
        self._open = channel, inbox
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Sign out. Where events are left unread, or the handling of one failed, only disconnect: none is lost then.

        In that case the server keeps the user present for its grace time, and the next sign-in brings those events.
        """
        channel, inbox = self._channel, self._inbox
        if kind is None:
            inbox.done()
        try:
            if inbox.is_empty:
                await self.log_out()
        finally:
            channel.tell_seen()
            await channel.closed()

    async def log_out(self) -> None:
        """Sign out, whether or not all events were read. The server counts them as shown."""
        channel = self._channel
        if not channel.ended.done():
            channel.tell_seen()
            channel.request(Logout(0), lambda _: None)  # its answer ends the session
            await asyncio.wait({channel.ended}, timeout=LOGOUT_SECONDS)

    # ---- events ----

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event; the one before counts as dealt with, and is not delivered again after a restart.

        Ends after a logout; raises `SessionOver` where anything else has ended the session.
        """
        event = await self._inbox.next()
        if event is not None:
            return event
        ending = self._channel.ended.result()
        if ending.ok:
            raise StopAsyncIteration
        raise SessionOver(ending.text)

    # ---- who and how ----

    @property
    def user(self) -> str:
        """The user's name, as the server writes it."""
        return self._channel.user

    @property
    def state(self) -> str:
        """`connected`, `reconnecting` or `offline`."""
        return self._channel.state

    @property
    def run(self) -> str:
        """The name of the server's run, "" where it has none: `seq` of events can be compared within one run only."""
        return self._channel.run

    # ---- requests ----

    async def request(self, message: AnyRequest, answer: type[A]) -> A:
        """Send any request of docs/protocol.md (its id is set here), and return its answer, of type `answer`.

        Lists that come in several parts are put together. Raises `RequestRefused` where the server did not do it,
        `SessionOver` where the session ended before the answer came: then it may or may not have been carried out.
        """
        result = await self._whole_answer(message)
        if isinstance(result, Error | Denied):
            raise RequestRefused(result.code, result.text)
        if not isinstance(result, answer):
            raise ConnectionFailed(f"The server answered a request with {type(result).__name__}.")
        return result

    # ---- inside ----

    @property
    def _channel(self) -> Channel:
        if self._open is None:
            raise RuntimeError("use `async with Connection.connect(...) as chat`")
        return self._open[0]

    @property
    def _inbox(self) -> Inbox:
        if self._open is None:
            raise RuntimeError("use `async with Connection.connect(...) as chat`")
        return self._open[1]

    async def _sign_in(self, channel: Channel) -> None:
        positions = Positions(self._state_dir, f"{self._dialer.host}:{self._dialer.port}")
        answer = await attempt(channel, self._login, positions)
        if isinstance(answer, Denied | Error):
            raise SignInDenied(answer.code, answer.text)

    async def _whole_answer(self, message: AnyRequest) -> AnyAnswer:
        """Send a request; put the parts of its answer together."""
        channel = self._channel
        if not channel.fits(message):  # the server would close the connection, again and again
            raise RequestRefused("line_too_long", f"A request has at most {channel.line_bytes} bytes on the wire.")
        answered: asyncio.Future[AnyAnswer] = asyncio.get_running_loop().create_future()

        def on_answer(answer: AnyAnswer) -> None:
            if not answered.done():
                answered.set_result(answer)

        await channel.room()
        if not channel.ended.done():
            channel.request(message, whole(on_answer))
        try:
            return await channel.unless_ended(answered)
        except ConnectionFailed as error:
            raise SessionOver(str(error) or "The session is over.") from None


def _usual_state_dir() -> Path:
    import platformdirs  # noqa: PLC0415 - whoever names a folder does without it

    return platformdirs.user_state_path("tessenger")
