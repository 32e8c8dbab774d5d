"""How many bytes are taken unasked within an hour."""

from __future__ import annotations

from tessenger.client.unasked import HOUR, UnaskedBytes


def test_each_sender_and_all_together() -> None:
    """One who has used up his allowance takes nothing from the others, until all of them have used up theirs."""
    unasked = UnaskedBytes(100, 250)
    assert unasked.take("bbb", 60, 0.0)
    assert not unasked.take("BBB", 41, 0.0)
    assert unasked.take("bbb", 40, 0.0)
    assert unasked.take("ccc", 100, 0.0)
    for sender in ("bbb", "ccc"):
        unasked.ended(sender, 100, 100)
    assert not unasked.take("ddd", 60, 0.0)
    assert unasked.take("ddd", 50, 0.0)


def test_it_comes_back_evenly() -> None:
    """A quarter of it in a quarter of an hour."""
    unasked = UnaskedBytes(100, 0)
    assert unasked.take("bbb", 100, 5.0)
    assert not unasked.take("bbb", 26, 5.0 + HOUR / 4)
    assert unasked.take("bbb", 25, 5.0 + HOUR / 4)


def test_what_did_not_come_was_not_taken() -> None:
    """Offers that come to nothing do not count, and those that are open take nothing from other senders."""
    unasked = UnaskedBytes(100, 100)
    for _ in range(50):
        assert unasked.take("bbb", 100, 0.0)
        assert unasked.take("ccc", 100, 0.0)
        unasked.ended("bbb", 100, 0)
        unasked.ended("ccc", 100, 0)
    assert unasked.take("bbb", 100, 0.0)
    unasked.ended("bbb", 100, 30)
    assert unasked.take("ccc", 70, 0.0)
    assert not unasked.take("bbb", 71, 0.0)


def test_a_first_file_always_fits() -> None:
    """Whoever lets files be taken that are larger than what an hour allows gets one of them."""
    unasked = UnaskedBytes(100, 100)
    assert unasked.take("bbb", 1_000, 0.0)
    assert not unasked.take("bbb", 1, HOUR)
    unasked.ended("bbb", 1_000, 1_000)
    assert not unasked.take("ccc", 1, HOUR)


def test_without_limits() -> None:
    """0 is none."""
    unasked = UnaskedBytes(0, 0)
    assert all(unasked.take("bbb", 2**50, 0.0) for _ in range(100))


def test_many_senders_are_not_remembered_for_ever() -> None:
    """Those who have their whole allowance again are forgotten."""
    unasked = UnaskedBytes(100, 0)
    for n in range(2_000):
        assert unasked.take(f"user{n}", 100, n * HOUR)
    assert len(unasked._senders) < 3
