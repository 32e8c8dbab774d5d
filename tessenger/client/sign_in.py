"""The sign-in dialogue, the same for both front ends. Runs in the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from tessenger.client import render
from tessenger.client.channel import Channel
from tessenger.client.position import Positions
from tessenger.errors import ConnectionFailed, TessengerError
from tessenger.wire.messages import Denied, Error, Login, Welcome
from tessenger.wire.text import clean_line

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


class Credentials(Struct, frozen=True):
    """Who signs in, as far as that need not be asked: name and password, the name alone, or neither ("")."""

    user: str = ""
    password: str = ""


NOBODY = Credentials()


async def sign_in(
    connection: Channel, dialogue: Dialogue, udp: asyncio.Future[Address], positions: Positions,
    known: Credentials = NOBODY,
) -> Welcome:  # fmt: skip
    """Ask for what is not known until the server takes it; raises `SignInFailed`, `ConnectionFailed`, `EOFError`."""
    if not known.password:
        dialogue.say(render.PLEASE_LOGIN)
    while True:
        user = known.user or await _until_ended(connection, dialogue.ask(render.USERNAME, secret=False))
        password = known.password or await _until_ended(connection, dialogue.ask(render.PASSWORD, secret=True))
        address = await udp
        login = Login(0, user.strip(), password, udp_host=address.host, udp_port=address.port)
        answer = await attempt(connection, login, positions)
        if isinstance(answer, Welcome):
            return answer
        dialogue.say(render.error(answer))
        if known.password or (isinstance(answer, Denied) and answer.code != "invalid_password"):
            raise SignInFailed


async def attempt(connection: Channel, login: Login, positions: Positions) -> Welcome | Denied | Error:
    """Present a name and a password once, with how far this person has read here.

    A server that is busy with itself is asked again for a while.
    """
    position = positions.of(login.user, connection.fingerprint)
    if position is not None:
        connection.keep(position)
        login = replace(login, after=position.seq or None, **position.lineage.fields())
    answer = await connection.ask(login)
    for _ in range(BUSY_RETRIES):
        if not isinstance(answer, Denied | Error) or answer.code != "unavailable":
            break
        await asyncio.sleep(BUSY_SECONDS)
        answer = await connection.ask(login)
    if isinstance(answer, Error) and answer.code == "unknown_outcome":  # what came is not understood
        raise ConnectionFailed(clean_line(answer.text))
    if not isinstance(answer, Welcome | Denied | Error):
        raise ConnectionFailed("The server answered a sign-in with something else.")
    if isinstance(answer, Welcome):
        connection.come_back_with(login)
    return answer


async def _until_ended(connection: Channel, question: Awaitable[str]) -> str:
    """A person who thinks for long is told when the server closes the connection meanwhile."""
    return await connection.unless_ended(asyncio.ensure_future(question))
