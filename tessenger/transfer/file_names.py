"""What a peer's file is called here: its name made harmless, cut, numbered. Pure."""

from __future__ import annotations

from blake3 import blake3

MAX_NAME_BYTES = 255
_MAX_SUFFIX_BYTES = 32
_RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    name + digit for name in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"
}
"""Names that are devices on Windows, whatever their suffix: such a file could not be handed on to there."""
_JOINERS = "\u200c\u200d"
"""Invisible, but parts of emoji and of Persian words."""
_MAX_FOLDERS = 32


def clean_name(name: str) -> str:
    """Return the last component of a peer's file name in a form that is a plain, visible file in any folder."""
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "".join(_clean_character(character) for character in name)
    name = name.lstrip(". ").rstrip(". ")
    if name.partition(".")[0].rstrip().upper() in _RESERVED:
        name = "_" + name
    return shortened(name or "file", MAX_NAME_BYTES)


def clean_path(name: str) -> list[str]:
    """Return the folders and the name, each one cleaned, under which a peer's file lands below the download folder.

    What leads upward or to the root is dropped, so that nothing leads out of there.
    """
    parts = [part for part in name.split("/") if part.strip(". ")]
    return [clean_name(part) for part in parts[-_MAX_FOLDERS - 1 :]] or [clean_name(name)]


def file_id(sender: str, name: str, size: int) -> str:
    """Return what a part is called by: the same for the same file from the same person, whenever it is offered."""
    fields = (sender.lower().encode(), name.encode(errors="replace"), str(size).encode())
    return blake3(b"".join(len(field).to_bytes(4) + field for field in fields)).hexdigest(8)


def _clean_character(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() and character > "\x7f" else "_"


def shortened(name: str, limit: int) -> str:
    """Return `name` with its middle cut so that it has at most `limit` bytes in UTF-8 and keeps its suffix."""
    if len(name.encode()) <= limit:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = limit - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix


def numbered(name: str, number: int) -> str:
    """Return `name` for the first number, 0, and then `name (1).mp4` and so on."""
    if not number:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    mark = f" ({number})"
    room = MAX_NAME_BYTES - len((mark + dot + suffix).encode())
    return shortened(stem, room) + mark + dot + suffix
