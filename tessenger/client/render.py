"""What people see: answers and events as lines of text, in the words of the original description. Pure.

Text of others is cleaned here once more, whatever the server did. A message of several lines stays one here; a front
end that shows one line for each message asks for `one_line`, where a line end is shown as its picture, U+240A.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessenger.wire.messages import (
    Denied,
    Error,
    GroupLeft,
    GroupLine,
    GroupMessage,
    Invitation,
    Invited,
    MembersAnswer,
    Message,
    Removed,
    Sent,
    Unread,
    UserLine,
    WhoisAnswer,
)
from tessenger.wire.text import clean, clean_line
from tessenger.wire.times import local_clock, local_time

CONNECTION_REFUSED = "Connection refused!"
PLEASE_LOGIN = "Please login"
USERNAME = "Username: "
PASSWORD = "Password: "  # noqa: S105 - the prompt, no password
WELCOME = "Welcome to TESSENGER!"
PROMPT = (
    "Enter one of the following commands "
    "(/msgto, /activeuser, /creategroup, /joingroup, /groupmsg, /logout, /p2pvideo):"
)


def heading(event: Message | GroupMessage, reader: str, *, short: bool = False) -> list[str]:
    """What stands before a message's text: time, group, author; of a private one of `reader`'s own also to whom."""
    time = local_clock(event.at) if short else local_time(event.at)
    sender = clean_line(event.sender)
    if isinstance(event, GroupMessage):
        return [time, clean_line(event.group), sender]
    return [time, f"{sender} to {clean_line(event.to)}" if event.to and event.sender == reader else sender]


def message(event: Message | GroupMessage, reader: str = "") -> str:
    """A message as `reader` sees it."""
    return f"{', '.join(heading(event, reader))}: {clean(event.text)}"


def message_sent(to: str, answer: Sent) -> str:
    """A private message is in the journal."""
    line = f"message sent at {local_time(answer.at)}"
    if answer.note:
        return f"{line}\n{away(to, answer.note)}"
    return f"{line}\nuser {to} not online, gets it at the next sign-in" if answer.away else line


def group_message_sent(answer: Sent) -> str:
    """A message to a group is in the journal."""
    return f"Group chat message sent at:{local_time(answer.at)}"


def unread(event: Unread) -> str:
    """What stands above messages of an absence; a count of 0: it is not known how many of them are shown."""
    if not event.count:
        return "Messages while you were away:"
    return f"{event.count} message{'' if event.count == 1 else 's'} while you were away:"


def active_users(users: Sequence[UserLine]) -> str:
    """Who is online, one a line; all lines but the last end in a full stop."""
    return ".\n".join(
        f"{clean_line(user.user)}, {clean_line(user.ip)}, {user.udp_port}, {local_time(user.since)}" for user in users
    )


def group_created(group: str) -> str:
    """A group exists now."""
    return f"Group chat created {clean_line(group)}"


def group_joined(group: str) -> str:
    """One is a member now."""
    return f"You have joined Groupchat {clean_line(group)}"


def groups(lines: Sequence[GroupLine]) -> str:
    """The group chats, one a line."""
    return "\n".join(map(_group, lines)) or "There are no group chats."


def _group(line: GroupLine) -> str:
    count = f"{line.members} member{'' if line.members == 1 else 's'}"
    marks = [count, *["private"] * line.private, *["joined"] * line.joined]
    return f"{clean_line(line.group)}: {', '.join(marks)}"


def members(answer: MembersAnswer) -> str:
    """Who is in a group chat, one a line."""
    creator = answer.creator
    shown = [
        f"{clean_line(line.user)}{', created it' * (line.user == creator)}{'' if line.online else ', not online'}"
        for line in answer.members
    ]
    return "\n".join([f"Groupchat {clean_line(answer.group)}:", *shown])


def whois(answer: WhoisAnswer) -> str:
    """What is known about someone."""
    lines = [f"{clean_line(answer.user)} is {'' if answer.since else 'not '}online"]
    if answer.since:
        lines[0] += f" since {local_time(answer.since)}, {clean_line(answer.ip)}, {answer.udp_port}"
    if answer.lost:
        lines.append("The connection broke a moment ago.")
    if answer.away:
        lines.append(away(answer.user, answer.away))
    if answer.groups:
        lines.append(f"You are both in {', '.join(map(clean_line, answer.groups))}.")
    return "\n".join(lines)


def away(user: str, text: str) -> str:
    """Someone does not look."""
    return f"{clean_line(user)} is away: {clean_line(text)}"


def away_set(text: str) -> str:
    """What others are told of oneself."""
    return f"Others are told that you are away: {clean_line(text)}" if text else "You are not away any more."


def invited(answer: Invited) -> str:
    """Someone is asked to join."""
    return f"{clean_line(answer.user)} is invited to Groupchat {clean_line(answer.group)}"


def group_left(group: str) -> str:
    """One is a member no more."""
    return f"You have left Groupchat {clean_line(group)}"


def removed(answer: Removed) -> str:
    """Someone is a member no more."""
    return f"{clean_line(answer.user)} is removed from Groupchat {clean_line(answer.group)}"


def invitation(event: Invitation) -> str:
    """One is asked to join."""
    group = clean_line(event.group)
    return f"{local_time(event.at)}, {clean_line(event.sender)} invites you to Groupchat {group} (/joingroup {group})"


def departure(event: GroupLeft, reader: str) -> str:
    """Someone, perhaps oneself, is a member no more."""
    group, user, who = clean_line(event.group), clean_line(event.user), clean_line(event.sender)
    if event.user == event.sender:
        return f"{local_time(event.at)}, {user} has left Groupchat {group}"
    whom = "you" if event.user == reader else user
    return f"{local_time(event.at)}, {who} has removed {whom} from Groupchat {group}"


def error(answer: Error | Denied) -> str:
    """The server's own words."""
    return clean(answer.text)


def bye(user: str) -> str:
    """The last line of a session."""
    return f"Bye, {clean_line(user)}!"


def one_line(text: str) -> str:
    """Return `text` on one line: a line end becomes its picture."""
    return text.replace("\n", "\u240a")


def size(count: float) -> str:
    """Bytes for people, in powers of ten: `1.4 GB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} PB"


def duration(seconds: float) -> str:
    """A length of time for people: `12 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
