"""The servers that are measured: how each one is configured and started, with its limits off. Loopback, plain TCP.

Every one runs in a temporary folder, with as little configuration as it takes to let many people sign in from one
address and talk as fast as they can.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.people import LoadError, People, on_core

ROOT = Path(__file__).parents[1]
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where distributions put daemons, which is not in everyone's PATH."""
START_SECONDS = 30.0
MANY = 1_000_000_000
IS_ROOT = os.geteuid() == 0


class Peer(NamedTuple):
    """A server. `command(folder, port)` writes its configuration and returns how to start it.

    `at_once`: people who may be signing in at a time. `ready`: the word on its output that says that it listens.
    """

    name: str
    protocol: str
    command: Callable[[Path, int], list[str]]
    program: str = sys.executable
    at_once: int = 32
    most_people: int = 20_000
    ready: str = ""


def find(program: str) -> str | None:
    """Return where a program is."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS]))


# ---- ours ----

CONFIG = """
[limits]
messages_per_second = 0
logins_per_second = 0
connections = 0
connections_per_address = 0
[console]
level = "events"
[journal]
durability = "{durability}"
"""


@dataclass(frozen=True)
class Tessenger:
    """Our server. `journal`: a data directory to begin with, which is copied; otherwise the journal is empty."""

    workers: int = 4
    durability: str = "process"
    tls: bool = False
    journal: Path | None = None
    pairs: int = 5_100

    def __call__(self, folder: Path, port: int) -> list[str]:
        """Write configuration and credentials; passwords are plain, as those of the other servers would be."""
        names = [f"{role}{number}" for role in "sr" for number in range(self.pairs)] + [f"g{n}" for n in range(1_000)]
        (folder / "credentials.txt").write_text("".join(f"{name} pw\n" for name in names))
        if self.journal is not None:
            shutil.copytree(self.journal, folder / "data")
        (folder / "config.toml").write_text(CONFIG.format(durability=self.durability))
        command = [sys.executable, "-m", "tessenger", "server", "127.0.0.1", str(port)]
        command += ["--config", str(folder / "config.toml"), "--workers", str(self.workers)]
        return command if self.tls else [*command, "--no-tls"]


def ours(name: str = "Tessenger", **options: object) -> Peer:
    """Return our server, with the options of `Tessenger`."""
    command = Tessenger(**options)  # type: ignore[arg-type]
    return Peer(name, "tess-tls" if command.tls else "tess", command, ready="Listening on")


# ---- others ----


def _naive(folder: Path, port: int) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("naive.py")), str(port), str(folder)]


def _ngircd(folder: Path, port: int) -> list[str]:
    settings = {
        "Global": {
            "Name": "bench.example", "Info": "bench", "AdminEMail": "root@localhost", "MotdPhrase": "",
            "MotdFile": folder / "none", "Listen": "127.0.0.1", "Ports": port,
            **({"ServerUID": "nobody", "ServerGID": "nogroup"} if IS_ROOT else {}),
        },
        "Limits": {"MaxConnections": 0, "MaxConnectionsIP": 0, "MaxJoins": 0, "MaxPenaltyTime": 0, "PingTimeout": 900},
        "Options": {"DNS": "no", "Ident": "no", "PAM": "no"},
    }  # fmt: skip
    lines = []
    for section, values in settings.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
    (folder / "ngircd.conf").write_text("\n".join([*lines, ""]))
    return [find("ngircd") or "", "--nodaemon", "--config", str(folder / "ngircd.conf")]


def _inspircd(folder: Path, port: int) -> list[str]:
    tags: dict[str, dict[str, object]] = {
        "server": {"name": "bench.example", "description": "bench", "network": "bench"},
        "admin": {"name": "bench", "nick": "bench", "email": "root@localhost"},
        "path": dict.fromkeys(("configdir", "datadir", "logdir", "runtimedir"), folder),
        "bind": {"address": "127.0.0.1", "port": port, "type": "clients"},
        "connect": {
            "allow": "*", "timeout": 60, "pingfreq": 900, "limit": 60_000, "localmax": 60_000, "globalmax": 60_000,
            "maxconnwarn": "no", "resolvehostnames": "no", "useident": "no", "fakelag": "no", "threshold": MANY,
            "commandrate": MANY, "recvq": "1M", "softsendq": "64M", "hardsendq": "64M",
        },
        "class": {"name": "nobody", "commands": ""},
        "performance": {"softlimit": 60_000, "somaxconn": 4_096, "clonesonconnect": "no", "nouserdns": "yes"},
        "options": {"defaultmodes": "nt"},
    }  # fmt: skip
    quoted = {tag: " ".join(f'{key}="{value}"' for key, value in values.items()) for tag, values in tags.items()}
    lines = [f"<{tag} {values}>" for tag, values in quoted.items()]
    (folder / "inspircd.conf").write_text("\n".join([*lines, ""]))
    root = ["--runasroot"] if IS_ROOT else []
    return [find("inspircd") or "", "--nofork", "--nopid", "--nolog", *root, "--config", str(folder / "inspircd.conf")]


def _mosquitto(log: str) -> Callable[[Path, int], list[str]]:
    def command(folder: Path, port: int) -> list[str]:
        folder.chmod(0o777)  # it becomes another user, and writes its log here
        lines = [
            f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "max_connections -1",
            "max_queued_messages 0", "set_tcp_nodelay true", f"log_dest file {folder}/mosquitto.log", f"log_type {log}",
        ]  # fmt: skip
        (folder / "mosquitto.conf").write_text("\n".join([*lines, ""]))
        return [find("mosquitto") or "", "-c", str(folder / "mosquitto.conf")]

    return command


def _miniircd(program: Path) -> Callable[[Path, int], list[str]]:
    def command(folder: Path, port: int) -> list[str]:
        user = ["--setuid", "root"] if IS_ROOT else []
        return [str(program), "--listen", "127.0.0.1", "--ports", str(port), *user]

    return command


def others(miniircd: Path) -> list[Peer]:
    """Return every server that ours is compared with. `miniircd`: where that one is, for no distribution has it.

    How many sign in at a time: InspIRCd completes sign-ins once a second, so many have to wait together. ngIRCd and
    miniircd listen with a backlog of 10 and 5; a connection beyond it is tried again by the kernel a second later.
    miniircd uses select(), and ends at 1,024 descriptors.
    """
    return [
        Peer("InspIRCd", "irc", _inspircd, "inspircd", at_once=1_000),
        Peer("ngIRCd", "irc", _ngircd, "ngircd", at_once=8),
        Peer("Mosquitto", "mqtt", _mosquitto("error"), "mosquitto"),
        Peer("Mosquitto logging", "mqtt", _mosquitto("all"), "mosquitto"),
        Peer("miniircd", "irc", _miniircd(miniircd), str(miniircd), at_once=4, most_people=1_000),
        Peer("threads and log file", "line", _naive),
    ]


# ---- running ----


@dataclass
class Running:
    """A server that takes connections."""

    peer: Peer
    pid: int
    port: int
    _program: Path
    _core: int | None

    def people(self) -> People:
        """Return the load for it, with nobody signed in."""
        return People(self._program, self.peer.protocol, self.port, self._core)


@contextmanager
def running(peer: Peer, program: Path, both: tuple[int, int] | None) -> Iterator[Running]:
    """Run a server on one processor, for people on the other one; all of it is gone at the end."""
    server_core, load_core = both or (None, None)
    folder = Path(tempfile.mkdtemp(prefix="tessenger-bench-"))
    folder.chmod(0o755)
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TESSENGER_")}
    environment["PYTHONPATH"] = str(ROOT)
    output = folder / "output.txt"
    try:
        with output.open("wb") as out, on_core(server_core):
            process = subprocess.Popen(
                peer.command(folder, port),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
            )
        try:
            _await_start(peer, process, port, output)
            yield Running(peer, process.pid, port, program, load_core)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await_start(peer: Peer, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if peer.ready:
            if peer.ready in output.read_text(errors="replace"):
                return
        else:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
        time.sleep(0.02)
    said = [output, output.parent / "data" / "error.log"]
    reasons = "\n".join(path.read_text(errors="replace")[-1_000:] for path in said if path.exists())
    raise LoadError(f"{peer.name} did not start: {reasons}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
