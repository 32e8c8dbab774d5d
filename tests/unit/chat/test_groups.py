"""Leaving, removing, inviting, private groups, and who may know of what."""

from __future__ import annotations

import pytest

from tessenger.chat import entries, ledger
from tessenger.wire.messages import (
    AnyRequest,
    Created,
    CreateGroup,
    Error,
    GroupLeft,
    GroupLine,
    GroupMessage,
    GroupMsg,
    Groups,
    GroupsAnswer,
    History,
    HistoryAnswer,
    Invitation,
    Invite,
    Invited,
    Joined,
    JoinGroup,
    LeaveGroup,
    Left,
    MemberLine,
    Members,
    MembersAnswer,
    Names,
    NamesAnswer,
    Remove,
    Removed,
    Sent,
    Unread,
)
from tests.support.hub_world import World, WorldClient


def three(world: World, *, private: bool = False, members: tuple[str, ...] = ("bbb", "ccc")) -> list[WorldClient]:
    """Sign three people in on two workers; the first has made a group `Team` with these members."""
    people = [world.sign_in("aaa"), world.sign_in("bbb", slot=2), world.sign_in("ccc")]
    made = people[0].ask(CreateGroup(people[0].new_id(), "Team", list(members), private))
    assert isinstance(made, Created)
    return people


def groups_of(client: WorldClient) -> list[GroupLine]:
    """Return what `groups` says."""
    answer = client.ask(Groups(client.new_id()))
    assert isinstance(answer, GroupsAnswer)
    return answer.groups


def names_of(client: WorldClient) -> list[str]:
    """Return the groups that can be completed."""
    client.send(Names(client.new_id()))
    client.world.settle()
    return [name for answer in client.rest() if isinstance(answer, NamesAnswer) for name in answer.groups]


def test_who_leaves_gets_nothing_more_and_the_others_know() -> None:
    """What is ordered behind it; a message before it in the same batch still arrives."""
    world = World()
    aaa, bbb, ccc = three(world)
    aaa.send(GroupMsg(aaa.new_id(), "team", "before"))
    world.order()
    number = bbb.new_id()
    bbb.send(LeaveGroup(number, "TEAM"))
    aaa.send(GroupMsg(aaa.new_id(), "team", "perhaps"))
    world.settle()
    aaa.send(GroupMsg(aaa.new_id(), "team", "after"))
    world.settle()
    came = bbb.rest()
    assert Left(number, "Team") in came
    texts = [line.text for line in came if isinstance(line, GroupMessage)]
    assert texts[0] == "before"
    assert "after" not in texts
    left = [line for line in ccc.rest() if isinstance(line, GroupLeft)]
    assert [(line.group, line.user, line.sender) for line in left] == [("Team", "bbb", "bbb")]
    assert any(isinstance(line, GroupLeft) for line in aaa.rest())
    assert bbb.refused(GroupMsg(bbb.new_id(), "team", "hi"))[0] == "not_member"
    assert bbb.refused(LeaveGroup(bbb.new_id(), "team"))[0] == "not_member"


def test_who_left_may_join_again_on_another_worker_at_once() -> None:
    """The shared state learns of the leaving before it judges the joining; what was said meanwhile is not theirs."""
    world = World()
    aaa, bbb, _ = three(world)
    assert bbb.ask(LeaveGroup(bbb.new_id(), "Team")) == Left(bbb.last_id, "Team")
    aaa.rest()
    aaa.ask(GroupMsg(aaa.new_id(), "Team", "meanwhile"))
    back = bbb.resume(bbb.token, 0, slot=1)
    world.settle()
    back.rest()
    answer = back.ask(JoinGroup(back.new_id(), "Team"))
    assert isinstance(answer, Joined)
    assert answer.members == ["aaa", "ccc", "bbb"]
    aaa.send(GroupMsg(aaa.new_id(), "Team", "again"))
    world.settle()
    assert [line.text for line in back.rest() if isinstance(line, GroupMessage)] == ["again"]


def test_only_the_creator_removes() -> None:
    """The removed one is told, and the others; what was said before stays readable, what comes after does not."""
    world = World()
    aaa, bbb, ccc = three(world)
    aaa.ask(GroupMsg(aaa.new_id(), "Team", "before"))
    assert bbb.synced()
    ccc.synced()
    code, text = bbb.refused(Remove(bbb.new_id(), "Team", "ccc"))
    assert code == "not_creator"
    assert "aaa" in text
    assert aaa.ask(Remove(aaa.new_id(), "team", "BBB")) == Removed(aaa.last_id, "Team", "bbb")
    for told in (bbb, ccc):
        (event,) = told.rest()
        assert isinstance(event, GroupLeft)
        assert (event.group, event.user, event.sender) == ("Team", "bbb", "aaa")
    aaa.ask(GroupMsg(aaa.new_id(), "Team", "after"))
    assert bbb.synced() == []
    answer = bbb.ask(History(bbb.new_id(), group="Team"))
    assert isinstance(answer, HistoryAnswer)
    assert [message.text for message in answer.messages] == ["before"]
    assert aaa.refused(Remove(aaa.new_id(), "Team", "bbb"))[0] == "not_member"


def test_who_is_removed_while_away_learns_of_it_at_the_next_sign_in() -> None:
    """Like a message to them; once."""
    world = World()
    aaa, bbb, _ = three(world)
    bbb.synced()
    bbb.lose()
    world.settle()
    aaa.ask(Remove(aaa.new_id(), "Team", "bbb"))
    back = bbb.resume(bbb.token, world.journal.log[-2].seq)
    world.settle()
    assert [type(line).__name__ for line in back.rest()] == ["Welcome", "GroupLeft"]


def test_a_private_group_is_not_there_for_others() -> None:
    """Not listed, not to be joined, asked about, or written to."""
    world = World()
    aaa, bbb, ccc = three(world, private=True, members=("bbb",))
    assert groups_of(aaa) == [GroupLine("Team", 2, joined=True, private=True)]
    assert groups_of(ccc) == []
    assert names_of(bbb) == ["Team"]
    assert names_of(ccc) == []
    for request in (
        JoinGroup(ccc.new_id(), "Team"),
        Members(ccc.new_id(), "Team"),
        GroupMsg(ccc.new_id(), "Team", "hi"),
        LeaveGroup(ccc.new_id(), "Team"),
        Invite(ccc.new_id(), "Team", "ddd"),
        History(ccc.new_id(), group="Team"),
    ):
        assert ccc.refused(request)[0] == "unknown_group"


def test_an_invitation_opens_a_private_group() -> None:
    """By any member; for the one who is invited, once: who is removed needs another one."""
    world = World()
    aaa, bbb, ccc = three(world, private=True, members=("bbb",))
    assert bbb.ask(Invite(bbb.new_id(), "team", "CCC")) == Invited(bbb.last_id, "Team", "ccc")
    (event,) = ccc.rest()
    assert isinstance(event, Invitation)
    assert (event.sender, event.group) == ("bbb", "Team")
    assert groups_of(ccc) == []
    assert names_of(ccc) == ["Team"]
    assert isinstance(ccc.ask(JoinGroup(ccc.new_id(), "Team")), Joined)
    assert bbb.refused(Invite(bbb.new_id(), "Team", "ccc"))[0] == "already_member"
    aaa.ask(Remove(aaa.new_id(), "Team", "ccc"))
    ccc.rest()
    assert ccc.refused(JoinGroup(ccc.new_id(), "Team"))[0] == "unknown_group"


def test_an_invitation_waits_for_who_is_away() -> None:
    """It is there at the next sign-in, and once only."""
    world = World(users=("aaa", "bbb", "eee"))
    aaa = world.sign_in("aaa")
    aaa.ask(CreateGroup(aaa.new_id(), "Team", [], private=True))
    aaa.ask(Invite(aaa.new_id(), "Team", "eee"))
    assert aaa.refused(Invite(aaa.new_id(), "Team", "nobody"))[0] == "unknown_user"
    eee = world.sign_in("eee", slot=2)
    assert eee.take(Unread).count == 1
    assert eee.take(Invitation).group == "Team"
    assert isinstance(eee.ask(JoinGroup(eee.new_id(), "Team")), Joined)


def test_the_creator_may_come_back_to_an_empty_private_group() -> None:
    """Nobody is there to invite them."""
    world = World()
    aaa = world.sign_in("aaa")
    aaa.ask(CreateGroup(aaa.new_id(), "Team", [], private=True))
    aaa.ask(LeaveGroup(aaa.new_id(), "Team"))
    assert groups_of(aaa) == []
    answer = aaa.ask(JoinGroup(aaa.new_id(), "Team"))
    assert isinstance(answer, Joined)
    assert answer.members == ["aaa"]


def test_members_and_groups_are_listed() -> None:
    """In the order of joining, with who is online; one's own groups first."""
    world = World(users=("aaa", "bbb", "ccc", "eee"))
    aaa, bbb, _ = three(world, members=("eee", "bbb"))
    bbb.ask(CreateGroup(bbb.new_id(), "other", []))
    assert aaa.ask(Members(aaa.new_id(), "team")) == MembersAnswer(
        aaa.last_id,
        "Team",
        "aaa",
        [MemberLine("aaa", online=True), MemberLine("eee", online=False), MemberLine("bbb", online=True)],
    )
    assert groups_of(bbb) == [GroupLine("Team", 3, joined=True), GroupLine("other", 1, joined=True)]
    assert groups_of(aaa) == [GroupLine("Team", 3, joined=True), GroupLine("other", 1)]
    assert isinstance(aaa.ask(Members(aaa.new_id(), "other")), MembersAnswer)
    assert aaa.refused(Members(aaa.new_id(), "nothing"))[0] == "unknown_group"


def test_what_was_done_is_answered_again_and_not_done_twice() -> None:
    """A repeat after a resume, for each kind of request."""
    world = World()
    aaa, bbb, _ = three(world)
    requests: list[AnyRequest] = [Invite(aaa.new_id(), "Team", "ddd"), Remove(aaa.new_id(), "Team", "bbb")]
    first = [aaa.ask(request) for request in requests]
    back = aaa.resume(aaa.token, 10**6)
    back.send(*requests)
    world.settle()
    assert back.rest()[1:] == first
    assert len([line for line in bbb.rest() if isinstance(line, GroupLeft)]) == 1


def test_two_workers_at_once_end_a_membership_once() -> None:
    """The creator removes someone who leaves at that moment: the log's order decides, and both are answered."""
    world = World()
    aaa, bbb, ccc = three(world)
    aaa.send(Remove(aaa.new_id(), "Team", "bbb"))
    bbb.send(LeaveGroup(bbb.new_id(), "Team"))
    world.settle()
    assert len([line for line in ccc.rest() if isinstance(line, GroupLeft)]) == 1
    answers = [line for line in [*aaa.rest(), *bbb.rest()] if getattr(line, "re", None) is not None]
    assert len(answers) == 2
    sent = aaa.ask(GroupMsg(aaa.new_id(), "Team", "hi"))
    assert isinstance(sent, Sent)


def test_what_is_written_behind_the_leaving_goes_nowhere() -> None:
    """In one write with it, or on a worker that does not know yet of a removal: the log is the judge."""
    world = World()
    aaa, bbb, ccc = three(world, private=True)
    bbb.send(LeaveGroup(bbb.new_id(), "Team"), GroupMsg(bbb.new_id(), "Team", "after leaving"))
    world.settle()
    left, refused = bbb.rest()
    assert isinstance(left, Left)
    assert isinstance(refused, Error)
    assert (refused.re, refused.code) == (bbb.last_id, "not_member")
    aaa.send(Remove(aaa.new_id(), "Team", "ccc"))
    world.order()
    ccc.send(GroupMsg(ccc.new_id(), "Team", "after the removal"))  # its worker has not applied that yet
    world.settle()
    assert any(isinstance(line, Error) and line.code == "not_member" for line in ccc.rest())
    assert not world.kept(entries.GroupMessage)


def test_who_leaves_and_joins_in_one_write_is_in() -> None:
    """A refusal waits until the worker knows what it has sent itself."""
    world = World()
    _, bbb, _ = three(world)
    bbb.send(LeaveGroup(bbb.new_id(), "Team"), JoinGroup(bbb.new_id(), "Team"))
    world.settle()
    left, joined = bbb.rest()
    assert isinstance(left, Left)
    assert isinstance(joined, Joined)


def test_open_invitations_are_bounded_by_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are sent at once; who is invited already may be invited again."""
    monkeypatch.setattr(ledger, "MAX_INVITED", 2)
    users = ("aaa", "bbb", "ccc", "u1", "u2", "u3")
    aaa, *_ = three(World(users=users), members=())
    aaa.send(*(Invite(aaa.new_id(), "Team", user) for user in ("u1", "u2", "u3", "u1")))
    aaa.world.settle()
    assert [type(line).__name__ for line in aaa.rest()] == ["Invited", "Invited", "Error", "Invited"]
