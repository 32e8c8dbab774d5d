"""What somebody missed comes in pages, before everything that came meanwhile, however slowly it is read."""

from __future__ import annotations

import pytest

from tessenger.chat import catch_up
from tessenger.wire.messages import Error, Message, Sync, Synced, Unread, Welcome
from tests.support.hub_world import World, WorldClient

COUNT = 25


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten entries are a page."""
    monkeypatch.setattr(catch_up, "PAGE", 10)


def missed_by_bbb(world: World) -> tuple[WorldClient, WorldClient]:
    """Let aaa send `COUNT` messages to bbb while their connection is broken."""
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb", slot=2)
    bbb.lose()
    world.settle()
    for number in range(COUNT):
        aaa.say("bbb", str(number))
    world.settle()
    aaa.rest()
    return aaa, bbb


def texts(client: WorldClient) -> list[str]:
    """Return the messages that have come since the last look."""
    return [line.text for line in client.rest() if isinstance(line, Message)]


def test_all_pages_come_in_order_and_live_messages_behind_them() -> None:
    """Three pages; what is said while they are read comes last, and an answer behind it."""
    world = World()
    aaa, bbb = missed_by_bbb(world)
    back = bbb.resume(bbb.token, 0)
    world.settle()
    back.take(Welcome)
    assert texts(back) == [str(number) for number in range(COUNT)]
    aaa.say("bbb", "live")
    world.settle()
    assert texts(back) == ["live"]


def test_a_page_is_read_when_the_one_before_is_written() -> None:
    """Who does not read costs a page; live messages and requests wait behind what was missed."""
    world = World()
    aaa, bbb = missed_by_bbb(world)
    back = bbb.resume(bbb.token, 0)
    back.is_read = False
    back.send(Sync(back.new_id()))
    world.settle()
    back.take(Welcome)
    assert texts(back) == [str(number) for number in range(10)]
    aaa.say("bbb", "live")
    world.settle()
    assert back.rest() == []
    back.read_on()
    world.settle()
    assert texts(back) == [str(number) for number in range(10, 20)]
    back.is_read = True
    back.read_on()
    world.settle()
    lines = back.rest()
    assert [line.text for line in lines if isinstance(line, Message)] == [*map(str, range(20, COUNT)), "live"]
    assert isinstance(lines[-1], Synced)


def test_a_break_between_two_pages_skips_nothing() -> None:
    """The next connection goes on behind the last one that was shown."""
    world = World()
    _, bbb = missed_by_bbb(world)
    back = bbb.resume(bbb.token, 0)
    back.is_read = False
    world.settle()
    back.take(Welcome)
    last = [line for line in back.rest() if isinstance(line, Message)][-1]
    back.lose()
    back.read_on()
    world.settle()
    again = back.resume(back.token, last.seq)
    world.settle()
    again.take(Welcome)
    assert texts(again) == [str(number) for number in range(10, COUNT)]


def test_a_journal_that_fails_between_two_pages_skips_nothing() -> None:
    """The client is told, and comes again."""
    world = World()
    _, bbb = missed_by_bbb(world)
    back = bbb.resume(bbb.token, 0, slot=1)
    back.is_read = False
    world.settle()
    world.workers[1].office.is_unavailable = True
    back.is_read = True
    back.read_on()
    world.settle()
    *shown, last = back.rest()
    assert isinstance(last, Error)
    assert last.code == "unavailable"
    assert back.is_closed
    world.workers[1].office.is_unavailable = False
    again = back.resume(back.token, shown[-1].seq if isinstance(shown[-1], Message) else 0)
    world.settle()
    again.take(Welcome)
    assert texts(again) == [str(number) for number in range(10, COUNT)]


def test_a_sign_in_is_told_how_much_came_and_gets_it_in_pages() -> None:
    """The count is of everything, not of the first page."""
    world = World(offline_delivery=True)
    aaa = world.sign_in("aaa")
    for number in range(COUNT):
        aaa.say("bbb", str(number))
    world.settle()
    bbb = world.sign_in("bbb", slot=2)
    assert bbb.take(Unread).count == COUNT
    assert texts(bbb) == [str(number) for number in range(COUNT)]


def test_a_server_that_vanishes_between_two_pages_lets_nothing_overtake_what_was_missed() -> None:
    """Its workers close without a word; a live message that waits behind it goes to the next connection."""
    world = World()
    aaa, bbb = missed_by_bbb(world)
    back = bbb.resume(bbb.token, 0)
    back.is_read = False
    world.settle()
    back.take(Welcome)
    last = [line for line in back.rest() if isinstance(line, Message)][-1]
    aaa.say("bbb", "live")
    world.settle()
    world.workers[2].hub.close(back.link, say_so=False)
    assert back.rest() == []
    again = back.resume(back.token, last.seq, slot=1)
    world.settle()
    again.take(Welcome)
    assert texts(again) == [*map(str, range(10, COUNT)), "live"]
