"""`tessenger-server users`: keeps credentials.txt. A process of its own, beside a server that may be running."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tessenger.command_line import Parser
from tessenger.config import load
from tessenger.errors import CredentialsError, InvalidName, UsageError
from tessenger.standard_streams import say
from tessenger.state import credentials
from tessenger.wire import names

_DESCRIPTION: Final = """\
Keep the file of users and passwords. A password is asked for twice on a terminal; otherwise the first line of standard
input is taken. It is stored as an argon2id hash. A running server takes changes up on SIGHUP. Whoever is removed then
loses their account for good: somebody who is added under the same name begins with nothing."""


def main(argv: Sequence[str]) -> int:
    """Carry out the command after `users` and return the exit status. Raises `TessengerError`."""
    options = _parser().parse_args(argv)
    if options.command == "hash":
        say(credentials.hashed(_password()))
        return 0

    overrides = {"server": {"credentials": options.credentials}} if options.credentials else {}
    path = Path(load(options.config, os.environ, overrides).server.credentials)
    match options.command:
        case "add":
            _check_new(path, options.name)
            credentials.add(path, options.name, _password())
            say(f"{options.name} was added to {path}")
        case "remove":
            credentials.remove(path, options.name)
            say(f"{options.name} was removed from {path}")
        case "passwd":
            _check_known(path, options.name)
            credentials.passwd(path, options.name, _password())
            say(f"{options.name} has a new password in {path}")
        case _:
            for name in credentials.Credentials.load(path).names.values():
                say(name)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="tessenger-server users",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    with_file = Parser(add_help=False)
    with_file.add_argument("--config", metavar="FILE", type=Path, help="read this config.toml")
    with_file.add_argument("--credentials", metavar="FILE", help="the file to keep, instead of the configured one")
    for command, text in (
        ("add", "add a user; the file is made if it is not there"),
        ("remove", "take a user out"),
        ("passwd", "give a user another password"),
    ):
        commands.add_parser(command, parents=[with_file], help=text, description=text).add_argument("name")
    text = "print the users' names"
    commands.add_parser("list", parents=[with_file], help=text, description=text)
    text = "print a password's hash, for a line in the file"
    commands.add_parser("hash", help=text, description=text)
    return parser


def _check_new(path: Path, name: str) -> None:
    """Complain before the password is asked for, not after it."""
    try:
        names.checked(name, "user")
    except InvalidName as error:
        raise UsageError(str(error)) from None
    if path.exists() and (present := credentials.Credentials.load(path).canonical(name)):
        raise CredentialsError(f"{path}: the user {present} is there already")


def _check_known(path: Path, name: str) -> None:
    if credentials.Credentials.load(path).canonical(name) is None:
        raise CredentialsError(f"{path}: there is no user {name!r}")


def _password() -> str:
    """Ask for a new password, without echo, or read it from a pipe."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Password again: ") != password:
            raise UsageError("the two passwords differ; nothing was changed")
    else:
        try:
            password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError("the password is not UTF-8 text; nothing was changed") from None
    if not password:
        raise UsageError("the password must not be empty; nothing was changed")
    return password
