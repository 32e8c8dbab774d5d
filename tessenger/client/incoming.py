"""What others offer: what is taken unasked, what is asked about, what waits in line, what is refused. Pure.

A folder is one question. What is taken, asked for or not, waits in line until there is a place for it: so many files
are received at a time from one sender and in all, and who has the fewest on their way is next.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct
from msgspec.structs import replace

from tessenger.client import render
from tessenger.client.effects import Ask, Effects, Note, Refuse, Show, Tell
from tessenger.client.receiver_messages import ReceiveFile
from tessenger.client.transfer import State, Transfer
from tessenger.client.transfer_list import TransferList
from tessenger.client.unasked import UnaskedBytes
from tessenger.config import TransferSection
from tessenger.wire.messages import Offer, Reject
from tessenger.wire.text import clean_line

FOLDER_REFUSED = "the folder is not wanted"
"""The reason by which a sender knows that the rest of a folder need not be offered."""

_BUSY = frozenset({State.PREPARING, State.ACCEPTED, State.RUNNING, State.STALLED})
_FOLDERS_KEPT = 64


class _Answered(Struct):
    """A folder that somebody was asked about, and what they said. `left`: bytes of it that may still be taken."""

    is_wanted: bool
    left: int


class Incoming:
    """The offers of others, in `all_transfers`. `user` is one's own name, `asks` whether anybody can be asked."""

    def __init__(self, user: str, all_transfers: TransferList, limits: TransferSection, *, asks: bool) -> None:
        self._user = user
        self._all = all_transfers
        self._limits = limits
        self._asks = asks
        self._unasked = UnaskedBytes(limits.unasked_bytes_per_sender, limits.unasked_bytes)
        self._answered: dict[tuple[str, str], _Answered] = {}
        self._turned_away: set[str] = set()

    # ---- offers ----

    def offered(self, event: Offer, now: float) -> Effects:
        """Somebody offers a file."""
        if event.transfer in self._all:
            return []
        peer, name, size = clean_line(event.sender), clean_line(event.name), event.size
        most = self._limits.offers_per_sender
        if most and sum(t.peer.lower() == peer.lower() for t in self._open()) >= most:
            return self._turn_away(peer, event.transfer, most)
        self._turned_away.discard(peer.lower())
        t = self._all.new(
            event.transfer, peer, name, outgoing=False, state=State.OFFERED, since=now, size=size, offer=event
        )
        answered = self._answered.get(_folder_key(t))
        if answered is not None and not answered.is_wanted:
            return self._refuse(t, FOLDER_REFUSED)
        if answered is not None and size <= answered.left:
            answered.left -= size
            return self._take(t)
        return self._judge(t, now)

    def _judge(self, t: Transfer, now: float) -> Effects:
        """Take an offer unasked, ask about it, or refuse it where nobody can be asked."""
        why_not = self._why_not_unasked(t, now)
        if not why_not:
            self._all.put(replace(t, is_unasked=True))
            return self._take(t)
        if self._asks:
            is_asked = len(self._together(t)) > 1
            return [] if is_asked else [Show(f"{t.peer} offers {_what(t)}: /accept {t.number} or /reject {t.number}")]
        return [*self._refuse(t, why_not), Note(f"Refused {_file(t)} from {t.peer}: {why_not}.")]

    def _why_not_unasked(self, t: Transfer, now: float) -> str:
        """Return why somebody has to be asked, or nothing, and then it counts as taken."""
        limit = self._limits.auto_accept_below
        if not limit:
            return "nobody can be asked"
        size = max(t.size, _folder_bytes(t)) if self._asks else t.size
        if size > limit:
            return f"only files up to {render.size(limit)} are taken without asking"
        if not self._unasked.take(t.peer, t.size, now):
            return "too much has been taken without asking within the hour"
        return ""

    def _turn_away(self, peer: str, transfer: str, most: int) -> Effects:
        """Refuse one of so many offers that not even a question is worth it; the person is told of the first."""
        effects: Effects = [Ask(transfer, Reject(0, peer, transfer, f"{most} of your files are waiting already"))]
        if peer.lower() not in self._turned_away:
            self._turned_away.add(peer.lower())
            effects.append(Note(f"{peer} offers more than {most} files at once: the others are refused."))
        return effects

    def _refuse(self, t: Transfer, reason: str) -> Effects:
        self._all.end(t, "refused")
        return [Ask(t.id, Reject(0, t.peer, t.id, reason))]

    # ---- answers of the person ----

    def answer(self, which: str, *, takes: bool) -> Effects:
        """Take or refuse an offer by its number, every offer with `all`, or with "" the only one."""
        word = "accept" if takes else "reject"
        questions = self._questions()
        if which.isdecimal():
            t = self._all.numbered(int(which))
            if t is None or t.outgoing or t.state is not State.OFFERED:
                return [Refuse(f"There is no offer {which}. /transfers shows them.")]
            questions = [t]
        elif not questions:
            return [Refuse("There is no offer to answer. /transfers shows all files.")]
        elif not which and len(questions) > 1:
            numbers = ", ".join(f"/{word} {t.number}" for t in questions[:3])
            more = ", …" if len(questions) > 3 else ""
            return [Refuse(f"There are {len(questions)} offers: {numbers}{more} or /{word} all.")]
        return [effect for t in questions for effect in (self._accept(t) if takes else self._reject(t))]

    def _questions(self) -> list[Transfer]:
        """Return what is asked: of each folder the first file, and every other offer."""
        first: dict[tuple[str, str], Transfer] = {}
        for t in self._open():
            if t.state is State.OFFERED:
                first.setdefault(_folder_key(t) if _is_folder(t) else ("", t.id), t)
        return list(first.values())

    def _together(self, t: Transfer) -> list[Transfer]:
        """Return all offers that are asked about in one question with this one."""
        if not _is_folder(t):
            return [t]
        offered = [other for other in self._open() if other.state is State.OFFERED]
        return [other for other in offered if _folder_key(other) == _folder_key(t)]

    def _accept(self, t: Transfer) -> Effects:
        taken = self._together(t)
        left = _folder_bytes(t) - sum(each.size for each in taken)
        self._remember(t, _Answered(is_wanted=True, left=max(0, left)))
        return [effect for each in taken for effect in self._take(each)]

    def _reject(self, t: Transfer) -> Effects:
        self._remember(t, _Answered(is_wanted=False, left=0))
        reason = FOLDER_REFUSED if _is_folder(t) else ""
        refused = [effect for each in self._together(t) for effect in self._refuse(each, reason)]
        what = f"the folder {_folder_name(t)}" if _is_folder(t) else t.name
        return [*refused, Show(f"You have refused {what} from {t.peer}.")]

    def _remember(self, t: Transfer, answered: _Answered) -> None:
        if _is_folder(t):
            self._answered[_folder_key(t)] = answered
            if len(self._answered) > _FOLDERS_KEPT:
                del self._answered[next(iter(self._answered))]

    # ---- the line ----

    def _open(self) -> list[Transfer]:
        """Return what has not begun: asked about, or in line."""
        return [t for t in self._all if not t.outgoing and t.state in (State.OFFERED, State.WAITING)]

    def _take(self, t: Transfer) -> Effects:
        t = self._all.get(t.id) or t
        self._all.put(replace(t, state=State.WAITING))
        return self.begin_waiting()

    def begin_waiting(self) -> Effects:
        """Begin with what is in line, as far as there are places."""
        effects: Effects = []
        while (t := self._next()) is not None:
            self._all.put(replace(t, state=State.PREPARING))
            if not self._asks:
                effects.append(Note(f"Receiving {_file(t)} from {t.peer}."))
            effects.append(Tell(self._order(t)))
        return effects

    def _next(self) -> Transfer | None:
        """Return who is next: the oldest offer of whoever has the fewest files on their way, if there is a place."""
        waiting = [t for t in self._all if t.state is State.WAITING]
        if not waiting:
            return None
        busy = Counter(t.peer.lower() for t in self._all if not t.outgoing and t.state in _BUSY)
        in_all, each = self._limits.files_at_once, self._limits.files_at_once_per_sender
        if in_all and busy.total() >= in_all:
            return None
        fitting = [t for t in waiting if not each or busy[t.peer.lower()] < each]
        return min(fitting, key=lambda t: (busy[t.peer.lower()], t.number), default=None)

    def _order(self, t: Transfer) -> ReceiveFile:
        offer = t.offer
        assert offer is not None, "only offers of others can be taken"
        return ReceiveFile(
            transfer=t.id, sender=offer.sender, receiver=self._user, name=offer.name, size=offer.size,
            key=offer.key, host=offer.host, port=offer.port,
        )  # fmt: skip

    def ended(self, t: Transfer) -> None:
        """Note that a transfer is over, done or not."""
        if t.is_unasked:
            self._unasked.ended(t.peer, t.size, min(t.done, t.size))

    def tick(self, now: float) -> None:
        """Let time pass; to be called every second."""
        self._unasked.drain(now)


def _is_folder(t: Transfer) -> bool:
    return t.offer is not None and t.offer.folder is not None


def _folder_key(t: Transfer) -> tuple[str, str]:
    """Return what all offers of one folder have in common; nothing where it is a file alone."""
    return (t.peer.lower(), t.offer.folder.id) if t.offer is not None and t.offer.folder is not None else ("", "")


def _folder_bytes(t: Transfer) -> int:
    return t.offer.folder.bytes if t.offer is not None and t.offer.folder is not None else 0


def _folder_name(t: Transfer) -> str:
    return t.name.partition("/")[0]


def _file(t: Transfer) -> str:
    return f"{t.name} ({render.size(t.size)})"


def _what(t: Transfer) -> str:
    """Return what is asked about: a file, or the folder that it comes with."""
    folder = t.offer.folder if t.offer is not None else None
    if folder is None:
        return _file(t)
    files = "1 file" if folder.files == 1 else f"{folder.files:,} files"
    return f"the folder {_folder_name(t)} ({files}, {render.size(folder.bytes)})"
