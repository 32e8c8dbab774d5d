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
from tessenger.server.sign_ins import MAX_SIGNING_IN, SignIns
from tessenger.state.credentials import Credentials, hashed
from tessenger.state.memory import MemoryState, StateLimits

ONE = Worker(1, 1)
DEADLINE = 20.0
NOW = 1_700_000_000_000

_Result = TypeVar("_Result")


class Watched(Credentials):
    """Credentials that tell whose password is looked at."""

    def __init__(self, passwords: dict[str, str], calls: list[str]) -> None:
        super().__init__({user: (user, secret) for user, secret in passwords.items()})
        self._calls = calls

    def verify(self, user: str, password: str) -> str | None:
        """Note the user, and check."""
        self._calls.append(f"verify {user}")
        return super().verify(user, password)


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
        sign_ins.sign_in(user, password, "192.0.2.1", future.set_result)
    async with asyncio.timeout(DEADLINE):
        return list(await asyncio.gather(*heard))


@pytest.mark.parametrize("secret", ["pw", hashed("pw")], ids=["plain", "hashed"])
def test_everybody_of_one_turn_shares_a_round(secret: str) -> None:
    """One call claims, then passwords are looked at, then outcomes are counted, and each hears their own."""
    calls: list[str] = []
    state = State(calls)

    async def scenario() -> None:
        sign_ins = SignIns(ONE, state, Watched({"aaa": secret, "bbb": secret, "ccc": secret}, calls), 10.0)
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
        sign_ins = SignIns(ONE, state, Watched({"aaa": "pw"}, calls), 10.0)
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
        sign_ins = SignIns(ONE, state, Watched({"aaa": "pw"}, calls), 10.0)
        state.is_there = False
        assert await results(sign_ins, ("aaa", "pw")) == [Unavailable()]
        state.is_there = True
        sign_ins.credentials = None  # type: ignore[assignment]  # so that the round fails
        assert await results(sign_ins, ("aaa", "pw"), ("bbb", "pw")) == [Unavailable()] * 2
        sign_ins.credentials = Watched({"aaa": "pw"}, calls)
        crowd = await results(sign_ins, *[(f"user{number}", "pw") for number in range(MAX_SIGNING_IN + 2)])
        assert crowd.count(Unavailable()) == 2
        (back,) = await results(sign_ins, ("aaa", "pw"))
        assert isinstance(back, SignedIn)

    asyncio.run(scenario())
