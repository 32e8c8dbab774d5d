"""Acknowledgements that wait: what a client gets of them when something else happens. More is in test_delivery.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tessenger.chat.acknowledgements import FEW, HURRIED_MS
from tessenger.wire import messages
from tessenger.wire.messages import AnyAnswer, Logout, MsgTo, Sent
from tests.support.hub_world import World, WorldClient

USERS = tuple(f"user{number}" for number in range(FEW + 1))


@pytest.fixture
def world() -> World:
    """One worker, which asks for ticks; they come when a test says so."""
    world = World(workers=1, users=USERS)
    world.workers[1].hub.delivery.wake = lambda: None
    return world


@pytest.fixture
def clients(world: World) -> list[WorldClient]:
    """So many that acknowledgements wait, each with one that does; the last one has got what they said."""
    clients = [world.sign_in(user, slot=1) for user in USERS]
    for client in clients:
        client.rest()
    for client in clients[:-1]:
        client.send(MsgTo(client.new_id(), USERS[-1], "hello"))
    world.settle()
    assert [len(client.rest()) for client in clients] == [*[0] * FEW, FEW]
    return clients


def kinds(lines: list[AnyAnswer]) -> list[str]:
    """Return what kinds of lines these are."""
    return [type(line).__name__ for line in lines]


def test_they_come_with_the_second_tick(world: World, clients: list[WorldClient]) -> None:
    """The first one only begins to count."""
    world.workers[1].hub.delivery.tick()
    assert not clients[0].rest()
    world.workers[1].hub.delivery.tick()
    for client in clients[:-1]:
        (sent,) = client.rest()
        assert isinstance(sent, Sent)
        assert sent.re == client.last_id


def test_a_client_that_is_silent_hurries_its_worker(world: World, clients: list[WorldClient]) -> None:
    """From then on, until the log's time has moved on: the logger is told not to keep anything back."""
    delivery = world.workers[1].hub.delivery
    assert not delivery.is_hurried
    delivery.tick()
    delivery.tick()
    assert delivery.is_hurried
    world.now += HURRIED_MS
    for client in clients[:-1]:
        client.send(MsgTo(client.new_id(), USERS[-1], "hello"))
    world.settle()
    assert not delivery.is_hurried


def _log_out(world: World, client: WorldClient) -> None:
    client.send(Logout(client.new_id()))
    world.settle()


def _sign_in_elsewhere(world: World, client: WorldClient) -> None:
    world.sign_in(USERS[0], slot=1)


def _stop(world: World, client: WorldClient) -> None:
    world.workers[1].hub.close(client.link)


def _stop_without_a_word(world: World, client: WorldClient) -> None:
    world.workers[1].hub.close(client.link, say_so=False)


def _hang_up(world: World, client: WorldClient) -> None:
    world.workers[1].hub.hang_up(client.link, "too_slow", "")


def _repeat(world: World, client: WorldClient) -> None:
    client.send(MsgTo(client.last_id, USERS[-1], "hello"))
    world.settle()


@pytest.mark.parametrize(
    ("happens", "then"),
    [
        (_log_out, ["Bye"]),
        (_sign_in_elsewhere, ["Replaced"]),
        (_stop, ["Closing"]),
        (_stop_without_a_word, []),
        (_hang_up, ["Error"]),
        (_repeat, ["Sent"]),
    ],
)
def test_they_come_before_whatever_happens_next(
    world: World, clients: list[WorldClient], happens: Callable[[World, WorldClient], None], then: list[str]
) -> None:
    """To the client that it happens to: to the end of its connection, or to another answer."""
    happens(world, clients[0])
    assert kinds(clients[0].rest()) == ["Sent", *then]
    if happens is not _repeat:
        assert clients[0].is_closed


def test_a_connection_that_is_lost_takes_them_with_it(world: World, clients: list[WorldClient]) -> None:
    """Whoever resumes sends the request again, and is answered from the journal; the others get theirs."""
    clients[0].lose()
    world.settle()
    for _ in range(2):
        world.workers[1].hub.delivery.tick()
    assert not clients[0].rest()
    assert kinds(clients[1].rest()) == ["Sent"]
    again = clients[0].resume(clients[0].token, 0)
    again.send(MsgTo(again.last_id - 1, USERS[-1], "hello"))
    world.settle()
    assert kinds(again.rest()) == ["Welcome", "Sent"]


def test_a_ping_does_not_wait_for_them(world: World, clients: list[WorldClient]) -> None:
    """It takes them with it."""
    clients[0].send(messages.Ping(clients[0].new_id()))
    assert kinds(clients[0].rest()) == ["Sent", "Pong"]
