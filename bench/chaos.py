"""Kill every process of a server under load, again and again, and count what was lost, doubled or out of order.

    python -m bench.chaos                      20 kills of each role, and a few of every other fault; some minutes
    python -m bench.chaos --kills 3 --seed 7   a short run; the same seed makes the same choices

Fifty people in pairs and groups send at least a thousand messages a second through three workers. They behave as the
client does: whoever loses the connection comes back, resumes with the token behind the last sequence number, and sends
again what was not answered. Meanwhile processes are killed and stopped, somebody reads nothing, the wall clock is set
(where a C compiler is), strangers send rubbish and flood the sign-in, and backups are put back, with the logs or
without. Afterwards every message that was acknowledged must have been shown to every recipient exactly once, in one
order for all members of a group, and stand exactly once in the journal and in the activity logs.
Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import uvloop

from bench import fuzz_server
from bench.participant import Participant
from tessenger.journal import chunks
from tessenger.journal.rows import KIND, TEXT
from tessenger.state.credentials import hashed
from tests.support.server_process import ServerProcess, children_of, title_of
from tests.support.wall_clock import COMPILER, WallClock

PEOPLE = 50
GROUPS = 5
WORKERS = 3
STOPPED_SECONDS = 5.0
LOGGER_STOPPED_SECONDS = 2.0
CUT_OFF_SECONDS = 30.0
LONG = 20_000
"""Characters of a message that fills queues."""
ATTACK_SECONDS = 2.0
LOST_SECONDS = 1.0
"""How much is lost with a backup that is put back."""
HOSTILE_USERS = "ccc 123\nddd 123\n"
"""Those as whom `fuzz_server.attack` signs in."""
LOSE_NOBODY = frozenset({"logger", "manager", "acceptor", "stopped logger", "hostile lines", "flood", "clock step"})
"""Faults that cost nobody a connection."""
MAX_RESIDENT_KIB = 200 * 1024
"""More than this no process may take, whoever is slow."""
SIGN_IN_SECONDS = 2.0
"""Within this a sign-in must work again after any kill."""

CONFIG = """
[journal]
log_bytes = 1_000_000
[limits]
messages_per_second = 0
logins_per_second = 0
[sessions]
grace_seconds = 60
[console]
level = "off"
"""


class Chaos:
    """One run: the server, the people, and what is done to them."""

    def __init__(self, folder: Path, rate: int, seed: int) -> None:
        """`rate`: messages a second, of all together."""
        self.folder = folder
        self.rate = rate
        self.random = random.Random(seed)
        self.server: ServerProcess
        self.people: list[Participant] = []
        self.problems: list[str] = []
        self.slowest_sign_in = 0.0
        self.peaks: Counter[str] = Counter()
        self.sending = True
        self.clock = WallClock(folder) if COMPILER is not None and sys.platform == "linux" else None
        self._port = 0

    async def run(self, kills: int) -> bool:
        """Do everything; return whether all held."""
        self._start(0)
        await self._gather_people()
        load = [asyncio.ensure_future(person.talk(self._is_sending)) for person in self.people]
        watch = asyncio.ensure_future(self._watch_memory())
        began = time.monotonic()
        for role in ("logger", "manager", "acceptor", "worker"):
            await self._repeat(role, kills, partial(self._kill, role))
        await self._repeat("stopped worker", max(1, kills // 10), self._stop_worker)
        await self._repeat("stopped logger", max(1, kills // 10), self._stop_logger)
        await self._repeat("deaf reader", max(1, kills // 10), self._deafen)
        await self._repeat("hostile lines", max(1, kills // 10), self._attack)
        await self._repeat("flood", max(1, kills // 10), self._flood)
        if self.clock is not None:
            await self._repeat("clock step", max(1, kills // 5), self._set_clock)
        await self._repeat("whole server", max(1, kills // 10), self._restart)
        await self._repeat("restored backup", max(1, kills // 10), self._restore)
        seconds = time.monotonic() - began
        self.sending = False
        await asyncio.gather(*load)
        await self._settle()
        watch.cancel()
        return self._judge(seconds)

    def _is_sending(self) -> bool:
        return self.sending

    def _start(self, port: int) -> None:
        users = "".join(f"p{i:02} pw\n" for i in range(PEOPLE)) + HOSTILE_USERS + f"probe {hashed('pw')}\n"
        self.server = ServerProcess(
            self.folder, "--no-tls", config=CONFIG, users=users, workers=WORKERS, port=port,
            variables=self.clock.variables if self.clock is not None else None,
        )  # fmt: skip
        self._port = self.server.port

    async def _gather_people(self) -> None:
        each = self.rate / PEOPLE
        self.people = [Participant(f"p{i:02}", self._where, each, random.Random(i)) for i in range(PEOPLE)]
        await asyncio.gather(*(person.connect() for person in self.people))
        for group in range(GROUPS):
            members = [p for i, p in enumerate(self.people) if i % GROUPS == group]
            names = [p.name for p in members]
            await members[0].create_group(f"g{group}", names)
            for person in members:
                person.joined(f"g{group}", names)
        for one, other in zip(self.people[::2], self.people[1::2], strict=True):
            one.peer, other.peer = other.name, one.name

    def _where(self) -> int:
        return self._port

    # ---- what is done ----

    async def _repeat(self, name: str, times: int, strike: Callable[[], Awaitable[None]]) -> None:
        print(f"{name:16}", end="", flush=True)
        for _ in range(times):
            await asyncio.sleep(self.random.uniform(0.05, 0.6))
            lost = sum(person.lost for person in self.people)
            await strike()
            await self._probe(name)
            if name in LOSE_NOBODY and sum(p.lost for p in self.people) != lost:
                self.problems.append(f"connections were lost to: {name}")
            print(".", end="", flush=True)
        print()

    async def _kill(self, role: str) -> None:
        title = f"worker {self.random.randint(1, WORKERS)}" if role == "worker" else role
        pid = await asyncio.to_thread(self.server.kill_role, title)
        await asyncio.to_thread(self.server.wait_for_replacement, title, pid)

    async def _stop_worker(self) -> None:
        await self._stop(f"worker {self.random.randint(1, WORKERS)}", STOPPED_SECONDS)

    async def _stop_logger(self) -> None:
        await self._stop("logger", LOGGER_STOPPED_SECONDS)

    async def _stop(self, title: str, seconds: float) -> None:
        pid = self.server.kill_role(title, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    async def _deafen(self) -> None:
        """Someone reads nothing while others send them long messages, until the server cuts them off."""
        deaf, *friends = self.random.sample(self.people, 4)
        deaf.stop_listening()
        deadline = time.monotonic() + CUT_OFF_SECONDS
        while not deaf.is_cut_off:
            if time.monotonic() > deadline:
                self.problems.append("someone who reads nothing was not cut off")
                break
            for friend in friends:
                friend.tell(deaf.name, LONG)
            await asyncio.sleep(0.01)
        deaf.listen()

    async def _attack(self) -> None:
        """Strangers, and two people, send rubbish on many connections."""
        await asyncio.to_thread(fuzz_server.attack, self._port, self.random.randrange(2**32), ATTACK_SECONDS)

    async def _flood(self) -> None:
        """Several addresses try to sign in as fast as they can, and hang up; somebody signs in meanwhile."""
        end = time.monotonic() + ATTACK_SECONDS
        guessing = [self._guess(f"127.0.1.{n % 5 + 1}", end) for n in range(40)]
        await asyncio.gather(self._probe("flood, in its midst"), *guessing)

    async def _guess(self, address: str, end: float) -> None:
        while time.monotonic() < end:
            with contextlib.suppress(OSError):  # the server may well hang up
                _, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
                writer.write(b'{"type":"login","id":1,"user":"nobody","password":"guess","udp_port":0}\n')
                await asyncio.sleep(0.02)
                writer.close()

    async def _set_clock(self) -> None:
        """Somebody sets the clock: by seconds, hours or years, forward or back, and sometimes right."""
        assert self.clock is not None
        choices = (0, 3, 7_200, 86_400 * 365 * 10)
        self.clock.set(self.random.choice(choices) * self.random.choice((-1, 1)))

    async def _restart(self) -> None:
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self._start, self._port)

    async def _restore(self) -> None:
        """A backup is put back: what came after it is lost, by intention, and all that comes then is kept as ever."""
        await self._fall_silent()
        if await asyncio.to_thread(self.server.stop) != 0:
            self.problems.append("the server did not stop in order")
        data, backup = self.server.data_dir, self.folder / "backup"
        await asyncio.to_thread(shutil.copytree, data, backup)
        past = [person.remembered() for person in self.people]
        await self._start_again()
        await asyncio.sleep(LOST_SECONDS)
        await self._fall_silent()
        await asyncio.to_thread(self.server.stop)
        if self.random.random() < 0.5:
            shutil.rmtree(data)
            await asyncio.to_thread(shutil.copytree, backup, data)
        else:  # the journal alone, under logs that know more
            for path in data.glob("journal.db*"):
                path.unlink()
            for path in backup.glob("journal.db*"):
                shutil.copy(path, data)
        shutil.rmtree(backup)
        for person, remembered in zip(self.people, past, strict=True):
            person.go_back(remembered)
        await self._start_again()

    async def _fall_silent(self) -> None:
        """Wait until everything is answered and shown, and nobody says anything any more."""
        for person in self.people:
            person.is_quiet = True
        await self._settle()

    async def _start_again(self) -> None:
        await asyncio.to_thread(self._start, self._port)
        await asyncio.gather(*(person.connected() for person in self.people))
        for person in self.people:
            person.is_quiet = False

    async def _probe(self, after: str) -> None:
        """Sign in as somebody new, and see how long that takes."""
        began = time.monotonic()
        probe = Participant("probe", self._where, 0, random.Random(0))
        await probe.connect()
        await probe.leave()
        seconds = time.monotonic() - began
        self.slowest_sign_in = max(self.slowest_sign_in, seconds)
        if seconds > SIGN_IN_SECONDS:
            self.problems.append(f"sign-in took {seconds:.1f} s after: {after}")

    async def _watch_memory(self) -> None:
        while True:
            for pid in [self.server.process.pid, *children_of(self.server.process.pid)]:
                title = title_of(pid).split(" 127")[0]
                if title.startswith("tessenger: "):
                    role = title.removeprefix("tessenger: ")
                    self.peaks[role] = max(self.peaks[role], _resident(pid))
            await asyncio.sleep(0.5)

    async def _settle(self) -> None:
        """Wait until everything is answered, and everything ordered before that is shown."""
        await asyncio.gather(*(person.settle() for person in self.people))

    # ---- what came of it ----

    def _judge(self, seconds: float) -> bool:
        sent = {text: seq for person in self.people for text, seq in person.acknowledged.items()}
        refused = {text for person in self.people for text in person.not_done}
        shown: Counter[tuple[str, str]] = Counter()
        for person in self.people:
            shown.update((person.name, text) for _, text in person.shown)
            numbers = [seq for seq, _ in person.shown]
            if numbers != sorted(set(numbers)):
                self.problems.append(f"{person.name} was shown messages out of order, or one twice")
            wrong = [text for seq, text in person.shown if sent.get(text, seq) != seq]
            if wrong:
                self.problems.append(f"{person.name} was shown {len(wrong)} messages under another number")
        due = {
            (name, text)
            for person in self.people
            for text, names in person.due.items()
            if text in sent
            for name in names
        }
        lost = [pair for pair in due if not shown[pair]]
        doubled = [pair for pair, count in shown.items() if count > 1]
        unasked = [pair for pair in shown if pair not in due]
        for what, found in (("lost", lost), ("doubled", doubled), ("shown though not acknowledged", unasked)):
            if found:
                self.problems.append(f"{len(found)} deliveries {what}, the first {found[0]}")
        if refused & set(sent):
            self.problems.append("a message was both acknowledged and refused")
        status = self.server.stop()
        if status:
            self.problems.append(f"the server ended with {status}")
        self._compare("the journal", self._in_journal(), sent)
        self._compare("the activity logs", self._in_logs(), sent)
        errors = self.server.data_dir / "error.log"
        if errors.exists() and errors.stat().st_size:
            self.problems.append(f"error.log has {errors.stat().st_size} bytes: {errors.read_text()[-500:]}")
        for title, kib in self.peaks.items():
            if kib > MAX_RESIDENT_KIB:
                self.problems.append(f"{title} took {kib >> 10} MiB of memory")
        rate = len(sent) / seconds
        if rate < min(1_000, self.rate * 0.7):  # below what was offered only while something was being replaced
            self.problems.append(f"only {rate:.0f} messages a second were acknowledged")
        print(
            f"{len(sent)} messages acknowledged ({rate:.0f} a second), {sum(shown.values())} deliveries, all checked;"
        )
        print(f"{sum(p.lost for p in self.people)} connections lost and resumed, {len(refused)} requests not done,")
        print(f"slowest sign-in after a kill {self.slowest_sign_in:.2f} s;")
        print("peak memory in MiB:", ", ".join(f"{title} {kib >> 10}" for title, kib in sorted(self.peaks.items())))
        for problem in self.problems:
            print("PROBLEM:", problem)
        return not self.problems

    def _in_journal(self) -> Counter[str]:
        with closing(sqlite3.connect(self.server.data_dir / "journal.db")) as db:
            return Counter(row[TEXT] for row in chunks.forward(db, 0) if row[KIND] in ("m", "g"))

    def _in_logs(self) -> Counter[str]:
        logs = list(self.server.data_dir.glob("*messagelog.txt*"))
        if not any(log.suffix == ".2" for log in logs):
            self.problems.append("the activity logs were not rotated")
        return Counter(line.rpartition("; ")[2] for log in logs for line in log.read_text().splitlines())

    def _compare(self, where: str, found: Counter[str], sent: dict[str, int]) -> None:
        missing = [text for text in sent if not found[text]]
        doubled = [text for text in sent if found[text] > 1]
        if missing:
            self.problems.append(f"{len(missing)} acknowledged messages are not in {where}, the first {missing[0]}")
        if doubled:
            self.problems.append(f"{len(doubled)} messages stand twice in {where}, the first {doubled[0]}")


def _resident(pid: int) -> int:
    """The resident memory of a process in KiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def main() -> int:
    """Run it; 0 where everything held."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each role")
    parser.add_argument("--rate", type=int, default=1_500, help="messages a second")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.kills} kills of each role, {options.rate} messages a second")
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        chaos = Chaos(Path(folder), options.rate, options.seed)
        try:
            held = uvloop.run(chaos.run(options.kills))
        except BaseException:
            if hasattr(chaos, "server"):
                chaos.server.kill()
            raise
    print("everything held" if held else "NOT everything held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
