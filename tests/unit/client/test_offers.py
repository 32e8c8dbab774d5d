"""File transfers as a state machine: facts in, effects out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tessenger.client.effects import Ask, Effect, Note, Refuse, Show, Tell
from tessenger.client.offers import OFFER_SECONDS, Transfers
from tessenger.client.receiver_messages import (
    Abort,
    Done,
    Failed,
    Opened,
    OpenFile,
    Progress,
    Ready,
    ReceiveFile,
    SendFile,
)
from tessenger.client.transfer import describe
from tessenger.client.transfer_list import KEPT
from tessenger.config import TransferSection
from tessenger.wire.messages import (
    Accept,
    Accepted,
    Cancel,
    Cancelled,
    Error,
    Offer,
    Offered,
    P2PVideo,
    Reject,
    Rejected,
)

ID = "0123456789abcdef"
OTHER = "f" * 16
KEY, PEER_KEY = "k" * 43, "p" * 43


def transfers(*, limit: int = 100, asks: bool = True) -> Transfers:
    """Return those of aaa."""
    return Transfers("aaa", TransferSection(auto_accept_below=limit), asks=asks)


def offer(size: int = 10, *, name: str = "a.mp4", transfer: str = ID) -> Offer:
    """Return an offer of bbb."""
    return Offer(1, 0, "bbb", transfer, name, size, PEER_KEY, "10.0.0.2", 13_001)


def accepted(sender: str = "bbb", transfer: str = ID) -> Accepted:
    """Return bbb's word that they take it."""
    return Accepted(2, 0, sender, transfer, PEER_KEY, "10.0.0.2", 13_001)


def shown(effects: Sequence[Effect]) -> list[str]:
    """Return what is shown of `effects`."""
    return [effect.text for effect in effects if isinstance(effect, Show)]


def sending(*, size: int = 10) -> Transfers:
    """Return aaa's transfers with an offer that has gone out."""
    mine = transfers()
    assert mine.send(ID, "bbb", "/tmp/a.mp4", "a.mp4", 0.0) == [Tell(OpenFile(ID, b"/tmp/a.mp4"))]  # noqa: S108
    assert mine.report(Opened(ID, "a.mp4", size, KEY), 0.0) == [Ask(ID, P2PVideo(0, "bbb", ID, "a.mp4", size, KEY))]
    assert mine.answered(ID, Offered(3, ID)) == []
    return mine


def state(mine: Transfers) -> str:
    """Return the line of /transfers about the only transfer."""
    (only,) = mine
    return describe(only)


def test_a_file_is_sent() -> None:
    """Opened, offered, accepted, sent, done, with the words of the original description."""
    mine = sending(size=100)
    assert mine.uploading
    assert state(mine) == "1. a.mp4 to bbb, offered: 100 B"
    assert mine.event(accepted("BBB"), 1.0) == [Tell(SendFile(ID, "aaa", "bbb", PEER_KEY, "10.0.0.2", 13_001))]
    assert mine.report(Progress(ID, 45, 100, 11.0, stalled=False), 2.0) == []
    assert state(mine) == "1. a.mp4 to bbb, running: 45 B of 100 B, 45 %, 11 B/s, 5 s left"
    mine.report(Progress(ID, 45, 100, 0.0, stalled=True), 3.0)
    assert state(mine) == "1. a.mp4 to bbb, stalled: 45 B of 100 B, 45 %"
    effects = mine.report(Done(ID, "/tmp/a.mp4", 100, 2.0, "42 17"), 4.0)  # noqa: S108
    assert effects == [Show("a.mp4 has been uploaded."), Note("a.mp4: 100 B in 2.0 s, code 42 17")]
    assert state(mine) == "1. a.mp4 to bbb, done: 100 B, code 42 17"
    assert not mine.uploading


def test_a_small_file_is_received_by_itself() -> None:
    """Offers up to the limit are taken as in the original description."""
    mine = transfers(limit=10)
    receive = ReceiveFile(ID, "bbb", "aaa", "a.mp4", 10, PEER_KEY, "10.0.0.2", 13_001)
    assert mine.event(offer(10), 0.0) == [Tell(receive)]
    assert mine.report(Ready(ID, KEY), 0.0) == [Ask(ID, Accept(0, "bbb", ID, KEY))]
    assert not mine.uploading
    effects = mine.report(Done(ID, "/downloads/a (1).mp4", 10, 1.0, ""), 0.0)
    assert effects == [Show("Received a.mp4 from bbb: 10 B in 1.0 s, saved as /downloads/a (1).mp4")]


def test_in_a_pipe_a_received_file_is_the_line_of_the_description() -> None:
    """What else there is to say about it is said aside."""
    mine = transfers(limit=10, asks=False)
    assert mine.event(offer(10), 0.0)[0] == Note("Receiving a.mp4 (10 B) from bbb.")
    effects = mine.report(Done(ID, "/downloads/a (1).mp4", 10, 1.0, "42 17"), 0.0)
    said = "Saved as /downloads/a (1).mp4: 10 B in 1.0 s, code 42 17"
    assert effects == [Show("Received a.mp4 from bbb"), Note(said)]


def test_a_large_file_is_asked_about() -> None:
    """By its number, which /accept takes once."""
    mine = transfers(limit=10)
    assert shown(mine.event(offer(11), 0.0)) == ["bbb offers a.mp4 (11 B): /accept 1 or /reject 1"]
    assert mine.answer("2", takes=True) == [Refuse("There is no offer 2. /transfers shows them.")]
    assert [type(effect) for effect in mine.answer("1", takes=True)] == [Tell]
    assert mine.answer("1", takes=True) == [Refuse("There is no offer 1. /transfers shows them.")]


def test_a_large_file_is_refused_where_nobody_can_be_asked() -> None:
    """The sender reads why."""
    mine = transfers(limit=10, asks=False)
    reason = "only files up to 10 B are taken without asking"
    assert mine.event(offer(11), 0.0) == [
        Ask(ID, Reject(0, "bbb", ID, reason)),
        Note(f"Refused a.mp4 (11 B) from bbb: {reason}."),
    ]


def test_a_bound_of_zero_takes_no_file_unasked() -> None:
    """Not even an empty one; in a pipe, where nobody can be asked, it is refused."""
    asking = transfers(limit=0, asks=True)
    assert asking.event(offer(0), 0.0) == [Show("bbb offers a.mp4 (0 B): /accept 1 or /reject 1")]
    mine = transfers(limit=0, asks=False)
    (refusal, _) = mine.event(offer(1), 0.0)
    assert refusal == Ask(ID, Reject(0, "bbb", ID, "nobody can be asked"))


def test_refusing() -> None:
    """/reject tells the sender, and the offer is gone."""
    mine = transfers(limit=1)
    mine.event(offer(), 0.0)
    assert mine.answer("1", takes=False) == [Ask(ID, Reject(0, "bbb", ID)), Show("You have refused a.mp4 from bbb.")]
    assert mine.answer("1", takes=False) == [Refuse("There is no offer 1. /transfers shows them.")]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Rejected(2, 0, "bbb", ID), "bbb has refused a.mp4."),
        (Rejected(2, 0, "bbb", ID, "no room."), "bbb has refused a.mp4: no room."),
        (Cancelled(2, 0, "bbb", ID, "a\x1bb"), "bbb has cancelled a.mp4: a␛b."),
    ],
)
def test_the_other_side_ends_it(event: Rejected | Cancelled, text: str) -> None:
    """The person is told, and the UDP process lets go; its own report of that is not shown as well."""
    mine = sending()
    effects = mine.event(event, 1.0)
    assert shown(effects) == [text]
    assert isinstance(effects[0], Tell)
    assert isinstance(effects[0].message, Abort)
    assert mine.report(Failed(ID, "aborted"), 1.0) == []
    assert not mine.uploading


def test_a_stranger_cannot_touch_a_transfer() -> None:
    """Only its own peer accepts, refuses or cancels it, and nobody offers under its id."""
    mine = sending()
    for event in (accepted("ccc"), Rejected(2, 0, "ccc", ID), Cancelled(2, 0, "ccc", ID), offer()):
        assert mine.event(event, 1.0) == []
    assert mine.event(accepted(transfer=OTHER), 1.0) == []
    assert mine.uploading


def test_an_acceptance_counts_once() -> None:
    """A second one does not start a second sending."""
    mine = sending()
    assert mine.event(accepted(), 1.0)
    assert mine.event(accepted(), 1.0) == []


def test_a_failure_is_told_to_both() -> None:
    """What the UDP process says is shown here and goes to the other side through the server."""
    mine = sending()
    mine.event(accepted(), 1.0)
    effects = mine.report(Failed(ID, "no progress for 30 s"), 40.0)
    assert Ask(ID, Cancel(0, "bbb", ID, "no progress for 30 s")) in effects
    assert shown(effects) == ["a.mp4 could not be sent to bbb: no progress for 30 s."]
    receiving = transfers()
    receiving.event(offer(), 0.0)
    effects = receiving.report(Failed(ID, "the disk is full"), 1.0)
    assert shown(effects) == ["a.mp4 from bbb could not be received: the disk is full."]
    assert Ask(ID, Cancel(0, "bbb", ID, "the disk is full")) in effects


def test_a_file_that_cannot_be_opened_bothers_nobody_else() -> None:
    """The other side has not heard of it yet."""
    mine = transfers()
    mine.send(ID, "bbb", "/secret", "secret", 0.0)
    effects = mine.report(Failed(ID, "permission denied"), 0.0)
    assert effects == [Show("secret could not be sent to bbb: permission denied.")]


def test_an_error_of_the_server_is_shown_in_its_words() -> None:
    """As for someone who is not online."""
    mine = sending()
    effects = mine.answered(ID, Error("not_online", "user bbb not online", 3))
    assert shown(effects) == ["user bbb not online"]
    assert not mine.uploading


def test_an_offer_that_nobody_answers_is_withdrawn() -> None:
    """After 300 s, and both sides know."""
    mine = sending()
    assert mine.tick(OFFER_SECONDS - 1) == []
    effects = mine.tick(OFFER_SECONDS)
    assert Ask(ID, Cancel(0, "bbb", ID, "nobody answered within 300 seconds")) in effects
    assert shown(effects) == ["bbb did not answer within 300 seconds: a.mp4 was not sent."]
    assert mine.tick(OFFER_SECONDS + 1) == []


def test_a_running_transfer_does_not_expire() -> None:
    """The time counts until an answer only."""
    mine = sending()
    mine.event(accepted(), 1.0)
    assert mine.tick(OFFER_SECONDS * 10) == []


def test_cancelling() -> None:
    """Either side, by number; the other side is told in one way that fits where it is."""
    mine = sending()
    assert mine.cancel(1) == [
        Tell(Abort(ID, "cancelled")),
        Ask(ID, Cancel(0, "bbb", ID)),
        Show("a.mp4 has been cancelled."),
    ]
    assert mine.cancel(1) == [Refuse("There is no transfer 1 to cancel. /transfers shows them.")]


def test_leaving_gives_up_what_is_open() -> None:
    """Offers to others are withdrawn, offers of others refused."""
    mine = sending()
    mine.event(offer(1_000, transfer=OTHER), 0.0)
    asked = [effect.request for effect in mine.leave() if isinstance(effect, Ask)]
    assert asked == [Cancel(0, "bbb", ID, "aaa has left"), Reject(0, "bbb", OTHER, "aaa has left")]
    assert mine.leave() == []


def test_the_file_process_dies() -> None:
    """What it knew has failed; an offer that still waits for an answer of ours has not."""
    mine = sending()
    mine.event(offer(1_000, transfer=OTHER), 0.0)
    effects = mine.process_died(1.0)
    assert shown(effects) == ["a.mp4 could not be sent to bbb: the file process ended unexpectedly."]
    assert not any(isinstance(effect, Tell) for effect in effects)
    assert [type(effect) for effect in mine.answer("2", takes=True)] == [Tell]


def test_names_of_others_are_cleaned() -> None:
    """A file name is shown harmless; it goes to the UDP process as it came, which has its own rules for it."""
    mine = transfers(asks=False)
    effects = mine.event(offer(name="a\x1b]0;x\x07\u202e.mp4"), 0.0)
    assert effects[0] == Note("Receiving a␛]0;x␇\ufffd.mp4 (10 B) from bbb.")


def test_ended_transfers_are_forgotten_in_time() -> None:
    """/transfers does not grow without end, and numbers are not used twice."""
    mine = transfers(limit=1)
    for number in range(KEPT + 5):
        mine.event(offer(transfer=f"{number:016x}"), 0.0)
        mine.answer(str(number + 1), takes=False)
    assert [t.number for t in mine] == list(range(6, KEPT + 6))
