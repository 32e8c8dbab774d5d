"""What a delivery costs: our server beside others that are installed, under the same load in the same run.

    python -m bench.chat                              everything, some minutes
    python -m bench.chat --loads --servers Tessenger --rounds 1    15 seconds: for work on the hot path
    python -m bench.chat --loads --servers Tessenger,ngIRCd --only direct1,group8 --seconds 3
    python -m bench.chat --idle --people 10000        memory of idle connections, sign-ins a second
    python -m bench.chat --growth --entries 1000000   what idle connections, workers and a long journal cost
    python -m bench.chat --chart docs/chat-cost.svg   and draw the chart

Servers: ours with 4 workers (plain TCP, durability "process", console "events", limits off), ours with TLS, ours with
durability "power", InspIRCd, ngIRCd, Mosquitto (with and without a log), miniircd and bench/naive.py. The others come
from the distribution (`apt-get install inspircd ngircd mosquitto`), miniircd from PyPI into a temporary environment, or
`--miniircd PROGRAM`. What is missing is left out, and said to be. TLS needs OpenSSL's headers (`libssl-dev`).

Loads, of messages of 64 bytes (bench/load.c): `direct1` and `direct32`, 100 pairs, each with so many messages under
way; `group1` and `group8`, one talker to 500 others; `paced`, 2,000 messages a second over 100 pairs. Every message has
to arrive once, undamaged and in order, and from our server the acknowledgement too: otherwise the run fails.

CPU is user and system time of all processes and threads of the server, also of those that have ended, in microseconds
for each delivery. The server has one processor, the load another one. Medians of the rounds; servers take turns within
a round, so that what disturbs the machine disturbs all. What was disturbed (other programs had more than a tenth of a
processor, or a paced load, which has a processor of its own, sent one message in a hundred 0.3 ms late) is measured up
to twice more, the quietest counts, and what was disturbed all the same is said. Linux only, as it reads /proc.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import chat_growth, chat_report
from bench.chat_report import Figure, Idle, Results
from bench.cost import Cost, cost_of
from bench.peers import Peer, Running, find, others, ours, running
from bench.people import LoadError, People, Stretch, compiled, cores
from bench.process_tree import anonymous_kb, cpu_seconds

PAIRS = 100
LISTENERS = 500
RATE = 2_000

LOADS: Mapping[str, Callable[[People, float], Stretch]] = {
    "direct1": lambda people, seconds: people.direct(0, PAIRS, 1, seconds),
    "direct32": lambda people, seconds: people.direct(0, PAIRS, 32, seconds),
    "group1": lambda people, seconds: people.fan(1, seconds),
    "group8": lambda people, seconds: people.fan(8, seconds),
    "paced": lambda people, seconds: people.paced(0, PAIRS, RATE, seconds),
}


class Bench(NamedTuple):
    """What all measurements need: the load's program, the processors, who is measured, and where to note failures."""

    program: Path
    both: tuple[int, int] | None
    peers: Sequence[Peer]
    failures: list[str]

    @contextmanager
    def running(self, peer: Peer) -> Iterator[Running]:
        """Run a server; where it does not do what it must, go on with the next one, but fail in the end."""
        try:
            with running(peer, self.program, self.both) as server:
                yield server
        except LoadError as error:
            self.failures.append(f"{peer.name}: {error}")
            print(f"# {self.failures[-1]}", file=sys.stderr, flush=True)


def loads(bench: Bench, names: Sequence[str], seconds: float) -> list[Figure]:
    """Put every server under every load, once. The pairs are gone when the group comes."""
    figures = []
    for peer in bench.peers:
        with bench.running(peer) as server:
            for in_group in (False, True):
                with server.people() as people:
                    for name in (name for name in names if name.startswith("group") == in_group):
                        if not people.count:
                            people.group(LISTENERS, peer.at_once) if in_group else people.pairs(PAIRS, peer.at_once)
                        figures.append(_figure(server, people, name, seconds))
    return figures


def _figure(server: Running, people: People, name: str, seconds: float) -> Figure:
    def figure(cost: Cost) -> Figure:
        stretch, cpu, elsewhere = cost
        rate = stretch.delivered / stretch.seconds
        latencies = stretch.p50, stretch.p99, stretch.late_p99
        return Figure(server.peer.name, name, cpu, rate, *latencies, stretch.busy, elsewhere)

    def show(cost: Cost) -> None:
        print(f"# {chat_report.line(figure(cost))}", file=sys.stderr, flush=True)

    return figure(cost_of(server.pid, people, partial(LOADS[name], people, seconds), show))


def idle(bench: Bench, count: int) -> list[Idle]:
    """Let many sign in and say nothing; then some of them talk, to show that they are there."""
    found = []
    for peer in bench.peers:
        people_count = min(count, peer.most_people)
        with bench.running(peer) as server, server.people() as people:
            memory, cpu = anonymous_kb(server.pid), cpu_seconds(server.pid)
            seconds = people.pairs(people_count // 2, peer.at_once)
            cpu = cpu_seconds(server.pid) - cpu
            time.sleep(1)  # nothing to wait for: what was only needed for the sign-ins may be given back meanwhile
            memory = anonymous_kb(server.pid) - memory
            people.once(0, min(100, people_count // 2))
            signed_in = people.count
            result = Idle(peer.name, signed_in, memory / signed_in, signed_in / seconds, cpu / signed_in * 1e6)
            print(f"# {chat_report.idle_line(result)}", file=sys.stderr, flush=True)
            found.append(result)
    return found


# ---- who is there ----


def _installed_miniircd(folder: Path) -> Path:
    """Return miniircd's program, from PyPI in an environment of its own; it may not be there."""
    place = folder / "miniircd"
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin" / "pip", "install", "-q", "miniircd"], capture_output=True, check=False)
    return place / "bin" / "miniircd"


def _peers(options: argparse.Namespace, folder: Path, *, tls: bool) -> tuple[list[Peer], dict[str, str]]:
    """Return the servers to measure, and why others are left out."""
    wanted = options.servers.split(",") if options.servers else None
    missing: dict[str, str] = {}
    all_of_them = [ours(), ours("Tessenger TLS", tls=True), ours("Tessenger power", durability="power")]
    if not options.ours:
        needs_miniircd = wanted is None or "miniircd" in wanted
        program = options.miniircd or (_installed_miniircd(folder) if needs_miniircd else Path("miniircd"))
        all_of_them += others(program)
    chosen = []
    for peer in all_of_them:
        if wanted is not None and peer.name not in wanted:
            continue
        if peer.protocol == "tess-tls" and not tls:
            missing[peer.name] = "OpenSSL's headers are not installed"
        elif find(peer.program) is None:
            missing[peer.name] = "it is not installed"
        else:
            chosen.append(peer)
    return chosen, missing


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", action="store_true", help="only the loads")
    parser.add_argument("--idle", action="store_true", help="only idle connections")
    parser.add_argument("--growth", action="store_true", help="only what growth costs")
    parser.add_argument("--ours", action="store_true", help="without the other servers")
    parser.add_argument("--servers", help="only these, by the names of the table, with commas between")
    parser.add_argument("--only", default=",".join(LOADS), help="these loads, with commas between")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load in each round")
    parser.add_argument("--people", type=int, default=10_000, help="idle connections, at most 10,000")
    parser.add_argument("--entries", type=int, default=1_000_000, help="in the long journal")
    parser.add_argument("--journal", type=Path, help="data directory with the long journal; made where there is none")
    parser.add_argument("--miniircd", type=Path, help="miniircd's program")
    parser.add_argument("--chart", type=Path, help="where to draw the cost of a delivery, as SVG")
    parser.add_argument("--results", type=Path, help="where to keep all figures, as JSON")
    parser.add_argument("--add", action="store_true", help="go on with the figures that are kept there already")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(LOADS)
    if unknown:
        parser.error(f"no such load: {', '.join(sorted(unknown))}")
    if options.add and not options.results:
        parser.error("--add needs --results")
    if not 2 <= options.people <= 10_000:
        parser.error("--people is from 2 to 10000")
    if not (options.loads or options.idle or options.growth):
        options.loads = options.idle = options.growth = True
    return options


def main() -> None:
    """Measure what the command line asks for, and print it as Markdown."""
    options = _arguments()
    both = cores()
    if both:
        os.sched_setaffinity(0, {both[1]})  # this program too stays out of the server's way
    results = Results([], [], [])
    if options.add and options.results.exists():
        results = Results.from_json(options.results.read_text())
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tessenger-bench-") as name:
        try:
            program, tls = compiled(Path(name))
        except LoadError as error:
            sys.exit(f"bench.chat: {error}")
        peers, missing = _peers(options, Path(name), tls=tls)
        bench = Bench(program, both, peers, failures)
        for _ in range(options.rounds if options.loads else 0):
            results.loads.extend(loads(bench, options.only.split(","), options.seconds))
        if options.idle:
            results.idle.extend(idle(bench, options.people))
        if options.growth:
            try:
                results.growth.extend(chat_growth.measure(program, both, Path(name), options))
            except LoadError as error:
                failures.append(f"growth: {error}")
    where = f"server on processor {both[0]}, load on {both[1]}" if both else "server and load on one processor"
    print(f"Linux {platform.release()}, Python {platform.python_version()}, {where}; "
          f"{options.rounds} rounds, each load for {options.seconds:g} s.\n")  # fmt: skip
    print(chat_report.markdown(results))
    if results.loads or results.growth:
        print(f"\n{chat_report.disturbance(results)}")
    for what, why in missing.items():
        print(f"\nLeft out: {what}, as {why}.")
    if options.chart:
        options.chart.write_text(chat_report.chart(results.loads))
    if options.results:
        options.results.write_text(results.as_json())
    if failures:
        sys.exit("\n".join(f"bench.chat: {failure}" for failure in failures))


if __name__ == "__main__":
    main()
