"""The requests of the wire as methods: the part of the library that grows with the protocol. Pure.

Each waits for the server's answer and returns it. What they raise, `request` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from tessenger.wire.messages import (
    ActiveUser,
    ActiveUsers,
    Answer,
    AnyRequest,
    Away,
    AwayAnswer,
    Created,
    CreateGroup,
    GroupLine,
    GroupMsg,
    Groups,
    GroupsAnswer,
    History,
    HistoryAnswer,
    Invite,
    Invited,
    Joined,
    JoinGroup,
    LeaveGroup,
    Left,
    Members,
    MembersAnswer,
    MsgTo,
    Names,
    NamesAnswer,
    Ping,
    Pong,
    Remove,
    Removed,
    Sent,
    Sync,
    Synced,
    UserLine,
    Whois,
    WhoisAnswer,
)

A = TypeVar("A", bound=Answer)


class Requests(ABC):
    """What can be asked of a server."""

    @abstractmethod
    async def request(self, message: AnyRequest, answer: type[A]) -> A:
        """Send any request, and return its answer, of type `answer`."""

    async def send(self, to: str, text: str) -> Sent:
        """Send a private message. When this returns, the message is in the server's journal."""
        return await self.request(MsgTo(0, to, text), Sent)

    async def send_group(self, group: str, text: str) -> Sent:
        """Send a message to a group of which the user is a member."""
        return await self.request(GroupMsg(0, group, text), Sent)

    async def create_group(self, group: str, *members: str, private: bool = False) -> Created:
        """Create a group; its creator is always a member. A private one is joined by invitation only."""
        return await self.request(CreateGroup(0, group, list(members), private), Created)

    async def join_group(self, group: str) -> Joined:
        """Join a group."""
        return await self.request(JoinGroup(0, group), Joined)

    async def leave_group(self, group: str) -> Left:
        """Leave a group."""
        return await self.request(LeaveGroup(0, group), Left)

    async def invite(self, group: str, user: str) -> Invited:
        """Ask someone to join a group of which the user is a member."""
        return await self.request(Invite(0, group, user), Invited)

    async def remove(self, group: str, user: str) -> Removed:
        """Remove someone from a group that the user has created."""
        return await self.request(Remove(0, group, user), Removed)

    async def groups(self) -> list[GroupLine]:
        """Return the user's own groups, then those that everybody may join."""
        return (await self.request(Groups(0), GroupsAnswer)).groups

    async def members(self, group: str) -> MembersAnswer:
        """Return who is in a group, and who has created it."""
        return await self.request(Members(0, group), MembersAnswer)

    async def whois(self, user: str) -> WhoisAnswer:
        """Return what is known about someone."""
        return await self.request(Whois(0, user), WhoisAnswer)

    async def away(self, text: str = "") -> None:
        """Let others know that the user does not look; "": that they do again."""
        await self.request(Away(0, text), AwayAnswer)

    async def active_users(self) -> list[UserLine]:
        """Return who is online, in the order of sign-in."""
        return (await self.request(ActiveUser(0), ActiveUsers)).users

    async def names(self) -> NamesAnswer:
        """Return the names of the users online and of the groups."""
        return await self.request(Names(0), NamesAnswer)

    async def history(self, peer: str = "", *, limit: int = 50, since: int = 0, before: int = 0) -> HistoryAnswer:
        """Return a page of what was said with `peer` (a user or a group; "": everywhere), the oldest first.

        `since`: Unix milliseconds. Where the answer has `before`, there may be more that is older: ask on with it.
        """
        return await self.request(History(0, peer, limit=limit, since=since, before=before), HistoryAnswer)

    async def ping(self) -> None:
        """Wait for a sign of life."""
        await self.request(Ping(0), Pong)

    async def sync(self) -> None:
        """Wait until every event that was ordered before now has been received."""
        await self.request(Sync(0), Synced)
