"""Many sign-ins at once: each is claimed before its password is looked at, and all share the calls to the manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from tessenger.chat.ports import (
    AttemptFailed,
    IsBlocked,
    MayTry,
    SharedState,
    SignedIn,
    SignInResult,
    TryLater,
    Unavailable,
    Worker,
    WrongPassword,
)
from tessenger.server.sign_ins import AT_ONCE, SignIns, WaitingLimits
from tessenger.state.credentials import Credentials, User, hashed
from tessenger.state.memory import MemoryState, StateLimits

ONE = Worker(1, 1)
DEADLINE = 20.0
NOW = 1_700_000_000_000
LIMITS = WaitingLimits(each=1_500, in_all=2_000, threads=3)

_Result = TypeVar("_Result")


class Watched(Credentials):
    """Credentials that tell whose password is looked at."""

    def __init__(self, passwords: dict[str, str], calls: list[str]) -> None:
        super().__init__(User(user, secret) for user, secret in passwords.items())
        self._calls = calls

    def verify(self, user: str, password: str) -> str | None:
        """Note the user, and check."""
        self._calls.append(f"verify {user}")
        return super().verify(user, password)


class Broken(Watched):
    """Credentials with a fault."""

    def verify(self, user: str, password: str) -> str | None:
        """Fail."""
        raise RuntimeError(user)


class State(MemoryState):
    """A shared state in this process, that keeps what it was asked."""

    def __init__(self, calls: list[str]) -> None:
        super().__init__(1, StateLimits(3, 10_000, 0, 0), None, lambda: NOW)
        self.calls = calls
        self.is_there = True

    def call(self, operation: Callable[[SharedState], _Result]) -> _Result | Unavailable:
        """Do what a worker's link to the manager does."""
        return operation(self) if self.is_there else Unavailable()

    def begin_attempts(self, worker: Worker, asked: Sequence[tuple[str, str]]) -> list[MayTry | TryLater | IsBlocked]:
        """Note it."""
        self.calls.append("begin " + " ".join(user for user, _ in asked))
        return super().begin_attempts(worker, asked)

    def end_attempts(self, ended: Sequence[tuple[int, str, bool]]) -> list[int | AttemptFailed]:
        """Note it."""
        self.calls.append("end " + " ".join(user for _, user, _ in ended))
        return super().end_attempts(ended)


async def results(sign_ins: SignIns, *asked: tuple[str, str]) -> list[SignInResult]:
    """Sign all of them in within one turn of the loop, and wait for what each hears."""
    loop = asyncio.get_running_loop()
    heard: list[asyncio.Future[SignInResult]] = [loop.create_future() for _ in asked]
    for (user, password), future in zip(asked, heard, strict=True):
        sign_ins.sign_in(user, password, "192.0.2.1", future.set_result, lambda: False)
    async with asyncio.timeout(DEADLINE):
        return list(await asyncio.gather(*heard))


@pytest.mark.parametrize("secret", ["pw", hashed("pw")], ids=["plain", "hashed"])
def test_everybody_of_one_turn_shares_a_round(secret: str) -> None:
    """One call claims, then passwords are looked at, then outcomes are counted, and each hears their own."""
    calls: list[str] = []
    state = State(calls)

    async def scenario() -> None:
        sign_ins = SignIns(ONE, state, Watched({"aaa": secret, "bbb": secret, "ccc": secret}, calls), 10.0, LIMITS)
        one, two, three = await results(sign_ins, ("aaa", "pw"), ("bbb", "wrong"), ("ccc", "pw"))
        assert isinstance(one, SignedIn)
        assert isinstance(three, SignedIn)
        assert (one.user, three.user) == ("aaa", "ccc")
        assert one.number != three.number
        assert two == WrongPassword("bbb", 1, 0, 10.0)

    asyncio.run(scenario())
    assert calls[0] == "begin aaa bbb ccc"
    assert sorted(call for call in calls if call.startswith("verify")) == ["verify aaa", "verify bbb", "verify ccc"]
    ended = " ".join(call for call in calls if call.startswith("end")).replace("end ", "").split()
    assert sorted(ended) == ["aaa", "bbb", "ccc"]
    if secret == "pw":  # nobody had to wait for a hash
        assert calls[-1] == "end aaa bbb ccc"


def test_no_more_passwords_are_looked_at_than_may_be_tried() -> None:
    """Ten parallel guesses for one user: three are looked at, then the account is blocked for all."""
    calls: list[str] = []
    state = State(calls)

    async def scenario() -> None:
        sign_ins = SignIns(ONE, state, Watched({"aaa": "pw"}, calls), 10.0, LIMITS)
        heard = await results(sign_ins, *[("aaa", f"guess {number}") for number in range(10)])
        assert sum(isinstance(each, WrongPassword) for each in heard) == 3
        assert sum(isinstance(each, IsBlocked) for each in heard) == 7

    asyncio.run(scenario())
    assert calls.count("verify aaa") == 3


def test_nobody_waits_for_ever() -> None:
    """Without a manager, with a fault in the middle, or among too many: the answer is that it is not possible now."""
    calls: list[str] = []
    state = State(calls)

    async def scenario() -> None:
        sign_ins = SignIns(ONE, state, Watched({"aaa": "pw"}, calls), 10.0, LIMITS)
        state.is_there = False
        assert await results(sign_ins, ("aaa", "pw")) == [Unavailable()]
        state.is_there = True
        sign_ins.credentials = Broken({}, calls)
        assert await results(sign_ins, ("aaa", "pw"), ("bbb", "pw")) == [Unavailable()] * 2
        people = [f"user{number}" for number in range(LIMITS.each + AT_ONCE + 2)]
        sign_ins.credentials = Watched(dict.fromkeys(["aaa", *people], "pw"), calls)
        crowd = await results(sign_ins, *[(user, "pw") for user in people])
        assert crowd.count(Unavailable()) == 2
        (back,) = await results(sign_ins, ("aaa", "pw"))
        assert isinstance(back, SignedIn)

    asyncio.run(scenario())


def test_who_hangs_up_while_they_wait_costs_nothing() -> None:
    """Neither a claim nor a look at the password, and hears nothing; who stays has their turn."""
    calls: list[str] = []
    state = State(calls)

    async def scenario() -> None:
        sign_ins = SignIns(ONE, state, Watched({"aaa": hashed("pw")}, calls), 10.0, WaitingLimits(10, 10, 1))
        heard: list[SignInResult] = []
        for number in range(50):
            sign_ins.sign_in(f"gone{number}", "guess", "198.51.100.1", heard.append, lambda: True)
        (aaa,) = await results(sign_ins, ("aaa", "pw"))
        assert isinstance(aaa, SignedIn)
        assert heard == []

    asyncio.run(scenario())
    assert [call for call in calls if "gone" in call] == []


def test_the_last_of_a_flood_is_not_behind_it() -> None:
    """Ten addresses with all that may wait; one who comes from another one then is among the next few."""
    calls: list[str] = []
    state = State(calls)

    async def scenario() -> None:
        sign_ins = SignIns(ONE, state, Watched({"aaa": hashed("pw")}, calls), 10.0, WaitingLimits(50, 200, 1))
        for number in range(500):
            sign_ins.sign_in(f"user{number}", "guess", f"198.51.100.{number % 10}", lambda _: None, lambda: False)
        (aaa,) = await results(sign_ins, ("aaa", "pw"))
        assert isinstance(aaa, SignedIn)

    asyncio.run(scenario())
    assert calls.index("verify aaa") < 80  # of three calls for each
