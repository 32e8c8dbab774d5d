"""A name that somebody else gets begins with nothing; whoever keeps their account keeps everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tessenger.chat import entries, words
from tessenger.chat.ports import SignedIn, SignInResult
from tessenger.wire.messages import (
    Created,
    CreateGroup,
    Denied,
    Error,
    GroupMessage,
    GroupMsg,
    Groups,
    GroupsAnswer,
    History,
    HistoryAnswer,
    Invite,
    Invited,
    JoinGroup,
    Login,
    Members,
    MembersAnswer,
    Message,
    MsgTo,
    Remove,
    Resume,
    Sent,
    Welcome,
    Whois,
    WhoisAnswer,
)
from tests.support.hub_world import World, WorldClient


def history(client: WorldClient, peer: str = "", group: str = "") -> list[str] | str:
    """Return the texts that a question for history brings, or the code of its refusal."""
    answer = client.ask(History(client.new_id(), peer, group))
    if isinstance(answer, Error):
        return answer.code
    assert isinstance(answer, HistoryAnswer)
    return [message.text for message in answer.messages]


def said(lines: Sequence[object]) -> list[str]:
    """Return the texts among what came over a connection."""
    return [line.text for line in lines if isinstance(line, Message | GroupMessage)]


def recycle(world: World, user: str) -> None:
    """Let somebody else have a name, between two readings of the credentials."""
    world.tags[user] = f"another than {world.tags.get(user, '')!r}"
    world.reload()
    world.settle()


def rich(world: World) -> tuple[WorldClient, WorldClient]:
    """Return aaa, and a ccc who has whatever one can have here; what they said and were told has OLD in it."""
    aaa, ccc = world.sign_in("aaa"), world.sign_in("ccc", slot=2)
    assert isinstance(ccc.ask(CreateGroup(ccc.new_id(), "club", ["aaa"], private=True)), Created)
    assert isinstance(aaa.ask(CreateGroup(aaa.new_id(), "board", ["ccc"], private=True)), Created)
    assert isinstance(aaa.ask(CreateGroup(aaa.new_id(), "asked", [], private=True)), Created)
    assert isinstance(aaa.ask(Invite(aaa.new_id(), "asked", "ccc")), Invited)
    for client, to in ((aaa, "ccc"), (ccc, "aaa")):
        assert isinstance(client.ask(MsgTo(client.new_id(), to, "OLD")), Sent)
        assert isinstance(client.ask(GroupMsg(client.new_id(), "board", "OLD board")), Sent)
        assert isinstance(client.ask(GroupMsg(client.new_id(), "club", "OLD club")), Sent)
        aaa.rest(), ccc.rest()
    return aaa, ccc


def test_a_recycled_name_begins_with_nothing() -> None:
    """No history, group, invitation, waiting message or token of the old one; others keep what was said with them."""
    world = World(offline_delivery=True)
    aaa, old = rich(world)
    old.lose()
    world.pass_time(10**6)
    assert isinstance(aaa.ask(MsgTo(aaa.new_id(), "ccc", "OLD, left for later")), Sent)
    assert isinstance(aaa.ask(GroupMsg(aaa.new_id(), "board", "OLD, said meanwhile")), Sent)
    recycle(world, "ccc")
    new = world.sign_in("ccc")
    assert said(new.synced()) == []
    assert history(new) == history(new, "aaa") == history(new, "ccc") == []
    assert [history(new, group=group) for group in ("board", "club", "asked")] == ["unknown_group"] * 3
    answer = new.ask(Groups(new.new_id()))
    assert isinstance(answer, GroupsAnswer)
    assert answer.groups == []
    for group in ("board", "club", "asked"):
        assert new.refused(JoinGroup(new.new_id(), group)) == ("unknown_group", words.unknown_group(group))
    late = old.resume(old.token, 0)
    world.settle()
    assert late.take(Denied).code == "session_expired"
    found = history(aaa)
    assert isinstance(found, list)
    assert len(found) == 8
    assert all("OLD" in text for text in found)


def test_a_recycled_name_is_as_good_as_any() -> None:
    """What is said to its new owner is theirs, also in a group that the old one was in, from their joining on."""
    world = World()
    aaa, old = rich(world)
    recycle(world, "ccc")
    assert old.rest() == [Error("removed", words.REMOVED)]
    assert old.is_closed
    new = world.sign_in("ccc", slot=2)
    assert isinstance(aaa.ask(MsgTo(aaa.new_id(), "ccc", "for you")), Sent)
    assert isinstance(aaa.ask(GroupMsg(aaa.new_id(), "board", "not for you")), Sent)
    assert isinstance(aaa.ask(Invite(aaa.new_id(), "board", "ccc")), Invited)
    new.send(JoinGroup(new.new_id(), "board"))
    world.settle()
    new.rest(), aaa.rest()
    assert isinstance(aaa.ask(GroupMsg(aaa.new_id(), "board", "for all")), Sent)
    assert said(new.synced()) == ["for all"]
    assert history(new) == ["for you", "for all"]
    assert history(new, group="board") == ["for all"]
    new.lose()
    world.settle()
    again = new.resume(new.token, 0, slot=1)
    world.settle()
    assert said(again.synced()) == ["for you", "for all"]


def test_nobody_has_what_only_the_creator_of_a_group_could_do() -> None:
    """Nor can the new owner of the name; the others' membership goes on."""
    world = World()
    aaa, _ = rich(world)
    recycle(world, "ccc")
    members = aaa.ask(Members(aaa.new_id(), "club"))
    assert isinstance(members, MembersAnswer)
    assert ([line.user for line in members.members], members.creator) == (["aaa"], "")
    new = world.sign_in("ccc")
    assert isinstance(aaa.ask(Invite(aaa.new_id(), "club", "ccc")), Invited)
    new.send(JoinGroup(new.new_id(), "club"))
    world.settle()
    new.rest()
    assert new.refused(Remove(new.new_id(), "club", "aaa")) == ("not_creator", words.not_creator("club", ""))


def test_a_changed_password_is_no_other_account() -> None:
    """Neither is a line that says nothing: one that was written by hand, where there was a tag before."""
    world = World(offline_delivery=True)
    world.tags["ccc"] = "one"
    world.reload()
    aaa, ccc = rich(world)
    ccc.lose()
    world.pass_time(10**6)
    assert isinstance(aaa.ask(MsgTo(aaa.new_id(), "ccc", "for later")), Sent)
    del world.tags["ccc"]
    assert world.reload() == []
    again = world.sign_in("ccc")
    assert "for later" in said(again.synced())
    assert "OLD club" in history(again, group="club")


def test_without_an_account_nobody_is_known() -> None:
    """Their name is nobody's until it is given to somebody; what waits for them then is theirs from there on."""
    world = World(offline_delivery=True)
    aaa, _ = rich(world)
    del world.passwords["ccc"]
    removed = [entry for entry in world.reload() if isinstance(entry, entries.AccountRemoved)]
    assert [(entry.user, entry.account) for entry in removed] == [("ccc", 0)]
    world.settle()
    for request in (
        MsgTo(aaa.new_id(), "ccc", "x"),
        Invite(aaa.new_id(), "club", "ccc"),
        Whois(aaa.new_id(), "ccc"),
        History(aaa.new_id(), "ccc"),
    ):
        assert aaa.refused(request) == ("unknown_user", words.unknown_user("ccc"))
    world.passwords["ccc"] = "123"
    (added,) = world.reload()
    assert isinstance(added, entries.AccountAdded)
    world.settle()
    assert world.ledger.present.accounts["ccc"].number == added.seq
    assert isinstance(aaa.ask(MsgTo(aaa.new_id(), "ccc", "welcome")), Sent)
    assert said(world.sign_in("ccc").synced()) == ["welcome"]


def test_numbers_of_accounts_rise() -> None:
    """So none is given twice, however often a name changes hands."""
    world = World()
    numbers = [0]
    for _ in range(5):
        recycle(world, "ccc")
        numbers.append(world.ledger.present.accounts["ccc"].number)
    assert numbers == sorted(set(numbers))


def test_a_password_that_was_checked_before_the_reading_is_no_way_into_the_new_account() -> None:
    """Where the entry waits for its place then, the log refuses it; where it is not made yet, the worker knows."""
    world = World()
    early, late = world.connect(1), world.connect(2)
    early.send(Login(early.new_id(), "ccc", "123"))
    world.work(1)
    checked: list[Callable[[SignInResult], None]] = []
    office = world.workers[2].office
    office.sign_in = lambda user, password, address, then, is_gone: checked.append(then)  # type: ignore[method-assign]
    late.send(Login(late.new_id(), "ccc", "123"))
    recycle(world, "ccc")
    (then,) = checked
    then(SignedIn("ccc", world.state.attach()))
    world.settle()
    for client in (early, late):
        assert client.take(Denied).code == "invalid_password"
    assert world.kept(entries.Online) == []


def test_a_worker_that_read_the_credentials_first_waits_for_the_log() -> None:
    """A new account's sign-in that is there before the worker knows the account begins when it does."""
    world = World()
    world.passwords["eve"] = "123"
    world.reload()  # committed, and on its way to the workers
    client = world.connect(2)
    client.send(Login(client.new_id(), "eve", "123"))
    world.work(2)
    assert client.rest() == []
    world.settle()
    assert client.take(Welcome).user == "eve"
    early = world.connect(1)
    world.passwords["fay"] = "123"  # read by the worker, and not by the logger yet
    early.send(Login(early.new_id(), "fay", "123"))
    world.settle()
    assert early.take(Denied).code == "invalid_password"
    assert not early.is_closed


def test_a_name_that_a_group_has_is_no_user_s() -> None:
    """Nor the other way round: a group that is ordered behind the account does not come to be."""
    world = World()
    aaa, bbb = world.sign_in("aaa"), world.sign_in("bbb", slot=2)
    assert isinstance(aaa.ask(CreateGroup(aaa.new_id(), "Newguy", ["bbb"], private=True)), Created)
    assert isinstance(aaa.ask(GroupMsg(aaa.new_id(), "newguy", "SECRET")), Sent)
    bbb.rest()
    world.passwords["newguy"] = "123"
    assert world.reload() == []
    eve = world.connect()
    eve.send(Login(eve.new_id(), "newguy", "123"))
    world.settle()
    assert eve.take(Denied).code == "invalid_password"
    assert aaa.refused(MsgTo(aaa.new_id(), "newguy", "x")) == ("unknown_user", words.unknown_user("newguy"))
    assert isinstance(aaa.ask(GroupMsg(aaa.new_id(), "newguy", "still there")), Sent)
    assert said(bbb.synced()) == ["still there"]

    aaa.send(CreateGroup(aaa.new_id(), "later", ["bbb"]))
    world.work(1)
    world.work(1)
    world.passwords["later"] = "123"
    world.reload()
    world.settle()
    (answer,) = aaa.rest()
    assert isinstance(answer, Error)
    assert answer.code == "group_exists"
    assert "later" not in world.ledger.present.groups
    assert world.sign_in("later").synced() == []


def test_who_was_named_after_their_account_was_over_is_not_who_comes_next() -> None:
    """They are no member of a group that named them, and not invited; whoever gets the name has to be asked anew."""
    world = World()
    aaa = world.sign_in("aaa")
    assert isinstance(aaa.ask(CreateGroup(aaa.new_id(), "board", [], private=True)), Created)
    aaa.send(CreateGroup(aaa.new_id(), "club", ["bbb", "ccc"], private=True))
    world.work(1)
    late = world.sign_in("bbb", slot=2)
    late.rest()
    aaa.rest()
    aaa.send(Invite(aaa.new_id(), "board", "ccc"), CreateGroup(aaa.new_id(), "third", ["bbb", "ccc"], private=True))
    world.work(1)
    del world.passwords["ccc"]
    world.reload()
    world.settle()
    aaa.rest()
    world.passwords["ccc"] = "123"
    world.reload()
    new = world.sign_in("ccc", slot=2)
    for group in ("board", "club", "third"):
        assert isinstance(aaa.ask(GroupMsg(aaa.new_id(), group, "SECRET")), Sent)
        assert history(new, group=group) == "unknown_group"
        assert new.refused(JoinGroup(new.new_id(), group)) == ("unknown_group", words.unknown_group(group))
    assert said(new.synced()) == []
    members = aaa.ask(Members(aaa.new_id(), "third"))
    assert isinstance(members, MembersAnswer)
    assert [line.user for line in members.members] == ["aaa", "bbb"]


def test_a_block_and_failures_are_of_the_account() -> None:
    """Somebody new is not blocked for what was tried on the one before."""
    world = World()
    for _ in range(3):
        guess = world.connect()
        guess.send(Login(guess.new_id(), "ccc", "wrong"))
        world.settle()
    blocked = world.connect()
    blocked.send(Login(blocked.new_id(), "ccc", "123"))
    world.settle()
    assert blocked.take(Denied).code == "blocked"
    recycle(world, "ccc")
    assert isinstance(world.sign_in("ccc").ask(Whois(9, "aaa")), WhoisAnswer)
    assert world.pass_time(10**6) == []


def test_what_is_asked_is_answered_for_who_asked() -> None:
    """History that was ordered before the name changed hands has nothing of what came behind it."""
    world = World()
    aaa, old = rich(world)
    old.send(History(old.new_id(), "aaa"))
    world.order(2)
    recycled = world.workers[2].inbox
    world.apply(2)
    assert not recycled
    jobs = world.workers[2].office.jobs
    (job,) = jobs
    jobs.clear()
    recycle(world, "ccc")
    world.sign_in("ccc", slot=1)
    assert isinstance(aaa.ask(MsgTo(aaa.new_id(), "ccc", "NEW")), Sent)
    job()
    world.settle()
    assert "NEW" not in str(old.rest())


def test_a_resume_is_not_a_way_in() -> None:
    """A session is of the account; a new worker that starts from the journal knows that as well."""
    world = World()
    _, old = rich(world)
    recycle(world, "ccc")
    world.kill(2)
    world.settle()
    client = world.connect(2)
    client.send(Resume(client.new_id(), old.token, 0))
    world.settle()
    assert client.take(Denied).code == "session_expired"
