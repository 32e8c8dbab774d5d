"""Who gets what of a batch: written once a client, in the order of the numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.chat import events
from tessenger.chat.acknowledgements import FEW, HURRIED_MS
from tessenger.chat.delivery import Delivery
from tessenger.chat.entries import GroupMessage
from tessenger.chat.link import MAX_UNANSWERED, Link

USERS = ("a", "b", "c")
GROUPS = {"g": ("a", "b", "c"), "h": ("a", "b"), "i": ("c",)}

actions = st.lists(
    st.tuples(
        st.sampled_from(["message", "group", "say"]), st.sampled_from(USERS), st.sampled_from(USERS + tuple("ghi"))
    ),
    max_size=30,
)


class Carrier:
    """Keeps what is written."""

    def __init__(self, out: list[bytes]) -> None:
        self.out = out
        self.resumed: list[bool] = []
        self.kept = 0
        self.room = 1 << 62
        """Bytes that it takes at once of the next piece; below 0 it takes nothing, and says so."""

    def write(self, data: bytes) -> int:
        """Take it, as far as there is room."""
        if self.room < 0:
            raise BlockingIOError
        self.out.append(data[: self.room])
        return len(self.out[-1])

    def write_rest(self, data: bytes) -> None:
        """Take the rest."""
        self.out.append(data)

    def close(self) -> None:
        """Nothing is behind it."""

    def fail(self) -> None:
        """Nothing fails here."""

    def go_on(self) -> None:
        """Note it."""
        self.resumed.append(True)

    def when_written(self, then: Callable[[], None]) -> None:
        """There is always room."""
        then()

    def kept_back(self, size: int) -> None:
        """Remember the latest."""
        self.kept = size


class Clients:
    """Three signed-in connections."""

    def __init__(self) -> None:
        self.delivery = Delivery()
        self.writes: dict[str, list[bytes]] = {user: [] for user in USERS}
        self.links = {user: self._link(user) for user in USERS}
        for group, members in GROUPS.items():
            for user in members:
                self.delivery.subscribe(self.links[user], group)

    def _link(self, user: str) -> Link:
        link = Link("ip", Carrier(self.writes[user]))
        link.user, link.session = user, 1
        self.delivery.links[user] = link
        return link


def event(seq: int) -> bytes:
    """Return the body of the message with this number."""
    return b'"n":%d}' % seq


@given(actions)
def test_each_client_gets_its_lines_in_order_and_in_one_write(acts: list[tuple[str, str, str]]) -> None:
    """Private messages, group messages and answers mixed: as if each had been written by itself, in the same order."""
    clients = Clients()
    expected: dict[str, list[bytes]] = {user: [] for user in USERS}
    for seq, (kind, user, target) in enumerate(acts, 1):
        if kind == "message" and target in USERS:
            line = events.message_event(seq, 7, event(seq))
            clients.delivery.say(clients.links[target], line)
            expected[target].append(line)
        elif kind == "group" and target in GROUPS and user in GROUPS[target]:
            answer = b"sent %d\n" % seq
            entry = GroupMessage(1, 1, seq, user, target, "", event(seq), seq=seq, at=7)
            clients.delivery.group_message(entry, clients.links[user], answer)
            for member in GROUPS[target]:
                line = b'{"type":"groupmessage","seq":%d,"at":7,"n":%d}\n' % (seq, seq)
                expected[member].append(answer if member == user else line)
        elif kind == "say":
            clients.delivery.say(clients.links[user], b"said %d\n" % seq)
            expected[user].append(b"said %d\n" % seq)
    clients.delivery.flush()
    for user in USERS:
        assert len(clients.writes[user]) <= 1
        assert b"".join(clients.writes[user]) == b"".join(expected[user])
    clients.delivery.flush()
    assert all(len(written) <= 1 for written in clients.writes.values())


def many(count: int) -> tuple[Delivery, list[Link], list[list[bytes]], list[bool]]:
    """Return a delivery whose acknowledgements may wait, connections, what each got, and whether a tick was asked for.

    Nobody of them has more requests under way than the test says.
    """
    delivery = Delivery()
    written: list[list[bytes]] = [[] for _ in range(count)]
    links = [Link("ip", Carrier(out)) for out in written]
    asked: list[bool] = []
    delivery.wake = lambda: asked.append(True)
    for link in links:
        delivery.subscribe(link, "room")
    return delivery, links, written, asked


acknowledging = st.lists(
    st.tuples(
        st.sampled_from(["acknowledge", "acknowledge", "say", "group", "flush", "tick", "hurry"]),
        st.integers(0, FEW + 1),
        st.integers(0, 1),
    ),
    max_size=80,
)


@given(acknowledging)
def test_acknowledgements_that_wait_leave_in_their_order(acts: list[tuple[str, int, int]]) -> None:
    """Among everything else that their clients are sent, and none is left behind two ticks later."""
    delivery, links, written, _ = many(FEW + 2)
    expected: list[bytes] = [b""] * len(links)
    for number, (act, who, unanswered) in enumerate(acts):
        line = b"%d\n" % number
        links[who].unanswered = unanswered
        if act == "acknowledge":
            delivery.acknowledge(links[who], line, number)
            expected[who] += line
        elif act == "say":
            delivery.say(links[who], line)
            expected[who] += line
        elif act == "group":
            delivery.group_message(GroupMessage(1, 1, 1, "x", "room", "", line + b"}", seq=number, at=7), None, b"")
            expected = [lines + events.group_event(number, 7, line + b"}") for lines in expected]
        elif act == "hurry":
            delivery.hurry(links[who])
        else:
            getattr(delivery, act)()
    delivery.flush()
    delivery.tick()
    delivery.tick()
    assert [b"".join(out) for out in written] == expected


def test_a_few_acknowledgements_do_not_wait() -> None:
    """Nor is a tick asked for."""
    delivery, links, written, asked = many(FEW - 1)
    for link in links:
        delivery.acknowledge(link, b"sent\n", 7)
    delivery.flush()
    assert written == [[b"sent\n"]] * len(links)
    assert not asked


def test_who_talks_on_gets_several_acknowledgements_with_one_write() -> None:
    """Between one tick and two after the first of them was due; and a tick is asked for once at a time."""
    delivery, links, written, asked = many(FEW)
    for number in range(3):
        for link in links:
            link.unanswered = 1
            delivery.acknowledge(link, b"%d\n" % number, 7)
        delivery.flush()
        assert asked == [True] * (1 if number < 2 else 2)
        if number == 1:
            delivery.tick()  # the first one, from where on it counts
        assert written == [[]] * FEW
    delivery.tick()
    assert written == [[b"0\n1\n2\n"]] * FEW
    delivery.tick()
    assert written == [[b"0\n1\n2\n"]] * FEW
    assert len(asked) == 2


def test_who_is_answered_gets_the_acknowledgement_with_the_answer() -> None:
    """With one write; the others' wait on."""
    delivery, links, written, _ = many(FEW)
    for link in links:
        delivery.acknowledge(link, b"sent\n", 7)
    delivery.flush()
    delivery.say(links[0], b"an answer\n")
    delivery.flush()
    assert written == [[b"sent\nan answer\n"], *[[]] * (FEW - 1)]


def test_who_waits_for_an_acknowledgement_gets_the_next_ones_at_once() -> None:
    """For a while: a client that has nothing under way, and sent nothing from one tick to the next."""
    delivery, links, written, _ = many(FEW + 1)
    waiting, *others = links
    for link in links:
        link.unanswered = int(link is not waiting)
        delivery.acknowledge(link, b"1\n", 7)
    delivery.flush()
    delivery.tick()
    delivery.tick()
    assert written == [[b"1\n"]] * (FEW + 1)
    for text, at in ((b"2\n", 6 + HURRIED_MS), (b"3\n", 7 + HURRIED_MS)):
        for link in links:
            delivery.acknowledge(link, text, at)
        delivery.flush()
    assert written == [[b"1\n", b"2\n"], *[[b"1\n"]] * len(others)]
    delivery.tick()
    delivery.tick()
    assert written == [[b"1\n", b"2\n", b"3\n"], *[[b"1\n", b"2\n3\n"]] * len(others)]


def test_a_client_that_is_not_read_does_not_wait() -> None:
    """It has so much under way that it is read again only when enough is answered."""
    delivery, links, written, _ = many(FEW)
    links[0].throttled = True
    for link in links:
        delivery.acknowledge(link, b"sent\n", 7)
    delivery.flush()
    assert written[0] == [b"sent\n"]


def test_who_subscribes_gets_nothing_of_what_came_before() -> None:
    """Also of the same batch."""
    clients = Clients()
    clients.delivery.group_message(GroupMessage(1, 1, 1, "c", "i", "", event(1), seq=1, at=7), None, b"")
    clients.delivery.subscribe(clients.links["a"], "i")
    clients.delivery.group_message(GroupMessage(1, 1, 2, "c", "i", "", event(2), seq=2, at=7), None, b"")
    clients.delivery.flush()
    assert clients.writes["a"] == [b'{"type":"groupmessage","seq":2,"at":7,"n":2}\n']


def test_who_is_dropped_gets_nothing_more() -> None:
    """Not even what was due; a connection that has taken its place keeps it."""
    clients = Clients()
    old = clients.links["a"]
    clients.delivery.say(old, b"due\n")
    new = clients._link("a")
    clients.delivery.drop(old)
    clients.delivery.flush()
    assert clients.writes["a"] == []
    assert clients.delivery.links["a"] is new


@pytest.mark.parametrize("in_group", [False, True])
def test_a_connection_without_room_gets_the_rest_and_holds_up_nobody(*, in_group: bool) -> None:
    """One that takes a part, and one that takes nothing; the others have theirs with one write."""
    delivery = Delivery()
    written: list[list[bytes]] = [[], [], [], []]
    carriers = [Carrier(out) for out in written]
    links = [Link("ip", carrier) for carrier in carriers]
    carriers[0].room, carriers[2].room = 3, -1
    for link in links:
        delivery.subscribe(link, "room")
    if in_group:
        delivery.group_message(GroupMessage(1, 1, 1, "x", "room", "", b"body", seq=1), None, b"")
    else:
        for link in links:
            delivery.say(link, b"a line\n")
    delivery.flush()
    (whole,) = written[1]
    assert written == [[whole[:3], whole[3:]], [whole], [whole], [whole]]


# ---- what a link keeps back ----


def test_what_is_kept_back_leaves_in_its_place() -> None:
    """Two places, filled in the other order; lines between them wait."""
    out: list[bytes] = []
    carrier = Carrier(out)
    link = Link("ip", carrier)
    link.send(b"1\n")
    first = link.hold()
    link.send(b"3\n")
    second = link.hold()
    link.send(b"5\n")
    assert carrier.kept == 4
    link.release(second, b"4\n")
    assert out == [b"1\n"]
    link.release(first, b"2\n")
    link.send(b"6\n")
    assert b"".join(out) == b"1\n2\n3\n4\n5\n6\n"


def test_a_link_that_ends_while_it_keeps_lines_back_says_only_why() -> None:
    """What stands behind a place must not overtake it."""
    out: list[bytes] = []
    link = Link("ip", Carrier(out))
    place = link.hold()
    link.send(b"event\n")
    link.send(b"another event\nthe reason\n")
    link.end()
    link.release(place, b"too late\n")
    assert out == [b"the reason\n"]


def test_a_link_is_read_again_when_half_of_the_requests_are_answered() -> None:
    """Not at each answer: reading goes on and off no more often than needed."""
    carrier = Carrier([])
    link = Link("ip", carrier)
    link.unanswered = MAX_UNANSWERED
    assert link.full
    link.throttled = True
    link.go_on()
    assert not carrier.resumed
    link.unanswered = MAX_UNANSWERED // 2
    link.go_on()
    link.go_on()
    assert carrier.resumed == [True]
