"""What people may know about each other: `whois`, and that somebody is away. Pure; lives in a worker."""

from __future__ import annotations

from tessenger.chat import answers, entries, words
from tessenger.chat.hub import Hub, Refusal, Then
from tessenger.chat.link import Link
from tessenger.chat.present import Session
from tessenger.wire import messages
from tessenger.wire.messages import Error
from tessenger.wire.text import clean_line


def whois(hub: Hub, link: Link, request: messages.Whois) -> Refusal | None:
    """What is known about someone, as of now."""

    def now() -> None:
        session = hub.present.find(request.user)
        name = session.user if session is not None else hub.account_name(request.user)
        if name is None:
            text = words.unknown_user(words.shown_name(request.user))
            hub.say(link, answers.line(Error("unknown_user", text, request.id)))
        else:
            hub.say(link, answers.whois(request.id, name, hub.present, link.user))

    hub.barrier(link, now)
    return None


def away(hub: Hub, link: Link, request: messages.Away) -> Refusal | None:
    """Say, or take back, that one does not look."""
    entry = entries.AwaySet(link.session, link.number, request.id, link.user, clean_line(request.text).strip())
    hub.append(link, request.id, entry)
    return None


def with_note(hub: Hub, link: Link, re: int, target: Session) -> Then | None:
    """Return what answers a message to someone who is away so that its sender learns of it; None if they know."""
    if link.noted.get(target.user) == target.away:
        return None
    note = target.away

    def answer(entry: entries.AnyEntry) -> None:
        if isinstance(entry, entries.Message):
            if len(link.noted) >= MAX_NOTED:
                link.noted.clear()
            link.noted[entry.to] = note
            hub.say(link, answers.line(messages.Sent(re, entry.seq, entry.at, note=note)))
        else:
            hub.answer(link, re, entry)

    return answer


MAX_NOTED = 100
"""People of whom a connection remembers that its user was told; beyond it they are told again."""
