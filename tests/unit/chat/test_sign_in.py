"""Sign-in, the blocklist, takeover, logout, and what was left unread, over several workers."""

from __future__ import annotations

import pytest

from tessenger.chat import entries, words
from tessenger.wire.messages import (
    Bye,
    CreateGroup,
    Denied,
    Error,
    GroupMessage,
    GroupMsg,
    Limits,
    Login,
    Logout,
    Message,
    MsgTo,
    Replaced,
    Seen,
    Sent,
    Sync,
    Synced,
    Unread,
    Welcome,
)
from tests.support.hub_world import BLOCK_MS, GRACE_MS, LINE_BYTES, World, WorldClient


@pytest.fixture
def world() -> World:
    """Two workers, four accounts, three attempts."""
    return World()


def guess(world: World, user: str, password: str, slot: int = 1) -> tuple[str, str]:
    """Try to sign in over a connection of its own; return code and text of the denial."""
    client = world.connect(slot)
    answer = client.ask(Login(1, user, password))
    assert isinstance(answer, Denied)
    assert client.is_closed == (answer.code in {"blocked", "blocked_now"})
    return answer.code, answer.text


def failures(world: World) -> list[tuple[str, int]]:
    """Return who failed, and the how-manieth time in a row."""
    return [(e.user, e.failures) for e in world.kept(entries.LoginFailed)]


# ---- sign-in ----


def test_who_comes_back_by_themselves_does_not_take_over(world: World) -> None:
    """A sign-in that must not: denied while the person has a connection, also one that the worker has not heard of."""
    first = world.connect(1)
    first.send(Login(first.new_id(), "aaa", "123"))
    back = world.connect(2)
    while not world.kept(entries.Online):  # ordered, but not known to worker 2 yet
        world.work(1)
        world.order()
    back.send(Login(back.new_id(), "aaa", "123", unless_online=True))
    world.settle()
    assert back.take(Denied) == Denied(1, "online_elsewhere", words.ONLINE_ELSEWHERE)
    first.take(Welcome)
    assert first.rest() == []
    first.lose()
    world.settle()
    assert isinstance(back.ask(Login(back.new_id(), "aaa", "123", unless_online=True)), Welcome)


def test_a_sign_in_is_an_entry_and_its_answer_says_what_the_client_needs(world: World) -> None:
    """Name as in the credentials, token, the entry's number and the limits; the journal has only the token's hash."""
    client = world.connect(2, "192.0.2.1")
    welcome = client.ask(Login(1, "AAA", "123", udp_port=13000))
    assert isinstance(welcome, Welcome)
    assert (welcome.re, welcome.user, welcome.seq) == (1, "aaa", 1)
    assert welcome.limits == Limits(LINE_BYTES, 49_152, 1_000)
    (online,) = world.kept(entries.Online)
    assert (online.user, online.ip, online.udp_port, online.generation) == ("aaa", "192.0.2.1", 13000, 1)
    assert welcome.token.encode() not in online.token_hash


@pytest.mark.parametrize("user", ["aaa", "ghost", "no name\x1b", ""])
def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(world: World, user: str) -> None:
    """Nobody learns from the answer who has an account; the connection may try again."""
    assert guess(world, user, "wrong") == ("invalid_password", "Invalid password. Please try again.")


def test_requests_behind_a_login_wait_for_it(world: World) -> None:
    """A whole conversation may be sent in one piece; all of it is carried out in order once the person is in."""
    bbb = world.sign_in("bbb", 2)
    client = world.connect(1)
    client.send(Login(1, "aaa", "123"), CreateGroup(2, "g", ["bbb"]), GroupMsg(3, "g", "hi"), Sync(4))
    world.settle()
    assert [getattr(line, "re", None) for line in client.rest()] == [1, 2, 3, 4]
    (event,) = bbb.synced()
    assert isinstance(event, GroupMessage)


def test_requests_behind_a_login_that_fails_are_refused_in_order(world: World) -> None:
    """They are not forgotten and not carried out; a second login in the same piece has its turn."""
    client = world.connect(1)
    client.send(Login(1, "aaa", "wrong"), Sync(2), Login(3, "aaa", "123"), Sync(4))
    world.settle()
    denied, refused, welcome, synced = client.rest()
    assert isinstance(denied, Denied)
    assert refused == Error("not_signed_in", words.NOT_SIGNED_IN, 2)
    assert isinstance(welcome, Welcome)
    assert synced == Synced(4)


def test_a_second_login_on_a_connection_is_refused(world: World) -> None:
    """The session stays as it was."""
    aaa = world.sign_in("aaa")
    assert aaa.refused(Login(2, "bbb", "123")) == ("already_signed_in", "You are signed in already.")
    assert aaa.synced() == []


def test_another_version_of_the_protocol_is_denied(world: World) -> None:
    """With words that name both versions."""
    answer = world.connect().ask(Login(1, "aaa", "123", protocol=2))
    assert answer == Denied(1, "protocol", "This server speaks version 1 of the protocol, not 2.")


def test_a_sign_in_without_the_shared_state_is_denied_as_unavailable(world: World) -> None:
    """The client may try again on the same connection."""
    world.workers[1].office.is_unavailable = True
    client = world.connect(1)
    assert client.ask(Login(1, "aaa", "123")) == Denied(1, "unavailable", words.UNAVAILABLE)
    world.workers[1].office.is_unavailable = False
    assert isinstance(client.ask(Login(2, "aaa", "123")), Welcome)


# ---- the blocklist ----


def test_the_third_failure_in_a_row_blocks_over_all_connections_and_workers(world: World) -> None:
    """Counted for each user, whatever the connection; then the right password is not even looked at."""
    assert guess(world, "aaa", "1", 1)[0] == "invalid_password"
    assert guess(world, "AAA", "2", 2)[0] == "invalid_password"
    assert guess(world, "aaa", "3", 1) == (
        "blocked_now",
        "Invalid details. Your account has been blocked. Please try again later.",
    )
    looked_at = world.passwords_checked
    assert guess(world, "aaa", "123", 2) == (
        "blocked",
        "Your account is blocked due to multiple login failures. Please try again later.",
    )
    assert world.passwords_checked == looked_at
    assert failures(world) == [("aaa", 1), ("aaa", 2)]
    (blocked,) = world.kept(entries.Blocked)
    assert (blocked.user, blocked.until, blocked.seconds) == ("aaa", world.now + BLOCK_MS, BLOCK_MS / 1000)
    world.sign_in("bbb", 1)


def test_a_block_ends_on_time_and_is_announced_once(world: World) -> None:
    """One `Unblocked`, not before its time; afterwards failures count from the beginning."""
    for _ in range(3):
        guess(world, "aaa", "wrong")
    assert world.pass_time(BLOCK_MS - 1) == []
    (unblocked,) = world.pass_time(1)
    assert isinstance(unblocked, entries.Unblocked)
    assert unblocked.user == "aaa"
    assert world.pass_time(BLOCK_MS * 10) == []
    world.settle()
    assert guess(world, "aaa", "wrong")[0] == "invalid_password"
    assert failures(world)[-1] == ("aaa", 1)
    world.sign_in("aaa")


def test_a_right_password_forgets_the_failures_before_it(world: World) -> None:
    """Only failures in a row block."""
    for _ in range(2):
        guess(world, "aaa", "wrong")
    world.sign_in("aaa")
    for _ in range(2):
        assert guess(world, "aaa", "wrong")[0] == "invalid_password"


def test_a_block_leaves_open_sessions_and_their_resume_alone(world: World) -> None:
    """Who knows a user's name could otherwise throw them out."""
    aaa = world.sign_in("aaa", 1)
    for _ in range(3):
        guess(world, "aaa", "wrong", 2)
    assert aaa.synced() == []
    aaa.lose()
    again = aaa.resume(aaa.token, 1, slot=2)
    world.settle()
    assert isinstance(again.take(Welcome), Welcome)


def test_of_many_guesses_at_once_no_more_are_looked_at_than_are_allowed(world: World) -> None:
    """An attempt is claimed before the password is checked; the right one among the others does not help."""
    clients = [world.connect(1 + n % 2) for n in range(20)]
    for n, client in enumerate(clients):
        client.send(Login(1, "aaa", "123" if n == 19 else "wrong"))
    world.settle()
    assert world.passwords_checked == 3
    codes = [client.take(Denied).code for client in clients]
    assert sorted(codes) == ["blocked"] * 17 + ["blocked_now"] + ["invalid_password"] * 2


def test_a_guess_counts_and_is_logged_though_its_connection_breaks(world: World) -> None:
    """Hanging up before the answer hides nothing: neither the failures nor the block."""
    for _ in range(3):
        client = world.connect()
        client.send(Login(1, "aaa", "wrong"))
        client.lose()
        world.settle()
    assert failures(world) == [("aaa", 1), ("aaa", 2)]
    assert [e.user for e in world.kept(entries.Blocked)] == ["aaa"]
    assert [e.user for e in world.pass_time(BLOCK_MS) if isinstance(e, entries.Unblocked)] == ["aaa"]


# ---- takeover ----


@pytest.mark.parametrize("slot", [1, 2])
def test_who_signs_in_elsewhere_takes_the_session_over(world: World, slot: int) -> None:
    """The old connection is told and closed, its token is void, and what comes goes to the new one alone."""
    old = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    new = world.sign_in("aaa", slot)
    assert old.rest() == [Replaced("You have signed in from another place. This session is over.")]
    assert old.is_closed
    sent = bbb.ask(MsgTo(2, "aaa", "hi"))
    assert isinstance(sent, Sent)
    assert new.synced() == [Message(sent.seq, "bbb", "hi", world.now)]
    resumed = old.resume(old.token, 0)
    world.settle()
    assert resumed.rest() == [Denied(resumed.last_id, "session_expired", "Your session is over. Please sign in again.")]
    assert new.synced() == []


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_sign_ins_at_once_exactly_one_stays(world: World, first: int, order: tuple[int, int]) -> None:
    """Whatever order claims are granted in and entries arrive in; the other one is told that it was replaced."""
    clients = {slot: world.connect(slot) for slot in (1, 2)}
    for slot in (first, 3 - first):
        clients[slot].send(Login(1, "aaa", "123"))
        world.work(slot)
    world.order(order[0])
    world.order(order[1])
    world.settle()
    last_claim = clients[3 - first]
    assert isinstance(last_claim.take(Welcome), Welcome)
    assert last_claim.synced() == []
    assert isinstance(clients[first].lines[-1], Replaced)
    assert clients[first].is_closed
    assert [session.user for session in world.ledger.present.sessions.values()] == ["aaa"]


def test_what_an_old_connection_had_sent_before_the_takeover_is_kept_and_acknowledged(world: World) -> None:
    """The log's order decides: before the new sign-in it counts, behind it nothing is carried out."""
    bbb = world.sign_in("bbb", 2)
    old = world.sign_in("aaa", 1)
    old.send(MsgTo(2, "bbb", "before"))
    world.order(1)
    new = world.connect(2)
    new.send(Login(1, "aaa", "123"))
    world.work(2)
    world.order(2)
    old.send(MsgTo(3, "bbb", "late"))
    world.settle()
    assert [type(line) for line in old.rest()] == [Sent, Replaced]
    assert [line.text for line in bbb.synced() if isinstance(line, Message)] == ["before"]


# ---- logout ----


def test_logout_ends_the_session_and_the_connection(world: World) -> None:
    """`bye` comes last; what stood behind it is not carried out, and others cannot reach the person."""
    aaa = world.sign_in("aaa")
    bbb = world.sign_in("bbb", 2)
    aaa.send(MsgTo(2, "bbb", "last words"), Logout(3), MsgTo(4, "bbb", "too late"))
    world.settle()
    sent, bye = aaa.rest()
    assert isinstance(sent, Sent)
    assert bye == Bye(3)
    assert aaa.is_closed
    assert [line.text for line in bbb.synced() if isinstance(line, Message)] == ["last words"]
    assert bbb.refused(MsgTo(8, "aaa", "hi"))[0] == "not_online"
    (offline,) = world.kept(entries.Offline)
    assert (offline.user, offline.reason, offline.request) == ("aaa", "logout", 3)


def test_a_message_that_is_ordered_just_before_a_logout_is_delivered_before_the_bye(world: World) -> None:
    """Also where both are committed in one batch: it was accepted, and there is no later sign-in that shows it."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    aaa.send(MsgTo(2, "bbb", "just in time"))
    bbb.send(Logout(2))
    world.order(1, 2)
    world.settle()
    assert isinstance(aaa.take(Sent), Sent)
    assert isinstance(bbb.take(Message), Message)
    assert bbb.rest() == [Bye(2)]


def test_after_a_logout_the_token_is_void(world: World) -> None:
    """A resume is denied."""
    aaa = world.sign_in("aaa")
    aaa.ask(Logout(2))
    again = aaa.resume(aaa.token, 0)
    world.settle()
    assert again.take(Denied).code == "session_expired"


# ---- away ----


def test_who_lost_the_connection_stays_online_for_the_grace_then_goes(world: World) -> None:
    """A message in the grace is accepted; afterwards it is refused."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    aaa.lose()
    world.settle()
    assert isinstance(bbb.ask(MsgTo(2, "aaa", "in the grace")), Sent)
    assert world.pass_time(GRACE_MS - 1) == []
    (offline,) = world.pass_time(1)
    assert isinstance(offline, entries.Offline)
    assert offline.reason == "timeout"
    world.settle()
    assert bbb.refused(MsgTo(3, "aaa", "after it"))[0] == "not_online"


def test_what_was_sent_to_someone_whose_grace_ended_is_shown_at_the_next_sign_in(world: World) -> None:
    """Once: private messages and those of the groups, in order, right behind the welcome; not what was seen already."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    bbb.ask(CreateGroup(2, "g", ["aaa"]))
    bbb.ask(MsgTo(3, "aaa", "seen"))
    (seen,) = aaa.synced()
    assert isinstance(seen, Message)
    aaa.send(Seen(seen.seq))
    world.settle()
    aaa.lose()
    world.settle()
    bbb.ask(MsgTo(4, "aaa", "one"))
    bbb.ask(GroupMsg(5, "g", "two"))
    world.pass_time(GRACE_MS)
    world.settle()
    again = world.sign_in("aaa", 2)
    events = again.synced()
    assert [e.text for e in events if isinstance(e, Message | GroupMessage)] == ["one", "two"]
    again.ask(Logout(again.new_id()))
    assert world.sign_in("aaa", 1).synced() == []


def test_a_message_that_was_accepted_but_ordered_behind_the_logout_is_shown_later(world: World) -> None:
    """Its sender's worker had not heard of the logout yet."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    aaa.send(Logout(2))
    world.order(1)
    bbb.send(MsgTo(2, "aaa", "one moment"))
    world.settle()
    assert isinstance(bbb.take(Sent), Sent)
    unread, message = world.sign_in("aaa", 2).synced()
    assert unread == Unread(1)
    assert isinstance(message, Message)
    assert message.text == "one moment"


def test_someone_whose_account_is_removed_is_told_and_gone(world: World) -> None:
    """The session ends with its reason; a changed password only voids the token."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    del world.passwords["aaa"]
    world.reload()
    world.keep(world.ledger.void_tokens(["bbb", "ccc"], world.now))
    world.settle()
    assert aaa.rest() == [Error("removed", "Your account has been removed. This session is over.")]
    assert aaa.is_closed
    assert bbb.synced() == []
    bbb.lose()
    world.settle()
    again = bbb.resume(bbb.token, 0)
    world.settle()
    denied = again.take(Denied)
    assert (denied.code, denied.text) == (
        "invalid_password", "Your password has been changed. Please sign in with the new one.",
    )  # fmt: skip


def test_a_worker_that_dies_leaves_its_sessions_detached(world: World) -> None:
    """They are resumed on another worker, with what was missed; the released slot's new worker knows everybody."""
    aaa = world.sign_in("aaa", 1)
    bbb = world.sign_in("bbb", 2)
    world.kill(1)
    world.settle()
    assert isinstance(bbb.ask(MsgTo(2, "aaa", "still there?")), Sent)
    again = aaa.resume(aaa.token, 1, slot=2)
    world.settle()
    assert again.take(Welcome).user == "aaa"
    assert [e.text for e in again.rest() if isinstance(e, Message)] == ["still there?"]
    ccc = world.sign_in("ccc", 1)
    assert isinstance(ccc.ask(MsgTo(2, "aaa", "hi")), Sent)


def test_a_dead_workers_sessions_end_after_the_grace(world: World) -> None:
    """As those of a broken connection do."""
    world.sign_in("aaa", 1)
    world.sign_in("bbb", 2)
    world.kill(1)
    ended = world.pass_time(GRACE_MS)
    assert [(e.user, e.reason) for e in ended if isinstance(e, entries.Offline)] == [("aaa", "timeout")]
    assert list(world.ledger.present.online) == ["bbb"]


def test_a_connection_that_breaks_during_its_sign_in_leaves_a_detached_session(world: World) -> None:
    """The entry was on its way: the session is there, for the grace."""
    client: WorldClient = world.connect()
    client.send(Login(1, "aaa", "123"))
    world.work(1)
    client.lose()
    world.settle()
    (session,) = world.ledger.present.sessions.values()
    assert session.detached_until == world.now + GRACE_MS
    assert world.workers[1].hub.delivery.links == {}
