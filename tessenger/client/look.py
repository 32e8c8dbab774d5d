"""What the REPL makes of messages: the words of `render`, with weight, colour and lines of their own. Pure.

Every line is whole in itself, escape sequences included, so that output can be cut between any two of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tessenger.client import render
from tessenger.client.colours import Painter
from tessenger.client.wrapping import Width, wrap
from tessenger.wire.messages import GroupMessage, Message, Unread
from tessenger.wire.names import key
from tessenger.wire.text import clean, clean_line
from tessenger.wire.times import local_date

NARROWEST = 24
"""Columns that a text must have to stand under its own beginning; in a smaller window it goes to the left."""

UNSENT = "(not sent yet)"
"""What stands behind a line that waits for a connection."""

LEFT = 2
"""Columns by which a continued line is set off there."""


class Look:
    """How things look to `reader`. `rule`: what a separating line is made of; `short`: times without their date."""

    def __init__(self, reader: str, painter: Painter, width: Width, *, rule: str = "─", short: bool = False) -> None:
        self.short = short
        self.painter = painter
        self._reader = reader
        self._width = width
        self._rule = rule
        self._mention = re.compile(rf"(?<![\w.-])@?{re.escape(reader)}(?![\w-]|\.\w)", re.IGNORECASE)
        self._day = ""

    def begin(self, now: int) -> None:
        """Note the day (Unix ms) that goes without saying."""
        self._day = local_date(now)

    def mentions(self, event: Message | GroupMessage) -> bool:
        """Tell whether the reader's name is in the text of someone else."""
        return key(event.sender) != key(self._reader) and self._mention.search(event.text) is not None

    def message(self, event: Message | GroupMessage, columns: int, current: str = "") -> str:
        """Return a message, below a line with the day where that is another one. `current`: the conversation talked in.

        What is private or mentions the reader has its author reversed, unless that is all there is in `current`.
        """
        words = render.heading(event, self._reader, short=self.short)
        used = self._width(", ".join(words) + ": ")
        private = isinstance(event, Message) and key(event.sender) not in (key(self._reader), key(current))
        weight = "badge" if private or self.mentions(event) else "bold"
        names = [self.painter.name(words[1], words[1]), ""] if isinstance(event, GroupMessage) else [""]
        names[-1] = self.painter.name(words[-1], event.sender, weight)
        head = ", ".join([self.painter.paint(words[0], "dim"), *names]) + ": "
        indent = used if columns - used >= NARROWEST else LEFT
        lines = wrap(clean(event.text), columns, used=used, indent=indent, width=self._width)
        texts = [self._marked(line.text) if weight == "badge" else line.text for line in lines]
        rest = [" " * line.indent + text for line, text in zip(lines[1:], texts[1:], strict=True)]
        return "\n".join([*self._new_day(event.at, columns), head + texts[0], *rest])

    def messages(self, events: Sequence[Message | GroupMessage], columns: int, current: str = "") -> str:
        """Return several messages."""
        return "\n".join(self.message(event, columns, current) for event in events)

    def unread(self, event: Unread, columns: int) -> str:
        """Return the line above the messages of an absence."""
        return self._ruled(render.unread(event), columns, "bold")

    def answer(self, text: str, columns: int) -> str:
        """Return an answer, whose words stay whole in a small window."""
        return self._flowing(clean(text), columns, "")

    def refusal(self, text: str, columns: int) -> str:
        """Return why something was not done."""
        return self._flowing(clean(text), columns, "bold")

    def notice(self, text: str, columns: int) -> str:
        """Return what is mentioned aside."""
        return self._flowing(clean_line(text), columns, "dim")

    def echo(self, prompt: str, line: str, *, unsent: bool = False) -> str:
        """Return a line that was typed, as it stays above; what was pasted may hold anything.

        One that is `unsent` waits for a connection, and shows it.
        """
        text = prompt + clean(line).replace("\n", f"\n{' ' * len(prompt)}")
        if not unsent:
            return text
        return "\n".join(self.painter.paint(part, "dim") for part in f"{text}  {UNSENT}".split("\n"))

    def _flowing(self, text: str, columns: int, weight: str) -> str:
        lines = [
            " " * line.indent + line.text
            for typed in text.split("\n")
            for line in wrap(typed, columns, used=0, indent=LEFT, width=self._width)
        ]
        return "\n".join(self.painter.paint(line, weight) for line in lines)

    def _marked(self, text: str) -> str:
        return self._mention.sub(lambda match: self.painter.paint(match[0], "mark"), text)

    def _new_day(self, at: int, columns: int) -> list[str]:
        day = local_date(at)
        if day == self._day:
            return []
        self._day = day
        return [self._ruled(day, columns, "dim")]

    def _ruled(self, text: str, columns: int, weight: str) -> str:
        side = min(8, (columns - self._width(text) - 2) // 2)
        rule = self._rule * side
        return self.painter.paint(f"{rule} {text} {rule}" if side > 0 else text, weight)
