"""`history`: what was said, to whom, and what comes while it is read."""

from __future__ import annotations

from tessenger.chat import history, words
from tessenger.chat.entries import Command
from tessenger.wire.messages import (
    AnyAnswer,
    CreateGroup,
    Error,
    GroupMsg,
    History,
    HistoryAnswer,
    JoinGroup,
    Message,
    MsgTo,
    Ping,
    Pong,
    Sent,
    Welcome,
)
from tests.support.hub_world import World, WorldClient


def talk(world: World) -> tuple[WorldClient, WorldClient, WorldClient]:
    """Three people who have said something to each other."""
    aaa, bbb, ccc = world.sign_in("aaa", 1), world.sign_in("bbb", 2), world.sign_in("ccc", 2)
    aaa.ask(CreateGroup(aaa.new_id(), "g", ["bbb"]))
    aaa.ask(GroupMsg(aaa.new_id(), "g", "before"))
    ccc.ask(JoinGroup(ccc.new_id(), "g"))
    bbb.send(GroupMsg(bbb.new_id(), "g", "after"))
    world.settle()
    aaa.say("bbb", "hi")
    world.settle()
    bbb.say("aaa", "hello")
    world.settle()
    for client in (aaa, bbb, ccc):
        client.rest()
    return aaa, bbb, ccc


def said(answer: AnyAnswer) -> list[tuple[str, str]]:
    """Return who said what."""
    assert isinstance(answer, HistoryAnswer), answer
    return [(message.sender, message.text) for message in answer.messages]


def test_a_conversation_with_someone() -> None:
    """Both directions, the oldest first; each message says who it is from and to."""
    world = World()
    aaa, _, _ = talk(world)
    answer = aaa.ask(History(aaa.new_id(), "BBB"))
    assert isinstance(answer, HistoryAnswer)
    assert [(m.sender, m.to, m.text) for m in answer.messages if isinstance(m, Message)] == [
        ("aaa", "bbb", "hi"),
        ("bbb", "aaa", "hello"),
    ]
    assert (answer.more, answer.before) == (False, 0)


def test_a_group_since_one_joined() -> None:
    """Who came later does not see what was said before; a group can be named as `with`, too."""
    world = World()
    aaa, _, ccc = talk(world)
    assert said(ccc.ask(History(ccc.new_id(), group="G"))) == [("bbb", "after")]
    assert said(aaa.ask(History(aaa.new_id(), "g"))) == [("aaa", "before"), ("bbb", "after")]


def test_every_conversation_of_ones_own() -> None:
    """Without a name it is all that one said and was told; nobody else's private messages are in it."""
    world = World()
    aaa, _, ccc = talk(world)
    everything = [("aaa", "before"), ("bbb", "after"), ("aaa", "hi"), ("bbb", "hello")]
    assert said(aaa.ask(History(aaa.new_id()))) == everything
    assert said(ccc.ask(History(ccc.new_id()))) == [("bbb", "after")]


def test_the_newest_come_and_before_goes_on() -> None:
    """`limit` takes the newest; `before` of the answer leads to those before them."""
    world = World()
    aaa, _, _ = talk(world)
    answer = aaa.ask(History(aaa.new_id(), limit=3))
    assert said(answer) == [("bbb", "after"), ("aaa", "hi"), ("bbb", "hello")]
    assert isinstance(answer, HistoryAnswer)
    assert said(aaa.ask(History(aaa.new_id(), limit=3, before=answer.before))) == [("aaa", "before")]


def test_who_may_not_ask() -> None:
    """Groups of others, names of nobody, two conversations at once."""
    world = World()
    aaa, _, _ = talk(world)
    ddd = world.sign_in("ddd")
    assert ddd.refused(History(ddd.new_id(), group="g")) == ("not_member", words.not_member("g"))
    assert ddd.refused(History(ddd.new_id(), "g")) == ("not_member", words.not_member("g"))
    assert aaa.refused(History(aaa.new_id(), "nobody")) == ("unknown_user", words.unknown_user("nobody"))
    assert aaa.refused(History(aaa.new_id(), group="bbb")) == ("unknown_group", words.unknown_group("bbb"))
    assert aaa.refused(History(aaa.new_id(), "bbb", "g")) == ("bad_request", words.ONE_CONVERSATION)
    stranger = world.connect()
    assert stranger.refused(History(1)) == ("not_signed_in", words.NOT_SIGNED_IN)


def test_events_do_not_wait_for_it_and_requests_do() -> None:
    """While the journal is read, messages come, which it has not; what was asked behind it is answered behind it."""
    world = World()
    aaa, bbb, _ = talk(world)
    aaa.send(History(aaa.new_id(), "bbb"), MsgTo(aaa.new_id(), "bbb", "behind"), Ping(99))
    assert aaa.rest() == [Pong(99)]
    world.order()
    world.apply(1)
    bbb.say("aaa", "meanwhile")
    world.order()
    world.apply(1)
    (event,) = aaa.rest()
    assert isinstance(event, Message)
    assert event.text == "meanwhile"
    world.settle()
    answer, sent = aaa.rest()
    assert said(answer) == [("aaa", "hi"), ("bbb", "hello")]
    assert isinstance(sent, Sent)


def test_it_has_what_was_sent_before_it_in_one_piece() -> None:
    """A message and a history sent together: the answer has the message."""
    world = World()
    aaa, _, _ = talk(world)
    aaa.send(MsgTo(aaa.new_id(), "ccc", "just now"), History(aaa.new_id(), "ccc"))
    world.settle()
    sent, answer = aaa.rest()
    assert isinstance(sent, Sent)
    assert said(answer) == [("aaa", "just now")]


def test_a_repeat_is_read_again() -> None:
    """The connection breaks before the answer: sent again after the resume it is answered, and logged once."""
    world = World()
    aaa, _, _ = talk(world)
    number = aaa.new_id()
    aaa.send(History(number, "bbb"))
    world.order()
    aaa.lose()
    again = aaa.resume(aaa.token, 0)
    world.settle()
    again.take(Welcome)
    again.rest()
    assert said(again.ask(History(number, "bbb"))) == [("aaa", "hi"), ("bbb", "hello")]
    assert [entry.name for entry in world.kept(Command)] == ["history"]


def test_an_id_of_a_history_is_not_for_another_request() -> None:
    """A message under the id of an earlier history was not sent, and the answer says so."""
    world = World()
    aaa, bbb, _ = talk(world)
    number = aaa.new_id()
    aaa.ask(History(number, "bbb"))
    assert aaa.refused(MsgTo(number, "bbb", "never")) == ("not_done", words.NOT_DONE)
    assert bbb.synced() == []


def test_a_journal_that_cannot_be_read_is_said() -> None:
    """The connection goes on."""
    world = World()
    aaa, _, _ = talk(world)
    world.workers[1].office.is_unavailable = True
    answer = aaa.ask(History(aaa.new_id(), "bbb"))
    assert isinstance(answer, Error)
    assert answer.code == "unavailable"
    world.workers[1].office.is_unavailable = False
    assert said(aaa.ask(History(aaa.new_id(), "bbb"))) == [("aaa", "hi"), ("bbb", "hello")]


def test_a_connection_that_is_gone_meanwhile_is_told_nothing() -> None:
    """Neither when the journal was read, nor when the request has its place."""
    world = World()
    aaa, bbb, _ = talk(world)
    aaa.send(History(aaa.new_id(), "bbb"))
    aaa.lose()
    bbb.send(History(bbb.new_id(), "aaa"))
    world.order()
    world.apply(2)
    bbb.lose()
    world.settle()
    assert aaa.rest() == []
    assert bbb.rest() == []


def test_long_ones_come_in_several_answers() -> None:
    """Texts of 40 kB: one an answer, all but the last with `more`."""
    world = World()
    aaa, _, _ = talk(world)
    for letter in "xyz":
        aaa.ask(MsgTo(aaa.new_id(), "ccc", letter * (history.LINE_BYTES - 9_000)))
    number = aaa.new_id()
    aaa.send(History(number, "ccc"))
    world.settle()
    found = aaa.rest()
    assert [(a.re, a.more, a.messages[0].text[0]) for a in found if isinstance(a, HistoryAnswer)] == [
        (number, True, "x"),
        (number, True, "y"),
        (number, False, "z"),
    ]
