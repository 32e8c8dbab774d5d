"""The chat in one worker: requests of its clients become entries, committed entries become answers and events. Pure.

The way of a request: guards, its handler (`chat.requests`, `chat.sign_in`), an entry in the log, and, when that is
committed, the answer. Nothing is answered and nobody is told before the commit. A handler judges by the worker's
replica of the present state, which may be a moment behind; so a refusal that depends on it is given only after a
*mark* has come back through the log, when the replica knows everything that was ordered before the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from tessenger.chat import answers, entries, events, repeats, words
from tessenger.chat.acknowledgements import FEW
from tessenger.chat.delivery import Delivery
from tessenger.chat.entries import AnyEntry
from tessenger.chat.link import Link
from tessenger.chat.ports import Log, Office, Unavailable, Worker
from tessenger.chat.present import Present
from tessenger.chat.routing import Committed, Own, Told
from tessenger.wire import messages, names
from tessenger.wire.framing import BadLine
from tessenger.wire.messages import AnyRequest, Error, ErrorCode

Then = Callable[[AnyEntry], None]


class Refusal(Struct, frozen=True):
    """A rule says no. `certain`: nothing that the log may hold already could change that.

    `target`: the group that it is about, where the console names it.
    """

    code: ErrorCode
    text: str
    certain: bool = True
    target: str = ""

    def as_error(self, re: int | None) -> Error:
        """Return it as the answer to request `re`; None: to one that has no id."""
        return Error(self.code, self.text, re)


class Rules(Struct, frozen=True):
    """What of the configuration the rules need. Bytes and members; 0 means no limit.

    `history_bytes`: of texts that are read and sent at once: what one request for history is answered with at most,
    and a page of what somebody missed.
    `offline_delivery`: messages to people who are away are kept for them.
    """

    text_bytes: int
    group_members: int
    line_bytes: int
    token_ms: int
    offline_delivery: bool = False
    history_bytes: int = 262_144


class Accounts(Protocol):
    """Who has an account."""

    def canonical(self, user: str) -> str | None:
        """Return the name as the credentials have it, or None."""
        ...

    def everybody(self) -> Iterable[str]:
        """Return all names, as the credentials have them."""
        ...

    def tag(self, user: str) -> str:
        """Return what the credentials tell the user's account by from an earlier one of that name, "" for nothing."""
        ...

    def secret(self, user: str) -> str | None:
        """Return what stands for the user's password in the credentials, or None: another one, another password."""
        ...


class Handler(Protocol):
    """Carries a request out, or says why not."""

    def __call__(self, hub: Hub, link: Link, request: Any) -> Refusal | None:  # noqa: ANN401 the kind is the table's key
        """Append the entry that the request leads to."""
        ...


class Rule(NamedTuple):
    """What carries a kind of request out. `command`: its name on the console, "" for none.

    Where that is "", a refusal leaves nothing in the log: only what reads may be so, for a repeat is judged anew then.
    `for_anybody`: it needs no session. Where one is needed, no handler is called without.
    `only_reads`: it is carried out whenever it is sent, also under an id that was used.
    """

    command: str
    handler: Handler
    for_anybody: bool = False
    only_reads: bool = False


class Hub:
    """All connections of one worker, and the worker's replica of the present state."""

    def __init__(
        self,
        worker: Worker,
        present: Present,
        log: Log,
        office: Office,
        accounts: Accounts,
        rules: Rules,
        new_token: Callable[[], str],
        now: Callable[[], int],
        handlers: Mapping[type, Rule],
    ) -> None:
        """`handlers`: what carries each kind of request out."""
        self.worker = worker
        self.present = present
        self.office = office
        self.accounts = accounts
        self.rules = rules
        self.new_token = new_token
        self.now = now
        self.delivery = Delivery()
        self._log = log
        self._handlers = handlers
        self._pending: dict[int, tuple[Link | None, int, Then | None]] = {}

    # ---- from the clients ----

    def received(self, links: Iterable[Link], requests: Sequence[AnyRequest | BadLine]) -> bool:
        """Carry out `requests`, each of the connection that stands in its place in `links`; tell whether any waits.

        What is answered at once leaves with the next `flush`. A request that fails unexpectedly ends its own connection
        only.
        """
        handlers = self._handlers
        waits = False
        for request, link in zip(requests, links):  # noqa: B905 some repeat for ever
            kind = type(request)
            try:
                if kind is messages.Ping:
                    self.say(link, b'{"type":"pong","re":%d}\n' % request.id)  # type: ignore[union-attr]  # by kind
                elif link.busy or link.waiting:
                    link.waiting.append(request)
                    waits = True
                elif not link.ended:
                    _, handler, for_anybody, _ = handlers[kind]
                    refusal = handler(self, link, request) if link.session or for_anybody else _NOT_SIGNED_IN
                    if refusal is not None:
                        self._refused(link, request, refusal)
            except Exception:  # noqa: BLE001 the connection notes it; the others' requests are carried out all the same
                link.fail()
        return waits

    @property
    def unanswered(self) -> int:
        """Requests of all connections that wait for their entries to be committed."""
        return len(self._pending)

    def flush(self) -> None:
        """Write what everybody is due."""
        self.delivery.flush()

    def hang_up(self, link: Link, code: ErrorCode, text: str) -> None:
        """Close a connection for a reason that is the connection's own fault; its session is detached."""
        if not link.ended:
            self.say(link, answers.line(Error(code, text)))
            self.delivery.flush()
            self.lost(link)
            link.end()

    def close(self, link: Link, *, say_so: bool = True) -> None:
        """Tell a client that the server stops, and close. A session stays as it is stored: to be resumed."""
        if not link.ended:
            if say_so:
                self.say(link, answers.line(messages.Closing(words.CLOSING)))
            self.delivery.hurry(link)
            self.delivery.flush()
            link.end(said=say_so)

    def lost(self, link: Link) -> None:
        """A connection is gone. Its session, if any, is detached: the person may be back in a moment."""
        if link.session and not link.ended:
            self.append(
                None, 0, entries.Detached(link.session, link.number, link.user, link.ip, link.udp_port, until=0)
            )
        link.lose()
        self.detach(link)

    # ---- from the log ----

    def committed(self, batch: Sequence[Committed]) -> None:
        """Act on what is committed, in its order."""
        delivery, present = self.delivery, self.present
        links, say = delivery.links, delivery.say
        seq, at, event = present.seq, -1, b""
        for item in batch:
            kind = type(item)
            if kind is Told or kind is entries.Message:
                seq = item.seq
                recipient = links.get(item.to)  # type: ignore[union-attr]  # by kind
                if recipient is not None:
                    if item.at != at:
                        at = item.at
                        event = events.message_event_at(at)
                    say(recipient, event % (seq, item.body))  # type: ignore[union-attr]  # by kind
                if kind is Told:
                    continue
            present.seq = seq
            if kind is Own:
                self._own_messages(item)  # type: ignore[arg-type]  # by kind
            else:
                self._came(item)  # type: ignore[arg-type]  # by kind
            seq = present.seq
        present.seq = seq
        delivery.flush()

    def _own_messages(self, own: Own) -> None:
        """Bring private messages from here to those recipients who are here too, and acknowledge them."""
        pending, delivery = self._pending, self.delivery
        links, say, acknowledge = delivery.links, delivery.say, delivery.acknowledge
        may_wait = len(own.messages) >= FEW
        at, now = own.at, self.now()
        event, sent = events.message_event_at(at), answers.sent_at(at)
        for n, seq, message in zip(count(own.n), count(own.seq), own.messages):
            recipient = links.get(message.to)
            if recipient is not None:
                say(recipient, event % (seq, message.body))
            link, re, then = pending.pop(n, _NOBODY)
            if link is None:
                continue
            link.unanswered -= 1
            if then is not None:
                self.present.seq = seq
                message.n, message.seq, message.at, message.slot = n, seq, at, self.worker.slot
                then(message)
            elif may_wait:
                acknowledge(link, sent % (re, seq), now)
            else:
                say(link, sent % (re, seq))
        self.present.seq = own.last_seq

    def _came(self, entry: AnyEntry) -> None:
        """Act on an entry, and answer the request that led to it."""
        is_own = entry.slot == self.worker.slot
        link, re, then = self._pending.pop(entry.n, _NOBODY) if is_own else _NOBODY
        if link is not None:
            link.unanswered -= 1
        kind = type(entry)
        if kind is entries.GroupMessage:
            sent = b"" if link is None else answers.sent(re, entry.seq, entry.at)
            self.delivery.group_message(entry, link, sent)  # type: ignore[arg-type]  # by kind
        else:
            if kind is not entries.Message:
                self.present.apply(entry)
                self._react(entry)
            if then is not None:
                then(entry)
            elif link is not None:
                self.answer(link, re, entry)
        if entry.seq:
            self.present.seq = entry.seq

    def _react(self, entry: AnyEntry) -> None:
        """Do what a committed entry means for the connections here, whoever it came from."""
        match entry:
            case entries.Signal():
                link = self.delivery.links.get(entry.to)
                if link is not None:
                    self.say(link, answers.event_line(entry))
            case entries.Online() | entries.Resumed():
                link = self.delivery.links.get(entry.user)
                if link is not None and link.number < entry.number:
                    if link.session != entry.session:
                        self.say(link, answers.line(messages.Replaced(words.REPLACED)))
                    self.end(link)
            case entries.Offline(reason="removed"):
                link = self.delivery.links.get(entry.user)
                if link is not None and link.session == entry.session:
                    self.say(link, answers.line(Error("removed", words.REMOVED)))
                    self.end(link)
            case entries.GroupCreated():
                here = [self.delivery.links.get(user) for user in entry.members]
                self.delivery.members[entry.group] = {link: None for link in here if link is not None}
            case entries.GroupJoined():
                link = self.delivery.links.get(entry.user)
                if link is not None:
                    self.delivery.subscribe(link, entry.group)
            case entries.GroupLeft():
                self._departed(entry)
            case entries.Invited():
                link = self.delivery.links.get(entry.to)
                if link is not None:
                    self.say(link, answers.event_line(entry))
            case _:
                pass

    def _departed(self, entry: entries.GroupLeft) -> None:
        """Let someone have nothing more of a group; tell them, if somebody else did it, and its members."""
        told = dict(self.delivery.members.get(entry.group, {}))
        link = self.delivery.links.get(entry.to)
        if link is not None:
            self.delivery.unsubscribe(link, entry.group)
        for link in told:
            if link.user != entry.user:
                self.say(link, answers.event_line(entry))

    def answer(self, link: Link, re: int, entry: AnyEntry) -> None:
        """Answer the request that led to `entry`, or that the log refused to turn into one."""
        if not isinstance(entry, entries.Refused):
            self.say(link, answers.answer_to(re, entry, self.present))
        elif entry.reason == "stale":
            self.say(link, answers.line(messages.Replaced(words.REPLACED)))
            self.end(link)
        elif entry.reason == "gone":  # they left, or were removed, before the log came to it
            self.say(link, answers.line(Error("not_member", words.NO_MEMBER_ANY_MORE, re)))
        else:
            self._answer_again(link, re, entry)

    def _answer_again(self, link: Link, re: int, refused: entries.Refused) -> None:
        """Answer a request whose id was used before: from the journal, and in its place among the others.

        One that asks for something else than the first one was not carried out, and is told so.
        """

        def found(entry: AnyEntry | Unavailable | None) -> None:
            if isinstance(entry, Unavailable):
                answer = answers.line(Error("unavailable", words.UNAVAILABLE, re))
            elif entry is None or not repeats.is_repeat(refused, entry):
                answer = answers.line(Error("not_done", words.NOT_DONE, re))
            else:
                answer = answers.answer_to(re, entry, self.present)
            link.release(place, answer)

        self.delivery.hurry(link)
        self.delivery.flush()
        place = link.hold()
        self.office.answer(link.session, re, found)

    # ---- for the handlers ----

    def account_name(self, user: str) -> str | None:
        """Return the name of somebody who has an account, as the credentials have it, or None."""
        name = self.accounts.canonical(user)
        return name if name is not None and self.present.account(name) is not None else None

    def append(self, link: Link | None, re: int, entry: AnyEntry, then: Then | None = None) -> None:
        """Append an entry for `link`'s request `re`; `then` is called with what is committed, or it is answered."""
        n = self._log.append(entry)
        self._pending[n] = (link, re, then)
        if link is not None:
            link.unanswered += 1

    def say(self, link: Link, data: bytes) -> None:
        """Send a line with the next flush."""
        self.delivery.say(link, data)

    def barrier(self, link: Link, then: Callable[[], None]) -> None:
        """Call `then` when everything that is ordered so far has been applied here."""
        self.append(link, 0, entries.Mark(), lambda _: then())

    def refuse(self, link: Link, re: int, name: str, refusal: Refusal, *, again: bool = False) -> None:
        """Answer with an error, in order; a command that people issue also leaves its entry in the log.

        `again`: with this error, too, where the id was used before.
        """
        if not name or not link.session:
            self.refuse_quietly(link, refusal.as_error(re))
            return

        def said(entry: AnyEntry) -> None:
            if isinstance(entry, entries.Refused) and entry.reason == "repeat":
                self.say(link, answers.line(refusal.as_error(re)))
            else:
                self.answer(link, re, entry)

        command = entries.Command(
            link.session, link.number, re, link.user, name, refusal.code, refusal.text, refusal.target
        )
        self.append(link, re, command, said if again else None)

    def refuse_quietly(self, link: Link, error: Error) -> None:
        """Answer with an error that leaves nothing in the log, but behind the answers that come before it."""
        if link.unanswered and link.session:
            self.barrier(link, lambda: self.say(link, answers.line(error)))
        else:
            self.say(link, answers.line(error))

    def proceed(self, link: Link) -> None:
        """Carry out what waited for a request that is done, and write."""
        while link.waiting and not link.busy and not link.ended:
            request = link.waiting.popleft()
            refusal = self._handle(link, request)
            if refusal is not None:
                self._refused(link, request, refusal)
        self.delivery.flush()
        if link.throttled:
            link.go_on()

    def attach(self, link: Link) -> None:
        """Let a signed-in connection have what its user is due from here on."""
        self.delivery.links[link.user] = link
        for group in self.present.groups_of.get(names.key(link.user), ()):
            self.delivery.subscribe(link, group.name)

    def detach(self, link: Link) -> None:
        """Let a connection have nothing more."""
        if not link.session:
            return
        for group in self.present.groups_of.get(names.key(link.user), ()):
            here = self.delivery.members.get(group.name)
            if here is not None:
                here.pop(link, None)
        self.delivery.drop(link)

    def end(self, link: Link) -> None:
        """Send what a connection is due, and close it: its session is over, or goes on elsewhere."""
        self.delivery.hurry(link)
        self.delivery.flush()
        self.detach(link)
        link.end()

    def _handle(self, link: Link, request: AnyRequest | BadLine) -> Refusal | None:
        """Carry a request out, or say why not."""
        rule = self._handlers[type(request)]
        return rule.handler(self, link, request) if link.session or rule.for_anybody else _NOT_SIGNED_IN

    def _refused(self, link: Link, request: AnyRequest | BadLine, refusal: Refusal) -> None:
        """Answer what a rule said no to; or look once more, when everything is known that was ordered before."""

        def refuse(refusal: Refusal) -> None:
            rule, re = self._handlers[type(request)], getattr(request, "id", None)
            if re is None:
                self.refuse_quietly(link, refusal.as_error(None))
            else:
                self.refuse(link, re, rule.command, refusal, again=rule.only_reads)

        if refusal.certain:
            refuse(refusal)
            return

        def now() -> None:
            link.busy = False
            still = self._handle(link, request)
            if still is not None:
                refuse(still)
            self.proceed(link)

        link.busy = True
        self.barrier(link, now)


_NOT_SIGNED_IN = Refusal("not_signed_in", words.NOT_SIGNED_IN)

_NOBODY: tuple[Link | None, int, Then | None] = (None, 0, None)
