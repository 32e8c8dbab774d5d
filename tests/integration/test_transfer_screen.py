"""Files on their way, as someone at a terminal sees and steers them: two real clients of a real server."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.person import Person
from tests.support.piped_client import PipedClient
from tests.support.pty_terminal import ENTER, PtyTerminal
from tests.support.server_process import ServerProcess, children_of, running_server

CLIENT = [sys.executable, "-m", "tessenger", "client"]
SLOW = {"TESSENGER_TRANSFER_RATE_LIMIT": "1000000", "TESSENGER_TRANSFER_AUTO_ACCEPT_BELOW": "1000000"}
"""A megabyte a second, and a file above a megabyte is asked about."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own."""
    with running_server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def bbb(server: ServerProcess, tmp_path: Path) -> Iterator[PipedClient]:
    """Someone else, in a pipe, who takes what comes."""
    home = tmp_path / "bbb"
    home.mkdir()
    limit = {"TESSENGER_TRANSFER_RATE_LIMIT": "1000000"}
    with PipedClient(server.port, home, command=CLIENT, env=limit) as client:
        client.sign_in("bbb")
        yield client


def _terminal(server: ServerProcess, tmp_path: Path, columns: int, rows: int) -> PtyTerminal:
    home = tmp_path / "aaa"
    home.mkdir()
    for name in ("film.mp4", "other.mp4"):
        (home / name).write_bytes(os.urandom(30_000_000))
    person = Person(server.port, home, columns=columns, rows=rows, command=CLIENT, env=SLOW)
    return person.sign_in()


def _shows(terminal: PtyTerminal, pattern: str) -> None:
    terminal.until(lambda: any(re.fullmatch(pattern, line) for line in terminal.lines()), f"nothing like {pattern}")


def test_live_lines(server: ServerProcess, bbb: PipedClient, tmp_path: Path) -> None:
    """Name, direction, percent, rate and time left of each; stalled while the other side is frozen; gone at the end."""
    with _terminal(server, tmp_path, 80, 24) as terminal:
        terminal.type("/sendfile bbb film.mp4 other.mp4" + ENTER)
        for name in ("film", "other"):
            _shows(terminal, rf" {name}\.mp4 to bbb \[█*░+\] [1-9]\d? % [45]\d\d\.\d kB/s \d+ s left")
        frozen = list(children_of(bbb.process.pid))
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            _shows(terminal, r" film\.mp4 to bbb \[█*░+\] \d+ % stalled")
            terminal.type("/transfers" + ENTER)
            _shows(terminal, r"1\. film\.mp4 to bbb, stalled: [\d.]+ [kM]B of 30\.0 MB, \d+ %")
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        _shows(terminal, r" film\.mp4 to bbb \[█*░+\] \d+ % .*/s .* left")
        terminal.type("/cancel 1" + ENTER)
        terminal.until_shown("film.mp4 has been cancelled.")
        terminal.type("/cancel 2" + ENTER)
        terminal.until_shown("other.mp4 has been cancelled.")
        terminal.until(lambda: not any(" to bbb [" in line for line in terminal.lines()), "the lines stay")
        [told] = bbb.answer()
        assert "film.mp4" in told
        assert "cancelled" in told


def test_narrow_window(server: ServerProcess, bbb: PipedClient, tmp_path: Path) -> None:
    """At 40 by 10 each direction has a line all the same, with less of the name: none where rate and time are long."""
    (tmp_path / "bbb" / "theirs.mp4").write_bytes(os.urandom(30_000_000))
    with _terminal(server, tmp_path, 40, 10) as terminal:
        bbb.type("p2pvideo aaa theirs.mp4")
        terminal.until_shown("or /reject 1")
        terminal.type("/accept 1" + ENTER)
        terminal.type("/p2pvideo bbb film.mp4" + ENTER)
        _shows(terminal, r" (thei\S* )?from bbb \d+ % .+/s \d+ s left")
        _shows(terminal, r" (film\S* )?to bbb \d+ % .+/s \d+ s left")
        assert all(len(line) <= 40 for line in terminal.lines())


def test_reject(server: ServerProcess, bbb: PipedClient, tmp_path: Path) -> None:
    """An offer that is refused ends on both sides."""
    (tmp_path / "bbb" / "theirs.mp4").write_bytes(os.urandom(2_000_000))
    with _terminal(server, tmp_path, 80, 24) as terminal:
        bbb.type("p2pvideo aaa theirs.mp4")
        terminal.until_shown("bbb offers theirs.mp4 (2.0 MB): /accept 1 or /reject 1")
        terminal.type("/reject 1" + ENTER)
        terminal.until_shown("You have refused theirs.mp4 from bbb.")
        assert bbb.answer() == ["aaa has refused theirs.mp4."]
        terminal.type("/accept 1" + ENTER)
        terminal.until_shown("There is no offer 1. /transfers shows them.")


def test_a_folder_is_one_question(server: ServerProcess, bbb: PipedClient, tmp_path: Path) -> None:
    """With its files and bytes; /accept without a number takes it, and each file that comes is one line."""
    for name in ("a.mp4", "day 1/b.mp4", "day 1/c.mp4"):
        path = tmp_path / "bbb" / "holiday" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(600_000))
    (tmp_path / "bbb" / "holiday" / "empty").mkdir()
    with _terminal(server, tmp_path, 120, 24) as terminal:
        bbb.type("sendfile aaa holiday")
        terminal.until_shown("bbb offers the folder holiday (4 files, 1.8 MB): /accept 1 or /reject 1")
        terminal.type("/accept" + ENTER)
        for _ in range(4):
            (line,) = bbb.answer()
            assert line.endswith("has been uploaded.")
        for name in ("a.mp4", "day 1/b.mp4", "day 1/c.mp4", "empty/"):
            terminal.until_shown(f"Received holiday/{name} from bbb: ")
        assert not any("/accept" in line or "Saved as" in line for line in terminal.lines()[-10:])
    landed = tmp_path / "aaa" / "downloads" / "holiday"
    assert sorted(path.relative_to(landed).as_posix() for path in landed.rglob("*")) == [
        "a.mp4",
        "day 1",
        "day 1/b.mp4",
        "day 1/c.mp4",
        "empty",
    ]
