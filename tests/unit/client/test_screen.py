"""The order of what is written above the command line, and of what is said about it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from prompt_toolkit.output import DummyOutput

from tessenger.client.screen import LINES_A_FLUSH, Screen


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
        for number in range(LINES_A_FLUSH + 1):
            shown.add(f"line {number}")
            shown.once_written(partial(output.log.append, number))
        shown._write_some()
        assert output.log[-1] == LINES_A_FLUSH - 1
        shown.flush()
        assert output.log[-2:] == [f"line {LINES_A_FLUSH}", LINES_A_FLUSH]

    asyncio.run(scenario())
