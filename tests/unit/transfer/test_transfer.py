"""A whole transfer between two ends in memory: whatever the path does, a finished file or an error that both see."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessenger.transfer.assembly import Assembly, BlockBuffers
from tessenger.transfer.blocks import BLOCK, CUTS, SEALED, payload_length
from tessenger.transfer.packets import CONTROL, CONTROL_HEADER, Kind
from tessenger.transfer.ports import Train
from tessenger.transfer.session import Outcome
from tessenger.transfer.unproved import ANSWERS, MOST
from tests.support.udp_path import RECEIVER, SENDER, MemorySink, MemorySource, Pair, UdpPath, Weather, datagrams, pair

ELSEWHERE = ("198.51.100.7", 777)


def _bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _arrives(ends: Pair, *, seconds: float = 600.0) -> float:
    """Run until both ends are done, and check that the file is there."""
    took = ends.path.run(seconds=seconds)
    assert ends.sender.outcome == Outcome("", ""), ends.sender.outcome
    assert ends.receiver.outcome == Outcome("landed", ""), ends.receiver.outcome
    assert ends.sink.content == ends.source.data
    assert ends.sink.finished
    assert not ends.sink.discarded
    assert ends.sender.done == ends.receiver.done == len(ends.source.data)
    return took


def _fails(ends: Pair, sender: str, receiver: str, *, seconds: float = 600.0) -> float:
    """Run until both ends are done, and check that both failed, with these words in their reasons."""
    took = ends.path.run(seconds=seconds)
    assert ends.sender.outcome is not None
    assert ends.receiver.outcome is not None
    assert sender in ends.sender.outcome.reason
    assert receiver in ends.receiver.outcome.reason
    assert ends.sink.discarded
    assert not ends.sink.finished
    return took


# ---- sizes and weather ----


@pytest.mark.parametrize("room", [1, 4])
def test_little_room_for_blocks(room: int) -> None:
    """A receiver without room for the blocks that are not whole asks for them again, and has the file in the end."""
    buffers = BlockBuffers(room)
    others = Assembly(buffers)  # another transfer that sits on half of the room
    others.add(9, SEALED, 0, 1, 0, 1, memoryview(bytes(payload_length(0))))
    ends = pair(_bytes(1_500_000), UdpPath(Weather(loss=0.05, mtu=1_472), seed=7), buffers=buffers)
    while not ends.receiver.outcome:
        assert ends.path.step()
        assert buffers.used <= room + 1
    _arrives(ends)
    others.close()
    assert buffers.used == 0


def test_block_without_room_for_long() -> None:
    """A block whose room is taken away three hundred times is asked for each time, and counts as damaged never."""
    ends = pair(_bytes(BLOCK), UdpPath(Weather(delay=0.001, rate=5e6)))
    assembly, taken = ends.receiver._assembly, 0
    while not ends.receiver.outcome:
        assert ends.path.step()
        if 0 in assembly and taken < 300:
            assembly.give_up_newest()
            taken += 1
    assert taken == 300
    _arrives(ends)


@pytest.mark.parametrize("size", [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 10 * BLOCK + 17, 5_000_000])
@pytest.mark.parametrize("mtu", [1_200, 1_472, 65_507])
def test_sizes(size: int, mtu: int) -> None:
    """Files of every awkward size arrive, over paths that carry the shortest and the longest datagrams."""
    ends = pair(_bytes(size), UdpPath(Weather(mtu=mtu)))
    _arrives(ends)
    assert ends.sender.recovery.lost_segments == 0


@pytest.mark.parametrize(
    "weather",
    [
        Weather(loss=0.2),
        Weather(loss=0.5),
        Weather(repeat=0.5),
        Weather(reorder=0.3, reorder_by=0.05),
        Weather(jitter=0.03),
        Weather(damage=0.02),
        Weather(loss=0.1, repeat=0.1, reorder=0.1, reorder_by=0.02, damage=0.005, jitter=0.005),
        Weather(rate=1e6, queue=20_000),
        Weather(delay=0.3, loss=0.05),
        Weather(delay=0.00005),
    ],
    ids=lambda weather: ",".join(f"{k}={v}" for k, v in vars(weather).items() if vars(Weather())[k] != v),
)
def test_weather(weather: Weather) -> None:
    """Loss, reordering, repeats, damage, jitter, short queues and long delays, alone and together, are survived."""
    _arrives(pair(_bytes(1_500_000), UdpPath(weather, seed=7)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.one_of(st.integers(0, 300_000), st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1])),
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.4),
    repeat=st.floats(0, 0.3),
    reorder=st.floats(0, 0.3),
    damage=st.floats(0, 0.01),
    mtu=st.sampled_from([1_200, 1_400, 1_472, 9_000, 65_507]),
)
def test_any_weather(size: int, seed: int, loss: float, repeat: float, reorder: float, damage: float, mtu: int) -> None:
    """Any file over any bearable path arrives as it was sent."""
    weather = Weather(loss=loss, repeat=repeat, reorder=reorder, reorder_by=0.03, damage=damage, mtu=mtu)
    _arrives(pair(_bytes(size), UdpPath(weather, seed=seed)))


def test_repeated_datagrams_cost_nothing() -> None:
    """A path that delivers everything twice makes the sender repeat nothing."""
    ends = pair(_bytes(2_000_000), UdpPath(Weather(repeat=1.0)))
    _arrives(ends)
    assert ends.sender.recovery.lost_segments == 0


def test_reordering_is_learnt() -> None:
    """After the first datagrams that come late, the window waits for such: under 3 % are sent again."""
    ends = pair(_bytes(10_000_000), UdpPath(Weather(delay=0.025, rate=12.5e6, reorder=0.01, reorder_by=0.025)))
    _arrives(ends)
    overhead = ends.path.bytes[True] / 10_000_000
    assert overhead < 1.015 * 1.11  # headers and tags, the start's overshoot of the queue included


@pytest.mark.parametrize(("loss", "share"), [(0.0, 0.8), (0.01, 0.75), (0.05, 0.7), (0.2, 0.55)])
def test_speed_over_a_line(loss: float, share: float) -> None:
    """Most of a line of 100 Mbit/s and 50 ms is used, whether it loses datagrams or not."""
    ends = pair(_bytes(25_000_000), UdpPath(Weather(delay=0.025, rate=12.5e6, loss=loss)))
    took = _arrives(ends)
    left = 12.5e6 * (1 - loss) * 1_434 / 1_452
    assert 25_000_000 / took > share * left


@pytest.mark.parametrize(
    ("weather", "limit", "loss"),
    [
        (Weather(delay=0.005), 1_000_000, 0.0),
        (Weather(delay=0.025), 1_000_000, 0.05),
        (Weather(delay=0.0001, mtu=65_507), 10_000_000, 0.0),
        (Weather(delay=0.001), 100_000, 0.0),
    ],
)
def test_rate_limit(weather: Weather, limit: int, loss: float) -> None:
    """A limit on the rate is kept to within 5 %, repeats and headers included, and in every single second."""
    path = UdpPath(weather)
    seconds: dict[int, int] = {}

    def count_and_lose(to_receiver: bool, datagram: bytes) -> bool:
        if to_receiver:
            seconds[int(path.now)] = seconds.get(int(path.now), 0) + len(datagram)
        return path.random.random() < loss

    path.drop = count_and_lose
    ends = pair(_bytes(4 * limit), path)
    ends.sender.limit_rate(limit)
    _arrives(ends)
    *whole, _ = seconds.values()
    assert len(whole) >= 4
    assert all(0.95 * limit < each < 1.05 * limit + CUTS[0] for each in whole[1:]), whole
    assert whole[0] < 1.05 * limit + CUTS[-1], "the longest probe of the path"


# ---- hard luck ----


def test_last_datagrams_lost_fifty_times() -> None:
    """The last datagram of data is lost fifty times in a row, and the file is finished all the same."""
    ends = pair(_bytes(BLOCK + 100), UdpPath())
    lost = 0

    def drop(to_receiver: bool, datagram: bytes) -> bool:
        nonlocal lost
        block_one = not datagram[17] & CONTROL and int.from_bytes(datagram[8:12]) == 1
        if to_receiver and block_one and lost < 50:
            lost += 1
            return True
        return False

    ends.path.drop = drop
    assert _arrives(ends) < 30
    assert lost == 50


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("towards_receiver", [True, False])
def test_first_control_datagrams_lost(kind: Kind, towards_receiver: bool) -> None:
    """Whatever kind of control datagram is lost three times in each direction, the transfer ends well."""
    ends = pair(_bytes(200_000), UdpPath())
    lost = 0

    def drop(to_receiver: bool, datagram: bytes) -> bool:
        nonlocal lost
        if to_receiver == towards_receiver and datagram[17] & CONTROL and datagram[16] == kind and lost < 3:
            lost += 1
            return True
        return False

    ends.path.drop = drop
    _arrives(ends)


def test_black_path_for_ten_seconds() -> None:
    """A path that carries nothing for ten seconds shows as stalled, and then the transfer goes on."""
    ends = pair(_bytes(5_000_000), UdpPath(Weather(rate=2e6)))
    ends.path.run(lambda: ends.sender.done > 1_000_000)
    black = ends.path.now
    ends.path.drop = lambda to_receiver, datagram: ends.path.now < black + 10
    ends.path.run(lambda: ends.path.now > black + 5)
    assert ends.sender.stalled(ends.path.now)
    assert ends.receiver.stalled(ends.path.now)
    assert _arrives(ends) < 5 + 6


def test_frozen_peer() -> None:
    """A peer that is stopped for twenty seconds goes on where it was; one that is stopped for good is a failure."""
    ends = pair(_bytes(3_000_000), UdpPath(Weather(rate=2e6)))
    ends.path.run(lambda: ends.sender.done > 500_000)
    ends.path.frozen.add(True)
    stop = ends.path.now
    ends.path.run(lambda: ends.path.now > stop + 20)
    ends.path.frozen.clear()
    _arrives(ends)


def test_peer_that_is_gone() -> None:
    """A peer that never comes back fails the other side after the time for that, with the reason."""
    ends = pair(_bytes(3_000_000), UdpPath(Weather(rate=2e6)), stall_seconds=12)
    ends.path.run(lambda: ends.sender.done > 500_000)
    ends.path.frozen.add(True)
    stop = ends.path.now
    ends.path.run(lambda: ends.sender.outcome is not None)
    assert ends.sender.outcome == Outcome("", "no progress for 12 s")
    assert 11.9 < ends.path.now - stop < 12.5


def test_nobody_answers() -> None:
    """Where no datagram passes at all, both sides say so and what it may come from."""
    ends = pair(_bytes(100), UdpPath())
    ends.path.drop = lambda to_receiver, datagram: True
    _fails(ends, "no answer from bbb for 30 s; UDP may be blocked", "no answer from aaa for 30 s")


def test_path_that_shrinks() -> None:
    """A path that stops to carry long datagrams in mid-transfer is gone on with in short ones."""
    ends = pair(_bytes(5_000_000), UdpPath(Weather(mtu=9_000, rate=3e6)))
    ends.path.run(lambda: ends.sender.done > 1_000_000)
    ends.path.weather.mtu = 1_300
    assert _arrives(ends) < 10


def test_system_that_refuses_long_datagrams() -> None:
    """When the system says that a datagram is too long, shorter ones are sent."""
    ends = pair(_bytes(5_000_000), UdpPath(Weather(mtu=65_507, rate=3e6)))
    ends.path.run(lambda: ends.sender.done > 1_000_000)
    ends.path.weather.mtu = 1_472
    ends.sender.datagram_too_long(61_474, ends.path.now)
    assert _arrives(ends) < 10


# ---- damage, forgery, replay ----


def test_damaged_block_is_sent_again() -> None:
    """A block whose ciphertext was changed on the way is asked for again, and only that one."""
    ends = pair(_bytes(10 * BLOCK), UdpPath())
    changed = 0

    def change(to_receiver: bool, datagram: bytes) -> bytes:
        nonlocal changed
        if to_receiver and not datagram[17] & CONTROL and int.from_bytes(datagram[8:12]) == 3 and not changed:
            changed += 1
            return datagram[:-1] + bytes([datagram[-1] ^ 1])
        return datagram

    ends.path.change = change
    _arrives(ends)
    assert changed == 1
    assert sorted(ends.sink.writes) == list(range(10))


def test_block_that_is_always_damaged() -> None:
    """Where a block arrives damaged every time, both sides are told instead of trying for ever."""
    ends = pair(_bytes(3 * BLOCK), UdpPath())

    def change(to_receiver: bool, datagram: bytes) -> bytes:
        if to_receiver and not datagram[17] & CONTROL and int.from_bytes(datagram[8:12]) == 1:
            return datagram[:-1] + bytes([datagram[-1] ^ 1])
        return datagram

    ends.path.change = change
    _fails(ends, "damaged on the way", "damaged on the way")


def test_wrong_keys() -> None:
    """Ends that did not agree on the file's name have no keys in common: nothing is received at all."""
    ends = pair(_bytes(1_000), UdpPath(), receiver_name="y.mp4")
    _fails(ends, "no answer from bbb", "no answer from aaa")
    assert ends.sink.writes == []


def test_forged_acknowledgement() -> None:
    """An acknowledgement that was not sealed by the receiver changes nothing."""
    ends = pair(_bytes(2_000_000), UdpPath(Weather(rate=2e6)))
    ends.path.run(lambda: ends.sender.done > 200_000)
    before = ends.sender.done, ends.sender.recovery.in_flight, ends.sender.path
    for number in (1, 10**6, 2**63):
        forged = CONTROL_HEADER.pack(ends.sender.binding.session, number, Kind.ACK, CONTROL) + bytes(60)
        ends.sender.receive_datagram(forged, ELSEWHERE, ends.path.now)
    assert (ends.sender.done, ends.sender.recovery.in_flight, ends.sender.path) == before
    _arrives(ends)


def test_replayed_datagrams() -> None:
    """Everything that was sent, sent again from elsewhere, moves no path, harms nothing and is not answered there."""
    ends = pair(_bytes(2_000_000), UdpPath(Weather(rate=2e6)))
    ends.path.keep_sent = True
    ends.path.run(lambda: ends.sender.done > 500_000)
    recorded = {side: [each for each in sent if each[17] & CONTROL] for side, sent in ends.path.sent.items()}
    for to_receiver, controls in recorded.items():
        end = ends.receiver if to_receiver else ends.sender
        for datagram in controls[:-50]:
            end.receive_datagram(datagram, ELSEWHERE, ends.path.now)
    trains = [*ends.sender.datagrams_to_send(ends.path.now), *ends.receiver.datagrams_to_send(ends.path.now)]
    assert all(train.address in (SENDER, RECEIVER) for train in trains)
    _arrives(ends)


def test_replayed_handshake() -> None:
    """The handshake of a transfer, replayed to another one of the same people, starts nothing."""
    first = pair(_bytes(1_000), UdpPath(seed=1))
    first.path.keep_sent = True
    _arrives(first)
    second = pair(_bytes(1_000), UdpPath(seed=2))
    for datagram in first.path.sent[True]:
        second.receiver.receive_datagram(datagram, SENDER, second.path.now)
    assert second.receiver.path is None
    assert second.receiver.peer_hello is None
    assert second.sink.writes == []
    _arrives(second)


@given(st.lists(st.binary(max_size=200), max_size=20), st.booleans())
@settings(max_examples=50, deadline=None)
def test_junk(datagrams: list[bytes], with_session: bool) -> None:
    """Datagrams of junk, with the right session id too, before and during a transfer, cost only their reading."""
    ends = pair(_bytes(100_000), UdpPath())
    prefix = ends.sender.binding.session.to_bytes(8) if with_session else b""

    def junk() -> None:
        for datagram in datagrams:
            for end in (ends.sender, ends.receiver):
                end.receive_datagram(prefix + datagram, ELSEWHERE, ends.path.now)

    junk()
    assert ends.receiver.next_timer() > ends.path.now - 1
    ends.path.run(lambda: ends.sender.done > 0)
    junk()
    _arrives(ends)


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=120)), max_size=8), st.booleans())
@settings(max_examples=200, deadline=None)
def test_peer_that_lies(bodies: list[tuple[int, bytes]], to_receiver: bool) -> None:
    """Whatever a peer seals with the right keys, the other side lives on: it finishes, or fails with a reason."""
    ends = pair(_bytes(200_000), UdpPath(), stall_seconds=5)
    ends.path.run(lambda: ends.sender.done > 0)
    liar, victim = (ends.sender, ends.receiver) if to_receiver else (ends.receiver, ends.sender)
    for kind, body in bodies:
        sealed = liar._control.seal(kind, body)  # type: ignore[arg-type]
        ends.path.inject(to_receiver, sealed, ends.path.addresses[not to_receiver])
    ends.path.run(lambda: victim.outcome is not None)
    assert victim.outcome is not None
    assert victim.outcome == Outcome("landed" if to_receiver else "", "") or victim.outcome.reason


def test_nothing_is_opened_for_an_offer_alone() -> None:
    """What an earlier try has left is looked at with the sender's first sealed word, and not before."""
    sink = MemorySink(3 * BLOCK)
    sink.blocks = {0: bytes(BLOCK)}
    ends = pair(bytes(3 * BLOCK), UdpPath(), sink=sink)
    ends.path.frozen = {False}
    ends.path.run(lambda: ends.path.now > 105.0)
    assert sink.looks == 0
    ends.path.frozen = set()
    _arrives(ends)
    assert sink.looks == 1
    assert sink.writes == [1, 2]


def test_data_before_the_handshake_is_not_kept() -> None:
    """Before a sealed HELLO has come, datagrams of data are dropped and nothing is allocated for them."""
    ends = pair(_bytes(BLOCK), UdpPath())
    datagram = ends.sender.binding.session.to_bytes(8) + bytes(10) + bytes(1_182)
    ends.receiver.receive_datagram(datagram, ELSEWHERE, ends.path.now)
    assert 0 not in ends.receiver._assembly
    _arrives(ends)


# ---- addresses ----


@pytest.mark.parametrize("moves_receiver", [True, False])
def test_address_changes(moves_receiver: bool) -> None:
    """When one end's address changes in mid-transfer, the other follows once that is proved, and goes on."""
    ends = pair(_bytes(5_000_000), UdpPath(Weather(rate=3e6)))
    ends.path.run(lambda: ends.sender.done > 1_000_000)
    ends.path.addresses[moves_receiver] = ELSEWHERE
    assert _arrives(ends) < 10
    follower = ends.sender if moves_receiver else ends.receiver
    assert follower.path == ELSEWHERE


def test_address_of_a_third_party_gets_next_to_nothing() -> None:
    """Where nobody answers, both ends together send ten short datagrams in all their time, the last words included."""
    ends = pair(_bytes(BLOCK), UdpPath())
    ends.path.addresses = {True: ELSEWHERE, False: ELSEWHERE}
    _fails(ends, "no answer from bbb", "no answer from aaa")
    while not (ends.sender.over and ends.receiver.over):
        ends.path.step()
    assert ends.path.counts == {True: MOST, False: MOST}
    assert max(ends.path.bytes.values()) <= MOST * 80


def test_echo_from_elsewhere_is_no_proof() -> None:
    """A peer that has what went to its own address, and forges another one as source, has nothing much sent there."""
    ends = pair(_bytes(2_000_000), UdpPath())
    victim, liar, now = ends.sender, ends.receiver, ends.path.now
    for own, source in ((victim, SENDER), (liar, ELSEWHERE)):
        own.handle_timer(now)
        for train in own.datagrams_to_send(now):
            for datagram in datagrams(train):
                (liar if own is victim else victim).receive_datagram(datagram, source, now)
    assert victim.peer_hello is not None
    assert victim.path is None
    sent: list[Train] = []
    while not victim.over:
        sent += victim.datagrams_to_send(now)
        now = max(now, victim.next_timer())
        victim.handle_timer(now)
    there = [train for train in sent if train.address == ELSEWHERE]
    assert 0 < len(there) <= MOST + 2 * ANSWERS
    assert sum(train.length for train in there) < 1_000


def test_handshake_on_a_bad_path() -> None:
    """The few datagrams that an address gets unasked are enough for both to meet where 30 % are lost, late or not."""
    for seed in range(150):
        ends = pair(_bytes(10), UdpPath(Weather(delay=0.05, loss=0.3), seed=seed))
        ends.path.frozen = {False}  # the sender hears only later that its offer was accepted
        ends.path.run(lambda ends=ends: ends.path.now >= 100.0 + 0.5)  # type: ignore[misc]
        ends.path.frozen = set()
        _arrives(ends)


def test_address_is_not_taken_without_proof() -> None:
    """A datagram that someone passes on from elsewhere is asked for proof there, and the path stays meanwhile."""
    ends = pair(_bytes(2_000_000), UdpPath(Weather(rate=2e6)))
    caught: list[bytes] = []

    def drop(to_receiver: bool, datagram: bytes) -> bool:
        if not to_receiver and datagram[17] & CONTROL and datagram[16] == Kind.ACK and len(caught) < 1:
            caught.append(datagram)
            return True
        return False

    ends.path.run(lambda: ends.sender.done > 200_000)
    ends.path.drop = drop
    ends.path.run(lambda: bool(caught))
    ends.sender.receive_datagram(caught[0], ELSEWHERE, ends.path.now)
    there = [train for train in ends.sender.datagrams_to_send(ends.path.now) if train.address == ELSEWHERE]
    assert len(there) == 1
    assert bytes(there[0].buffers[0])[16] == Kind.CHALLENGE
    _arrives(ends)
    assert ends.sender.path == RECEIVER


# ---- resuming ----


def _break_off(data: bytes, weather: Weather, share: float, *, who: str = "nobody") -> MemorySink:
    """Run a transfer until a share of it has arrived; return what the receiver has then."""
    ends = pair(data, UdpPath(weather, seed=3))
    ends.path.run(lambda: ends.receiver.done >= share * len(data))
    if who != "nobody":
        end = ends.sender if who == "sender" else ends.receiver
        end.abort("signed out", ends.path.now, keep=True)
        ends.path.run()
        assert ends.sink.kept
    assert not ends.sink.discarded
    sink = MemorySink(len(data))
    sink.blocks = dict(ends.sink.blocks)
    return sink


@pytest.mark.parametrize("who", ["nobody", "sender", "receiver"])
@pytest.mark.parametrize("weather", [Weather(rate=5e6), Weather(rate=5e6, loss=0.1)], ids=["clean", "lossy"])
def test_only_what_is_missing_is_sent(who: str, weather: Weather) -> None:
    """Whoever broke off, and with or without a word: the next try sends the missing blocks, under fresh keys."""
    data = _bytes(10_000_000)
    sink = _break_off(data, weather, 0.6, who=who)
    there = set(sink.blocks)
    ends = pair(data, UdpPath(weather, seed=4), sink=sink)
    ends.path.keep_sent = True
    _arrives(ends)
    assert set(sink.writes).isdisjoint(there)
    sent = {int.from_bytes(each[8:12]) for each in ends.path.sent[True] if not each[17] & CONTROL}
    assert sent == set(range(len(sink.blocks))) - there
    assert (
        ends.sender.resumed_from
        == ends.receiver.resumed_from
        == sum(min(BLOCK, len(data) - block * BLOCK) for block in there)
    )


def test_changed_source_starts_over() -> None:
    """Where the beginning differs from what is there, all of it is sent again, and both sides know."""
    data = _bytes(3_000_000)
    sink = _break_off(data, Weather(rate=5e6), 0.6)
    changed = b"?" + data[1:]
    ends = pair(changed, UdpPath(Weather(rate=5e6)), sink=sink)
    _arrives(ends)
    assert ends.sender.started_over
    assert ends.receiver.started_over
    assert sink.starts_over == 1


def test_change_behind_the_beginning_starts_over() -> None:
    """A change in blocks that came out of order is found by the whole file's hash, and all of it is sent again."""
    data = _bytes(3_000_000)
    sink = _break_off(data, Weather(rate=5e6), 0.6)
    del sink.blocks[2]
    changed = data[: 5 * BLOCK] + b"?" + data[5 * BLOCK + 1 :]
    ends = pair(changed, UdpPath(Weather(rate=5e6)), sink=sink)
    _arrives(ends)
    assert ends.sender.started_over
    assert ends.receiver.started_over


@pytest.mark.parametrize("kind", [Kind.HAVE, Kind.RESUMED, Kind.CHECKING])
def test_words_about_resuming_lost(kind: Kind) -> None:
    """Whichever word about what is there is lost five times, the transfer goes on where it was."""
    data = _bytes(8_000_000)
    ends = pair(data, UdpPath(), sink=_break_off(data, Weather(rate=5e6), 0.9))
    lost = 0

    def drop(to_receiver: bool, datagram: bytes) -> bool:
        nonlocal lost
        if datagram[17] & CONTROL and datagram[16] == kind and lost < 5:
            lost += 1
            return True
        return False

    ends.path.drop = drop
    _arrives(ends)
    assert ends.sender.resumed_from == ends.receiver.resumed_from > 0


def test_everything_is_there_already() -> None:
    """A try that broke off before the very last word sends nothing but words the next time."""
    data = _bytes(1_000_000)
    sink = _break_off(data, Weather(), 1.0)
    ends = pair(data, UdpPath(), sink=sink)
    _arrives(ends)
    assert sink.writes == []


# ---- the end ----


@pytest.mark.parametrize("aborts", ["sender", "receiver"])
def test_abort(aborts: str) -> None:
    """Whoever gives up, the other is told why, at once."""
    ends = pair(_bytes(5_000_000), UdpPath(Weather(rate=2e6, loss=0.3)))
    ends.path.run(lambda: ends.sender.done > 500_000)
    end = ends.sender if aborts == "sender" else ends.receiver
    end.abort("changed my mind", ends.path.now)
    sender, receiver = (
        ("changed my mind", "aaa: changed my mind")
        if aborts == "sender"
        else ("bbb: changed my mind", "changed my mind")
    )
    assert _fails(ends, sender, receiver) < 3


def test_abort_before_the_handshake() -> None:
    """Giving up before the other side has been heard of reaches it too."""
    ends = pair(_bytes(100), UdpPath())
    ends.sender.abort("changed my mind", ends.path.now)
    assert _fails(ends, "changed my mind", "aaa: changed my mind") < 3


def _both_over(ends: Pair) -> bool:
    return ends.sender.over and ends.receiver.over


def test_sessions_are_over_in_the_end() -> None:
    """Some time after a transfer, neither side has anything to do or to send any more."""
    for abort in (False, True):
        ends = pair(_bytes(100_000), UdpPath())
        if abort:
            ends.sender.abort("no", ends.path.now)
        ends.path.run(partial(_both_over, ends), seconds=40)
        assert ends.sender.datagrams_to_send(ends.path.now) == []
        assert ends.receiver.datagrams_to_send(ends.path.now) == []


def test_senders_done_means_landed() -> None:
    """The sender is done only after the receiver has verified the file and given it its name."""
    ends = pair(_bytes(500_000), UdpPath())
    ends.path.run(lambda: ends.sender.outcome is not None)
    assert ends.sink.finished


def test_lost_last_word() -> None:
    """When everything that the receiver says at the end is lost for ten seconds, the sender still learns it."""
    ends = pair(_bytes(500_000), UdpPath())
    ends.path.run(lambda: ends.receiver.outcome is not None)
    end = ends.path.now
    ends.path.drop = lambda to_receiver, datagram: not to_receiver and ends.path.now < end + 10
    _arrives(ends)


@pytest.mark.parametrize(("source", "words"), [
    (MemorySource(_bytes(10 * BLOCK), fail_at=5), "became shorter"),
    (MemorySource(_bytes(10 * BLOCK), fail_at=0), "became shorter"),
    (MemorySource(_bytes(10 * BLOCK), changed="x.mp4 was changed while it was sent"), "was changed"),
])  # fmt: skip
def test_source_that_fails(source: MemorySource, words: str) -> None:
    """A source that shrinks or changes while it is sent is a failure which both sides see."""
    _fails(pair(source.data, UdpPath(), source=source), words, f"aaa: {'the file ' if 'shorter' in words else ''}")


def test_full_disk() -> None:
    """A disk that gets full is a failure which both sides see."""
    data = _bytes(10 * BLOCK)
    ends = pair(data, UdpPath(), sink=MemorySink(len(data), room=4))
    _fails(ends, "bbb: no space left", "no space left")


def test_difference_starts_over_once() -> None:
    """A file that differs from what was sent is sent a second time, under other keys, and is right then."""
    data = _bytes(10 * BLOCK)
    ends = pair(data, UdpPath(Weather(loss=0.1)), sink=MemorySink(len(data), spoil=1))

    # The hash covers what is read back too, so the block that is kept wrong must be one that came out of order.
    def drop(to_receiver: bool, datagram: bytes) -> bool:
        first = to_receiver and not datagram[17] & CONTROL and datagram[8:12] == bytes(4) and not datagram[16]
        return first and not ends.sink.writes

    ends.path.drop = drop
    ends.path.keep_sent = True
    _arrives(ends)
    assert ends.sink.starts_over == 1
    attempts = {datagram[17] >> 3 & 1 for datagram in ends.path.sent[True] if not datagram[17] & CONTROL}
    assert attempts == {0, 1}


def test_difference_twice_is_a_failure() -> None:
    """A file that differs the second time too is a failure which both sides see."""
    data = _bytes(10 * BLOCK)
    ends = pair(data, UdpPath(), sink=MemorySink(len(data), spoil=10**6))

    def drop(to_receiver: bool, datagram: bytes) -> bool:
        data_of_first = to_receiver and not datagram[17] & CONTROL and int.from_bytes(datagram[8:12]) == 0
        return data_of_first and ends.path.random.random() < 0.5

    ends.path.drop = drop
    _fails(ends, "is not the one that was sent", "is not the one that was sent")


def test_no_block_is_sealed_twice() -> None:
    """However often a block is sent, under one attempt its ciphertext is the same: it was sealed once."""
    ends = pair(_bytes(5 * BLOCK), UdpPath(Weather(loss=0.3, mtu=9_000)))
    ends.path.keep_sent = True
    _arrives(ends)
    seen: dict[tuple[int, int, int], bytes] = {}
    for datagram in ends.path.sent[True]:
        if not datagram[17] & CONTROL:
            place = int.from_bytes(datagram[8:12]), datagram[16], datagram[17]
            assert seen.setdefault(place, datagram[18:]) == datagram[18:]
