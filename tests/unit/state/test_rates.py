"""How often an address may try."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessenger.state import rates
from tessenger.state.rates import Rates


@given(st.integers(1, 20), st.lists(st.integers(0, 400), max_size=100))
def test_no_second_and_a_bit_grants_more_than_twice_the_rate(per_second: int, steps: list[int]) -> None:
    """A full bucket and a second's worth: never more within any second, however the attempts come."""
    bucket = Rates(per_second)
    now = 0
    granted: list[int] = []
    for step in steps:
        now += step
        if not bucket.take("x", now):
            granted.append(now)
    for begin in granted:
        assert len([at for at in granted if begin <= at < begin + 1_000]) <= 2 * per_second


@given(st.integers(1, 20), st.integers(0, 100))
def test_who_waits_as_long_as_told_is_granted(per_second: int, tries: int) -> None:
    """The answer is the seconds after which there is one."""
    bucket = Rates(per_second)
    now = 0
    for _ in range(tries + per_second):
        wait = bucket.take("x", now)
        if wait:
            now += round(wait * 1000) + 1
            assert bucket.take("x", now) == 0


def test_a_clock_that_goes_back_grants_nothing_and_breaks_nothing() -> None:
    """Time only adds."""
    bucket = Rates(1)
    assert bucket.take("x", 5_000) == 0
    assert bucket.take("x", 1_000) > 0
    assert bucket.take("x", 3_000) == 0


def test_no_rate_is_no_limit_and_a_new_rate_holds_at_once() -> None:
    """As after SIGHUP."""
    bucket = Rates(0)
    assert not any(bucket.take("x", 0) for _ in range(1_000))
    bucket.set_rate(2)
    assert [bucket.take("x", 0) > 0 for _ in range(3)] == [False, False, True]


def test_addresses_are_forgotten_when_there_are_too_many() -> None:
    """So that many of them do not fill the memory."""
    bucket = Rates(1)
    for n in range(rates.MAX_ADDRESSES + 10):
        bucket.take(str(n), 0)
    assert len(bucket._buckets) == rates.MAX_ADDRESSES
