"""The rules for a queue that others fill too: when it is full, when others have gone, and the window meanwhile."""

from __future__ import annotations

import random

import pytest

from tessenger.transfer.competition import ALONE_SECONDS, UNUSED_ROUNDS, Competition, CubicWindow, QueueLoss

PACKET = 1_452
RTT = 0.05


def test_window_follows_cubic() -> None:
    """It drops to 0.7, is back at where it was after the cube root of what it dropped by, and then goes beyond."""
    window = CubicWindow(200 * PACKET, PACKET, 0.0)
    assert window.size == pytest.approx(140 * PACKET)
    back = (60 / 0.4) ** (1 / 3)
    now = 0.0
    sizes = {}
    while now < 2 * back:
        now += RTT
        window.grow(int(window.size), RTT, now)
        sizes[round(now, 2)] = window.size / PACKET
    assert sizes[round(round(back / 2 / RTT) * RTT, 2)] == pytest.approx(200 - 60 / 8, abs=2)
    assert sizes[round(round(back / RTT) * RTT, 2)] == pytest.approx(200, abs=1)
    assert sizes[round(now, 2)] > 250


def test_small_windows_keep_up_with_reno() -> None:
    """Where CUBIC's own growth is slower than a Reno flow's, that one's is followed: 0.53 packets a round trip."""
    window = CubicWindow(20 * PACKET, PACKET, 0.0)
    for n in range(1, 11):
        window.grow(int(window.size), 0.01, n * 0.01)
    assert window.size / PACKET == pytest.approx(14 + 5.3, abs=0.3)


def test_random_loss_is_no_full_queue() -> None:
    """In ten thousand rounds with a queue, losses of the path's own share are hardly ever taken for more."""
    chance = random.Random(1)
    loss = QueueLoss()
    alarms = 0
    for n in range(20_000):
        lost = sum(chance.random() < 0.01 for _ in range(100))
        loss.add((100 - lost) * PACKET, lost * PACKET)
        alarms += loss.end_round(PACKET, queued=n % 2 == 1)
    assert alarms <= 20


def test_one_loss_in_a_queue_counts_on_a_clean_path() -> None:
    """Where nothing was ever lost without a queue, a single loss with one says that it is full."""
    loss = QueueLoss()
    for _ in range(100):
        loss.add(100 * PACKET, 0)
        assert not loss.end_round(PACKET, queued=False)
    loss.add(99 * PACKET, PACKET)
    assert loss.end_round(PACKET, queued=True)


def test_a_round_counts_as_a_whole() -> None:
    """Losses that are found while a queue shows are weighed against all that their round has sent."""
    loss = QueueLoss()
    for _ in range(100):
        loss.add(990 * PACKET, 10 * PACKET)
        loss.end_round(PACKET, queued=False)
    loss.add(990 * PACKET, 5 * PACKET)
    loss.add(0, 4 * PACKET)
    assert not loss.end_round(PACKET, queued=True)


class _Rounds:
    """Round trips of 50 ms and a queue on top, at 100 packets each."""

    def __init__(self) -> None:
        self.competition = Competition(0.0)
        self.now = 0.0
        self.go(100, queue=0.0)

    def go(self, rounds: int, *, queue: float, lost: int = 0) -> None:
        """Go on."""
        for _ in range(rounds):
            self.now += RTT
            self.competition.acknowledged((100 - lost) * PACKET, lost * PACKET)
            self.competition.end_round(RTT + queue, RTT, 0.003, 100 * PACKET / RTT, PACKET, self.now)

    @property
    def packets(self) -> float:
        """The window."""
        assert self.competition.window
        return self.competition.window.size / PACKET


def test_loss_without_a_queue_is_the_paths() -> None:
    """However much it is: nobody competes."""
    rounds = _Rounds()
    rounds.go(100, queue=0.0, lost=30)
    assert rounds.competition.window is None


def test_falling_queue_means_that_others_gave_way() -> None:
    """So does this side, unless the queue is back after a round or two."""
    rounds = _Rounds()
    rounds.go(2, queue=0.01, lost=5)
    rounds.go(10, queue=0.01)
    window = rounds.packets
    rounds.go(2, queue=0.005)
    rounds.go(10, queue=0.01)
    assert rounds.packets == window
    rounds.go(3, queue=0.005)
    assert rounds.packets == pytest.approx(0.7 * window)


def test_what_nobody_uses_is_taken_up() -> None:
    """After a while without a queue the window grows by itself, and no queue at all ends the competition."""
    rounds = _Rounds()
    rounds.go(1, queue=0.01, lost=5)
    low = rounds.packets
    rounds.go(UNUSED_ROUNDS, queue=0.0)
    assert rounds.packets == low
    rounds.go(100, queue=0.0)
    assert rounds.packets > 1.5 * low
    rounds.competition.end_cycle(stands=True, now=rounds.now + ALONE_SECONDS)
    assert rounds.competition.window is not None
    rounds.competition.end_cycle(stands=False, now=rounds.now + ALONE_SECONDS)
    assert rounds.competition.window is None
