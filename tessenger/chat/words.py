"""The server's words to people, in the tone of the original description, which fixes the first ones. Pure."""

from __future__ import annotations

from tessenger.wire.names import MAX_NAME
from tessenger.wire.text import clean_line

INVALID_PASSWORD = "Invalid password. Please try again."  # noqa: S105 what is said, no password
BLOCKED_NOW = "Invalid details. Your account has been blocked. Please try again later."
BLOCKED = "Your account is blocked due to multiple login failures. Please try again later."
SESSION_EXPIRED = "Your session is over. Please sign in again."
PASSWORD_CHANGED = "Your password has been changed. Please sign in with the new one."  # noqa: S105 what is said
UNAVAILABLE = "The server is busy. Please try again in a moment."
NOT_SIGNED_IN = "Please sign in first."
ALREADY_SIGNED_IN = "You are signed in already."
ONLINE_ELSEWHERE = "You are signed in from another place. This session is over."
REPLACED = "You have signed in from another place. This session is over."
REMOVED = "Your account has been removed. This session is over."
CLOSING = "The server is shutting down."
TOO_SLOW = "You do not read fast enough. Please connect again to get what you missed."
LOGIN_TIMEOUT = "Nobody signed in within {seconds:g} seconds."
SERVER_FULL = "The server has no room for more connections. Please try again later."
TOO_MANY_CONNECTIONS = "There are too many connections from your address."
LINE_TOO_LONG = "A line is longer than {limit} bytes."
TOO_MANY_BAD_LINES = "{count} lines were no valid requests."
NOT_DONE = "This request was not carried out."
EMPTY_TEXT = "The message is empty."
TEXT_TOO_LONG = "The message is too long: {size} bytes, at most {limit} are allowed."
TO_SELF = "You cannot send a message to yourself."
FILE_TO_SELF = "You cannot send a file to yourself."
ONE_CONVERSATION = "A history is of one user or of one group."
NO_MEMBER_ANY_MORE = "That membership in a group chat is over already."
BAD_FILE_NAME = "The file name is empty or too long."
PROTOCOL = "This server speaks version {ours} of the protocol, not {theirs}."


def shown_name(name: str) -> str:
    """Return a name that may be nobody's, so that it can be shown."""
    return clean_line(name)[:MAX_NAME]


def not_online(user: str) -> str:
    """The seed's words for someone who is away."""
    return f"user {user} not online"


def unknown_user(user: str) -> str:
    """For a name that is nobody's."""
    return f"user {user} does not exist"


def takes_no_files(user: str) -> str:
    """For someone whose client has no UDP port."""
    return f"user {user} does not take files"


def unknown_group(group: str) -> str:
    """For a group that nobody has created."""
    return f"Groupchat {group} does not exist"


def not_member(group: str) -> str:
    """For a message to a group of others."""
    return f"You have not joined Groupchat {group}"


TOO_MANY_GROUPS = "You have created as many group chats as one person may."
TOO_FAST_GROUPS = "You create group chats too fast. Please try again in a minute."


def already_member(group: str) -> str:
    """The seed's words for someone who joins twice."""
    return f"You have already joined Groupchat {group}"


def is_member(user: str, group: str) -> str:
    """For an invitation that nobody needs."""
    return f"user {user} has already joined Groupchat {group}"


def no_member(user: str, group: str) -> str:
    """For someone who cannot be removed."""
    return f"user {user} has not joined Groupchat {group}"


def not_creator(group: str, creator: str) -> str:
    """For what only one person may do, where that is not gone for good ("")."""
    if not creator:
        return f"Nobody can do that any more: the account that created Groupchat {group} has been removed"
    return f"Only {creator}, who created Groupchat {group}, can do that"


def too_many_invited(group: str, limit: int) -> str:
    """For invitations that nobody takes up."""
    return f"{limit} people are invited to Groupchat {group} already"


def group_full(group: str, limit: int) -> str:
    """For a group that has as many members as the server allows."""
    return f"Groupchat {group} is full: at most {limit} members are allowed"


def cannot_create(group: str, why: str) -> str:
    """The seed's words for a group that cannot be created; `why` without a full stop."""
    return f"Failed to create the group chat {group}: {why}!"
