"""Lines that were typed and have no answer yet: what is lost where somebody leaves before it comes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tessenger.wire.text import clean_line

NAMED_LINES = 5
"""Lines that are named when all of them may be lost; the others are counted."""

NAMED_CHARACTERS = 60
"""What is shown of one of them."""


class OpenLines:
    """In the order in which they were typed."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}
        self._last = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines.values())

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> Callable[[], None]:
        """Note a line; return what is to be called when it has its answer."""
        self._last += 1
        number = self._last
        self._lines[number] = line

        def answered() -> None:
            self._lines.pop(number, None)

        return answered

    def named(self) -> list[str]:
        """Return the lines for people, shortened, and how many more there are."""
        lines = [_short(line) for line in self]
        if len(lines) > NAMED_LINES:
            lines[NAMED_LINES - 1 :] = [f"... and {len(lines) - NAMED_LINES + 1} more"]
        return [f"  {line}" for line in lines]


def _short(line: str) -> str:
    text = clean_line(line.strip())
    return text if len(text) <= NAMED_CHARACTERS else text[: NAMED_CHARACTERS - 3] + "..."
