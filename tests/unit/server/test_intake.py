"""What clients send within one turn of a worker's loop: carried out in a row, in order, whatever one of them does."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tessenger.chat.hub import Hub
from tessenger.server.intake import MAX_BYTES, Intake
from tessenger.server.log_link import LogLink


class Turn:
    """The loop, the hub and the log of an intake: notes what happens."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.later: list[object] = []
        loop, hub, log = cast(asyncio.AbstractEventLoop, self), cast(Hub, self), cast(LogLink, self)
        self.intake = Intake(loop, hub, log)

    def call_soon(self, call: object) -> None:
        """Keep it for the next turn."""
        self.later.append(call)

    def flush(self) -> None:
        """Note it."""
        self.noted.append("flush")

    def gather(self) -> None:
        """Note it."""
        self.noted.append("gather")

    def send(self) -> None:
        """Note it."""
        self.noted.append("send")


class Client:
    """A connection; `fails`: what it sends cannot be carried out."""

    def __init__(self, turn: Turn, *, fails: bool = False) -> None:
        self._turn = turn
        self._fails = fails

    def carry_out(self, data: bytes) -> None:
        """Note it."""
        if self._fails:
            raise ValueError(data)
        self._turn.noted.append(data.decode()[:10])

    def abort(self) -> None:
        """Note it."""
        self._turn.noted.append("abort")


def test_reads_are_carried_out_together_in_the_order_in_which_they_came() -> None:
    """With the next turn, once; then answers and entries leave."""
    turn = Turn()
    one, other = Client(turn), Client(turn)
    turn.intake.add(one, b"1")
    turn.intake.add(other, b"2")
    turn.intake.add(one, b"3")
    assert not turn.noted
    assert turn.later == [turn.intake.carry_out]
    turn.intake.carry_out()
    turn.intake.carry_out()
    assert turn.noted == ["gather", "1", "2", "3", "flush", "send"]


def test_a_request_that_fails_ends_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged, the others' requests are carried out, and entries leave."""
    turn = Turn()
    turn.intake.add(Client(turn, fails=True), b"bad")
    turn.intake.add(Client(turn), b"good")
    turn.intake.carry_out()
    assert turn.noted == ["gather", "abort", "good", "flush", "send"]
    assert "a client's request failed" in caplog.text


def test_a_flood_is_not_kept_until_the_next_turn() -> None:
    """More than so many bytes are carried out at once."""
    turn = Turn()
    client = Client(turn)
    turn.intake.add(client, b"x" * MAX_BYTES)
    assert not turn.noted
    turn.intake.add(client, b"y")
    assert turn.noted == ["gather", "x" * 10, "y", "flush", "send"]
