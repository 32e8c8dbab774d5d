"""What every implementation of the port `SharedState` does, in this process and behind a manager's process."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from tessenger.chat import entries
from tessenger.chat.ports import AttemptFailed, ClaimRefused, IsBlocked, MayTry, OpenClaim, TryLater, Worker
from tessenger.chat.present import Group, Member, Snapshot
from tessenger.state.memory import StateLimits
from tests.support import state_process
from tests.support.state_process import DEADLINE, Keeper

LIMITS = StateLimits(max_attempts=3, block_ms=10_000, logins_per_second=0, group_members=3)
ONE, TWO = Worker(1, 1), Worker(2, 1)

Started = Callable[..., Keeper]


@pytest.fixture(params=["in process", "own process"])
def started(request: pytest.FixtureRequest) -> Iterator[Started]:
    """Start a keeper of the shared state."""
    kind: Callable[..., AbstractContextManager[Keeper]]
    kind = state_process.in_process if request.param == "in process" else state_process.in_own_process
    with ExitStack() as stack:

        def start(
            epoch: int = 1,
            limits: StateLimits = LIMITS,
            snapshot: Snapshot | None = None,
            reporters: list[Worker] | None = None,
        ) -> Keeper:
            return stack.enter_context(kind(epoch, limits, snapshot, reporters or []))

        yield start


def with_group(*members: str, seq: int = 5) -> Snapshot:
    """Return a present state with a group called `g`."""
    group = Group("g", members[0], 1, {m: Member(m, 1) for m in members})
    return Snapshot(seq, 0, [], [group], {}, {}, {})


def created(claim: int, group: str = "g", user: str = "aaa", seq: int = 6) -> entries.GroupCreated:
    """Return the entry that a claim on a group led to."""
    return entries.GroupCreated(1, 1, 2, user, group, [user], claim, seq=seq, slot=1, n=1)


def fail(keeper: Keeper, user: str = "aaa", count: int = 1) -> list[tuple[int, int]]:
    """Enter wrong passwords; return failures in a row and the end of the block of each."""
    outcomes = []
    for _ in range(count):
        begun = keeper.port.begin_attempt(ONE, user, "192.0.2.1")
        assert isinstance(begun, MayTry)
        failed = keeper.port.attempt_failed(begun.attempt, user)
        outcomes.append((failed.failures, failed.blocked_until))
    return outcomes


# ---- sign-in ----


def test_failures_in_a_row_block_whoever_asks(started: Started) -> None:
    """Names compare without case; another user is not affected; time ends the block."""
    keeper = started()
    now = keeper.clock()
    assert fail(keeper, "aaa", 2) + fail(keeper, "AAA") == [(1, 0), (2, 0), (3, now + 10_000)]
    assert keeper.port.begin_attempt(TWO, "Aaa", "192.0.2.2") == IsBlocked(now + 10_000)
    assert fail(keeper, "bbb") == [(1, 0)]
    keeper.clock.pass_time(9_999)
    assert isinstance(keeper.port.begin_attempt(ONE, "aaa", "x"), IsBlocked)
    keeper.clock.pass_time(1)
    assert fail(keeper, "aaa") == [(1, 0)]


def test_a_right_password_forgets_the_failures(started: Started) -> None:
    """And gives the session its number."""
    keeper = started()
    fail(keeper, count=2)
    begun = keeper.port.begin_attempt(ONE, "aaa", "x")
    assert isinstance(begun, MayTry)
    assert keeper.port.attempt_succeeded(begun.attempt, "aaa") > begun.attempt
    assert fail(keeper, count=2) == [(1, 0), (2, 0)]


def test_open_attempts_count_before_they_are_decided(started: Started) -> None:
    """No more passwords are looked at than failures are allowed; those of a dead worker are forgotten."""
    keeper = started()
    first = [keeper.port.begin_attempt(worker, "aaa", "x") for worker in (ONE, TWO, TWO)]
    assert all(isinstance(begun, MayTry) for begun in first)
    assert isinstance(keeper.port.begin_attempt(ONE, "aaa", "x"), TryLater)
    keeper.apply([entries.Released(2, 1, 0, seq=1)])
    assert isinstance(keeper.port.begin_attempt(ONE, "aaa", "x"), MayTry)


def test_attempts_of_one_address_have_a_rate(started: Started) -> None:
    """One second's worth at once, then as they come; another address has its own."""
    keeper = started(limits=StateLimits(100, 10_000, 2, 3))
    assert isinstance(keeper.port.begin_attempt(ONE, "a", "x"), MayTry)
    assert isinstance(keeper.port.begin_attempt(TWO, "b", "x"), MayTry)
    assert keeper.port.begin_attempt(ONE, "c", "x") == TryLater(0.5)
    assert isinstance(keeper.port.begin_attempt(ONE, "c", "y"), MayTry)
    keeper.clock.pass_time(500)
    assert isinstance(keeper.port.begin_attempt(ONE, "c", "x"), MayTry)


def test_who_waits_for_open_attempts_uses_up_nobody_s_rate(started: Started) -> None:
    """Guesses at one account, asked again and again, leave others of that address their sign-ins."""
    keeper = started(limits=StateLimits(1, 10_000, 5, 3))
    assert isinstance(keeper.port.begin_attempt(ONE, "victim", "x"), MayTry)
    for _ in range(50):
        assert isinstance(keeper.port.begin_attempt(ONE, "victim", "x"), TryLater)
    assert isinstance(keeper.port.begin_attempt(ONE, "other", "x"), MayTry)


def test_the_log_brings_failures_and_blocks_of_an_earlier_keeper(started: Started) -> None:
    """From the snapshot, and from entries that arrive; a late entry takes nothing back."""
    keeper = started(snapshot=Snapshot(5, 0, [], [], {"aaa": 2}, {"bbb": ("bbb", 1_700_000_009_000)}, {}))
    assert keeper.port.begin_attempt(ONE, "bbb", "x") == IsBlocked(1_700_000_009_000)
    assert fail(keeper, "aaa")[0][0] == 3
    keeper.apply([entries.LoginFailed("ccc", "x", 2, seq=6), entries.LoginFailed("ccc", "x", 1, seq=7)])
    assert fail(keeper, "ccc")[0][0] == 3
    keeper.apply([entries.Blocked("ddd", "x", 1_700_000_008_000, 8.0, seq=8)])
    assert isinstance(keeper.port.begin_attempt(ONE, "ddd", "x"), IsBlocked)


def test_failures_whose_entries_come_behind_the_block_do_not_count_after_it(started: Started) -> None:
    """Guesses at once, over several workers: their entries are ordered as they come."""
    keeper = started()
    fail(keeper, "aaa", 3)
    now = keeper.clock()
    keeper.apply(
        [
            entries.LoginFailed("aaa", "x", 1, seq=1, at=now),
            entries.Blocked("aaa", "x", now + 10_000, 10.0, seq=2, at=now),
            entries.LoginFailed("aaa", "x", 2, seq=3, at=now),
        ]
    )
    keeper.clock.pass_time(10_000)
    keeper.apply([entries.Unblocked("aaa", now + 10_000, seq=4, at=now + 10_000)])
    assert fail(keeper, "aaa")[0] == (1, 0)


# ---- numbers ----


def test_numbers_are_unique_and_rise_also_over_keepers(started: Started) -> None:
    """A new keeper's are above all of the one before."""
    old, new = started(epoch=7), started(epoch=8)
    numbers = [old.port.attach() for _ in range(5)]
    claim = old.port.create_group(ONE, "g", "aaa")
    assert isinstance(claim, int)
    numbers += [claim, new.port.attach()]
    assert numbers == sorted(set(numbers))


# ---- groups ----


def test_a_group_is_claimed_once(started: Started) -> None:
    """In any case, whether the claim is open, committed, or of an earlier keeper."""
    keeper = started(snapshot=with_group("aaa"))
    assert keeper.port.create_group(ONE, "G", "aaa") == ClaimRefused("exists")
    claim = keeper.port.create_group(ONE, "new", "aaa")
    assert isinstance(claim, int)
    assert keeper.port.create_group(TWO, "NEW", "aaa") == ClaimRefused("exists")
    keeper.apply([created(claim, "new")])
    assert keeper.port.create_group(TWO, "new", "aaa") == ClaimRefused("exists")


def test_a_claim_falls_when_the_log_refuses_its_entry(started: Started) -> None:
    """The name is free again; a verdict on another claim changes nothing."""
    keeper = started()
    claim = keeper.port.create_group(ONE, "g", "aaa")
    assert isinstance(claim, int)
    keeper.apply([entries.Refused("stale", 0), entries.Refused("stale", claim + 1)])
    assert keeper.port.create_group(TWO, "g", "aaa") == ClaimRefused("exists")
    keeper.apply([entries.Refused("stale", claim)])
    assert isinstance(keeper.port.create_group(TWO, "g", "aaa"), int)


def test_one_person_creates_so_many_groups_and_no_faster(started: Started) -> None:
    """Each by themselves; refusals cost nothing, and time brings more up to the whole number."""
    keeper = started(limits=StateLimits(3, 10_000, 0, 3, groups_per_user=2, groups_per_minute=2))
    for number in range(2):
        claim = keeper.port.create_group(ONE, f"g{number}", "aaa")
        assert isinstance(claim, int)
        keeper.apply([created(claim, f"g{number}", seq=6 + number)])
    assert keeper.port.create_group(TWO, "more", "AAA") == ClaimRefused("too_many")
    assert keeper.port.create_group(TWO, "g0", "aaa") == ClaimRefused("exists")
    assert isinstance(keeper.port.create_group(TWO, "x", "bbb"), int)
    assert isinstance(keeper.port.create_group(TWO, "y", "bbb"), int)
    assert keeper.port.create_group(ONE, "z", "bbb") == ClaimRefused("too_fast")


def test_open_claims_fall_with_their_worker(started: Started) -> None:
    """With this generation of it, and no other's; what was committed stays."""
    keeper = started(snapshot=with_group("aaa"))
    claim = keeper.port.create_group(ONE, "kept", "aaa")
    assert isinstance(claim, int)
    keeper.apply([created(claim, "kept")])
    for group in ("mine", "other"):
        assert isinstance(keeper.port.create_group(ONE if group == "mine" else TWO, group, "aaa"), int)
    assert isinstance(keeper.port.join_group(ONE, "g", "bbb"), int)
    keeper.apply([entries.Released(1, 2, 0, seq=7), entries.Released(2, 9, 0, seq=8)])
    assert keeper.port.create_group(TWO, "mine", "aaa") == ClaimRefused("exists")
    keeper.apply([entries.Released(1, 1, 0, seq=9)])
    assert isinstance(keeper.port.create_group(TWO, "mine", "aaa"), int)
    assert isinstance(keeper.port.join_group(TWO, "g", "bbb"), int)
    assert keeper.port.create_group(ONE, "other", "aaa") == ClaimRefused("exists")
    assert keeper.port.create_group(ONE, "kept", "aaa") == ClaimRefused("exists")


def test_memberships_are_claimed_once_and_up_to_the_limit(started: Started) -> None:
    """Open claims count."""
    keeper = started(snapshot=with_group("aaa"))
    assert keeper.port.join_group(ONE, "G", "AAA") == ClaimRefused("already")
    assert isinstance(keeper.port.join_group(ONE, "g", "bbb"), int)
    assert keeper.port.join_group(TWO, "g", "Bbb") == ClaimRefused("already")
    claim = keeper.port.join_group(TWO, "g", "ccc")
    assert isinstance(claim, int)
    assert keeper.port.join_group(ONE, "g", "ddd") == ClaimRefused("full")
    keeper.apply([entries.Refused("stale", claim)])
    assert isinstance(keeper.port.join_group(ONE, "g", "ddd"), int)
    keeper.apply([entries.GroupJoined(1, 1, 2, "bbb", "g", 0, seq=6)])
    assert keeper.port.join_group(ONE, "g", "bbb") == ClaimRefused("already")
    assert keeper.port.join_group(ONE, "g", "eee") == ClaimRefused("full")


def test_a_group_that_does_not_exist_cannot_be_joined(started: Started) -> None:
    """Only claimed is not there yet."""
    keeper = started()
    assert keeper.port.join_group(ONE, "nowhere", "aaa") == ClaimRefused("unknown")


def test_who_joins_before_the_keeper_has_heard_of_the_group_waits_for_it(started: Started) -> None:
    """The worker has the group's entry already; the keeper gets it a moment later."""
    keeper = started()
    claim = keeper.port.create_group(ONE, "g", "aaa")
    assert isinstance(claim, int)
    results: list[object] = []
    joining = threading.Thread(target=lambda: results.append(keeper.port.join_group(TWO, "g", "bbb")))
    joining.start()
    keeper.apply([created(claim)])
    joining.join(DEADLINE)
    assert [type(result) for result in results] == [int]


# ---- a new keeper ----


def test_a_new_keeper_grants_nothing_until_every_worker_has_reported(started: Started) -> None:
    """Their open claims hold with it; numbers for resumed sessions do not have to wait."""
    keeper = started(snapshot=with_group("aaa"), reporters=[ONE, TWO])
    assert keeper.port.attach()
    results: dict[str, object] = {}

    def claim(group: str) -> None:
        results[group] = keeper.port.create_group(TWO, group, "aaa")

    claimants = [threading.Thread(target=claim, args=(group,)) for group in ("open", "free")]
    for claimant in claimants:
        claimant.start()
    keeper.port.report(ONE, [OpenClaim(77, "Open", ""), OpenClaim(78, "g", "bbb")])
    assert results == {}
    keeper.port.report(TWO, [])
    for claimant in claimants:
        claimant.join(DEADLINE)
    assert results["open"] == ClaimRefused("exists")
    assert isinstance(results["free"], int)
    assert keeper.port.join_group(TWO, "g", "BBB") == ClaimRefused("already")


def test_a_worker_that_dies_need_not_report(started: Started) -> None:
    """Its release is its report: there is nothing open of it any more."""
    keeper = started(reporters=[ONE])
    results: list[object] = []
    claimant = threading.Thread(target=lambda: results.append(keeper.port.create_group(TWO, "g", "aaa")))
    claimant.start()
    keeper.apply([entries.Released(1, 1, 0, seq=1)])
    claimant.join(DEADLINE)
    assert [type(result) for result in results] == [int]


def test_a_reported_claim_that_is_committed_already_is_not_open(started: Started) -> None:
    """It would otherwise outlive its entry."""
    keeper = started(snapshot=with_group("aaa"), reporters=[ONE])
    keeper.port.report(ONE, [OpenClaim(77, "g", "aaa"), OpenClaim(78, "g", "")])
    assert isinstance(keeper.port.join_group(ONE, "g", "bbb"), int)
    assert isinstance(keeper.port.join_group(ONE, "g", "ccc"), int)


# ---- many processes ----


def test_of_many_processes_that_race_each_claim_has_one_winner() -> None:
    """Eight processes, fifty times each: groups, a membership limit, three passwords, and numbers."""
    limits = StateLimits(max_attempts=3, block_ms=10**9, logins_per_second=0, group_members=20)
    group = Group("small", "aaa", 1, {"aaa": Member("aaa", 1)})
    context = multiprocessing.get_context("spawn")
    with state_process.in_own_process(1, limits, Snapshot(1, 0, [], [group], {}, {}, {}), []) as keeper:
        address = keeper.port._token.address  # type: ignore[attr-defined]  # the proxy knows its server
        racers = []
        for slot in range(1, 9):
            ours, theirs = context.Pipe()
            process = context.Process(target=state_process.race, args=(address, slot, 50, theirs))
            process.start()
            racers.append((process, ours))
        found: list[Any] = []
        try:
            for _, pipe in racers:
                assert pipe.poll(DEADLINE)
                assert pipe.recv() == "ready"
            for _, pipe in racers:
                pipe.send("go")
            for _, pipe in racers:
                assert pipe.poll(DEADLINE)
                found.append(pipe.recv())
        finally:
            for process, pipe in racers:
                pipe.close()
                process.join(DEADLINE)
                process.close()
    numbers = [number for each, *_ in found for number in each]
    assert len(numbers) == len(set(numbers))
    assert all(each == sorted(each) for each, *_ in found)
    assert sorted(g for _, each, *_ in found for g in each) == sorted(f"g{n}" for n in range(50))
    assert sum(len(joined) for *_, joined, _ in found) == 19
    assert sum(looked_at for *_, looked_at in found) == 3


def test_several_attempts_at_once_are_as_many_by_themselves(started: Started) -> None:
    """Each is decided in turn, with what those before it have claimed; and each is counted."""
    keeper = started()
    asked = [
        ("aaa", "192.0.2.1"),
        ("AAA", "192.0.2.1"),
        ("bbb", "192.0.2.2"),
        ("aaa", "192.0.2.1"),
        ("aaa", "192.0.2.1"),
    ]
    begun = keeper.port.begin_attempts(ONE, asked)
    attempts = [each.attempt for each in begun if isinstance(each, MayTry)]
    assert [type(each) for each in begun] == [MayTry, MayTry, MayTry, MayTry, TryLater]
    assert attempts == sorted(set(attempts))
    ended = keeper.port.end_attempts(
        [
            (attempts[0], "aaa", False),
            (attempts[1], "AAA", False),
            (attempts[2], "bbb", True),
            (attempts[3], "aaa", False),
        ]
    )
    assert isinstance(ended[2], int)
    assert ended[2] > attempts[-1]
    assert [(each.failures, bool(each.blocked_until)) for each in ended if isinstance(each, AttemptFailed)] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert isinstance(keeper.port.begin_attempts(TWO, [("aaa", "192.0.2.9")])[0], IsBlocked)
    assert keeper.port.begin_attempts(ONE, []) == []
    assert keeper.port.end_attempts([]) == []
