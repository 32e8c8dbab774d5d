"""The commands about groups, and about other people: requests out, answers shown. Runs in the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from tessenger.client import render
from tessenger.client.link import UNCLEAR
from tessenger.wire.messages import (
    Answer,
    AnyAnswer,
    AnyRequest,
    Away,
    AwayAnswer,
    Created,
    CreateGroup,
    Groups,
    GroupsAnswer,
    Invite,
    Invited,
    Joined,
    JoinGroup,
    LeaveGroup,
    Left,
    Members,
    MembersAnswer,
    Remove,
    Removed,
    Whois,
    WhoisAnswer,
)

A = TypeVar("A", bound=Answer)

PRIVATE = "-p"
"""The word before the name of a group that is private."""

MAX_AWAY = 255
"""Characters of what is told of someone who does not look."""


class Shows(Protocol):
    """Where answers are shown."""

    def show(self, text: str) -> None:
        """Show an answer, one line or several."""

    def refuse(self, text: str) -> None:
        """Show why something is not done."""


class GroupCommands:
    """`handlers`: for each command what carries it out, called with its arguments."""

    def __init__(
        self,
        ask: Callable[[AnyRequest, Callable[[AnyAnswer], None]], None],
        output: Shows,
        on_left: Callable[[str], None],
        on_away: Callable[[str], None],
    ) -> None:
        """`ask` sends a request and calls back with its answer, except an error, which it shows.

        `on_left` hears of a group that one has left, `on_away` of what others are told ("": that one is there).
        """
        self._ask = ask
        self._on_left = on_left
        self._on_away = on_away
        self._output = output
        self.handlers: dict[str, Callable[..., None]] = {
            "creategroup": self._creategroup,
            "joingroup": self._joingroup,
            "groups": self._groups,
            "members": self._members,
            "invite": self._invite,
            "leavegroup": self._leavegroup,
            "remove": self._remove,
            "whois": self._whois,
            "away": self._away,
        }

    def _creategroup(self, *words: str) -> None:
        private = words[0] == PRIVATE
        group, *members = words[private:]
        created = shown(self._output, Created, lambda a: render.group_created(a.group))
        self._ask(CreateGroup(0, group, members, private), created)

    def _joingroup(self, group: str) -> None:
        self._ask(JoinGroup(0, group), shown(self._output, Joined, lambda a: render.group_joined(a.group)))

    def _groups(self) -> None:
        self._ask(Groups(0), shown(self._output, GroupsAnswer, lambda a: render.groups(a.groups)))

    def _members(self, group: str) -> None:
        self._ask(Members(0, group), shown(self._output, MembersAnswer, render.members))

    def _invite(self, group: str, user: str) -> None:
        self._ask(Invite(0, group, user), shown(self._output, Invited, render.invited))

    def _leavegroup(self, group: str) -> None:
        def answered(answer: AnyAnswer) -> None:
            if isinstance(answer, Left):
                self._output.show(render.group_left(answer.group))
                self._on_left(answer.group)

        self._ask(LeaveGroup(0, group), answered)

    def _remove(self, group: str, user: str) -> None:
        self._ask(Remove(0, group, user), shown(self._output, Removed, render.removed))

    def _whois(self, user: str) -> None:
        self._ask(Whois(0, user), shown(self._output, WhoisAnswer, render.whois))

    def _away(self, text: str = "") -> None:
        if len(text) > MAX_AWAY:
            self._output.refuse(f"That is too long: at most {MAX_AWAY} characters.")
            return

        def told(answer: AwayAnswer) -> str:
            self._on_away(answer.text)
            return render.away_set(answer.text)

        self._ask(Away(0, text), shown(self._output, AwayAnswer, told))


def shown(output: Shows, kind: type[A], text: Callable[[A], str]) -> Callable[[AnyAnswer], None]:
    """Return what shows an answer of this kind."""

    def answered(answer: AnyAnswer) -> None:
        if isinstance(answer, kind):
            output.show(text(answer))
        else:
            output.refuse(UNCLEAR)

    return answered
