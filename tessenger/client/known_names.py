"""Asks the server who and what there is: for completion, the toolbar and /talk. Runs in the client, both front ends."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from tessenger.client.channel import Channel
from tessenger.client.whole import whole
from tessenger.wire.messages import AnyAnswer, Error, Names, NamesAnswer, Whois, WhoisAnswer
from tessenger.wire.names import is_name, key


class KnownNames(Struct, frozen=True):
    """What can be completed: who is online, who is not (where that was asked for), which groups there are."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Named(Struct, frozen=True):
    """What a name stands for: `name` is how the server writes it."""

    name: str
    is_group: bool = False
    is_online: bool = False


def ask_names(channel: Channel, on_names: Callable[[KnownNames], None], *, everybody: bool = False) -> None:
    """Ask for the names that can be completed; `everybody`: of people who are not online, too."""

    def answered(answer: AnyAnswer) -> None:
        names = answer if isinstance(answer, NamesAnswer) else NamesAnswer(0)
        lists = (tuple(filter(is_name, found)) for found in (names.users, names.groups, names.others))
        on_names(KnownNames(*lists))

    channel.request(Names(0, everybody=everybody), whole(answered))


def ask_named(channel: Channel, name: str, on_named: Callable[[Named | Error], None]) -> None:
    """Ask what a name stands for; an `Error` for nothing, or where it cannot be told."""

    def described(answer: AnyAnswer) -> None:
        if isinstance(answer, WhoisAnswer) and is_name(answer.user):
            on_named(Named(answer.user, is_online=bool(answer.since)))
        elif isinstance(answer, Error) and answer.code != "unknown_user":
            on_named(answer)
        else:
            on_named(Error("unknown_user", f"There is no user and no group chat {name}. Tab shows who there is."))

    def answered(names: KnownNames) -> None:
        group = next((known for known in names.groups if key(known) == key(name)), "")
        if group:
            on_named(Named(group, is_group=True))
        else:
            channel.request(Whois(0, name), described)

    ask_names(channel, answered)
