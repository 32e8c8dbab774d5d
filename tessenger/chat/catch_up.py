"""What somebody missed: found in the journal, and sent in pages as fast as the client takes them. Pure; in a worker.

Events that come meanwhile are kept back behind it, and the client's next requests wait. So however much there is, a
worker holds a page of it, and nobody is cut off for having been away for long.
"""

from __future__ import annotations

from bisect import bisect_right

from tessenger.chat import answers, entries, words
from tessenger.chat.entries import AnyEntry
from tessenger.chat.hub import Hub
from tessenger.chat.link import Link, Place
from tessenger.chat.ports import Unavailable
from tessenger.wire import messages, names
from tessenger.wire.messages import Error

PAGE = 500
"""Entries of a page at most; `Rules.history_bytes` bounds their texts."""


class CatchUp:
    """One client's way from its welcome to live delivery."""

    def __init__(self, hub: Hub, link: Link, place: Place) -> None:
        """`place` keeps back what comes meanwhile."""
        self._hub = hub
        self._link = link
        self._place = place
        self._numbers: list[int] = []
        self._next = 0

    def of_sign_in(self, after: int | None, upto: int) -> None:
        """Send what earlier sessions left unread; the client is told first how much it is."""
        self._hub.office.unread(self._link.user, after, upto, self._count, away=self._hub.rules.offline_delivery)

    def of_resume(self, after: int, upto: int) -> None:
        """Send what a session missed; where its client has nothing of this session, also what the sign-in found.

        What was shown in earlier sessions is behind neither: such a client says 0, or the last number of before.
        """
        office, link = self._hub.office, self._link
        began = self._hub.present.sessions[link.session].seq

        def earlier(unread: list[int] | Unavailable) -> None:
            if isinstance(unread, Unavailable):
                self._give_up()
            else:
                self._numbers = unread
                office.missed(link.user, began, upto, self._send)

        if after < began:
            office.unread(link.user, after, began, earlier, away=self._hub.rules.offline_delivery)
        else:
            office.missed(link.user, after, upto, self._send)

    def _count(self, unread: list[int] | Unavailable) -> None:
        """Say how much it is. Once that is shown, or is nothing, everything before the session is behind its person.

        So what their groups said in this absence does not come up after a later one.
        """
        hub, link = self._hub, self._link
        if link.ended:
            return
        if isinstance(unread, list) and unread:
            link.unread = unread[-1]
            link.fill(answers.line(messages.Unread(len(unread))), lambda: self._send(unread))
            return
        if isinstance(unread, list) and names.key(link.user) in hub.present.groups_of:
            session = hub.present.sessions.get(link.session)  # None: over already, on a worker that was stopped
            if session is not None:
                hub.append(None, 0, entries.Seen(session.id, session.seq))
        self._send(unread)

    def _send(self, found: list[int] | Unavailable) -> None:
        if isinstance(found, Unavailable):
            self._give_up()
        else:
            self._numbers += found
            self._read_on()

    def _read_on(self) -> None:
        """Read the next page, or go over to what has come meanwhile."""
        hub, link = self._hub, self._link
        if link.ended:
            return
        page = self._numbers[self._next : self._next + PAGE]
        if page:
            hub.office.entries(page, hub.rules.history_bytes, lambda found: self._show(page, found))
            return
        link.busy = False
        link.release(self._place, b"")
        hub.proceed(link)

    def _show(self, page: list[int], found: list[AnyEntry] | Unavailable) -> None:
        if isinstance(found, Unavailable):
            self._give_up()
            return
        self._next += bisect_right(page, found[-1].seq) if found else len(page)
        if not self._link.ended:
            self._link.fill(b"".join([answers.event_line(entry) for entry in found]), self._read_on)

    def _give_up(self) -> None:
        """Never skip over what was missed: the client comes again."""
        link = self._link
        if not link.ended:
            link.busy = False
            link.send(answers.line(Error("unavailable", words.UNAVAILABLE)))
            self._hub.lost(link)
            link.end()
