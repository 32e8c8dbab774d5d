"""Whom one talks to, and what came elsewhere meanwhile. Pure; runs in the client.

In a conversation (/talk) a plain line is a message to it; only a line with a slash is a command, and two slashes begin
a text with one. Without one, every line is a command, with or without its slash.
"""

from __future__ import annotations

from tessenger.client.commands import BY_NAME, Call, Mistake, parse
from tessenger.wire.messages import GroupMessage, Message
from tessenger.wire.names import is_name, key

RECENT = 200
"""Names that are remembered for completion, and conversations whose unread messages are counted."""


class Conversation:
    """The current conversation, if there is one, the unread messages of others, and with whom there was any."""

    def __init__(self) -> None:
        self.name = ""
        self.unread: dict[str, int] = {}
        self.recent: dict[str, None] = {}
        self._group = False

    def talk(self, name: str, *, group: bool) -> None:
        """Make `name` the current conversation; "" ends it."""
        self.name, self._group = name, group
        self.seen(name)

    def is_over(self, group: str) -> bool:
        """One is not in `group` any more: tell whether that has ended the current conversation."""
        over = self._group and key(group) == key(self.name)
        if over:
            self.talk("", group=False)
        return over

    def read(self, line: str) -> Call | Mistake | None:
        """Return what a typed line asks for."""
        if not self.name or not line.strip():
            return parse(line)
        begin = line.lstrip()
        if begin.startswith("/") and not begin.startswith("//"):
            return parse(line)
        text = begin[1:] if begin.startswith("//") else line
        command = BY_NAME["groupmsg" if self._group else "msgto"]
        return Call(command, (self.name, text.encode("utf-8", "replace").decode()))

    def came(self, event: Message | GroupMessage) -> None:
        """Count a message that is not in the current conversation."""
        name = conversation_of(event)
        self._remember(name)
        if key(name) != key(self.name):
            known = next((other for other in self.unread if key(other) == key(name)), name)
            if known in self.unread or len(self.unread) < RECENT:
                self.unread[known] = self.unread.get(known, 0) + 1

    def seen(self, name: str) -> None:
        """Count no message of this conversation as unread any more; of all, where there is no current one."""
        self._remember(name)
        if not self.name:
            self.unread.clear()
        self.read_all(name)

    def read_all(self, name: str) -> None:
        """Count no message of this conversation as unread any more, without beginning to look at it."""
        for known in [known for known in self.unread if key(known) == key(name)]:
            del self.unread[known]

    def _remember(self, name: str) -> None:
        if is_name(name):
            self.recent.pop(name, None)
            self.recent[name] = None
            if len(self.recent) > RECENT:
                del self.recent[next(iter(self.recent))]


def conversation_of(event: Message | GroupMessage) -> str:
    """Return the name of the conversation that a message belongs to: its group, or who wrote it."""
    return event.group if isinstance(event, GroupMessage) else event.sender
