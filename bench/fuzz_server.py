"""Strangers and people who send rubbish to a running server, while two honest people talk through the same worker.

What must hold: every honest request is answered and delivered, no process of the server ends or grows large, and
nothing is written to error.log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import threading
import time
from pathlib import Path
from random import Random

from bench.fuzz_decoders import REQUESTS
from bench.fuzz_input import Shaped, mutated
from tests.support.server_process import ServerProcess, children_of
from tests.support.wire_client import WireClient

HOSTILE = 12
"""Connections that send rubbish at any time."""

HONEST_SECONDS = 20.0
"""Within this an honest request is answered and delivered, or it counts as lost."""

MAX_RESIDENT_KIB = 200 * 1024
"""More than this no process of the server may take."""

CONFIG = """
[limits]
logins_per_second = 0
connections_per_address = 0
messages_per_second = 0
[console]
level = "off"
"""


class HonestPair:
    """Two people who write to each other, one message after the other."""

    def __init__(self, port: int) -> None:
        self.exchanged = 0
        self.problem = ""
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def end(self) -> None:
        """Let them finish."""
        self._stop.set()
        self._thread.join()

    def _talk(self) -> None:
        try:
            with WireClient(self._port, tls=False) as a, WireClient(self._port, tls=False) as b:
                for client, user in ((a, "aaa"), (b, "bbb")):
                    client.socket.settimeout(HONEST_SECONDS)
                    client.login(user)
                while not self._stop.is_set():
                    text = f"number {self.exchanged}"
                    answer = a.ask("msgto", to="bbb", text=text)
                    assert answer["type"] == "sent", f"{text}: {answer}"
                    while (event := b.read()).get("from") != "aaa":
                        pass  # the others write to bbb, too
                    assert event.get("text") == text, f"not {text}, but {event}"
                    self.exchanged += 1
        except (OSError, EOFError, AssertionError) as problem:
            self.problem = f"{type(problem).__name__}: {problem}"


async def _hostile(port: int, random: Random, end: float) -> int:
    """Connect again and again; send lines cut anywhere, with and without a sign-in before; return how many lines."""
    shaped = Shaped(random, REQUESTS)
    known = [b'{"type":"msgto","id":7,"to":"bbb","text":"hi"}']
    sent = 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # the server may well hang up
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            reading = asyncio.ensure_future(_read_all(reader))
            if random.random() < 0.5:
                user = random.choice(("ccc", "ddd"))
                login = {"type": "login", "id": 1, "user": user, "password": "123", "udp_port": 0}
                writer.write(json.dumps(login).encode() + b"\n")
            for _ in range(random.choice((1, 3, 12, 60))):
                if writer.is_closing():
                    break
                line = shaped.json_line() if random.random() < 0.7 else mutated(random, random.choice(known), known)
                data = line + b"\n"
                cut = random.randrange(len(data)) if random.random() < 0.3 else 0
                writer.write(data[:cut])
                if cut and random.random() < 0.5:
                    await asyncio.sleep(0)
                if not writer.is_closing():
                    writer.write(data[cut:])
                sent += 1
                if random.random() < 0.5:
                    await writer.drain()
            if random.random() < 0.3:
                writer.transport.abort()
            elif random.random() < 0.5:
                writer.write_eof()
            await asyncio.wait({reading}, timeout=random.random() * 0.05)
            reading.cancel()
            writer.transport.abort()
        await asyncio.sleep(0)
    return sent


async def _read_all(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


def attack(port: int, seed: int, seconds: float) -> int:
    """Send rubbish for so long; return how many lines. Half of it comes from `ccc` and `ddd`, with the password 123."""
    end = time.monotonic() + seconds

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(_hostile(port, Random(f"{seed} {n}"), end) for n in range(HOSTILE))))

    return asyncio.run(all_of_them())


def run(seed: int, seconds: float) -> tuple[str, list[str]]:
    """Return what was done, in a line, and every promise that did not hold."""
    with tempfile.TemporaryDirectory() as name:
        server = ServerProcess(Path(name), "--no-tls", config=CONFIG, workers=1)
        try:
            before = set(children_of(server.process.pid))
            pair = HonestPair(server.port)
            sent = attack(server.port, seed, seconds)
            pair.end()
            problems = [f"an honest request failed: {pair.problem}"] if pair.problem else []
            if set(children_of(server.process.pid)) != before:
                problems.append("a process of the server has ended")
            large = [pid for pid in before if _resident_kib(pid) > MAX_RESIDENT_KIB]
            problems += [f"process {pid} takes {_resident_kib(pid)} KiB" for pid in large]
            errors = server.data_dir / "error.log"
            if errors.exists() and errors.stat().st_size:
                problems.append(f"error.log: {errors.read_text()[-2_000:]}")
            if server.stop() != 0:
                problems.append("the server did not stop in order")
        finally:
            server.kill()
    return f"{sent:,} hostile lines, {pair.exchanged:,} honest messages", problems


def _resident_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
