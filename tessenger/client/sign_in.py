"""The sign-in dialogue, the same for both front ends. Runs in the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from msgspec import Struct

from tessenger.client import render
from tessenger.client.channel import Channel
from tessenger.errors import ConnectionFailed, TessengerError
from tessenger.wire.messages import Denied, Error, Login, Welcome

BUSY_RETRIES = 10
BUSY_SECONDS = 0.5
"""A server that replaces the process it needs for sign-ins is asked again: for 5 s in all."""


class SignInFailed(TessengerError):
    """The server refused; its words have been shown already."""


class Dialogue(Protocol):
    """How a front end asks a person during sign-in. Where input ends, `ask` raises `EOFError`."""

    def say(self, text: str) -> None:
        """Print a line."""

    def ask(self, prompt: str, *, secret: bool) -> Awaitable[str]:
        """Ask for a line."""


class Address(Struct, frozen=True):
    """Where others are told to send files; host "": the address that the server sees."""

    host: str
    port: int


async def sign_in(connection: Channel, dialogue: Dialogue, udp: asyncio.Future[Address]) -> Welcome:
    """Ask for name and password until the server takes them; raises `SignInFailed`, `ConnectionFailed`, `EOFError`."""
    dialogue.say(render.PLEASE_LOGIN)
    while True:
        user = await _until_ended(connection, dialogue.ask(render.USERNAME, secret=False))
        password = await _until_ended(connection, dialogue.ask(render.PASSWORD, secret=True))
        address = await udp
        answer = await attempt(
            connection, Login(0, user.strip(), password, udp_host=address.host, udp_port=address.port)
        )
        if isinstance(answer, Welcome):
            return answer
        dialogue.say(render.error(answer))
        if isinstance(answer, Denied) and answer.code != "invalid_password":
            raise SignInFailed


async def attempt(connection: Channel, login: Login) -> Welcome | Denied | Error:
    """Present a name and a password once; a server that is busy with itself is asked again for a while."""
    answer = await connection.ask(login)
    for _ in range(BUSY_RETRIES):
        if not isinstance(answer, Denied | Error) or answer.code != "unavailable":
            break
        await asyncio.sleep(BUSY_SECONDS)
        answer = await connection.ask(login)
    if not isinstance(answer, Welcome | Denied | Error):
        raise ConnectionFailed("The server answered a sign-in with something else.")
    return answer


async def _until_ended(connection: Channel, question: Awaitable[str]) -> str:
    """A person who thinks for long is told when the server closes the connection meanwhile."""
    return await connection.unless_ended(asyncio.ensure_future(question))
