"""Whatever a client puts into `id`: each request gets the answer that docs/protocol.md promises."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from tessenger.chat import answers, entries, repeats, words
from tessenger.chat.present import Present
from tessenger.wire.messages import (
    Accept,
    ActiveUser,
    ActiveUsers,
    AnyAnswer,
    AnyRequest,
    Away,
    AwayAnswer,
    Bye,
    Cancel,
    Created,
    CreateGroup,
    Denied,
    Error,
    GroupMsg,
    Groups,
    GroupsAnswer,
    History,
    HistoryAnswer,
    Invite,
    Invited,
    JoinGroup,
    LeaveGroup,
    Left,
    Login,
    Logout,
    Members,
    MembersAnswer,
    MsgTo,
    Names,
    NamesAnswer,
    Offered,
    P2PVideo,
    Ping,
    Pong,
    Reject,
    Remove,
    Removed,
    Resume,
    Seen,
    Sent,
    Sync,
    Synced,
    Welcome,
    Whois,
    WhoisAnswer,
)
from tests.support.hub_world import GRACE_MS, World, WorldClient

LOGIN = 7
RESUME = 12
HIGHEST = 9
"""Ids that the session of these tests has used when it begins: nothing but a message has 9."""

KEY = "A" * 43
TRANSFER = "9f86d081884c7d65"


def world_with_aaa(*, resumed: bool) -> tuple[World, WorldClient, WorldClient]:
    """Return a world, aaa's connection as described above, and bbb, who has created group g with aaa."""
    world = World()
    bbb = world.sign_in("bbb", 2, udp_port=1)
    bbb.ask(CreateGroup(bbb.new_id(), "g", ["aaa"]))
    bbb.ask(CreateGroup(bbb.new_id(), "theirs", []))
    aaa = world.connect(1)
    welcome = aaa.ask(Login(LOGIN, "aaa", "123", udp_port=1))
    assert isinstance(welcome, Welcome)
    aaa.ask(MsgTo(HIGHEST, "bbb", "nine"))
    bbb.rest()
    if resumed:
        aaa.lose()
        world.settle()
        aaa.last_id = RESUME - 1
        aaa = aaa.resume(welcome.token, welcome.seq)
        world.settle()
        aaa.rest()
    return world, aaa, bbb


def one_of_each(re: int) -> dict[str, tuple[AnyRequest, type[AnyAnswer]]]:
    """Return a request of each kind that a signed-in person may make, and what it is answered with where it is new."""
    return {
        "msgto": (MsgTo(re, "bbb", "hi"), Sent),
        "msgto somebody away": (MsgTo(re, "ddd", "hi"), Error),
        "groupmsg": (GroupMsg(re, "g", "hi"), Sent),
        "activeuser": (ActiveUser(re), ActiveUsers),
        "creategroup": (CreateGroup(re, "new", []), Created),
        "joingroup": (JoinGroup(re, "g"), Error),
        "leavegroup": (LeaveGroup(re, "g"), Left),
        "remove": (Remove(re, "g", "bbb"), Error),
        "invite": (Invite(re, "g", "ccc"), Invited),
        "away": (Away(re, "lunch"), AwayAnswer),
        "p2pvideo": (P2PVideo(re, "bbb", TRANSFER, "x.mp4", 1, KEY), Offered),
        "accept": (Accept(re, "bbb", TRANSFER, KEY), Offered),
        "reject": (Reject(re, "bbb", TRANSFER), Offered),
        "cancel": (Cancel(re, "bbb", TRANSFER), Offered),
    }


def reads(re: int) -> dict[str, tuple[AnyRequest, type[AnyAnswer]]]:
    """Return those that are carried out whenever they are sent."""
    return {
        "history": (History(re, "bbb"), HistoryAnswer),
        "history of nobody": (History(re, "nobody"), Error),
        "names": (Names(re), NamesAnswer),
        "members": (Members(re, "g"), MembersAnswer),
        "groups": (Groups(re), GroupsAnswer),
        "whois": (Whois(re, "bbb"), WhoisAnswer),
        "sync": (Sync(re), Synced),
        "ping": (Ping(re), Pong),
        "logout": (Logout(re), Bye),
    }


NOT_DONE = {
    "0": 0,
    "1": 1,
    "the id of the sign-in": LOGIN,
    "one that was passed over": HIGHEST - 1,
    "one that something else had": HIGHEST,
}


@pytest.mark.parametrize("resumed", [False, True], ids=["signed in", "resumed"])
@pytest.mark.parametrize("kind", one_of_each(0))
@pytest.mark.parametrize("re", NOT_DONE.values(), ids=NOT_DONE)
def test_what_is_not_above_the_highest_is_not_done(re: int, kind: str, *, resumed: bool) -> None:
    """It is never carried out, whatever it asks; and the connection goes on."""
    world, aaa, bbb = world_with_aaa(resumed=resumed)
    request, _ = one_of_each(re)[kind]
    if kind.startswith("msgto") and re == HIGHEST:
        request = MsgTo(re, "bbb", "not what nine was")
    before = len(world.journal.log)
    assert aaa.ask(request) == Error("not_done", words.NOT_DONE, re)
    assert len(world.journal.log) == before
    assert bbb.synced() == []
    assert isinstance(aaa.ask(MsgTo(HIGHEST + 1, "bbb", "ten")), Sent)


@pytest.mark.parametrize("resumed", [False, True], ids=["signed in", "resumed"])
@pytest.mark.parametrize("kind", one_of_each(0))
@pytest.mark.parametrize("re", [HIGHEST + 1, RESUME, RESUME + 1, 2**53], ids=["next", "resume's", "above", "largest"])
def test_what_is_above_the_highest_is_carried_out_once(re: int, kind: str, *, resumed: bool) -> None:
    """Sent again it gets the same answer, though what it asked for could not be done now, on another worker too."""
    world, aaa, _ = world_with_aaa(resumed=resumed)
    request, kind_of_answer = one_of_each(re)[kind]
    answer = aaa.ask(request)
    assert isinstance(answer, kind_of_answer), answer
    journaled = len(world.journal.log)
    assert aaa.ask(request) == answer
    assert len(world.journal.log) == journaled
    aaa.last_id = RESUME + 5
    aaa.lose()
    world.settle()
    again = aaa.resume(welcome_token(aaa), world.journal.present.seq, slot=2)
    world.settle()
    assert isinstance(again.take(Welcome), Welcome)
    again.rest()
    assert again.ask(request) == answer


def welcome_token(client: WorldClient) -> str:
    """Return the token that this connection was welcomed with."""
    return client.token or next(line.token for line in client.lines if isinstance(line, Welcome))


@pytest.mark.parametrize("resumed", [False, True], ids=["signed in", "resumed"])
@pytest.mark.parametrize("kind", reads(0))
@pytest.mark.parametrize("re", [*NOT_DONE.values(), RESUME, 2**53])
def test_what_only_reads_is_answered_under_any_id(re: int, kind: str, *, resumed: bool) -> None:
    """Also where it fails: with its own error."""
    _, aaa, _ = world_with_aaa(resumed=resumed)
    request, kind_of_answer = reads(re)[kind]
    aaa.send(request)
    aaa.world.settle()
    lines = aaa.rest()
    assert {type(line) for line in lines} == {kind_of_answer}
    assert {getattr(line, "re", None) for line in lines} == {re}
    assert getattr(lines[0], "code", "") != "not_done"


def test_every_kind_of_request_is_in_these_tables() -> None:
    """But those that begin a session, and `seen`, which has no id."""
    asked: set[type] = {type(request) for table in (one_of_each(0), reads(0)) for request, _ in table.values()}
    assert asked == set(get_args(AnyRequest)) - {Login, Resume, Seen}


@pytest.mark.parametrize("kind", entries.Issued.__subclasses__())
def test_every_entry_of_a_request_has_an_answer(kind: type[entries.Issued]) -> None:
    """Whatever the journal finds for a repeat can be said."""
    sample: dict[str, Any] = {"members": ["aaa"], "body": b'"transfer":"%b"}' % TRANSFER.encode()}
    kinds = {"session": 1, "number": 1, "request": 5, "claim": 0, "private": False}
    fields = {name: sample.get(name, kinds.get(name, "x")) for name in kind.__struct_fields__}
    entry: Any = kind(**fields | {"code": "", "seq": 1, "at": 1, "slot": 1, "n": 1} if "code" in fields else fields)
    entry.seq = entry.at = 1
    line = json.loads(answers.answer_to(5, entry, Present()))
    assert line["re"] == 5
    assert repeats.asked(entry)[0] in {
        "x", "msgto", "groupmsg", "creategroup", "joingroup", "leavegroup", "remove", "invite", "away"
    }  # fmt: skip


def test_one_id_twice_in_a_row_is_one_request() -> None:
    """In one piece, before either is answered."""
    _, aaa, bbb = world_with_aaa(resumed=False)
    aaa.send(MsgTo(20, "bbb", "once"), MsgTo(20, "bbb", "once"), CreateGroup(21, "h"), CreateGroup(21, "h"), Sync(22))
    aaa.world.settle()
    first, second, created, again, synced = aaa.rest()
    assert isinstance(first, Sent)
    assert second == first
    assert isinstance(created, Created)
    assert again == created
    assert synced == Synced(22)
    assert [line.text for line in bbb.synced() if not isinstance(line, Error)] == ["once"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (MsgTo(20, "bbb", "one"), MsgTo(20, "bbb", "two")),
        (GroupMsg(20, "g", "one"), GroupMsg(20, "g", "two")),
        (MsgTo(20, "bbb", "one"), GroupMsg(20, "g", "one")),
        (MsgTo(20, "ccc", "one"), MsgTo(20, "bbb", "one")),
        (Away(20, "lunch"), Away(20, "")),
        (CreateGroup(20, "new"), CreateGroup(20, "newer")),
        (Invite(20, "g", "ccc"), Invite(20, "g", "ddd")),
        (LeaveGroup(20, "g"), GroupMsg(20, "g", "bye")),
        (Accept(20, "bbb", TRANSFER, KEY), Reject(20, "bbb", TRANSFER)),
        (ActiveUser(20), MsgTo(20, "bbb", "hi")),
        (History(20, "bbb"), MsgTo(20, "bbb", "hi")),
        (MsgTo(20, "ddd", "away"), GroupMsg(20, "g", "hi")),
        (History(20, "nobody"), MsgTo(20, "bbb", "hi")),
    ],
    ids=lambda request: type(request).__name__,
)
def test_an_id_is_of_one_request_alone(first: AnyRequest, then: AnyRequest) -> None:
    """Nobody is told that something was sent which was not, because something else had its id."""
    world, aaa, bbb = world_with_aaa(resumed=False)
    world.sign_in("ccc", 2)
    aaa.ask(first)
    bbb.rest()
    assert aaa.ask(then) == Error("not_done", words.NOT_DONE, 20)
    assert bbb.synced() == []


def test_a_message_that_was_redacted_meanwhile_is_the_same_one() -> None:
    """Its repeat is acknowledged as before."""
    world, aaa, _ = world_with_aaa(resumed=False)
    sent = aaa.ask(MsgTo(20, "bbb", "secret"))
    assert isinstance(sent, Sent)
    world.keep(world.ledger.redact(sent.seq, world.now))
    world.settle()
    assert aaa.ask(MsgTo(20, "bbb", "secret")) == sent


def test_what_was_done_is_said_again_though_it_could_not_be_done_now() -> None:
    """Left, removed, invited, offered: the state has moved on, and the answer is that of the first time."""
    world, aaa, bbb = world_with_aaa(resumed=False)
    requests: list[tuple[AnyRequest, type[AnyAnswer]]] = [
        (CreateGroup(20, "own", ["ccc"]), Created),
        (Remove(21, "own", "ccc"), Removed),
        (Invite(22, "own", "ddd"), Invited),
        (Invite(23, "own", "bbb"), Invited),
        (P2PVideo(24, "bbb", TRANSFER, "x.mp4", 1, KEY), Offered),
        (Cancel(25, "bbb", TRANSFER), Offered),
    ]
    before = [aaa.ask(request) for request, _ in requests]
    assert [type(answer) for answer in before] == [kind for _, kind in requests]
    bbb.rest()
    bbb.ask(JoinGroup(bbb.new_id(), "own"))
    bbb.ask(Logout(bbb.new_id()))
    world.pass_time(GRACE_MS)
    world.settle()
    assert [aaa.ask(request) for request, _ in requests] == before
    left = aaa.ask(LeaveGroup(26, "own"))
    assert left == Left(26, "own")
    assert aaa.ask(LeaveGroup(26, "own")) == left
    assert [aaa.ask(request) for request, _ in requests] == before


@pytest.mark.parametrize(
    ("written", "re"),
    [
        ("-1", None), ("9007199254740993", None), ("1e400", None), ("18446744073709551616", None), ("1.5", None),
        ('"20"', None), ("null", None), ("true", None), ("[]", None), ("9007199254740992", 2**53), ("0", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("signed_in", [False, True])
def test_what_is_no_id_is_said_without_one(written: str, re: int | None, *, signed_in: bool) -> None:
    """A number out of bounds, or something else, is a bad request; one within is named, whatever else is wrong."""
    client = world_with_aaa(resumed=False)[1] if signed_in else World().connect()
    client.rest()
    client.send_bytes(b'{"type":"msgto","id":%b,"to":5,"text":"hi"}\n' % written.encode())
    client.world.settle()
    (error,) = client.rest()
    assert isinstance(error, Error)
    assert (error.code, error.re) == ("bad_request", re)
    assert client.ask(Ping(3)) == Pong(3)


def test_before_a_session_ids_are_of_no_meaning() -> None:
    """Each denied attempt and each request behind it is answered under its own, also when used again."""
    client = World().connect()
    client.send(Login(1, "aaa", "wrong"), MsgTo(1, "bbb", "hi"), Seen(5), Login(1, "aaa", "123"), MsgTo(2, "bbb", "hi"))
    client.world.settle()
    denied, behind, seen, welcome, away = client.rest()
    assert isinstance(denied, Denied)
    assert behind == Error("not_signed_in", words.NOT_SIGNED_IN, 1)
    assert seen == Error("not_signed_in", words.NOT_SIGNED_IN)
    assert isinstance(welcome, Welcome)
    assert isinstance(away, Error)
    assert (denied.re, welcome.re, away.re, away.code) == (1, 1, 2, "not_online")
