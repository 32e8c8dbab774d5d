"""Which workers a committed entry concerns."""

from __future__ import annotations

from tessenger.chat import entries, routing
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Present

SLOTS = (1, 2, 3)


def world() -> Present:
    """A is served by worker 1, b by worker 2; nobody by worker 3."""
    present = Present()
    for number, (user, slot) in enumerate((("A", 1), ("b", 2)), 1):
        present.apply(entries.Online(number, number, 1, user, "ip", 0, 1, b"", 0, seq=number, slot=slot))
    return present


def message(to: str, slot: int = 1) -> entries.Message:
    """A message that the worker of `slot` appended."""
    return entries.Message(1, 1, 2, "x", to, "hi", b"", slot=slot)


def test_a_private_message_goes_to_its_sender_s_and_its_recipient_s_worker() -> None:
    """The one owes an answer, the other serves the recipient; worker 3 hears nothing."""
    batch: list[AnyEntry] = [message("b")]
    assert routing.for_workers(batch, SLOTS, world()) == {1: batch, 2: batch, 3: []}


def test_a_recipient_on_the_sender_s_worker_gets_no_second_copy() -> None:
    """One copy where both are served by the same worker."""
    batch: list[AnyEntry] = [message("A")]
    assert routing.for_workers(batch, SLOTS, world()) == {1: batch, 2: [], 3: []}


def test_a_message_to_someone_who_leaves_within_the_batch_goes_to_all() -> None:
    """Whoever served them when it was ordered still delivers it; a state as of the end no longer says who that was."""
    batch: list[AnyEntry] = [message("gone")]
    assert routing.for_workers(batch, SLOTS, world()) == {1: batch, 2: batch, 3: batch}


def test_a_question_goes_back_to_the_worker_that_asked() -> None:
    """Marks, questions and what was seen concern nobody else."""
    batch: list[AnyEntry] = [
        entries.Command(1, 1, 2, "A", "activeuser", slot=2),
        entries.Mark(slot=3),
        entries.Seen(1, 1, slot=3),
    ]
    assert routing.for_workers(batch, SLOTS, world()) == {1: [], 2: batch[:1], 3: batch[1:]}


def test_what_moves_the_state_goes_to_all_in_its_place() -> None:
    """Order is kept for everybody, whatever lies between."""
    created = entries.GroupCreated(1, 1, 2, "A", "g", ["A"], 7)
    batch: list[AnyEntry] = [message("b"), created, message("A")]
    assert routing.for_workers(batch, SLOTS, world()) == {1: batch, 2: batch[:2], 3: [created]}


def test_a_batch_for_all_is_not_copied() -> None:
    """So that it is encoded once."""
    batch: list[AnyEntry] = [entries.GroupMessage(1, 1, 2, "A", "g", "hi", b"")]
    assert all(due is batch for due in routing.for_workers(batch, SLOTS, world()).values())


def test_a_worker_that_is_not_fed_at_the_moment_is_left_out() -> None:
    """Its client's answer comes when it has caught up."""
    batch: list[AnyEntry] = [message("b", slot=1)]
    assert routing.for_workers(batch, (3,), world()) == {3: []}


def test_the_state_s_follower_gets_verdicts_and_changes_only() -> None:
    """No messages, questions or marks; a refusal settles a claim."""
    refused = entries.Refused("exists", 7)
    joined = entries.GroupJoined(1, 1, 2, "A", "g", 8)
    assert routing.for_state([message("b"), refused, entries.Mark(), joined]) == [refused, joined]
