"""Text above the line: in pieces, in order, none of it lost, and never too much of it waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from prompt_toolkit.output import DummyOutput

from tessenger.client import screen
from tessenger.client.screen import Screen


class Paper(DummyOutput):
    """A terminal that keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def write_raw(self, data: str) -> None:
        """Write."""
        self.pieces.append(data)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time be short, and bounds small."""
    monkeypatch.setattr(screen, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(screen, "LINES_A_FLUSH", 10)
    monkeypatch.setattr(screen, "MOST_WAITING", 100)


def written(scenario: Callable[[Screen, asyncio.Future[None]], None]) -> list[str]:
    """Carry out a scenario until it sets its future; return the pieces that were written."""
    paper = Paper()

    async def run() -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        scenario(Screen(paper), done)
        await asyncio.wait_for(done, 20)

    asyncio.run(run())
    return paper.pieces


def test_lines_are_written_in_pieces() -> None:
    """All of them, in order, so many at a time."""

    def scenario(made: Screen, done: asyncio.Future[None]) -> None:
        for number in range(0, 95, 5):
            made.add("\n".join(str(n) for n in range(number, number + 5)))
        made.once_written(lambda: done.set_result(None))

    pieces = written(scenario)
    assert "".join(pieces) == "".join(f"{n}\r\n" for n in range(95))
    assert [piece.count("\n") for piece in pieces] == [10] * 9 + [5]


def test_where_too_much_waits_no_more_is_read() -> None:
    """Once, until half of it is written."""
    calls: list[str] = []

    def scenario(made: Screen, done: asyncio.Future[None]) -> None:
        def go_on() -> None:
            calls.append("go on")
            made.once_written(lambda: done.set_result(None))

        made.when_full(lambda: calls.append("pause"), go_on)
        for number in range(150):
            made.add(str(number))
        assert calls == ["pause"]

    assert "".join(written(scenario)) == "".join(f"{n}\r\n" for n in range(150))
    assert calls == ["pause", "go on"]


def test_at_the_end_all_is_written_at_once() -> None:
    """What still waits when the client leaves."""

    def scenario(made: Screen, done: asyncio.Future[None]) -> None:
        for number in range(35):
            made.add(str(number))
        made.flush()
        done.set_result(None)

    assert "".join(written(scenario)).count("\n") == 35


class Written(DummyOutput):
    """An output that keeps what was written."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def write_raw(self, data: str) -> None:
        """Keep it."""
        self.log += data.split("\r\n")[:-1]


def test_who_waits_for_lines_is_told_behind_them() -> None:
    """Not before they are on the screen, in the order of the lines; with nothing waiting, at once."""

    async def scenario() -> None:
        output = Written()
        shown = Screen(output)
        shown.once_written(partial(output.log.append, 0))
        shown.add("one\ntwo")
        shown.once_written(partial(output.log.append, 2))
        shown.add("three")
        shown.once_written(partial(output.log.append, 3))
        assert output.log == [0]
        shown.flush()
        assert output.log == [0, "one", "two", "three", 2, 3]

    asyncio.run(scenario())


def test_a_burst_is_told_of_piece_by_piece() -> None:
    """What is written later than the first piece is not said to be there with it."""

    async def scenario() -> None:
        output = Written()
        shown = Screen(output)
        for number in range(screen.LINES_A_FLUSH + 1):
            shown.add(f"line {number}")
            shown.once_written(partial(output.log.append, number))
        shown._write_some()
        assert output.log[-1] == screen.LINES_A_FLUSH - 1
        shown.flush()
        assert output.log[-2:] == [f"line {screen.LINES_A_FLUSH}", screen.LINES_A_FLUSH]

    asyncio.run(scenario())
