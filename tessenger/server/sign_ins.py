"""Sign-ins of a worker: attempts are claimed, passwords checked and outcomes counted, for many people at a time.

Runs in workers. An attempt is claimed from the manager before its password is looked at, and its outcome is counted
there before anybody hears it: two calls. What comes while these are under way waits and shares the next two, so a crowd
costs hardly more of them than one person. A password that is hashed is checked on threads of their own, for that takes
tens of milliseconds, and its outcome is counted with a later round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from msgspec import Struct

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
from tessenger.state.credentials import Credentials

HASHING_THREADS = 2
"""Passwords that are checked at once: each hash takes 19 MiB and tens of milliseconds of a core."""

MAX_SIGNING_IN = 2_000
"""Sign-ins that may wait for their turn; above it a worker answers that it is busy."""

SIGN_IN_SECONDS = 20.0
"""How long a sign-in may wait for its turn at an address's rate."""

_log = logging.getLogger("tessenger")
_Result = TypeVar("_Result")


class State(Protocol):
    """The way to the shared state."""

    def call(self, operation: Callable[[SharedState], _Result]) -> _Result | Unavailable:
        """Call an operation, from any thread."""
        ...


class _Asked(Struct, frozen=True):
    """Somebody who wants to sign in, until when at the latest, and whom to tell."""

    user: str
    password: str
    address: str
    deadline: float
    then: Callable[[SignInResult], None]


class _Checked(Struct, frozen=True):
    """A password that was looked at. `name`: as the credentials have it; None: it is wrong."""

    asked: _Asked
    attempt: int
    name: str | None


class _Round(Struct, frozen=True):
    """What came of a round: who can be told, and whose password is to be hashed first."""

    told: list[tuple[_Asked, SignInResult | TryLater]]
    hashed: list[tuple[_Asked, int]]


class SignIns:
    """The sign-ins of one worker; `then` is called on its loop."""

    def __init__(self, worker: Worker, state: State, credentials: Credentials, block_seconds: float) -> None:
        """`credentials` and `block_seconds` may be set anew at any time."""
        self.credentials = credentials
        self.block_seconds = block_seconds
        self._worker = worker
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._signing_in = 0
        self._asked: list[_Asked] = []
        self._checked: list[_Checked] = []
        self._is_under_way = False
        self._scheduled = False
        self._claiming = ThreadPoolExecutor(1, "sign-in")
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, "hashing")

    def sign_in(self, user: str, password: str, address: str, then: Callable[[SignInResult], None]) -> None:
        """See `chat.ports.Office`."""
        if self._signing_in >= MAX_SIGNING_IN:
            self._loop.call_soon(then, Unavailable())
            return
        self._signing_in += 1
        self._ask(_Asked(user, password, address, self._loop.time() + SIGN_IN_SECONDS, then))

    # ---- on the loop ----

    def _ask(self, asked: _Asked) -> None:
        self._asked.append(asked)
        self._next_round()

    def _next_round(self) -> None:
        """Begin a round at the end of this turn of the loop, so that it has everybody of the turn."""
        if not self._is_under_way and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin_round)

    def _begin_round(self) -> None:
        self._scheduled = False
        asked, self._asked = self._asked, []
        checked, self._checked = self._checked, []
        if asked or checked:
            self._is_under_way = True
            self._claiming.submit(self._play_round, asked, checked)

    def _end_round(self, played: _Round) -> None:
        self._is_under_way = False
        for asked, attempt in played.hashed:
            self._hashing.submit(self._hash, asked, attempt)
        for asked, result in played.told:
            self._tell(asked, result)
        if self._asked or self._checked:
            self._next_round()

    def _tell(self, asked: _Asked, result: SignInResult | TryLater) -> None:
        if isinstance(result, TryLater):
            if self._loop.time() + result.seconds <= asked.deadline:
                self._loop.call_later(result.seconds, self._ask, asked)
                return
            result = Unavailable()
        self._signing_in -= 1
        asked.then(result)

    def _was_hashed(self, checked: _Checked) -> None:
        self._checked.append(checked)
        self._next_round()

    # ---- on threads ----

    def _play_round(self, asked: Sequence[_Asked], checked: Sequence[_Checked]) -> None:
        try:
            played = self._round(asked, checked)
        except Exception:  # noqa: BLE001 kept in the error log; whoever asked must not wait for ever
            _log.exception("a round of sign-ins failed")
            played = _Round([(each, Unavailable()) for each in (*asked, *(c.asked for c in checked))], [])
        self._loop.call_soon_threadsafe(self._end_round, played)

    def _round(self, asked: Sequence[_Asked], checked: Sequence[_Checked]) -> _Round:
        """Claim attempts, check passwords where that is quick, and count what came of those and of `checked`."""
        told: list[tuple[_Asked, SignInResult | TryLater]] = []
        hashed: list[tuple[_Asked, int]] = []
        ended = list(checked)
        credentials = self.credentials
        for each, begun in zip(asked, self._begin(asked), strict=True):
            if isinstance(begun, TryLater | IsBlocked | Unavailable):
                told.append((each, begun))
            elif credentials.hashes:
                hashed.append((each, begun.attempt))
            else:
                ended.append(_Checked(each, begun.attempt, credentials.verify(each.user, each.password)))
        told += zip((each.asked for each in ended), self._end(ended), strict=True)
        return _Round(told, hashed)

    def _begin(self, asked: Sequence[_Asked]) -> Sequence[MayTry | TryLater | IsBlocked | Unavailable]:
        if not asked:
            return []
        claims = [(each.user, each.address) for each in asked]
        begun = self._state.call(lambda state: state.begin_attempts(self._worker, claims))
        return [begun] * len(asked) if isinstance(begun, Unavailable) else begun

    def _end(self, checked: Sequence[_Checked]) -> list[SignInResult]:
        if not checked:
            return []
        outcomes = [(each.attempt, each.asked.user, each.name is not None) for each in checked]
        ended = self._state.call(lambda state: state.end_attempts(outcomes))
        if isinstance(ended, Unavailable):
            return [ended] * len(checked)
        return [self._result(each, outcome) for each, outcome in zip(checked, ended, strict=True)]

    def _result(self, checked: _Checked, outcome: int | AttemptFailed) -> SignInResult:
        if isinstance(outcome, AttemptFailed):
            return WrongPassword(checked.asked.user, outcome.failures, outcome.blocked_until, self.block_seconds)
        return SignedIn(checked.name or checked.asked.user, outcome)

    def _hash(self, asked: _Asked, attempt: int) -> None:
        try:
            name = self.credentials.verify(asked.user, asked.password)
        except Exception:  # noqa: BLE001 as above; the attempt stays open until it is too old
            _log.exception("a password could not be checked")
            self._loop.call_soon_threadsafe(self._tell, asked, Unavailable())
            return
        self._loop.call_soon_threadsafe(self._was_hashed, _Checked(asked, attempt, name))
