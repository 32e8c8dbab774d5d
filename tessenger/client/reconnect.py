"""How a session outlives its connection: when to try again, and one attempt. Runs in the client."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from msgspec import Struct

from tessenger.client.identity import IdentityChanged
from tessenger.client.link import LOST, Link
from tessenger.client.unanswered import Unanswered
from tessenger.errors import ConnectionFailed
from tessenger.wire.messages import AnyAnswer, Denied, Login, Resume, Welcome

RESUME_SECONDS = 10.0
"""How long the server may take to answer an attempt to resume."""

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 15.0


class Patience(Struct, frozen=True):
    """How long a front end tries to resume. `after_closing`: also when the server has said that it stops."""

    seconds: float = 0.0
    after_closing: bool = False


FOREVER = Patience(math.inf, after_closing=True)


NOT_YOURS_ANY_MORE = "Your password has been changed meanwhile, or your account removed. Please sign in anew."


class Refused(ConnectionFailed):
    """The server does not take the session up again; the text is its own."""


def delays(chance: Callable[[], float]) -> Iterator[float]:
    """Yield how many seconds to wait before each attempt: doubling, and spread by `chance` (0 to 1). Pure.

    The spread keeps everyone from coming back at the same moment after a restart of the server.
    """
    delay = FIRST_SECONDS
    while True:
        yield delay * (0.5 + chance())
        delay = min(LONGEST_SECONDS, delay * 2)


async def retry(
    attempt: Callable[[], Awaitable[None]],
    patience: Patience,
    on_wait: Callable[[float | None], None],
    waits: Iterator[float],
) -> None:
    """Try until an attempt succeeds, after each of these `waits` (s).

    `on_wait` gets the loop's time of the next attempt, None while one is under way.

    Raises `TimeoutError` when the patience has run out, `IdentityChanged` or `Refused` when trying again is no use.
    """
    async with asyncio.timeout(None if math.isinf(patience.seconds) else patience.seconds):
        for delay in waits:
            on_wait(asyncio.get_running_loop().time() + delay)
            await asyncio.sleep(delay)
            on_wait(None)
            try:
                await attempt()
            except (IdentityChanged, Refused):
                raise
            except (ConnectionFailed, ConnectionRefusedError):
                continue
            break


class Dial(Protocol):
    """What makes a link; `link.Dialer` over TCP."""

    async def dial(self, on_answer: Callable[[AnyAnswer], None], on_lost: Callable[[str], None]) -> Link:
        """Connect."""


class Ends(Struct, frozen=True):
    """Where a resumed session's channel takes over: what comes, the link that is in use from now on, its loss.

    `on_expired`: the server keeps the session no longer; returns how to begin another one, if that may be tried.
    """

    on_answer: Callable[[AnyAnswer], None]
    on_resumed: Callable[[Link], None]
    on_lost: Callable[[str], None]
    on_expired: Callable[[], Login | None]


async def resume(dialer: Dial, request: Resume, unanswered: Unanswered, ends: Ends) -> None:
    """Connect once more and present the token; what was not answered is sent again behind it.

    Where the session is over, a sign-in follows over the same connection, and what was not sent yet behind that.
    Raises `ConnectionFailed` where that did not work, `Refused` where it never will.
    """
    welcomed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def lost(reason: str) -> None:
        if not welcomed.done():
            welcomed.set_exception(ConnectionFailed(reason))
        elif not welcomed.cancelled() and welcomed.exception() is None:
            ends.on_lost(reason)  # not of an attempt that was given up: another link may be in use

    link = await dialer.dial(ends.on_answer, lost)

    def ask(request: Resume | Login) -> None:
        number, line = unanswered.add(request, answered)
        numbers.append(number)
        link.send(line)

    def answered(answer: AnyAnswer) -> None:
        if welcomed.done():  # given up in this very moment
            return
        if isinstance(answer, Welcome):  # the link is in use before anything else that came with this is handed on
            ends.on_resumed(link)
            if len(numbers) > 1:
                unanswered.number_anew()
            for line in unanswered.lines():
                link.send(line)
            welcomed.set_result(True)
        elif isinstance(answer, Denied) and answer.code == "session_expired" and (login := ends.on_expired()):
            ask(login)
        elif isinstance(answer, Denied) and answer.code != "unavailable":
            welcomed.set_exception(Refused(_refusal(answer, of_login=len(numbers) > 1)))
        else:
            link.drop(LOST)

    numbers: list[int] = []
    ask(request)
    try:
        async with asyncio.timeout(RESUME_SECONDS):
            await welcomed
    except BaseException as error:
        link.close()
        if isinstance(error, TimeoutError):
            raise ConnectionFailed(LOST) from None
        raise
    finally:
        for number in numbers:
            unanswered.forget(number)


def _refusal(denied: Denied, *, of_login: bool) -> str:
    """Return what to tell the person. A password that was right once is no slip of the finger."""
    if of_login and denied.code == "invalid_password":
        return NOT_YOURS_ANY_MORE
    return f"{NOT_YOURS_ANY_MORE}\n{denied.text}" if of_login and denied.code == "blocked_now" else denied.text
