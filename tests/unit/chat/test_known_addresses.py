"""Whose guessing keeps whom out: wrong passwords from where somebody has signed in before count by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.chat import entries
from tessenger.chat.known_addresses import KEPT_MS, MOST, KnownAddresses
from tessenger.chat.lines import console_lines
from tessenger.wire.messages import Denied, Login, Welcome
from tests.support.hub_world import BLOCK_MS, World

HOME, CAFE, ELSEWHERE = "192.0.2.1", "198.51.100.1", "203.0.113.9"


@pytest.fixture
def world() -> World:
    """Two workers; three wrong passwords block."""
    return World()


def attempt(world: World, ip: str, password: str, user: str = "aaa", slot: int = 1) -> str:
    """Try to sign in from an address; return what came of it."""
    client = world.connect(slot, ip)
    client.send(Login(1, user, password))
    world.settle()
    (answer,) = [line for line in client.rest() if isinstance(line, Welcome | Denied)]
    client.lose()
    world.settle()
    return "welcome" if isinstance(answer, Welcome) else answer.code


def test_somebody_elses_guessing_does_not_keep_a_person_out(world: World) -> None:
    """It blocks every address but those that the person is known from, on all workers; also who guesses from many."""
    assert attempt(world, HOME, "123") == "welcome"
    guessed = [attempt(world, f"203.0.113.{number}", "guess", slot=number % 2 + 1) for number in range(5)]
    assert guessed == ["invalid_password", "invalid_password", "blocked_now", "blocked", "blocked"]
    assert attempt(world, HOME, "123", slot=2) == "welcome"
    assert attempt(world, CAFE, "123") == "blocked"
    world.pass_time(BLOCK_MS)
    world.settle()
    assert attempt(world, CAFE, "123") == "welcome"


def test_a_known_address_is_blocked_as_any_other(world: World) -> None:
    """By itself, over all workers and connections, with the console's words; it ends as any block does."""
    assert attempt(world, HOME, "123") == "welcome"
    answers = [attempt(world, HOME, "typo", slot=number % 2 + 1) for number in range(3)]
    assert answers == ["invalid_password", "invalid_password", "blocked_now"]
    assert attempt(world, HOME, "123") == "blocked"
    assert attempt(world, CAFE, "123") == "welcome"
    (blocked,) = world.kept(entries.Blocked)
    assert console_lines(blocked, "full") == [
        "has reached maximum failed attempts aaa", "has been blocked for 10 seconds aaa"
    ]  # fmt: skip
    assert [e.failures for e in world.kept(entries.LoginFailed)] == [1, 2]
    ended = world.pass_time(BLOCK_MS)
    assert [console_lines(entry, "full") for entry in ended if isinstance(entry, entries.Unblocked)] == [
        ["has been unblocked aaa"]
    ]
    world.settle()
    assert attempt(world, HOME, "123") == "welcome"


def test_a_right_password_forgives_only_where_it_was_given(world: World) -> None:
    """Otherwise whoever guesses elsewhere would begin anew each time that the person signs in."""
    assert attempt(world, HOME, "123") == "welcome"
    assert [attempt(world, ELSEWHERE, "guess") for _ in range(2)] == ["invalid_password"] * 2
    assert attempt(world, HOME, "typo") == "invalid_password"
    assert attempt(world, HOME, "123") == "welcome"
    assert [attempt(world, HOME, "typo") for _ in range(2)] == ["invalid_password"] * 2
    assert attempt(world, ELSEWHERE, "guess") == "blocked_now"


def test_a_site_of_ipv6_is_one_address(world: World) -> None:
    """Its machines take new addresses as they like."""
    assert attempt(world, "2001:db8:1:2::9", "123") == "welcome"
    assert [attempt(world, ELSEWHERE, "guess") for _ in range(3)][-1] == "blocked_now"
    assert attempt(world, "2001:db8:1:2:aaaa::7", "123") == "welcome"
    assert attempt(world, "2001:db8:1:3::9", "123") == "blocked"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, KEPT_MS // 4)), max_size=60))
def test_so_many_are_kept_and_for_so_long(sign_ins: list[tuple[int, int]]) -> None:
    """Those that were used last."""
    known, at = KnownAddresses(), 0
    last: dict[str, int] = {}
    for number, later in sign_ins:
        at += later
        known.signed_in("Aaa", f"192.0.2.{number}", at)
        last[f"192.0.2.{number}"] = at
    young = sorted((when, ip) for ip, when in last.items() if at - when <= KEPT_MS)[-MOST:]
    there = {ip for ip in last if known.place("aaa", ip)}
    assert len(there) == len(young)
    assert sorted(last[ip] for ip in there) == [when for when, _ in young]
    assert {ip for ip in last if known.place("AAA", ip, at + KEPT_MS + 1)} == set()
    known.forget("aAA")
    assert known.place("aaa", "192.0.2.1") == ""
