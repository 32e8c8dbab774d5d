"""The rules of each request of a signed-in person: what entry it leads to, or why not. Pure; lives in a worker.

`HANDLERS` at the end is the command table. The rules of the two kinds of messages, which are most of all, ask what is
usual first, and leave the rest to functions.
"""

from __future__ import annotations

from collections.abc import Mapping

from tessenger.chat import answers, entries, events, groups, history, people, sign_in, words
from tessenger.chat.hub import Hub, Refusal, Rule
from tessenger.chat.link import Link
from tessenger.chat.present import Session
from tessenger.wire import messages, names
from tessenger.wire.framing import BadLine
from tessenger.wire.messages import Error
from tessenger.wire.text import clean, clean_line

MAX_FILE_NAME = 255
"""Characters in the name of an offered file."""


def _text_problem(hub: Hub, text: str) -> Refusal | None:
    if not text or text.isspace():
        return Refusal("empty_text", words.EMPTY_TEXT)
    size, limit = len(text.encode()), hub.rules.text_bytes
    if limit and size > limit:
        return Refusal("text_too_long", words.TEXT_TOO_LONG.format(size=size, limit=limit))
    return None


def _someone_else(hub: Hub, link: Link, to: str, to_self: str) -> Session | Refusal:
    """Return the session of another person who is present."""
    target = hub.present.find(to)
    if target is not None and target.user != link.user:
        return target
    user = hub.account_name(to)
    if user == link.user:
        return Refusal("to_self", to_self)
    if user is None:
        return Refusal("unknown_user", words.unknown_user(words.shown_name(to)), certain=False)
    return Refusal("not_online", words.not_online(user), certain=False)


def msgto(hub: Hub, link: Link, request: messages.MsgTo) -> Refusal | None:
    """A private message to someone who is present."""
    text = request.text
    quoted = events.quoted(text)
    if len(quoted) != len(text) + 2 or "\x7f" in text:  # some character may have to be made harmless
        text = clean(text)
        quoted = events.quoted(text)
    if not text or text.isspace() or len(text) * 4 > hub.rules.text_bytes:  # UTF-8 has four bytes for one at most
        problem = _text_problem(hub, text)
        if problem is not None:
            return problem
    user = link.user
    target = hub.present.online.get(request.to)
    if target is None or target.user == user:
        found = _someone_else(hub, link, request.to, words.TO_SELF)
        if isinstance(found, Refusal):
            if found.code != "not_online" or not hub.rules.offline_delivery:
                return found
            return _message_for_later(hub, link, request, text)
        target = found
    re = request.id
    body = events.quoted_message_body(user, quoted)
    entry = entries.Message(link.session, link.number, re, user, target.user, text, body)
    hub.append(link, re, entry, people.with_note(hub, link, re, target) if target.away else None)
    return None


def _message_for_later(hub: Hub, link: Link, request: messages.MsgTo, text: str) -> Refusal | None:
    """A message to someone who seems to be away: whether they are is known when it has its place in the log."""
    user = hub.account_name(request.to) or request.to
    body = events.message_body(link.user, text)
    entry = entries.Message(link.session, link.number, request.id, link.user, user, text, body)

    def kept(outcome: entries.AnyEntry) -> None:
        if isinstance(outcome, entries.Message) and hub.present.find(user) is None:
            hub.say(link, answers.line(messages.Sent(request.id, outcome.seq, outcome.at, away=True)))
        else:
            hub.answer(link, request.id, outcome)

    hub.append(link, request.id, entry, kept)
    return None


def groupmsg(hub: Hub, link: Link, request: messages.GroupMsg) -> Refusal | None:
    """A message to a group that the sender is a member of."""
    text = request.text
    if not text.isprintable():
        text = clean(text)
    if not text or text.isspace() or len(text) * 4 > hub.rules.text_bytes:  # UTF-8 has four bytes for one at most
        problem = _text_problem(hub, text)
        if problem is not None:
            return problem
    group = hub.present.group(request.group)
    if group is None or names.key(link.user) not in group.members:
        return groups.not_joined(group, link.user, request.group)
    body = events.group_body(group.name, link.user, text)
    entry = entries.GroupMessage(link.session, link.number, request.id, link.user, group.name, text, body)
    hub.append(link, request.id, entry)
    return None


def activeuser(hub: Hub, link: Link, request: messages.ActiveUser) -> Refusal | None:
    """Who is present, as of the entry's place in the log."""
    entry = entries.Command(link.session, link.number, request.id, link.user, "activeuser")
    hub.append(link, request.id, entry)
    return None


def p2pvideo(hub: Hub, link: Link, request: messages.P2PVideo) -> Refusal | None:
    """Offer a file to someone; where we take datagrams goes with it."""
    name = clean_line(request.name)
    if not name or len(name) > MAX_FILE_NAME:
        return Refusal("bad_request", words.BAD_FILE_NAME)
    fields: dict[str, object] = {"name": name, "size": request.size, "key": request.key}
    if request.folder is not None:
        fields["folder"] = request.folder
    return _signal(hub, link, request, "p2pvideo", fields | _candidate(link))


def accept(hub: Hub, link: Link, request: messages.Accept) -> Refusal | None:
    """Take an offered file."""
    return _signal(hub, link, request, "accept", {"key": request.key, **_candidate(link)})


def _candidate(link: Link) -> dict[str, str | int]:
    """Return where a client may be reached: as it says itself, or else as it was seen."""
    return {"host": link.udp_host or link.ip, "port": link.udp_port}


def reject(hub: Hub, link: Link, request: messages.Reject) -> Refusal | None:
    """Refuse an offered file."""
    return _signal(hub, link, request, "reject", {"reason": clean_line(request.reason)})


def cancel(hub: Hub, link: Link, request: messages.Cancel) -> Refusal | None:
    """Give a transfer up."""
    return _signal(hub, link, request, "cancel", {"reason": clean_line(request.reason)})


def list_names(hub: Hub, link: Link, request: messages.Names) -> Refusal | None:
    """What can be completed."""

    def now() -> None:
        accounts = filter(hub.present.account, hub.accounts.everybody()) if request.everybody else ()
        hub.say(link, answers.all_names(request.id, hub.present, link.user, accounts))

    hub.barrier(link, now)
    return None


def sync(hub: Hub, link: Link, request: messages.Sync) -> Refusal | None:
    """A barrier for the client."""
    hub.barrier(link, lambda: hub.say(link, answers.line(messages.Synced(request.id))))
    return None


def seen(hub: Hub, link: Link, request: messages.Seen) -> Refusal | None:
    """How far the person has read; with the last message that the sign-in found, to where the session began."""
    session = hub.present.sessions.get(link.session)
    upto = request.seq
    if session is not None and 0 < link.unread <= upto:
        upto = max(upto, session.seq)
    hub.append(None, 0, entries.Seen(link.session, min(upto, hub.present.seq)))
    return None


def bad_line(hub: Hub, link: Link, request: BadLine) -> Refusal | None:
    """A line that was no valid request."""
    hub.refuse_quietly(link, Error("bad_request", clean_line(request.text), request.re))
    return None


_Signalling = messages.P2PVideo | messages.Accept | messages.Reject | messages.Cancel


def _signal(hub: Hub, link: Link, request: _Signalling, name: str, fields: Mapping[str, object]) -> Refusal | None:
    """Tell another client something about a transfer."""
    target = _someone_else(hub, link, request.to, words.FILE_TO_SELF)
    if isinstance(target, Refusal):
        return target
    if name == "p2pvideo" and not target.udp_port:
        return Refusal("no_files", words.takes_no_files(target.user))
    body = events.signal_body(link.user, {"transfer": request.transfer, **fields})
    entry = entries.Signal(link.session, link.number, request.id, link.user, target.user, name, body)
    hub.append(link, request.id, entry)
    return None


HANDLERS: Mapping[type, Rule] = {
    messages.MsgTo: Rule("msgto", msgto),
    messages.GroupMsg: Rule("groupmsg", groupmsg),
    messages.ActiveUser: Rule("activeuser", activeuser),
    messages.CreateGroup: Rule("creategroup", groups.creategroup),
    messages.JoinGroup: Rule("joingroup", groups.joingroup),
    messages.LeaveGroup: Rule("leavegroup", groups.leavegroup),
    messages.Remove: Rule("remove", groups.remove),
    messages.Invite: Rule("invite", groups.invite),
    messages.Members: Rule("", groups.members, only_reads=True),
    messages.Groups: Rule("", groups.groups, only_reads=True),
    messages.Whois: Rule("", people.whois, only_reads=True),
    messages.Away: Rule("away", people.away),
    messages.P2PVideo: Rule("p2pvideo", p2pvideo),
    messages.Accept: Rule("accept", accept),
    messages.Reject: Rule("reject", reject),
    messages.Cancel: Rule("cancel", cancel),
    messages.History: Rule("history", history.history, only_reads=True),
    messages.Names: Rule("", list_names, only_reads=True),
    messages.Sync: Rule("", sync, only_reads=True),
    messages.Seen: Rule("", seen),
    messages.Login: Rule("", sign_in.login, for_anybody=True),
    messages.Resume: Rule("", sign_in.resume, for_anybody=True),
    messages.Logout: Rule("", sign_in.logout, for_anybody=True),
    BadLine: Rule("", bad_line, for_anybody=True),
}
"""For each kind of request what carries it out."""
