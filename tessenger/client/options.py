"""The client's command line, and what it comes to with the environment and the files. Runs in the main process."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from tessenger import __version__
from tessenger.client import profiles
from tessenger.client.app import Settings
from tessenger.client.commands import Call, Mistake, parse
from tessenger.client.sign_in import Address, Credentials
from tessenger.command_line import Parser
from tessenger.config import load
from tessenger.errors import ConfigError, UsageError

PROFILE_VARIABLE = "TESSENGER_PROFILE"
PASSWORD_VARIABLE = "TESSENGER_PASSWORD"  # noqa: S105 - its name, not a password

FILE_COMMANDS = ("p2pvideo", "sendfile")

_DESCRIPTION = "Chat from the terminal: private messages, group chats, and files straight to other people's machines."
_EPILOG = (
    "What is left out comes from TESSENGER_CLIENT_... in the environment, then from the profile, from the rest of"
    " client.toml in your config folder, and from config.toml. Without a terminal on both ends the client is a filter:"
    " it reads a name, a password and then one command a line. TESSENGER_PASSWORD in the environment is the password."
    " Exit status of --exec: 0 done, 1 something was refused, 2 wrong usage, 3 no connection or no sign-in."
)


def parser() -> Parser:
    """Return the parser of the command line."""
    p = Parser(prog="tessenger-client", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    p.add_argument("server_ip", nargs="?", help="the server's address or host name")
    p.add_argument("tcp_port", nargs="?", type=int, help="the server's TCP port")
    p.add_argument("udp_port", nargs="?", type=int, help="the UDP port for files on this machine; 0: any free one")
    p.add_argument("--version", action="version", version=f"tessenger-client {__version__}")
    p.add_argument("--user", metavar="NAME", help="sign in as NAME")
    p.add_argument("--password-file", metavar="FILE", help="the first line of FILE is the password")
    p.add_argument(
        "--exec",
        metavar="COMMAND",
        action="append",
        help="sign in, carry COMMAND out, leave; can be given repeatedly",
    )
    p.add_argument("--json", action="store_true", help="write answers and events as JSON, one object a line")
    p.add_argument("--plain", action="store_true", help="plain lines in a terminal too, without editor and colours")
    p.add_argument("--profile", metavar="NAME", help="use this profile of client.toml; else TESSENGER_PROFILE")
    p.add_argument("--list-profiles", action="store_true", help="show the profiles of client.toml and end")
    p.add_argument("--config", metavar="FILE", type=Path, help="read this config.toml")
    p.add_argument("--download-dir", metavar="DIR", help="where files from others are saved")
    p.add_argument(
        "--rate-limit",
        metavar="BYTES",
        type=int,
        help="send files at BYTES a second at most; 0: no limit",
    )
    p.add_argument(
        "--advertise", metavar="HOST:PORT", help="the UDP address that others are told to use, for a forwarded port"
    )
    p.add_argument("--no-tls", action="store_true", help="plain TCP, for a server on this machine without TLS")
    return p


def settings(
    options: argparse.Namespace, environ: Mapping[str, str], file: profiles.ClientFile, warn: Callable[[str], None]
) -> Settings:
    """Return what the options come to, or raise `ConfigError` or `UsageError`."""
    client = {"host": options.server_ip, "port": options.tcp_port, "udp_port": options.udp_port, "user": options.user}
    client |= {"advertise": options.advertise, "password_file": options.password_file}
    client["tls"] = False if options.no_tls else None
    transfer = {"download_dir": options.download_dir or None, "rate_limit": options.rate_limit}
    profile = options.profile or environ.get(PROFILE_VARIABLE, "")
    config = load(
        options.config,
        environ,
        {
            "client": {key: value for key, value in client.items() if value is not None},
            "transfer": {key: value for key, value in transfer.items() if value is not None},
        },
        file.values(profile),
    )
    if options.exec:  # files of others are not waited for
        config = replace(config, transfer=replace(config.transfer, auto_accept_below=0))
    advertise = parse_address(config.client.advertise) if config.client.advertise else None
    known = Credentials()
    if config.client.user:
        given = None if options.password_file else environ.get(PASSWORD_VARIABLE)
        path = config.client.password_file
        password = given if given is not None else (password_in(Path(path), warn) if path else "")
        known = Credentials(config.client.user, password)
    elif options.exec or options.password_file:
        option = "--exec" if options.exec else "--password-file"
        raise UsageError(f"{option} needs --user, or a profile with a user.")
    return Settings(config, advertise, known)


def password_in(path: Path, warn: Callable[[str], None]) -> str:
    """Return the first line of a file, with a warning where others can read it."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            password = file.readline().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the password: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the password is not UTF-8 text") from None
    if not password:
        raise ConfigError(f"{path}: its first line, the password, is empty")
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        warn(f"Others can read the password in {path}: chmod 600 {path}")
    return password


def calls(commands: list[str]) -> list[Call]:
    """Return what --exec asks for, or raise `UsageError` for what is no command: then nothing at all is done."""
    found: list[Call] = []
    for command in commands:
        call = parse(command)
        if call is None:
            raise UsageError("--exec has an empty command.")
        if isinstance(call, Mistake):
            raise UsageError(call.text)
        found.append(call)
    return found


def moves_files(commands: list[str]) -> bool:
    """Tell whether any of these commands sends files."""
    return any(call.command.name in FILE_COMMANDS for call in calls(commands))


def parse_address(text: str) -> Address:
    """Return what `HOST:PORT` says; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise UsageError(f"--advertise wants HOST:PORT with a port from 1 to 65535, not {text!r}.")
    return Address(host, int(port))
