"""The naive baseline: a chat server as a first course teaches it, with one thread for each client and a log file.

    python bench/naive.py PORT FOLDER

Made after the original description's server: a listening loop, a thread for each connection, one dictionary of sockets
under one lock, `sendall` to each recipient, one line in `messagelog.txt` for each message. What the measurement has no
use for is left out: passwords, blocking, video. Messages end with a newline, which the original's do not, so that they
are not cut. A sender gets no answer (the original says "message sent"), which favours this server.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path
from typing import TextIO


class NaiveServer:
    """Everything is shared by all threads, under one lock each for the people and for the log."""

    def __init__(self, log: TextIO) -> None:
        """Nobody is there."""
        self._sockets: dict[str, socket.socket] = {}
        self._groups: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._log = log
        self._log_lock = threading.Lock()

    def serve(self, port: int) -> None:
        """Give every connection a thread."""
        with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._talk_with, args=(connection,), daemon=True).start()

    def _talk_with(self, connection: socket.socket) -> None:
        name = ""
        try:
            with connection, connection.makefile("r", encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    command, _, rest = line.rstrip("\n").partition(" ")
                    if command == "login":
                        name = rest.partition(" ")[0]
                        with self._lock:
                            self._sockets[name] = connection
                        _send(connection, "Welcome to TESSENGER!")
                    else:
                        self._obey(name, connection, command, rest)
        except OSError:
            pass  # a client that is gone is no concern of this server
        with self._lock:
            if self._sockets.get(name) is connection:
                del self._sockets[name]

    def _obey(self, name: str, connection: socket.socket, command: str, rest: str) -> None:
        target, _, text = rest.partition(" ")
        if command == "msgto":
            with self._lock:
                recipient = self._sockets.get(target)
            if recipient is None:
                _send(connection, f"user {target} not online")
                return
            _send(recipient, f"{_now()}, {name}: {text}")
            self._write_down(f"{name} message to {target} {text}")
        elif command == "groupmsg":
            with self._lock:
                others = [self._sockets[member] for member in self._groups[target] if member != name]
            line = f"{_now()}, {target}, {name}: {text}"
            for other in others:
                _send(other, line)
            self._write_down(f"{name} sent a message in group chat {target} {text}")
        elif command in ("creategroup", "joingroup"):
            with self._lock:
                self._groups.setdefault(target, []).append(name)
            _send(connection, f"Group chat {target}")

    def _write_down(self, line: str) -> None:
        with self._log_lock:
            self._log.write(f"{_now()}; {line}\n")
            self._log.flush()


def _send(connection: socket.socket, line: str) -> None:
    connection.sendall(line.encode() + b"\n")


def _now() -> str:
    return time.strftime("%d %B %Y %H:%M:%S")


if __name__ == "__main__":
    with (Path(sys.argv[2]) / "messagelog.txt").open("a") as file:
        NaiveServer(file).serve(int(sys.argv[1]))
