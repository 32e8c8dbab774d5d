"""Answers that are built from the present state, as lines of the wire. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import msgspec

from tessenger.chat import entries, events
from tessenger.chat.entries import AnyEntry
from tessenger.chat.present import Group, Present
from tessenger.wire import messages, names

LIST_LINES = 500
"""Items in one answer of a long list: about 45 kB of the longest user lines."""

_encode = msgspec.json.Encoder().encode
_Item = TypeVar("_Item")


def line(answer: messages.Answer) -> bytes:
    """Encode one answer or event as a line."""
    return _encode(answer) + b"\n"


def _chunks(items: Iterable[_Item]) -> Iterator[tuple[list[_Item], bool]]:
    """Cut `items` into lists of `LIST_LINES`, each with whether more follow; at least one, possibly empty."""
    rest = iter(items)
    chunk = list(islice(rest, LIST_LINES))
    while True:
        following = list(islice(rest, LIST_LINES))
        yield chunk, bool(following)
        if not following:
            return
        chunk = following


def active_users(re: int, present: Present) -> bytes:
    """Who is online, in the order of sign-in."""
    users = (messages.UserLine(s.user, s.ip, s.udp_port, s.since) for s in present.online.values())
    return b"".join(line(messages.ActiveUsers(re, chunk, more)) for chunk, more in _chunks(users))


def joined(re: int, group: str, members: Sequence[str]) -> bytes:
    """You are a member, among these."""
    return b"".join(line(messages.Joined(re, group, chunk, more)) for chunk, more in _chunks(members))


def members(re: int, group: Group, present: Present) -> bytes:
    """Who is in a group."""
    lines = (messages.MemberLine(m.user, key in present.online) for key, m in group.members.items())
    return b"".join(
        line(messages.MembersAnswer(re, group.name, group.creator, chunk, group.private, more))
        for chunk, more in _chunks(lines)
    )


def groups(re: int, present: Present, reader: str) -> bytes:
    """The groups that `reader` is in, then those that everybody may know of."""
    own = present.groups_of.get(names.key(reader), [])
    mine = {group.name for group in own}
    others = (g for g in present.groups.values() if not g.private and g.name not in mine)
    lines = (
        messages.GroupLine(group.name, len(group.members), group.name in mine, group.private)
        for group in chain(own, others)
    )
    return b"".join(line(messages.GroupsAnswer(re, chunk, more)) for chunk, more in _chunks(lines))


def whois(re: int, user: str, present: Present, reader: str) -> bytes:
    """What `reader` may know about someone."""
    own = present.groups_of.get(names.key(reader), [])
    both = [group.name for group in own if names.key(user) in group.members]
    session = present.online.get(names.key(user))
    if session is None:
        return line(messages.WhoisAnswer(re, user, groups=both))
    return line(
        messages.WhoisAnswer(
            re, user, session.since, session.ip, session.udp_port, bool(session.detached_until), session.away, both
        )
    )


def all_names(re: int, present: Present, reader: str, accounts: Iterable[str] = ()) -> bytes:
    """The names of users online, and of the groups that `reader` may know of; of `accounts`, who is not online."""
    users = (s.user for s in present.online.values())
    away = (user for user in accounts if names.key(user) not in present.online)
    key = names.key(reader)
    groups = (g.name for g in present.groups.values() if not g.private or key in g.members or key in g.invited)
    lines = [messages.NamesAnswer(re, users=chunk, more=True) for chunk, _ in _chunks(users)]
    lines += [messages.NamesAnswer(re, others=chunk, more=True) for chunk, _ in _chunks(away) if chunk]
    lines += [messages.NamesAnswer(re, groups=chunk, more=more) for chunk, more in _chunks(groups)]
    return b"".join(map(line, lines))


def sent(re: int, seq: int, at: int) -> bytes:
    """The message is in the journal. Put together by hand, for this is on the hot path."""
    return sent_at(at) % (re, seq)


def sent_at(at: int) -> bytes:
    """Return that line for any message of this time, to be completed with `% (re, seq)`: many have the same."""
    return b'{"type":"sent","re":%%d,"seq":%%d,"at":%d}\n' % at


def answer_to(re: int, entry: AnyEntry, present: Present) -> bytes:
    """Answer request `re`, which led to this committed entry, the first time or again."""
    match entry:
        case entries.Message() | entries.GroupMessage():
            return sent(re, entry.seq, entry.at)
        case entries.Command(code=""):
            return active_users(re, present)
        case entries.Command():
            return b'{"type":"error","code":"%b","text":%b,"re":%d}\n' % (entry.code.encode(), _encode(entry.text), re)
        case entries.GroupCreated():
            return line(messages.Created(re, entry.group, entry.members))
        case entries.GroupJoined():
            group = present.group(entry.group)
            members = [] if group is None else [member.user for member in group.members.values()]
            return joined(re, entry.group, members)
        case entries.GroupLeft():
            own = entry.user == entry.to
            return line(messages.Left(re, entry.group) if own else messages.Removed(re, entry.group, entry.to))
        case entries.Invited():
            return line(messages.Invited(re, entry.group, entry.to))
        case entries.AwaySet():
            return line(messages.AwayAnswer(re, entry.text))
        case entries.Signal():
            return line(messages.Offered(re, _TransferOf.of(entry.body)))
        case _:
            raise TypeError(f"no request leads to {type(entry).__name__}")


def event_line(entry: AnyEntry) -> bytes:
    """Return the line that brings a committed entry to someone whom it concerns."""
    match entry:
        case entries.Message():
            return events.message_event(entry.seq, entry.at, entry.body)
        case entries.GroupMessage():
            return events.group_event(entry.seq, entry.at, entry.body)
        case entries.Signal():
            return events.signal_event(events.SIGNAL_TYPES[entry.name], entry.seq, entry.at, entry.body)
        case entries.Invited():
            return line(messages.Invitation(entry.seq, entry.at, entry.user, entry.group))
        case entries.GroupLeft():
            return line(messages.GroupLeft(entry.seq, entry.at, entry.user, entry.group, entry.to))
        case _:
            raise TypeError(f"{type(entry).__name__} is no event")


class _TransferOf(msgspec.Struct):
    """Just the transfer's id of an event about a file."""

    transfer: str

    @staticmethod
    def of(body: bytes) -> str:
        return _transfer.decode(b"{" + body).transfer


_transfer = msgspec.json.Decoder(_TransferOf)
