"""Messages to people who are away, with `offline_delivery` on: kept, said so, and shown at the next sign-in, once."""

from __future__ import annotations

import pytest

from tessenger.wire.messages import (
    CreateGroup,
    Error,
    GroupMessage,
    GroupMsg,
    Logout,
    Message,
    MsgTo,
    P2PVideo,
    Seen,
    Sent,
    Unread,
    Welcome,
)
from tests.support.hub_world import GRACE_MS, World, WorldClient


@pytest.fixture
def world() -> World:
    """Two workers that keep messages for people who are away."""
    return World(offline_delivery=True)


def say(client: WorldClient, to: str, text: str) -> Sent:
    """Send a private message and return that it was sent."""
    answer = client.ask(MsgTo(client.new_id(), to, text))
    assert isinstance(answer, Sent), answer
    return answer


def leave(client: WorldClient) -> None:
    """Log out."""
    client.ask(Logout(client.new_id()))


def texts(client: WorldClient) -> list[str]:
    """Everything that was shown until now."""
    return [event.text for event in client.synced() if isinstance(event, Message | GroupMessage)]


def test_a_message_waits_for_its_recipient_and_the_sender_is_told(world: World) -> None:
    """It is shown at the next sign-in with the time at which it was sent, and not at the one after."""
    aaa = world.sign_in("aaa")
    sent = say(aaa, "BBB", "for later")
    assert sent.away
    world.pass_time(60_000)
    bbb = world.sign_in("bbb", 2)
    assert bbb.synced() == [Unread(1), Message(sent.seq, "aaa", "for later", sent.at)]
    leave(bbb)
    assert texts(world.sign_in("bbb", 1)) == []


def test_a_client_that_kept_how_far_it_was_is_not_shown_that_again(world: World) -> None:
    """Its own number counts where it is above what the server was told."""
    aaa = world.sign_in("aaa")
    first, _ = say(aaa, "bbb", "one"), say(aaa, "bbb", "two")
    assert texts(world.sign_in("bbb", 2, after=first.seq)) == ["two"]


def test_a_number_of_another_servers_past_counts_for_nothing(world: World) -> None:
    """A client may have kept one from before the server was set up anew: higher than any here."""
    say(world.sign_in("aaa"), "bbb", "for later")
    assert texts(world.sign_in("bbb", 2, after=2**53)) == ["for later"]


def test_who_is_present_is_not_said_to_be_away(world: World) -> None:
    """Neither someone signed in, nor someone whose sign-in this worker has not heard of yet."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    assert not say(aaa, "bbb", "now").away
    assert texts(bbb) == ["now"]


def test_a_group_s_messages_wait_for_members_who_are_away(world: World) -> None:
    """Together with private ones, in the order in which they were sent."""
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb")
    aaa.ask(CreateGroup(aaa.new_id(), "g", ["bbb"]))
    leave(bbb)
    say(aaa, "bbb", "one")
    aaa.ask(GroupMsg(aaa.new_id(), "g", "two"))
    say(aaa, "bbb", "three")
    again = world.sign_in("bbb", 2)
    assert again.rest()[0] == Unread(3)
    again.lose()
    assert texts(world.sign_in("bbb", 1)) == ["one", "two", "three"], "nobody has said yet that they were shown"


def test_what_a_resumed_session_missed_is_not_counted(world: World) -> None:
    """They were not away: the connection was."""
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb", 2)
    bbb.lose()
    world.settle()
    assert not say(aaa, "bbb", "meanwhile").away
    again = bbb.resume(bbb.token, 0)
    world.settle()
    assert isinstance(again.take(Welcome), Welcome)
    assert [type(event) for event in again.rest()] == [Message]


def test_a_group_s_messages_do_not_wait_where_that_is_off() -> None:
    """Without `offline_delivery` a group goes on without those who are away, as people in a room do."""
    world = World()
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb")
    aaa.ask(CreateGroup(aaa.new_id(), "g", ["bbb"]))
    leave(bbb)
    aaa.ask(GroupMsg(aaa.new_id(), "g", "missed"))
    assert aaa.refused(MsgTo(aaa.new_id(), "bbb", "refused")) == ("not_online", "user bbb not online")
    assert texts(world.sign_in("bbb", 2)) == []


@pytest.mark.parametrize("found", [[], ["kept"]])
def test_what_a_group_said_in_an_earlier_absence_does_not_come_up_later(found: list[str]) -> None:
    """Two sessions end by a timeout; what was not shown at the sign-in between them is not shown after the second."""
    world = World()
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb")
    aaa.ask(CreateGroup(aaa.new_id(), "g", ["bbb"]))
    bbb.lose()
    world.settle()
    for text in found:
        aaa.ask(GroupMsg(aaa.new_id(), "g", text))
    world.pass_time(GRACE_MS)
    world.settle()
    aaa.ask(GroupMsg(aaa.new_id(), "g", "while away"))
    bbb = world.sign_in("bbb", 2)
    events = [event for event in bbb.synced() if isinstance(event, GroupMessage)]
    assert [event.text for event in events] == found
    for event in events:
        bbb.send(Seen(event.seq))
    world.settle()
    bbb.lose()
    world.settle()
    world.pass_time(GRACE_MS)
    world.settle()
    assert world.sign_in("bbb", 1).synced() == []


def test_nobody_keeps_messages_for_strangers_nor_files_for_anybody(world: World) -> None:
    """A name without an account stays unknown, and a file needs someone to take it."""
    aaa = world.sign_in("aaa", udp_port=13000)
    assert aaa.refused(MsgTo(aaa.new_id(), "zzz", "hi"))[0] == "unknown_user"
    offer = aaa.ask(P2PVideo(aaa.new_id(), "bbb", "0123456789abcdef", "f", 1, "k" * 43))
    assert isinstance(offer, Error)
    assert offer.code == "not_online"
