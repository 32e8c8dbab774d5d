"""What `durability = "power"` costs beside "process", end to end: through sockets, worker, logger and journal.

    python -m bench.durability [--messages N] [--pairs N] [--folder DIR]

For each a server with two workers, without TLS, and pairs of people. First one sends a message at a time and waits for
`sent`: the time of a lone message. Then all send at once, each with at most 64 messages unanswered: how many the server
acknowledges in a second. The figures depend on the disk under `--folder` more than on anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.support.server_process import ServerProcess

WINDOW = 64
"""Messages of one sender that wait for their answer."""

LONE = 500
"""Lone messages that are timed."""

TEXT = "x" * 64

CONFIG = """
[limits]
messages_per_second = 0
logins_per_second = 0
[console]
level = "off"
[journal]
durability = "{durability}"
"""


class Speaker:
    """One signed-in connection, over the plain wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ends are open."""
        self._reader = reader
        self._writer = writer
        self._next_id = 1

    @classmethod
    async def signed_in(cls, port: int, user: str) -> Speaker:
        """Connect and sign in."""
        speaker = cls(*await asyncio.open_connection("127.0.0.1", port))
        speaker.send({"type": "login", "user": user, "password": "pw"})
        assert (await speaker.read())["type"] == "welcome"
        return speaker

    def send(self, request: dict[str, Any]) -> None:
        """Send a request."""
        self._writer.write(json.dumps({**request, "id": self._next_id}).encode() + b"\n")
        self._next_id += 1

    async def read(self) -> dict[str, Any]:
        """Return the next line."""
        message: dict[str, Any] = json.loads(await self._reader.readline())
        return message

    async def lone(self, to: str) -> list[float]:
        """Return how many seconds each of some messages took until `sent`."""
        times = []
        for _ in range(LONE):
            began = time.perf_counter()
            self.send({"type": "msgto", "to": to, "text": TEXT})
            assert (await self.read())["type"] == "sent"
            times.append(time.perf_counter() - began)
        return times

    async def pour(self, to: str, count: int) -> None:
        """Send `count` messages, a window ahead of their answers; what others send here is read on the way."""
        sent = answered = 0
        while answered < count:
            while sent < count and sent - answered < WINDOW:
                self.send({"type": "msgto", "to": to, "text": TEXT})
                sent += 1
            answered += (await self.read())["type"] == "sent"

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def measure(port: int, pairs: int, messages: int) -> tuple[float, float]:
    """Return the median time of a lone message in milliseconds, and messages a second under load."""
    people = [await Speaker.signed_in(port, f"p{n}") for n in range(2 * pairs)]
    lone = statistics.median(await people[0].lone("p1")) * 1000
    began = time.perf_counter()
    each = messages // len(people)
    await asyncio.gather(*(person.pour(f"p{n ^ 1}", each) for n, person in enumerate(people)))
    rate = each * len(people) / (time.perf_counter() - began)
    for person in people:
        person.close()
    return lone, rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=60_000, help="under load, of all together")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="where the journals are; the disk that is measured")
    options = parser.parse_args()
    figures = {}
    print(f"{'durability':<12}{'lone message, ms':>18}{'under load, messages/s':>26}")
    for durability in ("process", "power"):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            users = "".join(f"p{n} pw\n" for n in range(2 * options.pairs))
            config = CONFIG.format(durability=durability)
            server = ServerProcess(Path(folder), "--no-tls", config=config, users=users)
            lone, rate = uvloop.run(measure(server.port, options.pairs, options.messages))
            server.stop()
        figures[durability] = lone, rate
        print(f"{durability:<12}{lone:>18.2f}{rate:>26,.0f}")
    (lone, rate), (lone_power, rate_power) = figures["process"], figures["power"]
    print(f"power costs  {lone_power / lone:>16.1f} x{rate / rate_power:>24.2f} x")


if __name__ == "__main__":
    main()
