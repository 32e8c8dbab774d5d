"""The commands: one table that parsing, /help, completion and the nearest-name hint all read. Pure."""

from __future__ import annotations

import difflib
import re
import shlex
from enum import Enum

from msgspec import Struct

from tessenger.wire.text import clean_line


class Kind(Enum):
    """What an argument is: how it is cut out of the line, and what completes it."""

    USER = "user"
    GROUP = "group"
    NEW_GROUP = "new group"
    TEXT = "text"  # the rest of the line, verbatim
    FILE = "file"  # quoted as in a shell where it has spaces
    NUMBER = "number"
    OFFER = "offer"  # its number, or all of them
    CONVERSATION = "conversation"  # a user or a group
    SPAN = "span"  # how far back
    COMMAND = "command"
    SETTING = "setting"
    VALUE = "value"  # of a setting


class Argument(Struct, frozen=True):
    """One argument. An optional one may be left out; `many` may be repeated, and comes last."""

    name: str
    kind: Kind
    optional: bool = False
    many: bool = False

    @property
    def usage(self) -> str:
        """How it looks in a usage line."""
        name = f"{self.name} ..." if self.many else self.name
        return f"[{name}]" if self.optional else name


class Command(Struct, frozen=True):
    """One command. Its name is also the key of its handler. `pipelined`: it is one request, answered in its turn.

    `flag`: a word that may stand before the arguments.
    """

    name: str
    arguments: tuple[Argument, ...]
    help: str
    pipelined: bool = False
    flag: str = ""

    @property
    def usage(self) -> str:
        """The command with its arguments, as typed."""
        flag = [f"[{self.flag}]"] if self.flag else []
        return " ".join([f"/{self.name}", *flag, *(argument.usage for argument in self.arguments)])


class Call(Struct, frozen=True):
    """A parsed line."""

    command: Command
    values: tuple[str, ...]


class Mistake(Struct, frozen=True):
    """A line that cannot be carried out, and why."""

    text: str


ALL = "all"
"""Every offer at once."""

_USER = Argument("USER", Kind.USER)
_GROUP = Argument("GROUP", Kind.GROUP)
_TEXT = Argument("TEXT", Kind.TEXT)
_FILE = Argument("FILE", Kind.FILE)
_FILES = Argument("FILE", Kind.FILE, many=True)
_NUMBER = Argument("NUMBER", Kind.NUMBER)
_OFFER = Argument("NUMBER|all", Kind.OFFER, optional=True)

COMMANDS: tuple[Command, ...] = (
    Command("msgto", (_USER, _TEXT), "Send a private message.", pipelined=True),
    Command("activeuser", (), "Show who is online, with address and time of sign-in.", pipelined=True),
    Command(
        "creategroup",
        (
            Argument("GROUP", Kind.NEW_GROUP),
            Argument("USER", Kind.USER, optional=True, many=True),
        ),
        "Create a group chat with these members; you are always one. With -p a private one, joined by invitation only.",
        pipelined=True,
        flag="-p",
    ),
    Command("joingroup", (_GROUP,), "Join a group chat.", pipelined=True),
    Command("groupmsg", (_GROUP, _TEXT), "Send a message to a group chat that you have joined.", pipelined=True),
    Command("groups", (), "Show your group chats, and the others that anybody may join.", pipelined=True),
    Command("members", (_GROUP,), "Show who is in a group chat.", pipelined=True),
    Command("invite", (_GROUP, _USER), "Invite someone to a group chat; a private one needs it.", pipelined=True),
    Command("leavegroup", (_GROUP,), "Leave a group chat.", pipelined=True),
    Command("remove", (_GROUP, _USER), "Remove someone from a group chat that you have created.", pipelined=True),
    Command("whois", (_USER,), "Show what is known about someone.", pipelined=True),
    Command(
        "away",
        (Argument("TEXT", Kind.TEXT, optional=True),),
        "Let others know, in a few words, that you do not look. Alone: you do again.",
        pipelined=True,
    ),
    Command(
        "history",
        (
            Argument("USER|GROUP", Kind.CONVERSATION, optional=True),
            Argument("N|1h|today", Kind.SPAN, optional=True),
        ),
        "Show what was said: in one conversation or in all, the last N messages or those since then.",
    ),
    Command(
        "ignore",
        (Argument("USER", Kind.USER, optional=True),),
        "See nothing of someone any more, or again; alone: show whom you ignore.",
    ),
    Command("clear", (), "Clear the screen."),
    Command("logout", (), "Sign out and leave."),
    Command("quit", (), "Sign out and leave, as /logout does."),
    Command("p2pvideo", (_USER, _FILE), "Send a video straight to someone's machine."),
    Command("sendfile", (_USER, _FILES), "Send files, or folders with all that is in them, to someone's machine."),
    Command("transfers", (), "Show the files that are offered, on their way or just done."),
    Command("accept", (_OFFER,), "Take a file or folder that was offered to you."),
    Command("reject", (_OFFER,), "Refuse a file or folder that was offered to you."),
    Command("cancel", (_NUMBER,), "Give a transfer up, from either side."),
    Command(
        "talk",
        (Argument("USER|GROUP", Kind.CONVERSATION, optional=True),),
        "Talk to someone or in a group: plain lines go there, commands need their slash. Alone: back to commands.",
    ),
    Command(
        "set",
        (Argument("NAME", Kind.SETTING, optional=True), Argument("VALUE", Kind.VALUE, optional=True)),
        "Show the settings, or change one for good.",
    ),
    Command(
        "notify",
        (Argument("off|private|mentions|all", Kind.VALUE, optional=True),),
        "Show or change what calls your attention: nothing, private messages, also mentions of you, or every message.",
    ),
    Command("help", (Argument("COMMAND", Kind.COMMAND, optional=True),), "Show all commands, or how to use one."),
)
BY_NAME = {command.name: command for command in COMMANDS}

_FIRST_WORD = re.compile(r"\s*/?(\S*)\s?", re.DOTALL)
_WORD = re.compile(r"\s*(\S+)(?:\s|$)", re.DOTALL)


def parse(line: str) -> Call | Mistake | None:
    """Return the call that `line` asks for, what is wrong with it, or None for an empty line.

    A text is everything behind the one space (or line end) that follows its target, as it was typed.
    """
    line = line.encode("utf-8", "replace").decode()  # a terminal in another encoding leaves lone surrogates
    match = _FIRST_WORD.match(line)
    assert match is not None
    word = match[1]
    if not word and not line.strip():
        return None
    command = BY_NAME.get(word.lower())
    if command is None:
        meant_one = line.lstrip().startswith("/")
        return Mistake(unknown_command(word) if meant_one else _no_command(word))
    return _with_arguments(command, line[match.end() :])


def _with_arguments(command: Command, rest: str) -> Call | Mistake:
    kinds = [argument.kind for argument in command.arguments]
    if kinds == [Kind.TEXT]:
        return Call(command, (rest,) if rest.strip() else ())
    if Kind.TEXT in kinds:
        return _target_and_text(command, rest)
    try:
        words = shlex.split(rest) if Kind.FILE in kinds else rest.split()
    except ValueError:
        return Mistake(f"A quotation mark is not closed. Usage: {command.usage}")
    flag = words[:1] if command.flag and words[:1] == [command.flag] else []
    del words[: len(flag)]
    least = sum(not argument.optional for argument in command.arguments)
    many = any(argument.many for argument in command.arguments)
    if len(words) < least:
        return Mistake(_missing(command, len(words)))
    if len(words) > len(kinds) and not many:
        hint = " Put a path with spaces in quotation marks." if Kind.FILE in kinds else ""
        return Mistake(f"/{command.name} has too many arguments.{hint} Usage: {command.usage}")
    if kinds == [Kind.OFFER] and [word.lower() for word in words] in ([], [ALL]):
        return Call(command, (ALL,) if words else ())
    if kinds[:1] in ([Kind.NUMBER], [Kind.OFFER]) and not (
        words[0].isascii() and words[0].isdigit() and len(words[0]) < 10
    ):
        return Mistake(f"{_shown(words[0])} is not the number of a transfer. /transfers shows them.")
    return Call(command, (*flag, *words))


def _target_and_text(command: Command, rest: str) -> Call | Mistake:
    match = _WORD.match(rest)
    if match is None:
        return Mistake(_missing(command, 0))
    text = rest[match.end() :]
    if not text and not rest[match.end(1) :]:
        return Mistake(_missing(command, 1))
    return Call(command, (match[1], text))


def _missing(command: Command, given: int) -> str:
    argument = command.arguments[given]
    return f"/{command.name} needs {argument.name}. Usage: {command.usage}"


def unknown_command(word: str) -> str:
    """Return the answer to a command that does not exist, with the nearest one that does."""
    nearest = difflib.get_close_matches(word.lower(), BY_NAME, n=1, cutoff=0.5)
    hint = f"Did you mean /{nearest[0]}?" if nearest else "/help shows all commands."
    return f"Unknown command {_shown(word)}. {hint}"


def _no_command(word: str) -> str:
    """Return the answer to a line that may have been meant for somebody."""
    if difflib.get_close_matches(word.lower(), BY_NAME, n=1, cutoff=0.7):
        return unknown_command(word)
    return f"Unknown command {_shown(word)}. To talk to someone, type /talk and a name first; /help shows all commands."


def help_text(name: str | None = None) -> str | Mistake:
    """Return what /help shows: every command, or one."""
    if name is None:
        width = max(len(command.usage) for command in COMMANDS)
        return "\n".join(f"{command.usage:<{width}}  {command.help}" for command in COMMANDS)
    command = BY_NAME.get(name.removeprefix("/").lower())
    if command is None:
        return Mistake(unknown_command(name.removeprefix("/")))
    return f"{command.usage}\n{command.help}"


def _shown(word: str) -> str:
    """Return a word that someone typed, harmless and short enough to repeat."""
    word = clean_line(word)
    return word if len(word) <= 40 else word[:39] + "…"
