"""What a request asked for: so that no other one under its id is taken for its repeat. Pure."""

from __future__ import annotations

from typing import NamedTuple

from tessenger.chat import entries
from tessenger.chat.entries import AnyEntry
from tessenger.wire import names


class Asked(NamedTuple):
    """A request: its name on the wire, whom or which group it is about, and what it says; None: that is unknown."""

    command: str = ""
    about: str | None = None
    said: str | None = None


def refused(entry: AnyEntry, reason: entries.RefusedReason) -> entries.Refused:
    """Return the verdict on an entry that is not carried out."""
    return entries.Refused(reason, getattr(entry, "claim", 0), *asked(entry))


def asked(entry: AnyEntry) -> Asked:
    """Return the request that an entry is of. Of one that was refused only the name is known."""
    match entry:
        case entries.Message():
            return Asked("msgto", names.key(entry.to), entry.text)
        case entries.GroupMessage():
            return Asked("groupmsg", names.key(entry.group), entry.text)
        case entries.GroupCreated():
            return Asked("creategroup", names.key(entry.group))
        case entries.GroupJoined():
            return Asked("joingroup", names.key(entry.group))
        case entries.GroupLeft() if entry.user == entry.to:
            return Asked("leavegroup", names.key(entry.group))
        case entries.GroupLeft():
            return Asked("remove", f"{names.key(entry.to)} {names.key(entry.group)}")
        case entries.Invited():
            return Asked("invite", f"{names.key(entry.to)} {names.key(entry.group)}")
        case entries.AwaySet():
            return Asked("away", None, entry.text)
        case entries.Signal():
            return Asked(entry.name, names.key(entry.to))
        case entries.Command():
            return Asked(entry.name)
        case _:
            return Asked()


def is_repeat(refused: entries.Refused, entry: AnyEntry) -> bool:
    """Tell whether what was refused as a repeat asks for the same as what `entry` came of, as far as that is known."""
    first = asked(entry)
    if isinstance(entry, entries.Message | entries.GroupMessage) and entry.text == entries.REDACTED:
        first = first._replace(said=None)
    again = Asked(refused.command, refused.about, refused.said)
    return all(None in (a, b) or a == b for a, b in zip(first, again, strict=True))
