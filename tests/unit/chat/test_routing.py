"""Which workers a committed entry concerns."""

from __future__ import annotations

from tessenger.chat import entries, routing
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Present
from tessenger.chat.routing import Placed, Told

SLOTS = (1, 2, 3)


def world() -> Present:
    """A is served by worker 1, b by worker 2; nobody by worker 3."""
    present = Present()
    for number, (user, slot) in enumerate((("A", 1), ("b", 2)), 1):
        present.apply(entries.Online(number, number, 1, user, "ip", 0, 1, b"", 0, seq=number, slot=slot))
    return present


def message(to: str, slot: int = 1, seq: int = 1, n: int = 0, at: int = 7) -> entries.Message:
    """A message that the worker of `slot` appended, as its `n`th entry: its `seq`th, where nothing else is said."""
    return entries.Message(1, 1, 2, "x", to, "hi", b"%d" % seq, slot=slot, seq=seq, n=n or seq, at=at)


def told(message: entries.Message) -> Told:
    """What a recipient's worker is fed of it."""
    return Told(message.to, message.body, message.seq, message.at)


def test_a_private_message_goes_to_its_sender_s_and_its_recipient_s_worker() -> None:
    """The one owes an answer, the other serves the recipient; worker 3 hears nothing."""
    sent = message("b")
    assert routing.for_workers([sent], SLOTS, world()) == {1: [Placed(1, 1, 1, 7)], 2: [told(sent)], 3: []}


def test_a_recipient_on_the_sender_s_worker_gets_no_second_copy() -> None:
    """One copy where both are served by the same worker, whatever the case of the name."""
    assert routing.for_workers([message("A")], SLOTS, world()) == {1: [Placed(1, 1, 1, 7)], 2: [], 3: []}


def test_messages_of_one_worker_in_a_row_are_placed_together() -> None:
    """As long as nothing lies between, and their time is the same."""
    batch: list[AnyEntry] = [
        message("b", seq=1), message("A", seq=2), message("b", slot=2, seq=3), message("b", seq=4, n=3),
        message("b", seq=5, n=4), message("b", seq=6, n=5, at=8), message("b", seq=7, n=7, at=8),
    ]  # fmt: skip
    due = routing.for_workers(batch, SLOTS, world())
    assert due[1] == [Placed(1, 2, 1, 7), Placed(3, 2, 4, 7), Placed(5, 1, 6, 8), Placed(7, 1, 7, 8)]
    to_b = [entry for entry in batch if isinstance(entry, entries.Message) and entry.to == "b"]
    assert due[2] == [told(to_b[0]), Placed(3, 1, 3, 7), *map(told, to_b[2:])]


def test_a_message_to_someone_who_leaves_within_the_batch_goes_to_all() -> None:
    """Whoever served them when it was ordered still delivers it; a state as of the end no longer says who that was."""
    sent = message("gone")
    assert routing.for_workers([sent], SLOTS, world()) == {1: [Placed(1, 1, 1, 7)], 2: [told(sent)], 3: [told(sent)]}


def test_what_is_said_about_a_file_goes_where_a_message_goes() -> None:
    """Whole, for its kind says what it leads to."""
    here = entries.Signal(1, 1, 2, "x", "b", "accept", b"", seq=1, slot=1)
    gone = entries.Signal(1, 1, 3, "x", "gone", "accept", b"", seq=2, slot=1)
    own = entries.Signal(1, 1, 3, "x", "A", "accept", b"", seq=3, slot=1)
    batch: list[AnyEntry] = [here, gone, own]
    assert routing.for_workers(batch, SLOTS, world()) == {1: batch, 2: [here, gone], 3: [gone]}


def test_a_question_goes_back_to_the_worker_that_asked() -> None:
    """Marks, questions and what was seen concern nobody else."""
    batch: list[AnyEntry] = [
        entries.Command(1, 1, 2, "A", "activeuser", slot=2),
        entries.Mark(slot=3),
        entries.Seen(1, 1, slot=3),
    ]
    assert routing.for_workers(batch, SLOTS, world()) == {1: [], 2: batch[:1], 3: batch[1:]}


def test_what_moves_the_state_goes_to_all_in_its_place() -> None:
    """Order is kept for everybody, whatever lies between; messages to a group without their text."""
    created = entries.GroupCreated(1, 1, 2, "A", "g", ["A"], 7)
    first, last = message("b", seq=1), message("A", seq=4, n=3)
    said = entries.GroupMessage(1, 1, 2, "A", "g", "hi", b"body", seq=3, slot=1, n=2)
    short = entries.GroupMessage(0, 0, 0, "", "g", "", b"body", seq=3, slot=1, n=2)
    assert routing.for_workers([first, created, said, last], SLOTS, world()) == {
        1: [Placed(1, 1, 1, 7), created, short, Placed(3, 1, 4, 7)],
        2: [told(first), created, short],
        3: [created, short],
    }


def test_a_batch_for_all_is_one_for_all() -> None:
    """So that it is encoded once."""
    batch: list[AnyEntry] = [entries.GroupMessage(1, 1, 2, "A", "g", "hi", b"")]
    one, *others = routing.for_workers(batch, SLOTS, world()).values()
    assert len(one) == 1
    assert all(other is one for other in others)


def test_a_worker_that_is_not_fed_at_the_moment_is_left_out() -> None:
    """Its client's answer comes when it has caught up."""
    assert routing.for_workers([message("b", slot=1)], (3,), world()) == {3: []}


def test_the_state_s_follower_gets_verdicts_and_changes_only() -> None:
    """No messages, questions or marks; a refusal settles a claim."""
    refused = entries.Refused("exists", 7)
    joined = entries.GroupJoined(1, 1, 2, "A", "g", 8)
    assert routing.for_state([message("b"), refused, entries.Mark(), joined]) == [refused, joined]
