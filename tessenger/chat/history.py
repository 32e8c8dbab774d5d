"""`history`: what was said, for those who were entitled to see it at the time. Pure; lives in a worker.

The request leaves a `Command` in the log. When that is committed the journal is read, elsewhere than on the worker's
loop: so the answer has everything that was ordered before the request, and events go on while it is read; only the
next requests of the same connection wait. One request costs a bounded amount of work and bytes, whatever it asks for:
where that is used up before the `limit`, the answer says from where to go on (`before`).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from tessenger.chat import answers, entries, groups, words
from tessenger.chat.hub import Hub, Refusal
from tessenger.chat.link import Link
from tessenger.chat.ports import Page, Question, Unavailable
from tessenger.wire import messages, names
from tessenger.wire.messages import Error

LINE_BYTES = 49_152
"""Bytes of texts in one answer; a text that is longer by itself gets an answer of its own."""


class _Whose(Struct, frozen=True):
    """The conversation that is asked for: with a person, of a group, or (both empty) every one."""

    peer: str = ""
    group: str = ""


def history(hub: Hub, link: Link, request: messages.History) -> Refusal | None:
    """Read what was said in one conversation, or in all of them."""
    whose = _conversation(hub, link, request)
    if isinstance(whose, Refusal):
        return whose
    question = Question(
        link.user, whose.peer, whose.group, request.limit, request.since, request.before, hub.rules.history_bytes
    )

    def ordered(entry: entries.AnyEntry) -> None:
        if link.ended:
            return
        if isinstance(entry, entries.Refused) and entry.reason != "repeat":
            hub.answer(link, request.id, entry)
        else:  # a repeat is read again: nothing is carried out twice by that
            # What comes later may be for somebody else of this name, whatever is known here by then.
            before = min(question.before or hub.present.seq + 1, hub.present.seq + 1)
            hub.office.history(replace(question, before=before), found)

    def found(page: Page | Unavailable) -> None:
        if link.ended:
            return
        link.busy = False
        if isinstance(page, Unavailable):
            hub.say(link, answers.line(Error("unavailable", words.UNAVAILABLE, request.id)))
        else:
            for answer in _answers(request.id, page):
                hub.say(link, answers.line(answer))
        hub.proceed(link)

    link.busy = True
    entry = entries.Command(link.session, link.number, request.id, link.user, "history")
    hub.append(link, request.id, entry, ordered)
    return None


def _conversation(hub: Hub, link: Link, request: messages.History) -> _Whose | Refusal:
    """Return whose messages are asked for. `with` may name a group too, for the two share one namespace."""
    if request.peer and request.group:
        return Refusal("bad_request", words.ONE_CONVERSATION)
    name = request.group or request.peer
    if not name:
        return _Whose()
    group = hub.present.group(name)
    if group is not None:
        if names.key(link.user) in group.former:  # what was said while they were in it stays theirs
            return _Whose(group=group.name)
        own = groups.joined(hub, link, name)
        return own if isinstance(own, Refusal) else _Whose(group=own.name)
    user = None if request.group else hub.account_name(name)
    if user is not None:
        return _Whose(peer=user)
    shown = words.shown_name(name)
    if request.group:
        return Refusal("unknown_group", words.unknown_group(shown), certain=False)
    return Refusal("unknown_user", words.unknown_user(shown), certain=False)


def _answers(re: int, page: Page) -> Iterator[messages.HistoryAnswer]:
    """Cut a page into answers, the oldest messages first."""
    chunk: list[messages.Message | messages.GroupMessage] = []
    size = 0
    for entry in page.found:
        length = len(entry.text.encode())
        if chunk and size + length > LINE_BYTES:
            yield messages.HistoryAnswer(re, chunk, more=True)
            chunk, size = [], 0
        chunk.append(_event(entry))
        size += length
    yield messages.HistoryAnswer(re, chunk, before=page.before)


def _event(entry: entries.Message | entries.GroupMessage) -> messages.Message | messages.GroupMessage:
    if isinstance(entry, entries.Message):
        return messages.Message(entry.seq, entry.user, entry.text, entry.at, entry.to)
    return messages.GroupMessage(entry.seq, entry.group, entry.user, entry.text, entry.at)
