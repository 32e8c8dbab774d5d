"""Text broken into lines of a window, continued under its own beginning. Pure.

A link stays in one piece: it goes onto a line of its own, without the indentation if it needs that room, and one that
is longer than the window is left to the terminal, which copies it as one. Everything else that is too long is broken
between characters, never inside one (a base with its marks, an emoji of several parts, a flag).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from msgspec import Struct

Width = Callable[[str], int]
"""How many columns a text takes."""

TAB = 4
"""Columns between tab stops in the text of a message."""

_WORD = re.compile(r"(\s*)(\S*)")
_LINK = re.compile(r"\w://\S")
"""Neither may go back over what it has read: a text of one kind of character would then take seconds."""

_JOINER = "\u200d"


class Line(Struct, frozen=True):
    """One line: `text` behind `indent` blanks."""

    indent: int
    text: str


def wrap(text: str, columns: int, *, used: int, indent: int, width: Width) -> list[Line]:
    """Return the lines of `text`, the first of them behind `used` columns that something else takes.

    Where it fits, a text is not changed: blanks and line ends stay as they were typed.
    """
    lines: list[Line] = []
    for number, paragraph in enumerate(text.split("\n")):
        start = indent if number else used
        whole = paragraph.expandtabs(TAB)
        if start + width(whole) <= columns:
            lines.append(Line(start, whole))
        else:
            lines += _Paragraph(columns, start, indent, width).broken(whole)
    return lines


class _Paragraph:
    """One paragraph under way: the line that is being filled, and those before it."""

    def __init__(self, columns: int, start: int, indent: int, width: Width) -> None:
        self._columns = columns
        self._width = width
        self._indent = indent
        self._done: list[Line] = []
        self._start = start
        self._text = ""
        self._used = start

    def broken(self, text: str) -> list[Line]:
        for match in _WORD.finditer(text):
            blanks, word = match.groups()
            if not word:
                break  # blanks at the end
            if self._used == self._start and self._done:
                blanks = ""  # the break stands for them
            wide = self._width(word)
            if self._used + len(blanks) + wide <= self._columns:
                self._add(blanks + word, len(blanks) + wide)
            elif self._indent + wide <= self._columns:
                self._next_line()
                self._add(word, wide)
            elif _LINK.search(word):
                self._link(word)
            else:
                self._pieces(blanks, word)
        if self._text or not self._done:
            self._done.append(Line(self._start, self._text))
        return self._done

    def _add(self, text: str, wide: int) -> None:
        self._text += text
        self._used += wide

    def _next_line(self) -> None:
        self._done.append(Line(self._start, self._text))
        self._start = self._used = self._indent
        self._text = ""

    def _link(self, word: str) -> None:
        if self._text or not self._done:
            self._next_line()
        self._done.append(Line(0, word))

    def _pieces(self, blanks: str, word: str) -> None:
        if self._used + len(blanks) + 2 <= self._columns:
            self._add(blanks, len(blanks))
        for piece in characters(word):
            wide = self._width(piece)
            if self._used + wide > self._columns and self._used > self._start:
                self._next_line()
            self._add(piece, wide)


def characters(text: str) -> Iterator[str]:
    """Yield what a reader takes for one character each, near enough to Unicode's rules (UAX 29) to break lines by."""
    piece = ""
    flag = False  # the piece is the first half of one
    for character in text:
        half = 0x1F1E6 <= ord(character) <= 0x1F1FF
        joined = piece.endswith(_JOINER) or _continues(character) or (flag and half)
        flag = half and not joined
        if piece and not joined:
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _continues(character: str) -> bool:
    """Tell whether a character belongs to the one before: marks, joiners, variation selectors, skin tones."""
    code = ord(character)
    if code < 0x300:
        return False
    return code == 0x200D or 0x1F3FB <= code <= 0x1F3FF or unicodedata.category(character) in ("Mn", "Me", "Mc")
