"""What the Tab key offers: text in, suggestions out. Pure; directories are read through a port."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tessenger.client.commands import ALL, BY_NAME, COMMANDS, Argument, Command, Kind
from tessenger.client.preferences import ABOUT, values_of
from tessenger.wire.names import key

ListDirectory = Callable[[str], Iterable[tuple[str, bool]]]
"""Names in a directory (a path as typed, "" for the current one), each with whether it is a directory."""


class Suggestion(Struct, frozen=True):
    """Put `text` in place of the last `replaced` characters; `shown` and `about` are for the menu."""

    text: str
    replaced: int
    shown: str
    about: str = ""


class Known(Struct, frozen=True):
    """What there is to suggest besides commands and paths."""

    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    transfers: Sequence[str] = ()
    recent: Sequence[str] = ()


def suggest(before: str, known: Known, list_directory: ListDirectory, *, talking: bool = False) -> list[Suggestion]:
    """Return what could stand at the cursor, given the text before it.

    `talking`: in a conversation, where a line without a slash is a text, in which people's names are completed.
    """
    before = before.lstrip()
    if talking and not before.startswith("/"):
        typed = before.rpartition(" ")[2].rpartition("\n")[2]
        return _names(typed, known.users) if typed else []
    word = before.split(maxsplit=1)[0] if before else ""
    if before == word:
        return _commands(word)
    command = BY_NAME.get(word.removeprefix("/").lower())
    if command is None:
        return []
    rest = before[len(word) :].lstrip()
    argument, typed = _argument(command, rest)
    if argument is None:
        return []
    match argument.kind:
        case Kind.USER:
            return _names(typed, _once(known.users, known.recent))
        case Kind.GROUP:
            return _names(typed, known.groups)
        case Kind.NUMBER:
            return _names(typed, known.transfers)
        case Kind.OFFER:
            return _names(typed, [*known.transfers, ALL])
        case Kind.CONVERSATION:
            return _names(typed, _once(known.users, known.groups, known.recent))
        case Kind.SETTING:
            return [replace(suggestion, about=ABOUT[suggestion.shown]) for suggestion in _names(typed, list(ABOUT))]
        case Kind.VALUE:
            name = rest.split(maxsplit=1)[0] if command.name == "set" else command.name
            return _names(typed, values_of(name))
        case Kind.COMMAND:
            return _names(typed, [command.name for command in COMMANDS])
        case Kind.FILE:
            return _paths(typed, list_directory)
        case Kind.TEXT | Kind.NEW_GROUP | Kind.SPAN:
            return []


def wants_names(before: str, *, talking: bool = False) -> bool:
    """Tell whether users or groups could stand at the cursor, so that it is worth asking who there is."""
    before = before.lstrip()
    if talking and not before.startswith("/"):
        return not before[-1:].isspace()
    word, _, rest = before.partition(" ")
    command = BY_NAME.get(word.removeprefix("/").lower())
    argument = _argument(command, rest.lstrip())[0] if command else None
    return argument is not None and argument.kind in (Kind.USER, Kind.GROUP, Kind.CONVERSATION)


def _argument(command: Command, rest: str) -> tuple[Argument | None, str]:
    """Return the argument that the cursor is in, and what is typed of it."""
    if command.flag and rest.startswith(f"{command.flag} "):
        rest = rest[len(command.flag) :].lstrip()
    for argument in command.arguments:
        if argument.many or argument.kind in (Kind.FILE, Kind.TEXT):
            return argument, rest if not argument.many else re.split(r"\s+", rest)[-1]
        first, space, after = rest.partition(" ")
        if not space:
            return argument, first
        rest = after.lstrip()
    return None, rest


def _commands(word: str) -> list[Suggestion]:
    slash = "/" if word.startswith("/") or not word else ""
    start = word.removeprefix("/").lower()
    found = [command for command in COMMANDS if command.name.startswith(start)]
    return [
        Suggestion(f"{slash}{command.name}{' ' * bool(command.arguments)}", len(word), f"/{command.name}", command.help)
        for command in found
    ]


def _once(*lists: Sequence[str]) -> list[str]:
    """Return these names in order, each once."""
    return list({key(name): name for names in lists for name in names}.values())


def _names(typed: str, names: Sequence[str]) -> list[Suggestion]:
    start = typed.lower()
    return [Suggestion(f"{name} ", len(typed), name) for name in names if name.lower().startswith(start)]


def _paths(typed: str, list_directory: ListDirectory) -> list[Suggestion]:
    path = _unquoted(typed)
    folder, start = os.path.split(path)
    prefix = path[: len(path) - len(start)]
    found = sorted(
        (name, is_directory)
        for name, is_directory in list_directory(folder)
        if name.startswith(start) and name.isprintable() and (start.startswith(".") or not name.startswith("."))
    )
    return [
        Suggestion(_quoted(prefix + name, is_directory), len(typed), name + ("/" if is_directory else ""))
        for name, is_directory in found
    ]


_PLAIN = re.compile(r"[\w@%+=:,./~-]*")


def _quoted(path: str, is_directory: bool) -> str:
    """Return `path` for the line, quoted where it must be; the quotation of a directory stays open to go on."""
    if is_directory:
        path += "/"
    if _PLAIN.fullmatch(path):
        return path if is_directory else f"{path} "
    body = path.replace("'", "'\\''")
    return f"'{body}" if is_directory else f"'{body}' "


def _unquoted(typed: str) -> str:
    """Return the path that was typed so far: as a shell reads it, but with the last quotation still open."""
    quote, path, characters = "", "", iter(typed)
    for character in characters:
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\" and quote != "'":
            path += next(characters, "")
        else:
            path += character
    return path
