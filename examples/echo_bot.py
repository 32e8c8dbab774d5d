"""A bot that sends every private message back: `python examples/echo_bot.py HOST PORT USER`, TESSENGER_PASSWORD set."""

import asyncio
import os
import sys

from tessenger.client import Connection, Message


async def main(host: str, port: str, user: str) -> None:
    """Sign in and answer until someone presses Ctrl-C."""
    async with Connection.connect(host, int(port), user=user, password=os.environ["TESSENGER_PASSWORD"]) as chat:
        print("ready", flush=True)
        async for event in chat:
            if isinstance(event, Message):
                await chat.send(event.sender, f"echo: {event.text}")


asyncio.run(main(*sys.argv[1:]))
