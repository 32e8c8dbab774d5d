"""What a broken connection costs: nothing. Catch-up, repeats, and workers that are late."""

from __future__ import annotations

import pytest

from tessenger.chat import entries, words
from tessenger.wire.messages import (
    AnyAnswer,
    AnyRequest,
    Created,
    CreateGroup,
    Denied,
    Error,
    GroupMessage,
    GroupMsg,
    Joined,
    JoinGroup,
    Login,
    Logout,
    Message,
    MsgTo,
    Ping,
    Pong,
    Sent,
    Sync,
    Welcome,
)
from tests.support.hub_world import GRACE_MS, TOKEN_MS, World, WorldClient


@pytest.fixture
def world() -> World:
    """Two workers."""
    return World()


def texts(lines: list[AnyAnswer]) -> list[str]:
    """Return the texts of the events among what came."""
    return [line.text for line in lines if isinstance(line, Message | GroupMessage)]


def reconnected(client: WorldClient, after: int = 0, slot: int | None = None) -> WorldClient:
    """Break a connection and resume its session; everything settles."""
    client.lose()
    again = client.resume(client.token, after, slot)
    client.world.settle()
    again.take(Welcome)
    return again


# ---- catch-up ----


def test_catch_up_ends_where_live_delivery_begins(world: World) -> None:
    """In one batch: what is ordered before the resume comes from the journal, what is behind it live; nothing twice."""
    aaa, bbb, ccc = world.sign_in("aaa", 1), world.sign_in("bbb", 2), world.sign_in("ccc", 2)
    ccc.ask(CreateGroup(2, "g", ["aaa", "bbb"]))
    bbb.synced()
    aaa.lose()
    world.settle()
    again = aaa.resume(aaa.token, 4, slot=2)
    world.order()
    world.apply(1)
    world.apply(2)
    bbb.send(MsgTo(3, "aaa", "1"), GroupMsg(4, "g", "2"))
    world.work(2)
    ccc.send(GroupMsg(3, "g", "3"), MsgTo(4, "aaa", "4"))
    world.order()
    bbb.send(GroupMsg(5, "g", "5"))
    world.settle()
    assert isinstance(again.take(Welcome), Welcome)
    assert texts(again.rest()) == ["1", "2", "3", "4", "5"]


def test_what_is_ordered_while_the_journal_is_read_comes_behind_it(world: World) -> None:
    """Live lines are kept back until what was missed has been sent."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.lose()
    world.settle()
    bbb.ask(MsgTo(2, "aaa", "missed"))
    again = aaa.resume(aaa.token, 2)
    while not world.kept(entries.Resumed):
        world.work(1)
        world.order()
        world.apply(1)
        world.apply(2)
    again.take(Welcome)
    bbb.send(MsgTo(3, "aaa", "live"))
    world.order()
    world.apply(1)
    assert again.rest() == []
    world.settle()
    assert texts(again.rest()) == ["missed", "live"]


def test_after_says_where_to_begin(world: World) -> None:
    """Only what lies behind the last number that the client received comes again."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    numbers = []
    for n in range(3):
        sent = bbb.ask(MsgTo(n + 2, "aaa", str(n)))
        assert isinstance(sent, Sent)
        numbers.append(sent.seq)
    assert texts(aaa.synced()) == ["0", "1", "2"]
    again = reconnected(aaa, after=numbers[0])
    assert texts(again.rest()) == ["1", "2"]
    assert texts(reconnected(again, after=numbers[2]).rest()) == []


def test_what_earlier_sessions_showed_is_not_shown_to_a_client_that_has_nothing_yet(world: World) -> None:
    """A session whose connection broke before its first event gets what came in it, and what its sign-in found."""
    aaa, bbb, ccc = world.sign_in("aaa", 1), world.sign_in("bbb", 1), world.sign_in("ccc", 2)
    aaa.ask(CreateGroup(aaa.new_id(), "g", ["ccc"]))
    bbb.ask(MsgTo(bbb.new_id(), "aaa", "shown"))
    assert texts(aaa.rest()) == ["shown"]
    aaa.ask(Logout(aaa.new_id()))
    ccc.ask(GroupMsg(ccc.new_id(), "g", "while away"))
    aaa = world.sign_in("aaa", 2)
    assert texts(aaa.synced()) == []
    again = reconnected(aaa)
    assert texts(again.synced()) == []
    bbb.say("aaa", "live")
    world.settle()
    assert texts(reconnected(again).synced()) == ["live"]


def test_what_a_sign_in_found_is_found_again_where_the_connection_broke(world: World) -> None:
    """Nothing of it has come, or a part: it comes once, in its order, and before what is newer."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.lose()
    world.settle()
    for text in ("one", "two"):
        bbb.ask(MsgTo(bbb.new_id(), "aaa", text))
    world.pass_time(GRACE_MS)
    world.settle()
    back = world.sign_in("aaa", 1)
    bbb.ask(MsgTo(bbb.new_id(), "aaa", "three"))
    again = reconnected(back)
    events = again.rest()
    assert texts(events) == ["one", "two", "three"]
    assert isinstance(events[0], Message)
    once_more = reconnected(again, after=events[0].seq)
    assert texts(once_more.rest()) == ["two", "three"]


def test_messages_of_a_group_from_before_one_was_in_are_not_missed(world: World) -> None:
    """Who joined may read from there on; one's own messages do not come back."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.ask(CreateGroup(2, "g", []))
    aaa.ask(GroupMsg(3, "g", "before"))
    bbb.ask(JoinGroup(2, "g"))
    aaa.ask(GroupMsg(4, "g", "after"))
    assert texts(bbb.synced()) == ["after"]
    bbb.ask(GroupMsg(4, "g", "own"))
    assert texts(reconnected(bbb, after=1).rest()) == ["after"]


def test_a_resume_without_the_journal_ends_with_a_reason_and_can_be_tried_again(world: World) -> None:
    """Nothing may be skipped: the connection is closed, and the session stays as it was."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.lose()
    world.settle()
    bbb.ask(MsgTo(2, "aaa", "missed"))
    again = aaa.resume(aaa.token, 2)
    world.order()
    world.apply(1)
    world.work(1)
    world.workers[1].office.is_unavailable = True
    bbb.send(MsgTo(3, "aaa", "live"))
    world.settle()
    again.take(Welcome)
    assert again.rest() == [Error("unavailable", words.UNAVAILABLE)]
    assert again.is_closed
    world.workers[1].office.is_unavailable = False
    once_more = again.resume(aaa.token, 2)
    world.settle()
    once_more.take(Welcome)
    assert texts(once_more.rest()) == ["missed", "live"]


@pytest.mark.parametrize("token", ["", "garbage", "zz.secret", "1.secret", "100000002.secret-2", "100000002."])
def test_a_token_that_is_not_right_resumes_nothing(world: World, token: str) -> None:
    """Whatever is wrong with it, the answer is the same."""
    aaa = world.sign_in("aaa")
    assert aaa.token == "100000002.secret-1"
    again = aaa.resume(token, 0)
    world.settle()
    assert again.rest() == [Denied(2, "session_expired", "Your session is over. Please sign in again.")]
    assert aaa.synced() == []


def test_a_token_expires(world: World) -> None:
    """However long the connection held."""
    aaa = world.sign_in("aaa")
    world.pass_time(TOKEN_MS)
    again = aaa.resume(aaa.token, 0)
    world.settle()
    assert again.take(Denied).code == "session_expired"


def test_a_resume_takes_the_session_from_a_connection_that_is_still_there(world: World) -> None:
    """The client knows better that it is broken: the old one is closed without a word that would end the client."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    again = aaa.resume(aaa.token, 1, slot=2)
    world.settle()
    again.take(Welcome)
    assert aaa.is_closed
    assert aaa.rest() == []
    bbb.ask(MsgTo(2, "aaa", "hi"))
    assert texts(again.synced()) == ["hi"]


def test_a_session_that_began_on_another_worker_just_now_can_be_resumed(world: World) -> None:
    """The worker that is asked has not heard of it yet: it looks when everything that was ordered before has come."""
    aaa = world.connect(1)
    aaa.send(Login(1, "aaa", "123"))
    world.work(1)
    world.order(1)
    world.apply(1)
    assert world.workers[2].hub.present.find("aaa") is None
    again = aaa.resume(aaa.take(Welcome).token, 1, slot=2)
    world.settle()
    assert again.take(Welcome).user == "aaa"


# ---- repeats ----


def test_a_request_that_is_sent_again_is_answered_again_and_not_carried_out_again(world: World) -> None:
    """Same session, same id: the answer comes from the journal, the other side gets nothing twice."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    first = aaa.ask(MsgTo(2, "bbb", "once"))
    again = reconnected(aaa, slot=2)
    assert again.ask(MsgTo(2, "bbb", "once")) == first
    assert texts(bbb.synced()) == ["once"]


def test_every_kind_of_answer_can_be_had_again(world: World) -> None:
    """Group created, joined, refused; the same error with the same words."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    bbb.ask(CreateGroup(2, "theirs", []))
    requests: list[AnyRequest] = [
        CreateGroup(2, "g", ["bbb"]),
        JoinGroup(3, "theirs"),
        MsgTo(4, "ddd", "hi"),
        GroupMsg(5, "g", "hi"),
    ]
    before = [aaa.ask(request) for request in requests]
    assert [type(answer) for answer in before] == [Created, Joined, Error, Sent]
    again = reconnected(aaa, slot=2)
    count = len(world.journal.log)
    assert [again.ask(request) for request in requests] == before
    assert len(world.journal.log) == count


def test_answers_to_repeats_keep_their_place_among_others(world: World) -> None:
    """Repeats are read from the journal, which takes a while; what was asked behind them still comes behind them."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    for n in (2, 3):
        aaa.ask(MsgTo(n, "bbb", str(n)))
    again = reconnected(aaa)
    again.send(MsgTo(2, "bbb", "2"), MsgTo(3, "bbb", "3"), MsgTo(9, "bbb", "9"), Sync(10), Ping(11))
    world.settle()
    lines = again.rest()
    assert lines[0] == Pong(11)
    assert [getattr(line, "re", None) for line in lines[1:]] == [2, 3, 9, 10]
    assert texts(bbb.synced()) == ["2", "3", "9"]


def test_events_behind_a_repeat_are_not_lost_while_it_is_looked_up(world: World) -> None:
    """They come, in order."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.ask(MsgTo(2, "bbb", "x"))
    again = reconnected(aaa)
    again.send(MsgTo(2, "bbb", "x"))
    bbb.send(MsgTo(2, "aaa", "1"))
    world.order()
    world.apply(1)
    bbb.send(MsgTo(3, "aaa", "2"))
    world.settle()
    lines = again.rest()
    assert texts(lines) == ["1", "2"]
    assert [type(line) for line in lines].count(Sent) == 1


def test_an_id_without_a_trace_is_never_carried_out_late(world: World) -> None:
    """At or below the highest id of the session, and not in the journal: it was skipped then, and stays so."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.ask(MsgTo(7, "bbb", "seven"))
    assert aaa.refused(MsgTo(5, "bbb", "five")) == ("not_done", "This request was not carried out.")
    assert texts(bbb.synced()) == ["seven"]


def test_a_group_of_an_id_without_a_trace_is_not_created_and_its_name_stays_free(world: World) -> None:
    """The claim falls with its entry."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.ask(MsgTo(7, "bbb", "seven"))
    assert aaa.refused(CreateGroup(5, "g", []))[0] == "not_done"
    bbb.rest()
    assert bbb.ask(CreateGroup(2, "g", [])) == Created(2, "g", ["bbb"])


def test_ids_count_over_the_whole_session(world: World) -> None:
    """A resumed session goes on behind its highest id, on whatever worker."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    aaa.ask(MsgTo(7, "bbb", "seven"))
    again = reconnected(aaa, slot=2)
    assert again.refused(MsgTo(6, "bbb", "six"))[0] == "not_done"
    assert isinstance(again.ask(MsgTo(8, "bbb", "eight")), Sent)
    assert texts(bbb.synced()) == ["seven", "eight"]


# ---- workers that are behind ----


def test_a_refusal_waits_until_the_worker_knows_what_was_ordered_before(world: World) -> None:
    """Bbb's sign-in is committed, but worker 1 has not heard of it: a message to bbb is sent, not refused."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.connect(2)
    bbb.send(Login(1, "bbb", "123"))
    world.work(2)
    world.order(2)
    assert world.workers[1].hub.present.find("bbb") is None
    aaa.send(MsgTo(2, "bbb", "there?"))
    world.settle()
    assert isinstance(aaa.take(Sent), Sent)
    assert "there?" in texts(bbb.rest())


def test_a_group_that_was_created_a_moment_ago_elsewhere_can_be_used(world: World) -> None:
    """Joined, and written to by a member, though this worker has not heard of it."""
    aaa, bbb, ccc = world.sign_in("aaa", 1), world.sign_in("bbb", 2), world.sign_in("ccc", 1)
    bbb.send(CreateGroup(2, "g", ["aaa"]))
    world.work(2)
    world.order(2)
    assert world.workers[1].hub.present.group("g") is None
    aaa.send(GroupMsg(2, "g", "quick"))
    ccc.send(JoinGroup(2, "g"))
    world.settle()
    assert isinstance(aaa.take(Sent), Sent)
    assert ccc.rest() == [Joined(2, "g", ["bbb", "aaa", "ccc"])]


def test_what_a_late_worker_appends_for_a_session_that_moved_on_is_refused(world: World) -> None:
    """It was stopped while the session was resumed elsewhere: nothing of what it brings is carried out."""
    aaa, bbb = world.sign_in("aaa", 1), world.sign_in("bbb", 2)
    again = aaa.resume(aaa.token, 1, slot=2)
    while world.workers[2].outbox or world.workers[2].inbox or world.workers[2].office.jobs:
        world.work(2)
        world.order(2)
        world.apply(2)
    again.take(Welcome)
    aaa.send(MsgTo(2, "bbb", "late"))
    world.settle()
    assert aaa.rest() == []
    assert aaa.is_closed
    assert texts(bbb.synced()) == []
    assert again.synced() == []


def test_what_a_replaced_process_appends_is_not_ordered(world: World) -> None:
    """The slot has a new process: entries of the old generation are nobody's."""
    world.sign_in("aaa", 1)
    session = world.ledger.present.find("aaa")
    assert session is not None
    world.kill(1)
    late = entries.Message(session.id, session.number, 9, "aaa", "bbb", "late", b"")
    assert world.ledger.order(1, 1, 2, [late], world.now) == []
    assert world.ledger.follow(1, 1) is None


def test_a_session_that_ended_meanwhile_cannot_be_written_for(world: World) -> None:
    """A logout was ordered; a message of that session that comes behind it is refused."""
    aaa = world.sign_in("aaa", 1)
    world.sign_in("bbb", 2)
    aaa.send(MsgTo(2, "bbb", "1"))
    aaa.send(Logout(3))
    stale = entries.Message(aaa.link.session, aaa.link.number, 4, "aaa", "bbb", "2", b"")
    world.workers[1].append(stale)
    world.settle()
    assert [entry.text for entry in world.kept(entries.Message)] == ["1"]
    assert isinstance(aaa.take(Sent), Sent)


# ---- order ----


def test_all_members_see_one_order_over_all_workers(world: World) -> None:
    """Two groups and private messages, mixed in one batch: each member's numbers rise, and common ones agree."""
    clients = [world.sign_in(user, 1 + n % 2) for n, user in enumerate(("aaa", "bbb", "ccc", "ddd"))]
    aaa, bbb, ccc, ddd = clients
    aaa.ask(CreateGroup(2, "g", ["bbb", "ccc", "ddd"]))
    aaa.ask(CreateGroup(3, "h", ["ccc", "ddd"]))
    for client in clients:
        client.synced()
    for n in range(4, 24, 4):
        aaa.send(GroupMsg(n, "g", f"a{n}"), GroupMsg(n + 1, "h", f"a{n + 1}"), MsgTo(n + 2, "ddd", f"a{n + 2}"))
        bbb.send(GroupMsg(n, "g", f"b{n}"), MsgTo(n + 1, "ddd", f"b{n + 1}"))
        ccc.send(GroupMsg(n, "h", f"c{n}"), GroupMsg(n + 1, "g", f"c{n + 1}"))
        if n % 8:
            world.order()
    world.settle()
    seen = {id(client): client.rest() for client in clients}
    for client in clients:
        numbers = [line.seq for line in seen[id(client)] if isinstance(line, Message | GroupMessage | Sent)]
        assert numbers == sorted(set(numbers))
    by_number: dict[int, set[str]] = {}
    for lines in seen.values():
        for line in lines:
            if isinstance(line, GroupMessage):
                by_number.setdefault(line.seq, set()).add(line.text)
    assert all(len(found) == 1 for found in by_number.values())
    assert len([line for line in seen[id(ddd)] if isinstance(line, GroupMessage)]) == 25
    assert len([line for line in seen[id(ddd)] if isinstance(line, Message)]) == 10
