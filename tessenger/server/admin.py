"""What an administrator asks of a running server: a line of JSON each way, over a socket in the run directory.

The logger listens, for it owns the journal. Only who may enter the run directory (0700) can connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tessenger.errors import TessengerError
from tessenger.server import roles
from tessenger.undecodable import UNDECODABLE, reason

TALK_SECONDS = 10.0
"""How long either side waits for the other's line."""

MAX_LINE = 65_536
"""Bytes of the longest answer."""

AGAIN_SECONDS = 0.1
"""Pause between two attempts to reach a logger that is being replaced."""

Seq = Annotated[int, Meta(ge=1, le=2**53)]


class Redact(Struct, tag="redact", frozen=True):
    """Blank the text of message `seq`."""

    seq: Seq


class Done(Struct, tag="done", frozen=True):
    """It is done; `text` says so to people."""

    text: str


class Refused(Struct, tag="refused", frozen=True):
    """It is not done; `text` says why."""

    text: str


Reply = Done | Refused
_encode = msgspec.json.Encoder().encode


async def listen(carry_out: Callable[[Redact], Reply]) -> asyncio.AbstractServer:
    """Take requests, in place of a logger that may have died."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # whoever asked is gone: nobody to tell
            try:
                line = await asyncio.wait_for(reader.readline(), TALK_SECONDS)
                request = msgspec.json.decode(line, type=Redact)
            except TimeoutError:
                reply: Reply = Refused(f"no request within {TALK_SECONDS:g} seconds")
            except UNDECODABLE as problem:  # of a line too long, or without sense
                reply = Refused(f"no valid request: {reason(problem)}")
            else:
                reply = carry_out(request)
            writer.write(_encode(reply) + b"\n")
            await writer.drain()
        writer.close()

    roles.clear(roles.ADMIN_SOCKET)
    return await asyncio.start_unix_server(talk, roles.ADMIN_SOCKET)


def ask(run_dir: Path, request: Redact) -> str:
    """Ask the server that runs, and return what it says; raises `TessengerError` where it is not done.

    What is asked twice, because a logger died before it answered, must be the same as asked once. Changes the current
    directory, for a socket's path must be short.
    """
    problem = "it does not answer"
    deadline = time.monotonic() + TALK_SECONDS
    while time.monotonic() < deadline:
        try:
            os.chdir(run_dir)
            line = _talked(_encode(request) + b"\n")
        except OSError as error:
            problem = error.strerror or str(error)
            line = b""
        if line.endswith(b"\n"):
            try:
                reply = msgspec.json.decode(line, type=Reply)
            except UNDECODABLE as error:
                raise TessengerError(f"the server's answer makes no sense: {reason(error)}") from error
            if isinstance(reply, Done):
                return reply.text
            raise TessengerError(reply.text)
        time.sleep(AGAIN_SECONDS)
    raise TessengerError(f"the server cannot be reached: {problem}")


def _talked(request: bytes) -> bytes:
    """Send a line and return the line that comes back, or what there is of it."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(TALK_SECONDS)
        line.connect(roles.ADMIN_SOCKET)
        line.sendall(request)
        with line.makefile("rb") as answer:
            return answer.readline(MAX_LINE)
