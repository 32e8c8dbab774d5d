"""What people may know about each other."""

from __future__ import annotations

from tessenger.wire.messages import Away, AwayAnswer, CreateGroup, MsgTo, Sent, Whois, WhoisAnswer
from tests.support.hub_world import GRACE_MS, World


def test_whois_tells_who_is_there_since_when_and_in_which_groups_of_mine() -> None:
    """Online, connection lost, away for good, and nobody."""
    world = World()
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb", slot=2, udp_port=13001)
    bbb.ask(CreateGroup(bbb.new_id(), "both", ["aaa"]))
    bbb.ask(CreateGroup(bbb.new_id(), "own", []))
    since = world.now
    known = WhoisAnswer(aaa.new_id(), "bbb", since, "127.0.0.1", 13001, groups=["both"])
    assert aaa.ask(Whois(aaa.last_id, "BBB")) == known
    bbb.lose()
    world.settle()
    lost = aaa.ask(Whois(aaa.new_id(), "bbb"))
    assert isinstance(lost, WhoisAnswer)
    assert lost.lost
    world.pass_time(GRACE_MS + 1)
    assert aaa.ask(Whois(aaa.new_id(), "bbb")) == WhoisAnswer(aaa.last_id, "bbb", groups=["both"])
    assert aaa.refused(Whois(aaa.new_id(), "nobody"))[0] == "unknown_user"


def test_who_writes_to_someone_away_is_told_once() -> None:
    """On any worker; again when the words change; not any more when they are back."""
    world = World()
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb", slot=2)
    assert bbb.ask(Away(bbb.new_id(), " at lunch ")) == AwayAnswer(bbb.last_id, "at lunch")

    def note() -> str:
        answer = aaa.ask(MsgTo(aaa.new_id(), "bbb", "hi"))
        assert isinstance(answer, Sent)
        return answer.note

    assert [note(), note()] == ["at lunch", ""]
    bbb.rest()
    bbb.ask(Away(bbb.new_id(), "at home"))
    assert [note(), note()] == ["at home", ""]
    answer = aaa.ask(Whois(aaa.new_id(), "bbb"))
    assert isinstance(answer, WhoisAnswer)
    assert answer.away == "at home"
    bbb.rest()
    bbb.ask(Away(bbb.new_id()))
    assert note() == ""
    bbb.rest()
    bbb.ask(Away(bbb.new_id(), "at home"))
    assert note() == ""


def test_being_away_survives_a_worker_and_ends_with_the_session() -> None:
    """It is part of the session."""
    world = World()
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb", slot=2)
    bbb.ask(Away(bbb.new_id(), "at lunch"))
    world.kill(2)
    world.settle()
    back = bbb.resume(bbb.token, 0)
    world.settle()
    back.rest()

    def words() -> str:
        answer = aaa.ask(Whois(aaa.new_id(), "bbb"))
        assert isinstance(answer, WhoisAnswer)
        return answer.away

    assert words() == "at lunch"
    world.sign_in("bbb")
    assert words() == ""
