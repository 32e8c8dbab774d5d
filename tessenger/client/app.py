"""The client from connecting to the last word: sign-in, conversation, ending, whatever the front end. Main process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from tessenger.client.channel import Channel
from tessenger.client.comeback import Ending
from tessenger.client.files import FileProcess, Report
from tessenger.client.identity import KnownServers
from tessenger.client.ignored import Ignored
from tessenger.client.link import Dialer
from tessenger.client.offers import Transfers
from tessenger.client.output import Output
from tessenger.client.position import Positions
from tessenger.client.preferences import Preferences
from tessenger.client.reconnect import Patience
from tessenger.client.session import Chat
from tessenger.client.sign_in import NOBODY, Address, Credentials, Dialogue, sign_in
from tessenger.config import Config
from tessenger.errors import ConnectionFailed, OutputFailed, Stopped, TessengerError
from tessenger.wire.messages import AnyAnswer, Welcome
from tessenger.wire.text import clean

T = TypeVar("T")

PROCESS_SECONDS = 10.0
"""How long the UDP process may take to start."""


class FrontEnd(Dialogue, Output, Protocol):
    """A terminal or a pipe."""

    asks: bool  # whether there is a person who can be asked about large files
    patience: Patience  # how long a broken connection is resumed

    def signed_in(self, user: str) -> None:
        """The person is `user`; what comes from here on is for them."""

    async def converse(self, chat: Chat, connection: Channel, server: str) -> None:
        """Carry out what the person types until they leave or the session ends."""

    def relay(self, answer: AnyAnswer, hand_on: Callable[[], None]) -> None:
        """Let what came over the wire be handed on to the chat, having had a look at it."""

    def farewell(self) -> None:
        """The person has left: say the last word."""

    def ended(self, text: str) -> None:
        """The server has ended the session, with these words."""

    def finish(self) -> None:
        """Write out what is still held back."""

    def watch_output(self, on_failure: Callable[[OutputFailed], None]) -> None:
        """Call `on_failure` with what ends the client once nothing can be written any more."""


class Settings(Struct, frozen=True):
    """What one run of the client needs; paths are absolute. `advertise`: what others are told of the UDP port."""

    config: Config
    advertise: Address | None = None
    credentials: Credentials = NOBODY

    @property
    def server(self) -> str:
        """Where the server is, for people."""
        return f"{self.config.client.host}:{self.config.client.port}"


async def run(settings: Settings, front: FrontEnd, files: FileProcess, preferences: Preferences) -> int:
    """Run a whole session and return the exit status; raises `TessengerError`, `ConnectionRefusedError`."""
    client = settings.config.client
    known = KnownServers(Path(client.state_dir)) if client.tls else None
    dialer = Dialer(client.host, client.port, known, front.notice)
    connection = Channel(dialer, front.patience, front.notice, front.relay)
    _report_bugs(connection)
    session = _Session(settings, front, files, connection, preferences)
    front.watch_output(session.stop_for)
    try:
        with _signals(session):
            await session.unless_stopped(connection.open())
            welcome = await session.sign_in()
            return await session.converse(welcome)
    finally:
        connection.close()
        await files.stop()
        front.finish()
        connection.tell_seen()  # what was still held back has been shown only now


class _Session:
    """The phases of one run, each of which a signal may cut short."""

    def __init__(
        self, settings: Settings, front: FrontEnd, files: FileProcess, connection: Channel, preferences: Preferences
    ) -> None:
        self.connection = connection
        self.stop: asyncio.Future[TessengerError] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._front = front
        self._files = files
        self._preferences = preferences
        self._chat: Chat | None = None

    def stop_for(self, reason: TessengerError) -> None:
        """End the session, whatever it is in; the first reason counts."""
        if not self.stop.done():
            self.stop.set_result(reason)

    async def sign_in(self) -> Welcome:
        """Start the UDP process and ask the person who they are meanwhile."""
        udp = asyncio.ensure_future(self._start_files())
        try:
            positions = Positions(Path(self._settings.config.client.state_dir), self._settings.server)
            known = self._settings.credentials
            return await self.unless_stopped(sign_in(self.connection, self._front, udp, positions, known))
        except EOFError:
            raise ConnectionFailed("The input ended before anyone signed in.") from None
        finally:
            udp.cancel()

    async def converse(self, welcome: Welcome) -> int:
        """Let the front end talk with the person until either of them or the server ends it; say the last word."""
        transfers = Transfers(welcome.user, self._settings.config.transfer, asks=self._front.asks)
        ignored = Ignored(Path(self._settings.config.client.state_dir), self._settings.server, welcome.user)
        chat = Chat(self.connection, self._files, self._front, transfers, welcome.limits, self._preferences, ignored)
        self._chat = chat
        self._front.signed_in(welcome.user)
        try:
            chat.begin()
            conversation = self._front.converse(chat, self.connection, self._settings.server)
            with contextlib.suppress(ConnectionFailed):  # the ending says why
                await self.unless_stopped(self.connection.unless_ended(asyncio.ensure_future(conversation)))
            await chat.log_out()
        except Stopped:
            await chat.log_out()
            raise
        except OutputFailed:
            chat.leave()
            raise
        finally:
            chat.end()
        return self._last_word(self.connection.ended.result())

    def _last_word(self, ending: Ending) -> int:
        if ending.ok:
            self._front.farewell()
            return 0
        if not ending.said:
            raise ConnectionFailed(ending.text)
        self._front.ended(clean(ending.text))
        return ConnectionFailed.exit_status

    async def unless_stopped(self, wanted: Awaitable[T]) -> T:
        """Wait for `wanted`; what ends the client (`stop_for`) cancels it and is raised."""
        task = asyncio.ensure_future(wanted)
        either: set[asyncio.Future[Any]] = {task, self.stop}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if self.stop.done():
            raise self.stop.result()
        return await task

    async def _start_files(self) -> Address:
        """Start the UDP process. If it cannot run, the session ends with its reason, even in mid-question."""
        try:
            async with asyncio.timeout(PROCESS_SECONDS):
                port = await self._files.start(self._on_report)
        except (TessengerError, TimeoutError) as error:
            self.connection.abandon(str(error) or "The file process did not start.")
            raise ConnectionFailed(str(error)) from None
        return self._settings.advertise or Address("", port)

    def _on_report(self, report: Report) -> None:
        if self._chat is not None:
            self._chat.on_report(report)


@contextlib.contextmanager
def _signals(session: _Session) -> Iterator[None]:
    """The first signal logs out, the second leaves at once."""
    loop = asyncio.get_running_loop()

    def stop(signum: int) -> None:
        if session.stop.done():
            session.connection.abandon("Interrupted.")
        else:
            session.stop_for(Stopped(signum))

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for signum in signals:
        loop.add_signal_handler(signum, stop, signum)
    try:
        yield
    finally:
        for signum in signals:
            loop.remove_signal_handler(signum)


def _report_bugs(connection: Channel) -> None:
    """An exception in a callback ends the session with one line instead of a traceback on the screen."""

    def report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        what = f"{type(error).__name__}: {error}" if error else context.get("message", "")
        connection.abandon(f"An error in Tessenger itself ended the session: {what}")

    asyncio.get_running_loop().set_exception_handler(report)
