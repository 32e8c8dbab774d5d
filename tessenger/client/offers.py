"""Files offered and on their way, as the client sees them: a state machine. Pure.

Facts come in (a command, an event of the server, a report of the UDP process, the time), effects come out: what to ask
the server, what to tell the UDP process, what to show. Each transfer has a small number for people (`/accept 1`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from tessenger.client import render
from tessenger.client.effects import Ask, Effects, Note, Refuse, Show, Tell
from tessenger.client.incoming import FOLDER_REFUSED, Incoming
from tessenger.client.receiver_messages import (
    Abort,
    AnyFromReceiver,
    Done,
    Failed,
    Opened,
    OpenFile,
    Progress,
    Ready,
    Resumed,
    SendFile,
)
from tessenger.client.transfer import State, Transfer, because, percent
from tessenger.client.transfer_list import TransferList
from tessenger.config import TransferSection
from tessenger.wire.messages import (
    Accept,
    Accepted,
    AnyAnswer,
    Cancel,
    Cancelled,
    Error,
    Folder,
    Offer,
    P2PVideo,
    Reject,
    Rejected,
)
from tessenger.wire.text import clean_line

OFFER_SECONDS = 300.0
"""After this long without an answer an offer is withdrawn."""

AT_ONCE = 8
"""Files of one's own that are offered or on their way at a time; those behind them in the same command wait."""

_NOT_BEGUN = (State.OFFERED, State.WAITING)
"""The UDP process of whoever is to receive it does not know of it."""

CANCELLED = "cancelled"
"""The reason that a UDP process is given, and gives, where there is no other."""


class _Waiting(NamedTuple):
    """A file that is to be offered."""

    transfer: str
    peer: str
    path: str
    name: str
    folder: Folder | None


class Transfers:
    """All transfers of one session.

    `asks`: whether there is a person who can be asked about files above `auto_accept_below`; without one these are
    refused. 0 takes none unasked: this is a bound of trust and no limit that 0 could switch off.
    """

    def __init__(self, user: str, limits: TransferSection, *, asks: bool) -> None:
        self._user = user
        self._asks = asks
        self._all = TransferList()
        self._incoming = Incoming(user, self._all, limits, asks=asks)
        self._waiting: deque[_Waiting] = deque()

    def __iter__(self) -> Iterator[Transfer]:
        return iter(self._all)

    @property
    def uploading(self) -> bool:
        """Whether a file of one's own is still offered or on its way."""
        return bool(self._waiting) or any(t.outgoing and not t.ended for t in self)

    # ---- commands ----

    def send(
        self, transfer: str, peer: str, path: str, name: str, now: float, folder: Folder | None = None
    ) -> Effects:  # fmt: skip
        """Offer the file at `path` (absolute) to `peer` as `name`, under a new transfer id, once its turn comes."""
        self._waiting.append(_Waiting(transfer, peer, path, name, folder))
        return self.start_waiting(now)

    def start_waiting(self, now: float) -> Effects:
        """Offer files, and take those of others, that wait until others have ended."""
        effects = self._incoming.begin_waiting()
        open_now = sum(t.outgoing and not t.ended for t in self)
        while self._waiting and open_now < AT_ONCE:
            transfer, peer, path, name, folder = self._waiting.popleft()
            self._all.new(
                transfer, peer, clean_line(name), outgoing=True, state=State.OPENING, since=now, folder=folder
            )
            effects.append(Tell(OpenFile(transfer, os.fsencode(path), name if "/" in name else "")))
            open_now += 1
        return effects

    def answer(self, which: str, *, takes: bool) -> Effects:
        """Take or refuse an offer by its number, every offer with `all`, or with "" the only one."""
        return self._incoming.answer(which, takes=takes)

    def cancel(self, number: int) -> Effects:
        """Give a transfer up."""
        t = self._all.numbered(number)
        if t is None or t.ended:
            return [Refuse(f"There is no transfer {number} to cancel. /transfers shows them.")]
        self._end(t, "cancelled")
        return [*self._give_up(t, CANCELLED), Show(f"{t.name} has been cancelled.")]

    def leave(self) -> Effects:
        """Give everything up that is still open: the person leaves."""
        effects: Effects = []
        self._waiting.clear()
        for t in [t for t in self if not t.ended]:
            self._end(t, "you have left")
            effects += self._give_up(t, f"{self._user} has left", keep=True)
        return effects

    # ---- the server ----

    def event(self, event: Offer | Accepted | Rejected | Cancelled, now: float) -> Effects:
        """An event about a transfer came. Of others than the transfer's own peer it is ignored."""
        if isinstance(event, Offer):
            return self._incoming.offered(event, now)
        t = self._all.get(event.transfer)
        if t is None or t.ended or t.peer.lower() != event.sender.lower():
            return []
        if isinstance(event, Accepted):
            if not t.outgoing or t.state is not State.OFFERED:
                return []
            self._all.put(replace(t, state=State.ACCEPTED, since=now))
            begin: Effects = [Tell(SendFile(t.id, self._user, t.peer, event.key, event.host, event.port))]
            return begin if self._asks else [*begin, Note(f"Sending {t.name} ({render.size(t.size)}) to {t.peer}.")]
        reason = clean_line(event.reason)
        if reason == FOLDER_REFUSED and t.folder is not None:
            return self._folder_refused(t, t.folder)
        self._end(t, reason or ("refused" if isinstance(event, Rejected) else "cancelled"))
        what = f"{t.peer} has {'refused' if isinstance(event, Rejected) else 'cancelled'} {t.name}"
        # Whether it can be resumed, the other side's UDP process says; if it cannot, it may be resumed.
        return [Tell(Abort(t.id, reason or "cancelled by the other side", keep=True)), Show(because(what, reason))]

    def answered(self, transfer: str, answer: AnyAnswer) -> Effects:
        """The server answered a request about this transfer."""
        t = self._all.get(transfer)
        if t is None or not isinstance(answer, Error):
            return []
        text = render.error(answer)
        if t.ended:
            return []  # the other side is gone as well, or knows already
        self._end(t, text)
        return [Tell(Abort(t.id, text)), Show(text)]

    # ---- the UDP process ----

    def report(self, report: AnyFromReceiver, now: float) -> Effects:
        """The UDP process says something about a transfer."""
        t = self._all.get(getattr(report, "transfer", ""))
        if t is None or t.ended:
            return []
        match report:
            case Opened(name=name, size=size, key=key):
                self._all.put(replace(t, state=State.OFFERED, name=clean_line(name), size=size, since=now))
                return [Ask(t.id, P2PVideo(0, t.peer, t.id, name, size, key, t.folder))]
            case Ready(key=key):
                self._all.put(replace(t, state=State.ACCEPTED, since=now))
                return [Ask(t.id, Accept(0, t.peer, t.id, key))]
            case Progress(done=done, rate=rate, stalled=stalled):
                state = State.STALLED if stalled else State.RUNNING
                moved = replace(t, state=state, done=done, rate=rate)
                self._all.put(moved)
                if not self._asks and percent(moved) // 10 > percent(t) // 10 and moved.done < t.size:
                    return [Note(f"{t.name}: {percent(moved)} %, {render.size(rate)}/s")]
            case Resumed(done=done):
                return [Note(_resumed(t, done))]
            case Done():
                return self._done(t, report)
            case Failed(reason=reason):
                return self._failed(t, clean_line(reason))
            case _:
                pass
        return []

    def process_died(self, now: float) -> Effects:
        """The UDP process is gone, and with it every transfer that it knew."""
        known = [t for t in self if not t.ended and (t.outgoing or t.state not in _NOT_BEGUN)]
        effects = [effect for t in known for effect in self._failed(t, "the file process ended unexpectedly")]
        return [effect for effect in effects if not isinstance(effect, Tell)]

    def tick(self, now: float) -> Effects:
        """Withdraw offers that nobody answered in `OFFER_SECONDS`; the receiver forgets them a little later."""
        self._incoming.tick(now)
        effects: Effects = []
        for t in [t for t in self if t.state in _NOT_BEGUN and now - t.since >= OFFER_SECONDS]:
            if t.outgoing:
                self._end(t, "no answer")
                late = f"within {OFFER_SECONDS:g} seconds"
                effects += self._give_up(t, f"nobody answered {late}")
                effects.append(Show(f"{t.peer} did not answer {late}: {t.name} was not sent."))
            elif now - t.since >= OFFER_SECONDS + 10:
                self._end(t, "the offer is too old")
        return effects

    # ---- steps ----

    def _end(self, t: Transfer, reason: str) -> None:
        self._all.end(t, reason)
        self._incoming.ended(t)

    def _folder_refused(self, t: Transfer, folder: Folder) -> Effects:
        """Withdraw all of a folder of which the other side wants nothing; that is said once."""
        self._waiting = deque(each for each in self._waiting if each.folder != folder)
        effects: Effects = []
        for each in [each for each in self if each.folder == folder and each.state in (State.OPENING, State.OFFERED)]:
            self._end(each, "refused")
            effects.append(Tell(Abort(each.id, CANCELLED)))
            if each.state is State.OFFERED and each.id != t.id:
                effects.append(Ask(each.id, Cancel(0, each.peer, each.id)))
        return [*effects, Show(f"{t.peer} has refused the folder {t.name.partition('/')[0]}.")]

    def _done(self, t: Transfer, report: Done) -> Effects:
        done = replace(t, state=State.DONE, size=report.size, done=report.size, code=report.code)
        self._all.put(done)
        self._incoming.ended(done)
        speed = f"{render.size(report.size)} in {report.seconds:.1f} s"
        code = f", code {report.code}" if report.code else ""
        path = clean_line(report.path)
        if self._asks and not t.outgoing:  # its code is in /transfers
            return [Show(f"Received {t.name} from {t.peer}: {speed}, saved as {path}")]
        if t.outgoing:
            return [Show(f"{t.name} has been uploaded."), Note(f"{t.name}: {speed}{code}")]
        return [Show(f"Received {t.name} from {t.peer}"), Note(f"Saved as {path}: {speed}{code}")]

    def _failed(self, t: Transfer, reason: str) -> Effects:
        self._end(t, reason)
        told = [] if t.state is State.OPENING else self._give_up(t, reason)
        sent, received = f"{t.name} could not be sent to {t.peer}", f"{t.name} from {t.peer} could not be received"
        return [*told, Show(because(sent if t.outgoing else received, reason))]

    def _give_up(self, t: Transfer, reason: str, *, keep: bool = False) -> Effects:
        """Tell both the UDP process and the other side, as far as they know of it."""
        short = "" if reason == CANCELLED else reason[:255]  # what it is called says it already
        if not t.outgoing and t.state in _NOT_BEGUN:
            return [Ask(t.id, Reject(0, t.peer, t.id, short))]
        tell: Effects = [Tell(Abort(t.id, reason, keep))]
        return tell if t.state is State.OPENING else [*tell, Ask(t.id, Cancel(0, t.peer, t.id, short))]


def _resumed(t: Transfer, done: int) -> str:
    """Return what is said about an earlier try, of which `done` bytes were left."""
    if not done:
        return f"{t.name} is not the file of the earlier try any more: all of it is sent."
    return f"Resuming {t.name}: {render.size(done)} of {render.size(t.size)} are there already."
