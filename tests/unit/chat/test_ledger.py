"""The order of the log: numbers, judgements, repeats, and what time brings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tessenger.chat import entries
from tessenger.chat.entries import AnyEntry
from tessenger.chat.ledger import Ledger
from tests.support.hub_world import copies
from tests.support.log_history import GRACE_MS, History, empty

NOW = 1_700_000_000_000


def message(session: int, number: int, request: int) -> entries.Message:
    """Return a message of aaa's."""
    return entries.Message(session, number, request, "aaa", "bbb", "hi", b"")


def reasons(ordered: list[AnyEntry]) -> list[str]:
    """Return why each entry was refused, "" for those that were not."""
    return [entry.reason if isinstance(entry, entries.Refused) else "" for entry in ordered]


@pytest.fixture
def ledger() -> Ledger:
    """Worker 1 of generation 1 has signed aaa in, as session 5."""
    ledger = Ledger(empty(), GRACE_MS)
    assert ledger.follow(1, 1) == 0
    ledger.order(1, 1, 1, [entries.Online(5, 5, 1, "aaa", "ip", 0, 1, b"h", NOW * 2)], NOW)
    return ledger


def test_entries_are_numbered_without_gaps_and_marks_are_not(ledger: Ledger) -> None:
    """Each carries its worker's slot and `n`; marks and refusals are passed on in their place, without a number."""
    ordered = ledger.order(1, 1, 2, [message(5, 5, 2), entries.Mark(), message(5, 5, 2), message(5, 5, 3)], NOW)
    assert [(e.seq, e.slot, e.n) for e in ordered] == [(2, 1, 2), (0, 1, 3), (0, 1, 4), (3, 1, 5)]
    assert reasons(ordered) == ["", "", "repeat", ""]
    assert ledger.seq == 3


@pytest.mark.parametrize("first_n", [1, 2, 3, 4])
def test_what_was_ordered_before_is_left_out(ledger: Ledger, first_n: int) -> None:
    """A worker sends again from where it is not sure; only what is new is ordered."""
    batch: list[AnyEntry] = [message(5, 5, n) for n in range(2, 6)]
    ledger.order(1, 1, 2, copies(batch[:2]), NOW)
    everything: list[AnyEntry] = [entries.Mark(), *copies(batch)]
    again = ledger.order(1, 1, first_n, everything[first_n - 1 :], NOW)
    assert [(e.seq, e.n) for e in again] == [(4, 4), (5, 5)]
    assert ledger.order(1, 1, 2, copies(batch), NOW) == []


def test_numbers_of_a_worker_may_jump(ledger: Ledger) -> None:
    """Behind a logger that died, whose marks left nothing in the journal."""
    (entry,) = ledger.order(1, 1, 40, [message(5, 5, 2)], NOW)
    assert (entry.seq, entry.n) == (2, 40)
    assert ledger.follow(1, 1) == 40


def test_a_new_process_of_a_slot_begins_at_one_and_the_old_one_is_out(ledger: Ledger) -> None:
    """Generations only rise."""
    assert ledger.follow(1, 2) == 0
    assert ledger.order(1, 1, 2, [message(5, 5, 2)], NOW) == []
    assert ledger.follow(1, 1) is None
    assert [e.n for e in ledger.order(1, 2, 1, [entries.Mark()], NOW)] == [1]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (message(5, 5, 2), ""),
        (message(5, 4, 2), "stale"),
        (message(6, 6, 2), "stale"),
        (message(5, 5, 1), "repeat"),
        (message(5, 5, 0), "repeat"),
        (entries.Command(5, 5, 1, "aaa", "activeuser"), "repeat"),
        (entries.Online(4, 4, 1, "AAA", "ip", 0, 1, b"", 0), "stale"),
        (entries.Online(6, 6, 1, "AAA", "ip", 0, 1, b"", 0), ""),
        (entries.Resumed(5, 6, 2, "aaa", "ip", 0, 1), ""),
        (entries.Resumed(5, 4, 2, "aaa", "ip", 0, 1), "stale"),
        (entries.Resumed(9, 9, 2, "aaa", "ip", 0, 1), "stale"),
        (entries.Detached(5, 5, "aaa", "ip", 0, 0), ""),
        (entries.Detached(5, 4, "aaa", "ip", 0, 0), "stale"),
        (entries.Offline(5, 5, 2, "aaa", "ip", 0, "logout"), ""),
        (entries.Offline(5, 4, 2, "aaa", "ip", 0, "logout"), "stale"),
        (entries.GroupCreated(5, 5, 2, "aaa", "g", ["aaa"], 9), ""),
        (entries.GroupCreated(5, 4, 2, "aaa", "g", ["aaa"], 9), "stale"),
        (entries.GroupJoined(5, 5, 2, "aaa", "g", 9), "gone"),
        (entries.Seen(5, 1), ""),
        (entries.Seen(5, 2), "stale"),
        (entries.Seen(6, 1), "stale"),
        (entries.LoginFailed("aaa", "ip", 1), ""),
    ],
)
def test_each_kind_is_judged(ledger: Ledger, entry: AnyEntry, reason: str) -> None:
    """By the session that serves it now, its request ids, and the present state."""
    (ordered,) = ledger.order(1, 1, 2, [entry], NOW)
    assert reasons([ordered]) == [reason]
    if reason:
        assert isinstance(ordered, entries.Refused)
        assert ordered.claim == getattr(entry, "claim", 0)


def test_after_a_resume_only_its_own_number_counts(ledger: Ledger) -> None:
    """The earlier attachment's entries are refused from there on."""
    ordered = ledger.order(
        1, 1, 2, [entries.Resumed(5, 7, 2, "aaa", "ip", 0, 1), message(5, 5, 3), message(5, 7, 3)], NOW
    )
    assert reasons(ordered) == ["", "stale", ""]


# ---- time ----


@given(st.lists(st.integers(-(10**13), 10**13), max_size=20))
def test_stamps_are_what_the_wall_clock_says(times: list[int]) -> None:
    """Whatever it says: the order is that of the numbers alone."""
    ledger = Ledger(empty(), GRACE_MS)
    ledger.follow(1, 1)
    ordered: list[entries.AnyEntry] = []
    for n, at in enumerate(times, 1):
        ordered += ledger.order(1, 1, n, [entries.LoginFailed("aaa", "ip", 1)], NOW, at)
    assert [e.at for e in ordered] == times
    assert [e.seq for e in ordered] == list(range(1, len(times) + 1))


def test_a_clock_that_was_set_is_noted_once() -> None:
    """As an entry before whatever else is ordered then. A clock that is steered was not set."""
    ledger = Ledger(empty(), GRACE_MS)
    noted = [
        [e.ahead_ms for e in ledger.clock(NOW + steady, NOW + wall) if isinstance(e, entries.ClockSet)]
        for steady, wall in (
            (0, 0), (1_000, 3_000), (60_000, 62_500), (60_100, 7_262_600), (60_200, 7_262_700), (60_300, 60_300)
        )
    ]  # fmt: skip
    assert noted == [[], [], [], [7_200_000], [], [-7_202_500]]
    assert ledger.seq == 2


def test_a_clock_that_was_set_while_no_server_ran() -> None:
    """It is noticed where the log's last entry is from the future."""
    history = History()
    history.online("aaa")
    snapshot = replace(empty(), seq=history.ledger.seq, at=history.now)
    for at, expected in ((history.now - 3_600_000, [-3_600_000]), (history.now + 3_600_000, []), (history.now, [])):
        noted = Ledger(snapshot, GRACE_MS).clock(at, at)
        assert [e.ahead_ms for e in noted if isinstance(e, entries.ClockSet)] == expected


@pytest.mark.parametrize("set_by", [-(10**12), 0, 10**12])
def test_what_ends_does_so_by_the_steady_clock(ledger: Ledger, set_by: int) -> None:
    """Graces and blocks are as long as they were to be, whatever was done to the wall clock meanwhile."""
    ledger.order(1, 1, 2, [entries.Detached(5, 5, "aaa", "ip", 0, 0)], NOW, NOW)
    ledger.order(1, 1, 3, [entries.Blocked("bbb", "ip", NOW + 10_000, 10.0)], NOW, NOW + set_by)
    assert ledger.due(NOW + 9_999, NOW + set_by) == []
    assert [type(e) for e in ledger.due(NOW + 10_000, NOW + set_by)] == [entries.Unblocked]
    assert ledger.due(NOW + GRACE_MS - 1, NOW + set_by) == []
    (offline,) = ledger.due(NOW + GRACE_MS, NOW + set_by)
    assert (type(offline), offline.at) == (entries.Offline, NOW + set_by)


def test_a_grace_ends_once_and_not_for_who_is_back(ledger: Ledger) -> None:
    """Two breaks, one return: only the second grace counts."""
    detached, *_ = ledger.order(1, 1, 2, [entries.Detached(5, 5, "aaa", "ip", 0, 0)], NOW)
    assert isinstance(detached, entries.Detached)
    assert detached.until == ledger.next_due() == NOW + GRACE_MS
    ledger.order(1, 1, 3, [entries.Resumed(5, 6, 2, "aaa", "ip", 0, 1)], NOW + 1_000)
    ledger.order(1, 1, 4, [entries.Detached(5, 6, "aaa", "ip", 0, 0)], NOW + 2_000)
    assert ledger.due(NOW + GRACE_MS) == []
    (offline,) = ledger.due(NOW + 2_000 + GRACE_MS)
    assert isinstance(offline, entries.Offline)
    assert (offline.user, offline.reason, offline.session) == ("aaa", "timeout", 5)
    assert ledger.due(NOW * 2) == []
    assert ledger.next_due() is None


def test_of_two_blocks_only_the_last_end_is_announced(ledger: Ledger) -> None:
    """Should an account be blocked anew before the first block has ended."""
    ledger.order(
        1, 1, 2, [entries.Blocked("aaa", "ip", NOW + 100, 0.1), entries.Blocked("Aaa", "ip", NOW + 300, 0.3)], NOW
    )
    assert ledger.due(NOW + 200) == []
    (unblocked,) = ledger.due(NOW + 300)
    assert isinstance(unblocked, entries.Unblocked)


def test_what_was_due_is_still_due_after_a_restart() -> None:
    """Graces and blocks are taken up from the snapshot, also those whose time has passed meanwhile."""
    history = History()
    history.online("aaa")
    history.detach("aaa")
    history.online("ccc")
    history.block("bbb")
    present = history.ledger.present
    snapshot = empty()
    snapshot.seq, snapshot.at = history.ledger.seq, history.now
    snapshot.sessions, snapshot.blocks = list(present.sessions.values()), present.blocks
    again = Ledger(snapshot, GRACE_MS)
    due = again.due(history.now + 10 * GRACE_MS)
    assert [type(entry) for entry in due] == [entries.Unblocked, entries.Offline]
    assert [entry.seq for entry in due] == [history.ledger.seq + 1, history.ledger.seq + 2]
    assert list(again.present.online) == ["ccc"]


def test_a_release_detaches_this_generation_s_sessions_and_no_others(ledger: Ledger) -> None:
    """Who is detached already keeps their own time; who was resumed by the slot's new process stays."""
    ledger.follow(2, 1)
    ledger.order(2, 1, 1, [entries.Online(8, 8, 1, "bbb", "ip", 0, 1, b"", 0)], NOW)
    ledger.order(1, 1, 2, [entries.Online(7, 7, 1, "ccc", "ip", 0, 1, b"", 0)], NOW)
    ledger.order(1, 1, 3, [entries.Detached(7, 7, "ccc", "ip", 0, 0)], NOW)
    (released,) = ledger.release(1, 1, NOW + 5_000)
    assert isinstance(released, entries.Released)
    until = {session.user: session.detached_until for session in ledger.present.sessions.values()}
    assert until == {"aaa": NOW + 5_000 + GRACE_MS, "bbb": 0, "ccc": NOW + GRACE_MS}
    assert [e.user for e in ledger.due(NOW + GRACE_MS) if isinstance(e, entries.Offline)] == ["ccc"]
    assert [e.user for e in ledger.due(NOW * 2) if isinstance(e, entries.Offline)] == ["aaa"]


def test_removed_users_are_signed_out_and_changed_ones_lose_their_token(ledger: Ledger) -> None:
    """Who is not online is passed over."""
    ledger.order(1, 1, 2, [entries.Online(6, 6, 1, "Bbb", "ip", 0, 1, b"h", 0)], NOW)
    ledger.set_accounts({"aaa": "", "bbb": "", "ghost": ""}, NOW)
    offline, removed, ghost = ledger.set_accounts({"Bbb": ""}, NOW)
    assert isinstance(offline, entries.Offline)
    assert (offline.user, offline.reason) == ("aaa", "removed")
    assert (removed, ghost) == (
        entries.AccountRemoved("aaa", 0, seq=offline.seq + 1, at=NOW),
        entries.AccountRemoved("ghost", 0, seq=offline.seq + 2, at=NOW),
    )
    (voided,) = ledger.void_tokens(["bbb", "ccc"], NOW)
    assert isinstance(voided, entries.TokenVoided)
    assert ledger.present.online["bbb"].token_hash == b""
    assert list(ledger.present.online) == ["bbb"]
