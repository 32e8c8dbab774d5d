"""Sign-ins of a worker: attempts are claimed, passwords checked and outcomes counted, for many people at a time.

Runs in workers. An attempt is claimed from the manager before its password is looked at, and its outcome is counted
there before anybody hears it: two calls. What comes while these are under way waits and shares the next two, so a crowd
costs hardly more of them than one person. A password that is hashed is checked on threads of their own, for that takes
tens of milliseconds, and its outcome is counted with a later round. Who waits is chosen from fairly between addresses
(`fair_queue.py`), before anything is claimed, and whoever hangs up while they wait costs nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from msgspec import Struct

from tessenger.chat import addresses
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
from tessenger.server.fair_queue import FairQueue
from tessenger.state.credentials import Credentials

AT_ONCE = 256
"""Sign-ins of one round, where checking a password takes no time."""

SIGN_IN_SECONDS = 20.0
"""How long a sign-in may wait for its turn at an address's rate."""

_log = logging.getLogger("tessenger")
_Result = TypeVar("_Result")


class State(Protocol):
    """The way to the shared state."""

    def call(self, operation: Callable[[SharedState], _Result]) -> _Result | Unavailable:
        """Call an operation, from any thread."""
        ...


class WaitingLimits(Struct, frozen=True):
    """How many sign-ins may wait, from each address and in all, and on how many threads passwords are hashed."""

    each: int
    in_all: int
    threads: int


class _Asked(Struct, frozen=True):
    """Somebody who wants to sign in, until when at the latest, and whom to tell."""

    user: str
    password: str
    address: str
    deadline: float
    then: Callable[[SignInResult], None]
    is_gone: Callable[[], bool]


class _Checked(Struct, frozen=True):
    """A password that was looked at. `name`, `tag`: as the credentials had them then; a name of None: it is wrong."""

    asked: _Asked
    attempt: int
    name: str | None
    tag: str


class _Round(Struct, frozen=True):
    """What came of a round: who can be told, and whose password is to be hashed first."""

    told: list[tuple[_Asked, SignInResult | TryLater]]
    hashed: list[tuple[_Asked, int]]


def _is_gone(asked: _Asked) -> bool:
    return asked.is_gone()


class SignIns:
    """The sign-ins of one worker; `then` is called on its loop."""

    def __init__(
        self, worker: Worker, state: State, credentials: Credentials, block_seconds: float, waiting: WaitingLimits
    ) -> None:
        """`credentials` and `block_seconds` may be set anew at any time."""
        self.credentials = credentials
        self.block_seconds = block_seconds
        self._queue: FairQueue[_Asked] = FairQueue(waiting.each, waiting.in_all)
        self._threads = waiting.threads
        self._worker = worker
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._under_way = 0  # claimed, or about to be
        self._waking: asyncio.TimerHandle | None = None
        self._asked: list[_Asked] = []
        self._checked: list[_Checked] = []
        self._is_under_way = False
        self._scheduled = False
        self._claiming = ThreadPoolExecutor(1, "sign-in")
        self._hashing = ThreadPoolExecutor(waiting.threads, "hashing")

    def sign_in(
        self, user: str, password: str, address: str, then: Callable[[SignInResult], None], is_gone: Callable[[], bool]
    ) -> None:
        """See `chat.ports.Office`."""
        self._wait(_Asked(user, password, address, self._loop.time() + SIGN_IN_SECONDS, then, is_gone))

    # ---- on the loop ----

    def _wait(self, asked: _Asked) -> None:
        """Let somebody wait for their turn, if there is room, also where those are whom nobody waits for any more."""
        over = self._queue.push(addresses.key(asked.address), asked)
        if over is not None and not over.is_gone() and self._queue.drop(_is_gone):
            over = self._queue.push(addresses.key(over.address), over)
        if over is not None:
            self._loop.call_soon(over.then, Unavailable())
        self._take_turns()

    def _take_turns(self) -> None:
        """Let those have their turn for whom there is room, and come back when the next one is free to have it."""
        now = self._loop.time()
        room = self._threads if self.credentials.hashes else AT_ONCE
        while self._under_way < room and (asked := self._queue.pop(now)) is not None:
            if asked.is_gone():
                continue
            if now > asked.deadline:
                self._loop.call_soon(asked.then, Unavailable())
                continue
            self._under_way += 1
            self._asked.append(asked)
        self._next_round()
        if self._under_way < room and (free_at := self._queue.next_at()) is not None:
            if self._waking is not None:
                self._waking.cancel()
            self._waking = self._loop.call_at(max(free_at, now), self._take_turns)

    def _had_turn(self) -> None:
        self._under_way -= 1
        if len(self._queue):
            self._take_turns()

    def _next_round(self) -> None:
        """Begin a round at the end of this turn of the loop, so that it has everybody of the turn."""
        if not self._is_under_way and not self._scheduled and (self._asked or self._checked):
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
        self._had_turn()
        if isinstance(result, TryLater):
            if self._loop.time() + result.seconds <= asked.deadline:
                self._loop.call_later(result.seconds, self._wait, asked)
                return
            result = Unavailable()
        elif isinstance(result, WrongPassword):
            self._queue.failed(addresses.key(asked.address), self._loop.time())
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
                ended.append(_check(credentials, each, begun.attempt))
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
            user, failures, until = checked.asked.user, outcome.failures, outcome.blocked_until
            return WrongPassword(user, failures, until, self.block_seconds, outcome.place)
        return SignedIn(checked.name or checked.asked.user, outcome, checked.tag)

    def _hash(self, asked: _Asked, attempt: int) -> None:
        try:
            checked = _check(self.credentials, asked, attempt)
        except Exception:  # noqa: BLE001 as above; the attempt stays open until it is too old
            _log.exception("a password could not be checked")
            self._loop.call_soon_threadsafe(self._tell, asked, Unavailable())
            return
        self._loop.call_soon_threadsafe(self._was_hashed, checked)


def _check(credentials: Credentials, asked: _Asked, attempt: int) -> _Checked:
    """Look at a password."""
    name = credentials.verify(asked.user, asked.password)
    return _Checked(asked, attempt, name, credentials.tag(asked.user))
