"""What each command answers, tells others and leaves in the log; and every refusal, word for word."""

from __future__ import annotations

import pytest

from tessenger.chat import entries
from tessenger.wire import messages
from tessenger.wire.messages import (
    ActiveUser,
    ActiveUsers,
    Created,
    CreateGroup,
    Error,
    GroupMessage,
    GroupMsg,
    Joined,
    JoinGroup,
    Message,
    MsgTo,
    Names,
    NamesAnswer,
    Offered,
    P2PVideo,
    Ping,
    Pong,
    Sent,
    Sync,
    Synced,
    UserLine,
)
from tests.support.hub_world import World, WorldClient

TRANSFER = "0123456789abcdef"
KEY = "k" * 43


@pytest.fixture
def world() -> World:
    """Two workers, four accounts, messages of at most 40 bytes, groups of at most three."""
    return World(text_bytes=40, group_members=3)


@pytest.fixture
def aaa(world: World) -> WorldClient:
    """Someone signed in on worker 1."""
    return world.sign_in("aaa", 1, udp_port=13000)


@pytest.fixture
def bbb(world: World) -> WorldClient:
    """Someone signed in on worker 2."""
    return world.sign_in("bbb", 2, udp_port=13001)


# ---- msgto ----


def test_a_private_message_is_acknowledged_and_reaches_its_recipient_alone(
    world: World, aaa: WorldClient, bbb: WorldClient
) -> None:
    """The sender gets `sent`, the recipient the message with the same number and time, nobody else gets anything."""
    ccc = world.sign_in("ccc", 2)
    sent = aaa.ask(MsgTo(2, "bbb", "how are u ?"))
    assert isinstance(sent, Sent)
    assert sent == Sent(2, sent.seq, world.now)
    assert bbb.synced() == [Message(sent.seq, "aaa", "how are u ?", world.now)]
    assert ccc.synced() == []
    (kept,) = world.kept(entries.Message)
    assert (kept.seq, kept.user, kept.to, kept.text) == (sent.seq, "aaa", "bbb", "how are u ?")


def test_a_recipient_is_found_in_any_case(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """Names compare without case; what is kept has the name as the credentials have it."""
    assert isinstance(aaa.ask(MsgTo(2, "BBB", "hi")), Sent)
    assert world.kept(entries.Message)[0].to == "bbb"


@pytest.mark.parametrize(
    ("to", "text", "code", "words"),
    [
        ("ddd", "hi", "not_online", "user ddd not online"),
        ("DDD", "hi", "not_online", "user ddd not online"),
        ("nobody", "hi", "unknown_user", "user nobody does not exist"),
        ("no\x1b[2Jbody", "hi", "unknown_user", "user no␛[2Jbody does not exist"),
        ("x" * 100, "hi", "unknown_user", f"user {'x' * 32} does not exist"),
        ("", "hi", "unknown_user", "user  does not exist"),
        ("aaa", "hi", "to_self", "You cannot send a message to yourself."),
        ("AAA", "hi", "to_self", "You cannot send a message to yourself."),
        ("bbb", "", "empty_text", "The message is empty."),
        ("bbb", " \n\t ", "empty_text", "The message is empty."),
        ("bbb", "x" * 41, "text_too_long", "The message is too long: 41 bytes, at most 40 are allowed."),
        ("bbb", "\N{PILE OF POO}" * 11, "text_too_long", "The message is too long: 44 bytes, at most 40 are allowed."),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused_and_logged(
    world: World, aaa: WorldClient, bbb: WorldClient, to: str, text: str, code: str, words: str
) -> None:
    """Each has a code and words for people; the refusal leaves its entry in the log, nobody gets a message."""
    assert aaa.refused(MsgTo(2, to, text)) == (code, words)
    assert bbb.synced() == []
    (entry,) = world.kept(entries.Command)
    assert (entry.user, entry.name, entry.code, entry.text) == ("aaa", "msgto", code, words)


def test_a_message_may_be_as_long_as_the_limit_in_bytes(aaa: WorldClient, bbb: WorldClient) -> None:
    """40 bytes of UTF-8 pass where 40 are allowed."""
    assert isinstance(aaa.ask(MsgTo(2, "bbb", "\N{PILE OF POO}" * 10)), Sent)
    (message,) = bbb.synced()
    assert isinstance(message, Message)
    assert message.text == "\N{PILE OF POO}" * 10


def test_a_text_is_cleaned_before_it_is_kept(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """What could steer a terminal is made visible in what is delivered and in what is journaled; line ends stay."""
    aaa.ask(MsgTo(2, "bbb", "a\x1b[31mb\nc"))
    (message,) = bbb.synced()
    assert isinstance(message, Message)
    assert message.text == "a␛[31mb\nc" == world.kept(entries.Message)[0].text


# ---- activeuser, names ----


def test_activeuser_lists_everybody_in_the_order_of_sign_in(world: World, bbb: WorldClient) -> None:
    """Each with the address that was seen, UDP port and time of sign-in; whose connection broke is still there."""
    world.now += 1_000
    aaa = world.sign_in("aaa", 1, udp_port=13000, udp_host="192.0.2.7")
    aaa.lose()
    world.settle()
    assert bbb.ask(ActiveUser(2)) == ActiveUsers(
        2,
        [
            UserLine("bbb", "127.0.0.1", 13001, world.now - 1_000),
            UserLine("aaa", "127.0.0.1", 13000, world.now),
        ],
    )
    assert [(e.name, e.code) for e in world.kept(entries.Command)] == [("activeuser", "")]


def test_names_lists_users_online_and_groups(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """Programs ask it for completion, so the log and the console know nothing of it."""
    aaa.ask(CreateGroup(2, "g", []))
    aaa.send(Names(3))
    world.settle()
    assert aaa.rest() == [NamesAnswer(3, users=["aaa", "bbb"], more=True), NamesAnswer(3, groups=["g"])]
    assert world.kept(entries.Command) == []


# ---- groups ----


def test_a_group_has_its_creator_and_who_was_named_in_the_order_given(
    world: World, aaa: WorldClient, bbb: WorldClient
) -> None:
    """The creator is always in; a member who is named twice, in any case, is in once; members may be away."""
    assert aaa.ask(CreateGroup(2, "g", ["BBB", "ccc", "bbb"])) == Created(2, "g", ["aaa", "bbb", "ccc"])
    assert bbb.ask(CreateGroup(2, "h", ["ccc", "bbb"])) == Created(2, "h", ["ccc", "bbb"])
    assert [e.members for e in world.kept(entries.GroupCreated)] == [["aaa", "bbb", "ccc"], ["ccc", "bbb"]]


@pytest.mark.parametrize(
    ("group", "members", "code", "words"),
    [
        ("taken", [], "group_exists", "Failed to create the group chat taken: taken exists!"),
        ("bbb", [], "name_taken", "Failed to create the group chat bbb: bbb is a user!"),
        ("BBB", [], "name_taken", "Failed to create the group chat BBB: BBB is a user!"),
        ("g", ["ghost"], "unknown_user", "Failed to create the group chat g: user ghost does not exist!"),
        ("g", ["bbb", "ccc", "ddd"], "too_many_members", "Groupchat g is full: at most 3 members are allowed"),
        ("", [], "bad_name", "A group name must not be empty."),
        ("x" * 33, [], "bad_name", "The group name is too long: 33 characters, at most 32 are allowed."),
        (
            "../etc",
            [],
            "bad_name",
            "The group name has characters that are not allowed: use letters, digits, '_', '.' and '-'.",
        ),
    ],
)
def test_a_group_that_cannot_be_created_is_refused(
    world: World, aaa: WorldClient, bbb: WorldClient, group: str, members: list[str], code: str, words: str
) -> None:
    """Each refusal says why; the group is not there."""
    bbb.ask(CreateGroup(2, "taken", []))
    assert aaa.refused(CreateGroup(2, group, members)) == (code, words)
    assert [e.group for e in world.kept(entries.GroupCreated)] == ["taken"]
    (entry,) = world.kept(entries.Command)
    assert (entry.name, entry.code, entry.target) == ("creategroup", code, "taken" if group == "taken" else "")


def test_of_two_who_create_one_group_at_once_one_is_told_that_it_exists(
    world: World, aaa: WorldClient, bbb: WorldClient
) -> None:
    """Neither worker knows of the other's group when it asks: the shared state has one winner."""
    aaa.send(CreateGroup(2, "g", []))
    bbb.send(CreateGroup(2, "G", []))
    world.settle()
    assert aaa.rest() == [Created(2, "g", ["aaa"])]
    assert bbb.rest() == [Error("group_exists", "Failed to create the group chat G: G exists!", 2)]


def test_the_log_has_the_last_word_on_a_group(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """Were a claim granted twice, by two keepers of the shared state, the second entry is refused as existing."""
    aaa.send(CreateGroup(2, "g", []))
    bbb.send(CreateGroup(2, "g", []))
    world.work(1)
    world.state._open_groups.clear()
    world.work(2)
    world.settle()
    assert aaa.rest() == [Created(2, "g", ["aaa"])]
    assert bbb.rest() == [Error("group_exists", "Failed to create the group chat g: g exists!", 2)]


def test_who_joins_is_told_who_is_there_and_gets_what_comes_then(
    world: World, aaa: WorldClient, bbb: WorldClient
) -> None:
    """The list has the new member at its end; messages from before are not theirs."""
    aaa.ask(CreateGroup(2, "g", []))
    aaa.ask(GroupMsg(3, "g", "before"))
    assert bbb.ask(JoinGroup(2, "G")) == Joined(2, "g", ["aaa", "bbb"])
    sent = aaa.ask(GroupMsg(4, "g", "after"))
    assert isinstance(sent, Sent)
    assert bbb.synced() == [GroupMessage(sent.seq, "g", "aaa", "after", world.now)]


def test_a_message_that_is_ordered_just_before_a_joining_is_not_for_who_joins(
    world: World, aaa: WorldClient, bbb: WorldClient
) -> None:
    """Also where both are committed in one batch."""
    aaa.ask(CreateGroup(2, "g", []))
    bbb.synced()
    aaa.send(GroupMsg(3, "g", "before"))
    bbb.send(JoinGroup(2, "g"))
    world.work(2)
    world.order(1, 2)
    world.settle()
    assert bbb.rest() == [Joined(2, "g", ["aaa", "bbb"])]


@pytest.mark.parametrize(
    ("group", "code", "words"),
    [
        ("mine", "already_member", "You have already joined Groupchat mine"),
        ("MINE", "already_member", "You have already joined Groupchat mine"),
        ("full", "too_many_members", "Groupchat full is full: at most 3 members are allowed"),
        ("nowhere", "unknown_group", "Groupchat nowhere does not exist"),
        ("no\nwhere", "unknown_group", "Groupchat no␊where does not exist"),
    ],
)
def test_a_group_that_cannot_be_joined_is_refused(
    aaa: WorldClient, bbb: WorldClient, group: str, code: str, words: str
) -> None:
    """Each refusal says why."""
    aaa.ask(CreateGroup(2, "mine", []))
    bbb.ask(CreateGroup(2, "full", ["ccc", "ddd"]))
    assert aaa.refused(JoinGroup(3, group)) == (code, words)


def test_a_group_message_reaches_every_member_but_its_sender(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """On every worker; who is no member gets nothing; the sender gets `sent` and no echo."""
    ccc = world.sign_in("ccc", 1)
    ddd = world.sign_in("ddd", 2)
    aaa.ask(CreateGroup(2, "Team", ["bbb", "ccc"]))
    sent = bbb.ask(GroupMsg(2, "team", "haha!"))
    assert isinstance(sent, Sent)
    event = GroupMessage(sent.seq, "Team", "bbb", "haha!", world.now)
    assert (aaa.synced(), ccc.synced(), bbb.synced(), ddd.synced()) == ([event], [event], [], [])


@pytest.mark.parametrize(
    ("group", "text", "code", "words"),
    [
        ("theirs", "hi", "not_member", "You have not joined Groupchat theirs"),
        ("nowhere", "hi", "unknown_group", "Groupchat nowhere does not exist"),
        ("theirs", "", "empty_text", "The message is empty."),
        ("theirs", "x" * 41, "text_too_long", "The message is too long: 41 bytes, at most 40 are allowed."),
    ],
)
def test_a_group_message_that_cannot_be_sent_is_refused(
    aaa: WorldClient, bbb: WorldClient, group: str, text: str, code: str, words: str
) -> None:
    """Each refusal says why; no member gets anything."""
    bbb.ask(CreateGroup(2, "theirs", []))
    assert aaa.refused(GroupMsg(2, group, text)) == (code, words)
    assert bbb.synced() == []


# ---- files ----


def test_an_offer_carries_where_its_sender_takes_datagrams(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """Name, size, key, address and port go to the other client; acceptance comes back the same way."""
    assert aaa.ask(P2PVideo(2, "bbb", TRANSFER, "my\tfilm.mp4", 7, KEY)) == Offered(2, TRANSFER)
    (offer,) = bbb.synced()
    assert isinstance(offer, messages.Offer)
    assert offer == messages.Offer(offer.seq, world.now, "aaa", TRANSFER, "my␉film.mp4", 7, KEY, "127.0.0.1", 13000)
    assert bbb.ask(messages.Accept(3, "aaa", TRANSFER, KEY)) == Offered(3, TRANSFER)
    (accepted,) = aaa.synced()
    assert isinstance(accepted, messages.Accepted)
    assert accepted == messages.Accepted(accepted.seq, world.now, "bbb", TRANSFER, KEY, "127.0.0.1", 13001)


def test_an_offer_says_what_folder_it_is_of(aaa: WorldClient, bbb: WorldClient) -> None:
    """An empty one, too, whose name ends with a slash."""
    folder = messages.Folder("f" * 16, 15, 62_914_560)
    assert aaa.ask(P2PVideo(2, "bbb", TRANSFER, "holiday/empty/", 0, KEY, folder)) == Offered(2, TRANSFER)
    (offer,) = bbb.synced()
    assert isinstance(offer, messages.Offer)
    assert (offer.name, offer.folder) == ("holiday/empty/", folder)


def test_where_a_client_wants_files_is_in_offers_alone(world: World, bbb: WorldClient) -> None:
    """Also after a resume on another worker, which is by the address that is seen then."""
    aaa = world.sign_in("aaa", 1, udp_port=13000, udp_host="192.0.2.7")
    aaa.lose()
    again = world.connect(2, ip="198.51.100.9")
    again.token, again.last_id = aaa.token, aaa.last_id
    again.send(messages.Resume(again.new_id(), aaa.token, 0))
    world.settle()
    again.rest()
    again.ask(P2PVideo(again.new_id(), "bbb", TRANSFER, "a.mp4", 1, KEY))
    (offer,) = bbb.rest()
    assert isinstance(offer, messages.Offer)
    assert (offer.host, offer.port) == ("192.0.2.7", 13000)
    users = bbb.ask(ActiveUser(2))
    assert isinstance(users, ActiveUsers)
    assert [(line.user, line.ip) for line in users.users] == [("bbb", "127.0.0.1"), ("aaa", "198.51.100.9")]
    assert [e.ip for e in world.kept(entries.Online)] == ["127.0.0.1", "127.0.0.1"]
    assert [(e.ip, e.udp_port) for e in world.kept(entries.Resumed)] == [("198.51.100.9", 13000)]


def test_an_offer_can_be_refused_and_given_up_with_a_reason(aaa: WorldClient, bbb: WorldClient) -> None:
    """The reason is cleaned: it is another person's text."""
    aaa.ask(messages.Reject(2, "bbb", TRANSFER, "no\x07"))
    aaa.ask(messages.Cancel(3, "bbb", TRANSFER, "changed my mind"))
    rejected, cancelled = bbb.synced()
    assert isinstance(rejected, messages.Rejected)
    assert isinstance(cancelled, messages.Cancelled)
    assert (rejected.sender, rejected.transfer, rejected.reason) == ("aaa", TRANSFER, "no␇")
    assert (cancelled.sender, cancelled.transfer, cancelled.reason) == ("aaa", TRANSFER, "changed my mind")


@pytest.mark.parametrize(
    ("to", "name", "code", "words"),
    [
        ("aaa", "a.mp4", "to_self", "You cannot send a file to yourself."),
        ("ddd", "a.mp4", "not_online", "user ddd not online"),
        ("ghost", "a.mp4", "unknown_user", "user ghost does not exist"),
        ("ccc", "a.mp4", "no_files", "user ccc does not take files"),
        ("bbb", "", "bad_request", "The file name is empty or too long."),
        ("bbb", "x" * 256, "bad_request", "The file name is empty or too long."),
    ],
)
def test_an_offer_that_cannot_be_made_is_refused(
    world: World, aaa: WorldClient, bbb: WorldClient, to: str, name: str, code: str, words: str
) -> None:
    """Each refusal says why; ccc's client has no UDP port."""
    world.sign_in("ccc", 2)
    assert aaa.refused(P2PVideo(2, to, TRANSFER, name, 7, KEY)) == (code, words)
    assert bbb.synced() == []


# ---- the rest ----


@pytest.mark.parametrize(
    "request_",
    [
        MsgTo(1, "bbb", "hi"),
        GroupMsg(1, "g", "hi"),
        ActiveUser(1),
        CreateGroup(1, "g", []),
        JoinGroup(1, "g"),
        P2PVideo(1, "bbb", TRANSFER, "a.mp4", 1, KEY),
        messages.Accept(1, "bbb", TRANSFER, KEY),
        messages.Reject(1, "bbb", TRANSFER),
        messages.Cancel(1, "bbb", TRANSFER),
        Names(1),
        Sync(1),
        messages.Logout(1),
    ],
    ids=lambda request: type(request).__name__,
)
def test_nothing_is_done_for_who_has_not_signed_in(
    world: World, bbb: WorldClient, request_: messages.AnyRequest
) -> None:
    """Every command is refused before sign-in, and leaves nothing in the log."""
    before = len(world.journal.log)
    assert world.connect(1).refused(request_) == ("not_signed_in", "Please sign in first.")
    assert len(world.journal.log) == before


def test_ping_is_answered_by_the_worker_at_once(world: World) -> None:
    """Also before sign-in, and before what came earlier and waits for the log."""
    stranger = world.connect(1)
    stranger.send(Ping(9))
    assert stranger.rest() == [Pong(9)]
    aaa = world.sign_in("aaa")
    aaa.send(ActiveUser(2), Ping(3))
    assert aaa.rest() == [Pong(3)]


def test_answers_come_in_the_order_of_the_requests_whatever_they_wait_for(
    world: World, aaa: WorldClient, bbb: WorldClient
) -> None:
    """Claims, barriers, refusals and messages keep their places within a connection."""
    aaa.send(
        MsgTo(2, "bbb", "1"),
        CreateGroup(3, "g", ["bbb"]),
        MsgTo(4, "ddd", "away"),
        MsgTo(5, "bbb", ""),
        GroupMsg(6, "g", "2"),
        messages.Reject(7, "ddd", TRANSFER),
        JoinGroup(8, "g"),
        Names(9),
        ActiveUser(10),
        MsgTo(11, "bbb", "3"),
        Sync(12),
    )
    world.settle()
    answers = aaa.rest()
    assert [getattr(answer, "re", None) for answer in answers] == [2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11, 12]
    assert [type(m) for m in bbb.synced()] == [Message, GroupMessage, Message]


def test_a_bad_line_is_answered_in_its_place(world: World, aaa: WorldClient, bbb: WorldClient) -> None:
    """Between valid requests, with the id that could be read."""
    aaa.send_bytes(
        b'{"type":"msgto","id":2,"to":"bbb","text":"1"}\n{"type":"dance","id":3}\nnonsense\x1b\n'
        b'{"type":"sync","id":4}\n'
    )
    world.settle()
    sent, unknown, nonsense, synced = aaa.rest()
    assert isinstance(sent, Sent)
    assert isinstance(unknown, Error)
    assert isinstance(nonsense, Error)
    assert (unknown.code, unknown.re) == (nonsense.code, 3) == ("bad_request", 3)
    assert nonsense.re is None
    assert synced == Synced(4)
