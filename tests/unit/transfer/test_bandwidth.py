"""The highest delivery rate: how long it counts, and how uneven samples are taken."""

from __future__ import annotations

import random

import pytest

from tessenger.transfer.bandwidth import ROUNDS, SECONDS, HighestRate


def test_highest_counts_until_it_is_old() -> None:
    """A rate counts for ten rounds and 0.3 s, whichever is longer; then the next highest does, the last for ever."""
    rates = HighestRate(0.0)
    assert rates.highest == 0.0
    rates.add(5e6, 1, 1.0)
    rates.add(3e6, 2, 1.1)
    rates.forget(1 + ROUNDS + 1, 1.0 + SECONDS - 0.01)
    assert rates.highest == 5e6
    rates.forget(1 + ROUNDS, 1.0 + SECONDS + 0.01)
    assert rates.highest == 5e6
    rates.forget(1 + ROUNDS + 1, 1.0 + SECONDS + 0.01)
    assert rates.highest == 3e6
    rates.forget(1_000, 1_000.0)
    assert rates.highest == 3e6


def test_uneven_samples_are_evened_out() -> None:
    """Of samples that are wrong by up to a fifth either way the highest mean is wrong by less than a tenth."""
    chance, rates = random.Random(1), HighestRate(0.0)
    for n in range(1, 501):
        rates.add(1e6 * chance.uniform(0.8, 1.2), n // 50, n * 0.001, even_out=0.006)
    assert rates.highest == pytest.approx(1e6, rel=0.1)


def test_mean_follows_the_rate() -> None:
    """A rate that changes for good is known after a few times as long as is averaged."""
    rates = HighestRate(0.0)
    for n in range(1, 101):
        rates.add(1e6 if n <= 50 else 2e6, n // 50, n * 0.001, even_out=0.003)
    assert rates.highest == pytest.approx(2e6, rel=0.01)
