"""Weights and colours of text in a terminal, as SGR escape sequences. Pure.

Everyone has a colour of their own, the same in every session. The colours have a contrast of 3.4 or more (WCAG 2)
against white as well as black, so that nobody has to say which background they use.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from enum import Enum

AUTHORS = (160, 166, 130, 100, 64, 28, 30, 32, 27, 62, 98, 134, 164, 162)
"""Numbers in xterm's palette of 256 colours."""

_BASIC = (31, 32, 35, 36)
"""Red, green, magenta and cyan; of the eight basic colours the others vanish on one background or the other."""

_WEIGHTS = {"": "", "dim": "2", "bold": "1", "mark": "1;4", "badge": "1;7"}


class Depth(Enum):
    """How many colours there are. `WEIGHTS`: none, but bold, dim and reverse; `NOTHING`: not even these."""

    NOTHING = 0
    WEIGHTS = 1
    BASIC = 8
    MANY = 256


def depth_of(environ: Mapping[str, str]) -> Depth:
    """Return what the terminal can show and the person wants to see; NO_COLOR as https://no-color.org has it."""
    term = environ.get("TERM", "")
    if term in ("", "dumb"):
        return Depth.NOTHING
    if environ.get("NO_COLOR") or term.startswith(("vt1", "vt2")) or term.endswith(("-m", "-mono")):
        return Depth.WEIGHTS
    if environ.get("COLORTERM") in ("truecolor", "24bit") or term.endswith(("256color", "-direct")):
        return Depth.MANY
    return Depth.BASIC


class Painter:
    """Puts text, which must be clean, into weights and colours."""

    def __init__(self, depth: Depth) -> None:
        self._depth = depth

    def paint(self, text: str, weight: str) -> str:
        """Return `text` dim, bold, as a mark (bold, underlined) or as a badge (bold, reversed)."""
        return self._sgr(text, _WEIGHTS[weight])

    def name(self, text: str, of: str, weight: str = "") -> str:
        """Return `text` in the colour of the person or group `of`."""
        return self._sgr(text, ";".join(filter(None, (_WEIGHTS[weight], self._colour(of)))))

    def _colour(self, of: str) -> str:
        number = zlib.crc32(of.lower().encode("utf-8", "replace"))
        if self._depth is Depth.MANY:
            return f"38;5;{AUTHORS[number % len(AUTHORS)]}"
        return str(_BASIC[number % len(_BASIC)]) if self._depth is Depth.BASIC else ""

    def _sgr(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if text and codes and self._depth is not Depth.NOTHING else text
