"""Text of other people: made harmless before it is stored, shown or written to a log. Pure.

Control characters stay visible, as the pictures of Unicode's "Control Pictures" block (U+2400 to U+2421) for C0
and DEL, and as U+FFFD for C1 and the bidirectional overrides and isolates (U+202A to U+202E, U+2066 to U+2069),
which could otherwise reorder what a reader sees (CVE-2021-42574). Of what cannot be seen only that stays which a script
or an emoji needs where it stands (see invisible.py).
"""

from __future__ import annotations

from tessenger.wire.invisible import without_stray

_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_REPLACED = dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
_LINE: dict[int, int | str] = {**_PICTURES, **_REPLACED, 0x2028: " ", 0x2029: " "}
_BLOCK: dict[int, int | str] = {**_LINE, 0x09: "\t", 0x0A: "\n", 0x2028: "\n", 0x2029: "\n"}
_ESCAPED: dict[int, int | str] = {**_LINE, 0x5C: "\\\\", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}


def clean(text: str) -> str:
    """Return `text` with everything that could steer a terminal made visible; line ends and tabs stay."""
    if text.isprintable():
        return text
    return without_stray(text.replace("\r\n", "\n").translate(_BLOCK))


def clean_line(text: str) -> str:
    """Return `text` as `clean` does, on one line: line ends and tabs are made visible too."""
    if text.isprintable():
        return text
    return without_stray(text.translate(_LINE))


def escaped(text: str) -> str:
    r"""Return `text` for one line of a log: ``\\``, ``\n``, ``\r`` and ``\t`` are spelt out."""
    if "\\" not in text and text.isprintable():
        return text
    return without_stray(text.translate(_ESCAPED))
