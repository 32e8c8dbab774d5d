"""What is done with the offers of others: unasked, in line, asked about as one, or refused."""

from __future__ import annotations

from typing import Any

from tessenger.client.effects import Ask, Effect, Note, Refuse, Show, Tell
from tessenger.client.incoming import FOLDER_REFUSED
from tessenger.client.offers import OFFER_SECONDS, Transfers
from tessenger.client.receiver_messages import Abort, Done, Failed, Opened, OpenFile, ReceiveFile
from tessenger.config import TransferSection
from tessenger.wire.messages import Cancel, Folder, Offer, P2PVideo, Reject, Rejected

KEY = "k" * 43


def _transfers(*, asks: bool = True, **limits: Any) -> Transfers:
    return Transfers("aaa", TransferSection(**{"auto_accept_below": 100, **limits}), asks=asks)


def _id(number: int) -> str:
    return f"{number:016x}"


def _offer(number: int, sender: str = "bbb", size: int = 10, name: str = "", folder: Folder | None = None) -> Offer:
    return Offer(number, 0, sender, _id(number), name or f"{number}.mp4", size, KEY, "10.0.0.2", 13_001, folder)


def _begun(effects: list[Effect]) -> list[int]:
    """Return the transfers that the UDP process is told to receive."""
    told = [effect.message for effect in effects if isinstance(effect, Tell)]
    return [int(message.transfer, 16) for message in told if isinstance(message, ReceiveFile)]


def _refused(effects: list[Effect]) -> list[str]:
    """Return the reasons of what is refused."""
    asked = [effect.request for effect in effects if isinstance(effect, Ask)]
    return [request.reason for request in asked if isinstance(request, Reject)]


def _shown(effects: list[Effect]) -> list[str]:
    return [effect.text for effect in effects if isinstance(effect, Show | Refuse)]


# ---- the line ----


def test_a_flood_of_one_sender_waits_in_line() -> None:
    """So many of his files begin, others wait, and what is beyond that is refused; nobody else has to wait for him."""
    mine = _transfers(asks=False, files_at_once_per_sender=2, files_at_once=10, offers_per_sender=3)
    effects = [effect for n in range(1, 901) for effect in mine.event(_offer(n), 0.0)]
    assert _begun(effects) == [1, 2]
    assert _refused(effects) == ["3 of your files are waiting already"] * 895
    notes = [effect.text for effect in effects if isinstance(effect, Note) and "refused" in effect.text]
    assert notes == ["bbb offers more than 3 files at once: the others are refused."]
    assert _begun(mine.event(_offer(1_000, "ccc"), 0.0)) == [1_000]
    assert len(list(mine)) == 6


def test_the_line_moves_on() -> None:
    """When a file has ended, one way or the other, the next one of that sender begins."""
    mine = _transfers(files_at_once_per_sender=1)
    for n in range(1, 5):
        mine.event(_offer(n), 0.0)
    mine.report(Done(_id(1), "/downloads/1.mp4", 10, 1.0, ""), 1.0)
    assert _begun(mine.start_waiting(1.0)) == [2]
    mine.report(Failed(_id(2), "no answer"), 2.0)
    assert _begun(mine.start_waiting(2.0)) == [3]
    mine.cancel(3)
    assert _begun(mine.start_waiting(3.0)) == [4]


def test_whoever_has_the_fewest_is_next() -> None:
    """Where all places are taken by a few, somebody else need not wait for everything that they have in line."""
    mine = _transfers(files_at_once=2)
    for n in range(1, 11):
        mine.event(_offer(n), 0.0)
    assert _begun(mine.event(_offer(50, "ccc"), 0.0)) == []
    mine.report(Failed(_id(1), "no answer"), 30.0)
    assert _begun(mine.start_waiting(30.0)) == [50]


def test_what_waits_can_be_cancelled_and_gets_too_old() -> None:
    """The sender is told in the way that fits an offer that was not accepted."""
    mine = _transfers(files_at_once=1)
    for n in range(1, 4):
        mine.event(_offer(n), 0.0)
    assert mine.cancel(2) == [Ask(_id(2), Reject(0, "bbb", _id(2))), Show("2.mp4 has been cancelled.")]
    mine.tick(OFFER_SECONDS + 10)
    mine.report(Done(_id(1), "/downloads/1.mp4", 10, 1.0, ""), OFFER_SECONDS + 11)
    assert mine.start_waiting(OFFER_SECONDS + 11) == []


def test_a_dead_process_takes_what_it_knew() -> None:
    """What was in line was not known to it and begins with its successor."""
    mine = _transfers(files_at_once=1)
    for n in (1, 2):
        mine.event(_offer(n), 0.0)
    assert len(_shown(mine.process_died(1.0))) == 1
    assert _begun(mine.start_waiting(1.0)) == [2]


# ---- bytes ----


def test_bytes_beyond_the_allowance_are_asked_about() -> None:
    """Where somebody can be asked; else they are refused with a reason. What did not come does not count."""
    mine = _transfers(unasked_bytes_per_sender=150)
    assert _begun(mine.event(_offer(1, size=100), 0.0)) == [1]
    assert _shown(mine.event(_offer(2, size=100), 0.0)) == ["bbb offers 2.mp4 (100 B): /accept 2 or /reject 2"]
    mine.report(Failed(_id(1), "no answer"), 30.0)
    assert _begun(mine.event(_offer(3, size=100), 30.0)) == [3]
    piped = _transfers(asks=False, unasked_bytes=150)
    piped.event(_offer(1, size=100), 0.0)
    piped.report(Done(_id(1), "/downloads/1.mp4", 100, 1.0, ""), 0.0)
    effects = piped.event(_offer(2, "ccc", size=100), 0.0)
    assert _refused(effects) == ["too much has been taken without asking within the hour"]


# ---- questions ----


def test_answering_without_a_number() -> None:
    """The only offer needs none; of several, one has to be chosen, or all."""
    mine = _transfers(auto_accept_below=0)
    nothing = [Refuse("There is no offer to answer. /transfers shows all files.")]
    assert mine.answer("", takes=True) == mine.answer("all", takes=False) == nothing
    mine.event(_offer(1), 0.0)
    assert _begun(mine.answer("", takes=True)) == [1]
    for n in range(2, 7):
        mine.event(_offer(n), 0.0)
    several = "There are 5 offers: /reject 2, /reject 3, /reject 4, … or /reject all."
    assert mine.answer("", takes=False) == [Refuse(several)]
    assert _begun(mine.answer("3", takes=True)) == [3]
    assert _begun(mine.answer("all", takes=True)) == [2, 4, 5, 6]
    mine.event(_offer(7), 0.0)
    assert _refused(mine.answer("", takes=False)) == [""]


FOLDER = Folder("f" * 16, 15, 140)


def _part(number: int, size: int = 10, folder: Folder = FOLDER, sender: str = "bbb") -> Offer:
    return _offer(number, sender, size, f"holiday/{number}.mp4", folder)


def test_a_folder_is_one_question() -> None:
    """Its size as a whole counts; the answer is for what was offered of it, and for what comes later."""
    mine = _transfers()
    question = "bbb offers the folder holiday (15 files, 140 B): /accept 1 or /reject 1"
    assert _shown([effect for n in range(1, 9) for effect in mine.event(_part(n), 0.0)]) == [question]
    assert _begun(mine.answer("", takes=True)) == list(range(1, 9))
    assert [_begun(mine.event(_part(n), 0.0)) for n in range(9, 15)] == [[n] for n in range(9, 15)]


def test_a_small_folder_is_taken_unasked() -> None:
    """As a small file is."""
    mine = _transfers()
    assert _begun(mine.event(_part(1, folder=Folder("e" * 16, 2, 100)), 0.0)) == [1]


def test_a_yes_is_for_the_bytes_that_were_said() -> None:
    """Who sends more than their folder was said to have is asked about again, and nobody else may use its number."""
    mine = _transfers(auto_accept_below=1)
    mine.event(_part(1, 100), 0.0)
    mine.answer("", takes=True)
    assert _begun(mine.event(_part(2, 40), 0.0)) == [2]
    assert _begun(mine.event(_part(3, 40), 0.0)) == []
    assert _begun(mine.event(_part(4, 1, sender="ccc"), 0.0)) == []


def test_a_refused_folder_is_refused_as_a_whole() -> None:
    """What comes of it later as well, without another word."""
    mine = _transfers()
    for n in range(1, 4):
        mine.event(_part(n), 0.0)
    effects = mine.answer("2", takes=False)
    assert _refused(effects) == [FOLDER_REFUSED] * 3
    assert _shown(effects) == ["You have refused the folder holiday from bbb."]
    later = mine.event(_part(4), 0.0)
    assert (_refused(later), _shown(later)) == ([FOLDER_REFUSED], [])


def test_in_a_pipe_each_file_of_a_folder_is_for_itself() -> None:
    """The config alone decides: what is small is taken, what is large refused."""
    mine = _transfers(asks=False)
    assert _begun(mine.event(_part(1), 0.0)) == [1]
    assert _refused(mine.event(_part(2, 130), 0.0)) == ["only files up to 100 B are taken without asking"]


def test_the_sender_of_a_refused_folder_hears_it_once() -> None:
    """And offers no more of it; other files go on."""
    mine = _transfers()
    for n in range(1, 21):
        mine.send(_id(n), "bbb", f"/holiday/{n}", f"holiday/{n}", 0.0, FOLDER)
    mine.send(_id(50), "bbb", "/x", "x", 0.0)
    opened = mine.report(Opened(_id(1), "holiday/1", 10, KEY), 0.0)
    assert opened == [Ask(_id(1), P2PVideo(0, "bbb", _id(1), "holiday/1", 10, KEY, FOLDER))]
    mine.report(Opened(_id(2), "holiday/2", 10, KEY), 0.0)
    effects = mine.event(Rejected(1, 0, "bbb", _id(1), FOLDER_REFUSED), 1.0)
    assert _shown(effects) == ["bbb has refused the folder holiday."]
    assert [effect.request for effect in effects if isinstance(effect, Ask)] == [Cancel(0, "bbb", _id(2))]
    assert [type(effect.message) for effect in effects if isinstance(effect, Tell)] == [Abort] * 8
    assert mine.event(Rejected(1, 0, "bbb", _id(2), FOLDER_REFUSED), 1.0) == []
    assert mine.start_waiting(1.0) == [Tell(OpenFile(_id(50), b"/x"))]
