"""Groups: made, joined, left, and who is in them. The rules of the requests about them. Pure; lives in a worker.

A private group is not there for those who are neither in it nor invited: they are told that it does not exist.
"""

from __future__ import annotations

from tessenger.chat import answers, entries, words
from tessenger.chat.hub import Hub, Refusal
from tessenger.chat.ledger import MAX_INVITED
from tessenger.chat.link import Link
from tessenger.chat.ports import ClaimResult, Unavailable
from tessenger.chat.present import Group
from tessenger.errors import InvalidName
from tessenger.wire import messages, names


def creategroup(hub: Hub, link: Link, request: messages.CreateGroup) -> Refusal | None:
    """A new group with everybody who is named, and its creator."""
    problem = _group_name_problem(hub, request.group)
    if problem is not None:
        return problem
    members = _members_named(hub, link, request)
    if isinstance(members, Refusal):
        return members

    def claimed(result: ClaimResult) -> None:
        if isinstance(result, int):
            hub.append(
                link,
                request.id,
                _new_group(link, request, members, result),
                lambda entry: _created(hub, link, request, entry),
            )
        elif isinstance(result, Unavailable):
            _finish(hub, link, request.id, "creategroup", Refusal("unavailable", words.UNAVAILABLE))
        elif result.reason in ("too_many", "too_fast"):
            text = words.TOO_MANY_GROUPS if result.reason == "too_many" else words.TOO_FAST_GROUPS
            _finish(hub, link, request.id, "creategroup", Refusal("too_many_groups", text))
        else:
            _finish(hub, link, request.id, "creategroup", _exists(request.group))

    link.busy = True
    hub.office.create_group(request.group, link.user, claimed)
    return None


def joingroup(hub: Hub, link: Link, request: messages.JoinGroup) -> Refusal | None:
    """Become a member of a group that exists."""
    group = hub.present.group(request.group)
    if group is None or not _is_shown(group, link.user):
        return _unknown(request.group)
    if names.key(link.user) in group.members:
        return Refusal("already_member", words.already_member(group.name), certain=False)
    name = group.name

    def claimed(result: ClaimResult) -> None:
        if isinstance(result, int):
            entry = entries.GroupJoined(link.session, link.number, request.id, link.user, name, result)
            hub.append(link, request.id, entry, lambda entry: _joined(hub, link, request, entry))
        elif isinstance(result, Unavailable) or result.reason == "unknown":  # the group is there: we have seen it
            _finish(hub, link, request.id, "joingroup", Refusal("unavailable", words.UNAVAILABLE))
        elif result.reason == "full":
            full = words.group_full(name, hub.rules.group_members)
            _finish(hub, link, request.id, "joingroup", Refusal("too_many_members", full))
        else:
            _finish(hub, link, request.id, "joingroup", Refusal("already_member", words.already_member(name)))

    link.busy = True
    hub.office.join_group(name, link.user, claimed)
    return None


def leavegroup(hub: Hub, link: Link, request: messages.LeaveGroup) -> Refusal | None:
    """Be a member no more."""
    group = joined(hub, link, request.group)
    if isinstance(group, Refusal):
        return group
    entry = entries.GroupLeft(link.session, link.number, request.id, link.user, link.user, group.name)
    hub.append(link, request.id, entry)
    return None


def remove(hub: Hub, link: Link, request: messages.Remove) -> Refusal | None:
    """Let someone else be a member no more: by the group's creator, who is one."""
    group = joined(hub, link, request.group)
    if isinstance(group, Refusal):
        return group
    if group.creator != link.user:
        return Refusal("not_creator", words.not_creator(group.name, group.creator))
    member = group.members.get(names.key(request.user))
    if member is None:
        return Refusal("not_member", words.no_member(words.shown_name(request.user), group.name), certain=False)
    entry = entries.GroupLeft(link.session, link.number, request.id, link.user, member.user, group.name)
    hub.append(link, request.id, entry)
    return None


def invite(hub: Hub, link: Link, request: messages.Invite) -> Refusal | None:
    """Ask someone to join; for a private group they need it."""
    group = joined(hub, link, request.group)
    if isinstance(group, Refusal):
        return group
    user = hub.account_name(request.user)
    if user is None:
        return Refusal("unknown_user", words.unknown_user(words.shown_name(request.user)), certain=False)
    if names.key(user) in group.members:
        return Refusal("already_member", words.is_member(user, group.name), certain=False)
    if len(group.invited) >= MAX_INVITED and names.key(user) not in group.invited:
        return Refusal("too_many_invitations", words.too_many_invited(group.name, MAX_INVITED), certain=False)
    name = group.name
    entry = entries.Invited(link.session, link.number, request.id, link.user, user, name)

    def ordered(outcome: entries.AnyEntry) -> None:
        refusal = None
        if isinstance(outcome, entries.Refused) and outcome.reason == "exists":
            refusal = Refusal("already_member", words.is_member(user, name))
        elif isinstance(outcome, entries.Refused) and outcome.reason == "full":
            refusal = Refusal("too_many_invitations", words.too_many_invited(name, MAX_INVITED))
        if refusal is None:
            hub.answer(link, request.id, outcome)
        else:
            hub.say(link, answers.line(refusal.as_error(request.id)))

    hub.append(link, request.id, entry, ordered)
    return None


def members(hub: Hub, link: Link, request: messages.Members) -> Refusal | None:
    """Who is in a group, for those who may know that there is one."""

    def now() -> None:
        group = hub.present.group(request.group)
        if group is None or not _is_shown(group, link.user):
            hub.say(link, answers.line(_unknown(request.group).as_error(request.id)))
        else:
            hub.say(link, answers.members(request.id, group, hub.present))

    hub.barrier(link, now)
    return None


def groups(hub: Hub, link: Link, request: messages.Groups) -> Refusal | None:
    """Which groups there are: one's own first."""
    hub.barrier(link, lambda: hub.say(link, answers.groups(request.id, hub.present, link.user)))
    return None


def joined(hub: Hub, link: Link, name: str) -> Group | Refusal:
    """Return the group of that name, in which the asker is, or why there is none."""
    group = hub.present.group(name)
    if group is not None and names.key(link.user) in group.members:
        return group
    return not_joined(group, link.user, name)


def not_joined(group: Group | None, user: str, name: str) -> Refusal:
    """Return why someone who is not in this group cannot do there what they asked."""
    if group is None or not _is_shown(group, user):
        return _unknown(name)
    return Refusal("not_member", words.not_member(group.name), certain=False)


def _is_shown(group: Group, user: str) -> bool:
    """Tell whether someone may know that there is this group."""
    key = names.key(user)
    return not group.private or key in group.members or key in group.invited or group.creator == user


def _unknown(group: str) -> Refusal:
    return Refusal("unknown_group", words.unknown_group(words.shown_name(group)), certain=False)


def _exists(group: str) -> Refusal:
    return Refusal("group_exists", words.cannot_create(group, f"{group} exists"), target=group)


def _group_name_problem(hub: Hub, group: str) -> Refusal | None:
    try:
        names.checked(group, "group")
    except InvalidName as problem:
        return Refusal("bad_name", str(problem))
    if hub.account_name(group) is not None:
        return Refusal("name_taken", words.cannot_create(group, f"{group} is a user"))
    existing = hub.present.group(group)
    return None if existing is None else _exists(existing.name)


def _members_named(hub: Hub, link: Link, request: messages.CreateGroup) -> list[str] | Refusal:
    """Return the members in the order given, each once; the creator comes first where not named."""
    members: dict[str, None] = {}
    for name in request.members:
        user = hub.account_name(name)
        if user is None:
            unknown = words.cannot_create(request.group, words.unknown_user(words.shown_name(name)))
            return Refusal("unknown_user", unknown, certain=False)
        members[user] = None
    named = list(members) if link.user in members else [link.user, *members]
    limit = hub.rules.group_members
    if limit and len(named) > limit:
        return Refusal("too_many_members", words.group_full(request.group, limit))
    return named


def _new_group(link: Link, request: messages.CreateGroup, members: list[str], claim: int) -> entries.GroupCreated:
    return entries.GroupCreated(
        link.session, link.number, request.id, link.user, request.group, members, claim, request.private
    )


def _created(hub: Hub, link: Link, request: messages.CreateGroup, entry: entries.AnyEntry) -> None:
    if isinstance(entry, entries.Refused) and entry.reason == "exists":
        _finish(hub, link, request.id, "creategroup", _exists(request.group))
    else:
        _finish(hub, link, request.id, "creategroup", entry)


def _joined(hub: Hub, link: Link, request: messages.JoinGroup, entry: entries.AnyEntry) -> None:
    if isinstance(entry, entries.Refused) and entry.reason == "gone":
        _finish(hub, link, request.id, "joingroup", _unknown(request.group))
    elif isinstance(entry, entries.Refused) and entry.reason == "exists":
        _finish(hub, link, request.id, "joingroup", Refusal("already_member", words.already_member(request.group)))
    else:
        _finish(hub, link, request.id, "joingroup", entry)


def _finish(hub: Hub, link: Link, re: int, name: str, outcome: Refusal | entries.AnyEntry) -> None:
    """Answer a request that the connection's next ones have waited for, and go on with them."""
    if link.ended:
        return
    link.busy = False
    if isinstance(outcome, Refusal):
        hub.refuse(link, re, name, outcome)
    else:
        hub.answer(link, re, outcome)
    hub.proceed(link)
