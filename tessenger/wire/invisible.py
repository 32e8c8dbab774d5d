"""Characters that show nothing: kept where a script or an emoji needs them, otherwise taken out or made visible. Pure.

What nobody sees can carry what nobody reads: tag characters a hidden text, zero-width characters a name that looks like
another one, direction marks a reordering. By Unicode 15.1: joiners (section 23.2), emoji sequences and tags (UTS #51),
direction marks (UAX #9).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_JOINERS: Final = "\u200c\u200d"
_ZERO_WIDTH: Final = re.compile("[\u00ad\u180e\u200b\u2060-\u2064\ufeff]")
"""Soft hyphen, separators and word joiners, invisible operators, byte order mark: no text needs them here."""

_MARKS: Final = re.compile("[\u061c\u200e\u200f]")
_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
"""Blocks of scripts that are written from right to left."""

_TAGS: Final = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,16}\U000e007f)|[\U000e0000-\U000e007f]")
"""A flag of a part of a country (a black flag, tags, their end); or a tag by itself."""

_HIDDEN: Final = re.compile("[\u206a-\u206f\ufff9-\ufffb\U0001d173-\U0001d17a]")
"""Deprecated format characters, interlinear annotations, musical format characters."""


def without_stray(text: str) -> str:
    """Return `text` without invisible characters that mean nothing where they stand; the same text again, of that."""
    text = _ZERO_WIDTH.sub("", text)
    text = _TAGS.sub(lambda match: match[1] or "\ufffd", text)
    text = _HIDDEN.sub("\ufffd", text)
    if _MARKS.search(text) and not _RIGHT_TO_LEFT.search(text):
        text = _MARKS.sub("", text)
    return _without_stray_joiners(text) if any(joiner in text for joiner in _JOINERS) else text


def _without_stray_joiners(text: str) -> str:
    """Keep a joiner behind a letter of a script that has them, or between two symbols, as in an emoji; never two."""
    kept: list[str] = []
    for place, character in enumerate(text):
        if character in _JOINERS:
            before = kept[-1] if kept else " "
            after = text[place + 1 : place + 2] or " "
            if before in _JOINERS or not (_takes_joiner(before) or (_is_symbol(before) and _is_symbol(after))):
                continue
        kept.append(character)
    return "".join(kept)


def _takes_joiner(character: str) -> bool:
    """Tell whether a joiner may follow: a letter or a mark beyond the Latin, Greek and Cyrillic blocks."""
    return character >= "\u0590" and unicodedata.category(character)[0] in "LM" and not _is_variation(character)


def _is_symbol(character: str) -> bool:
    return _is_variation(character) or unicodedata.category(character) in ("So", "Sk", "Sm")


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f"
