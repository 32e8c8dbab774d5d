"""What a delivery costs in Python calls: counted, not timed, so that nobody adds one to the hot path unnoticed.

Counted is every call that the code of the package makes and every function of it that is called, for 1,000 deliveries:
the sender's worker, the logger's judgement, and the recipients' worker, without sockets and journal. When a change is
worth more calls, raise the bound in the same commit, and say why; when calls were saved, lower it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import tessenger
from tessenger.wire.messages import CreateGroup, GroupMessage, GroupMsg, Message, MsgTo
from tests.support.hub_world import World, WorldClient

PACKAGE = tessenger.__path__[0]
TEXT = "x" * 64


def calls_of(work: Callable[[], None]) -> int:
    """Return how many calls the package makes and gets while `work` is done."""
    count = 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(PACKAGE):
            count += 1

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def deliveries(clients: list[WorldClient]) -> int:
    """Return how many messages have come to these."""
    return sum(isinstance(line, Message | GroupMessage) for client in clients for line in client.rest())


@pytest.mark.parametrize(("window", "most"), [(1, 62_100), (32, 24_500)])
def test_1000_private_messages_cost_no_more_calls_than_they_did(window: int, most: int) -> None:
    """A message alone in its batch, and 32 in one read."""
    world = World(workers=2, users=("aaa", "bbb"))
    sender, recipient = world.sign_in("aaa", slot=1), world.sign_in("bbb", slot=2)
    recipient.rest()

    def talk() -> None:
        for _ in range(1_000 // window):
            sender.send(*(MsgTo(sender.new_id(), "bbb", TEXT) for _ in range(window)))
            world.settle()

    calls = calls_of(talk)
    arrived = deliveries([recipient])
    assert arrived == 1_000 // window * window
    assert calls / arrived * 1_000 <= most


@pytest.mark.parametrize(("window", "most"), [(1, 850), (8, 430)])
def test_1000_deliveries_in_a_group_cost_no_more_calls_than_they_did(window: int, most: int) -> None:
    """Members on two workers; one message at a time, and eight in one read."""
    names = tuple(f"user{number}" for number in range(101))
    world = World(workers=2, users=names)
    sender, *members = [world.sign_in(name, slot=1 + number % 2) for number, name in enumerate(names)]
    sender.ask(CreateGroup(sender.new_id(), "room", list(names[1:])))
    for member in members:
        member.rest()

    def talk() -> None:
        for _ in range(8 // window):
            sender.send(*(GroupMsg(sender.new_id(), "room", TEXT) for _ in range(window)))
            world.settle()

    calls = calls_of(talk)
    arrived = deliveries(members)
    assert arrived == 8 * len(members)
    assert calls / arrived * 1_000 <= most
