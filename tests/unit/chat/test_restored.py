"""A backup of the journal was put back: nobody is taken to have seen what has the numbers of what is lost now."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tessenger.chat import words
from tessenger.wire.messages import Denied, Login, Logout, Message, MsgTo, Resume, Seen, Sent, Welcome
from tests.support.hub_world import World, WorldClient


def say(world: World, sender: WorldClient, *texts: str) -> None:
    """Let bbb be sent these."""
    for text in texts:
        assert isinstance(sender.ask(MsgTo(sender.new_id(), "bbb", text)), Sent)


def texts(client: WorldClient) -> list[str]:
    """Return what has come over a connection since its welcome, in order."""
    return [line.text for line in client.synced() if isinstance(line, Message)]


def welcomed(client: WorldClient) -> Welcome:
    """Return the welcome of a connection, whichever kind it was."""
    return next(line for line in client.lines if isinstance(line, Welcome))


def known(client: WorldClient) -> dict[str, Any]:
    """Return what a client says of the runs that its numbers belong to."""
    welcome = welcomed(client)
    return {"run": welcome.run, "runs": welcome.runs}


class Restored:
    """bbb was shown 5 messages before the backup and 20 behind it; in the restored server 30 others have come.

    `lost` is bbb's connection in the time that is lost now, `at` the number that was shown there last.
    """

    def __init__(self) -> None:
        world = World(offline_delivery=True)
        say(world, world.sign_in("aaa"), *(f"before {n}" for n in range(5)))
        first = world.sign_in("bbb", 2)
        self.token = first.token
        assert len(texts(first)) == 5
        self.backed_up = world.journal.present.seq
        first.send(Seen(self.backed_up))
        world.settle()
        backup = copy.deepcopy(world.journal)
        world = World(offline_delivery=True, journal=world.journal)
        say(world, world.sign_in("aaa"), *(f"lost {n}" for n in range(20)))
        self.lost = world.sign_in("bbb", 2, after=self.backed_up, **known(first))
        assert len(texts(self.lost)) == 20
        self.at = world.journal.present.seq
        self.world = World(offline_delivery=True, journal=backup)
        self.aaa = self.world.sign_in("aaa")
        say(self.world, self.aaa, *(f"restored {n}" for n in range(30)))
        self.expected = [f"restored {n}" for n in range(30)]


@pytest.fixture
def restored() -> Restored:
    """One."""
    return Restored()


def test_a_sign_in_shows_everything_since(restored: Restored) -> None:
    """From the last number that both have, which the welcome names; the client goes on from there."""
    assert restored.at < restored.world.journal.present.seq, "the numbers have overlapped"
    bbb = restored.world.sign_in("bbb", after=restored.at, **known(restored.lost))
    assert welcomed(bbb).after == restored.backed_up
    assert welcomed(bbb).runs == welcomed(restored.lost).runs
    assert welcomed(bbb).run != welcomed(restored.lost).run
    assert texts(bbb) == restored.expected


def test_a_client_that_was_never_there_in_the_lost_time_is_shown_nothing_twice(restored: Restored) -> None:
    """Its number is one of the past that the backup has."""
    named: dict[str, Any] = {"run": welcomed(restored.lost).runs[-1][0], "runs": []}
    bbb = restored.world.sign_in("bbb", after=restored.backed_up, **named)
    assert welcomed(bbb).after == restored.backed_up
    assert texts(bbb) == restored.expected


def test_a_session_that_the_backup_brings_back_goes_on_from_there(restored: Restored) -> None:
    """Its token is good again. Whatever ids its client has used in the lost time, the next ones are new here."""
    back = restored.world.connect(1)
    back.send(Resume(41, restored.token, restored.at, **known(restored.lost)))
    back.last_id = 41
    restored.world.settle()
    assert back.take(Welcome).after == restored.backed_up
    assert texts(back) == restored.expected
    for number in (38, 50):  # the first was under way when the server was stopped, the other is new
        back.last_id = number
        assert isinstance(back.ask(MsgTo(number, "aaa", f"under id {number}")), Sent)
    assert texts(restored.aaa) == ["under id 38", "under id 50"]


def test_a_session_of_the_lost_time_is_unknown(restored: Restored) -> None:
    """Though another one has its number by now: nobody resumes somebody else's."""
    restored.world.sign_in("ccc")
    number = int(restored.lost.token.partition(".")[0], 16)
    assert restored.world.ledger.present.sessions[number].user == "ccc"
    back = restored.world.connect(1)
    answer = back.ask(Resume(2, restored.lost.token, restored.at, **known(restored.lost)))
    assert isinstance(answer, Denied)
    assert answer.code == "session_expired"
    back.send(Login(3, "bbb", "123", after=restored.at, unless_online=True, **known(restored.lost)))
    restored.world.settle()
    back.last_id = 3
    assert isinstance(back.take(Welcome), Welcome)
    assert texts(back) == restored.expected


def test_a_token_is_void_whose_password_was_changed_in_the_lost_time(restored: Restored) -> None:
    """The backup does not know that it was voided, nor that somebody has no account any more; the credentials do."""
    world = restored.world
    world.passwords["bbb"] = "changed"
    denied = Denied(1, "session_expired", words.SESSION_EXPIRED)
    assert world.connect(1).ask(Resume(1, restored.token, 0)) == denied
    del world.passwords["bbb"]
    assert world.connect(1).ask(Resume(1, restored.token, 0)) == denied
    world.passwords["bbb"] = "123"
    back = world.connect(2)
    back.send(Resume(1, restored.token, 0))
    world.settle()
    assert isinstance(back.take(Welcome), Welcome)


def test_an_older_client_is_not_believed_a_number_above_the_end() -> None:
    """It names no run. Where its number is one that the server has given again since, nothing tells."""
    world = World(offline_delivery=True)
    say(world, world.sign_in("aaa"), "one", "two")
    bbb = world.sign_in("bbb", 2, after=50)
    assert welcomed(bbb).after == 0
    assert texts(bbb) == ["one", "two"]
    bbb.lose()
    world.settle()
    again = bbb.resume(bbb.token, 50)
    world.settle()
    assert again.take(Welcome).after == 0
    assert texts(again) == ["one", "two"]


def test_a_server_that_has_nothing_in_common_goes_by_what_it_knows_itself() -> None:
    """A sign-in brings what this server has not shown, a resume all that its session was due."""
    world = World(offline_delivery=True)
    aaa = world.sign_in("aaa")
    say(world, aaa, "one")
    bbb = world.sign_in("bbb", 2)
    assert texts(bbb) == ["one"]
    bbb.ask(Logout(bbb.new_id()))
    say(world, aaa, "two")
    foreign = {"after": 10**6, "run": "f" * 16, "runs": [("e" * 16, 5)]}
    bbb = world.sign_in("bbb", 2, **foreign)
    assert welcomed(bbb).after == 0
    assert texts(bbb) == ["two"]
    bbb.lose()
    world.settle()
    again = bbb.resume(bbb.token, **foreign)  # type: ignore[arg-type]  # all of it is what it should be
    world.settle()
    assert again.take(Welcome).after == 0
    assert texts(again) == ["two"]


def test_a_restart_alone_changes_nothing() -> None:
    """Numbers of an earlier run hold; the runs that the client is told of are one more."""
    world = World()
    aaa = world.sign_in("aaa")
    bbb = world.sign_in("bbb")
    say(world, aaa, "one")
    at = world.journal.present.seq
    first = known(bbb)
    world = World(journal=world.journal)
    back = world.connect()
    back.send(Resume(9, bbb.token, at, **first))
    back.last_id = 9
    world.settle()
    welcome = back.take(Welcome)
    assert (welcome.after, welcome.runs) == (at, [(first["run"], at)])
    assert texts(back) == []
