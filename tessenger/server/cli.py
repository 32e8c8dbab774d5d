"""`tessenger-server`: the command line, and what errors look like. Main process, before it becomes the supervisor."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tessenger import __version__, early_signals, standard_streams
from tessenger.command_line import Parser
from tessenger.config import load

_DESCRIPTION: Final = """\
Serve a team's chat. What is left out comes from the environment (TESSENGER_SERVER_PORT and so on), then from
config.toml, which explains every key, then from the defaults.

  tessenger-server                     as config.toml says
  tessenger-server 127.0.0.1 12000 3   on this address and port; 3 wrong passwords block an account
  tessenger-server users --help        add, remove and list users, change passwords
  tessenger-server redact 41           blank the text of message 41, in journal and logs"""

_USAGE: Final = """\
tessenger-server [server_ip] [tcp_port] [max_attempts] [OPTION...]
       tessenger-server users COMMAND
       tessenger-server redact SEQ"""

_EPILOG: Final = """\
signals:
  TERM, INT   tell the clients, finish what was begun, stop
  HUP         read credentials and limits again, reopen the logs; names what needs a restart

exit status:
  0    stopped as it was told to
  1    failed while it ran
  2    the command line or the configuration is wrong
  3    cannot start here: port or data directory taken, journal unreadable, ...
  4    the credentials file is missing, has a line that makes no sense, or none of the accounts so far
  69   (of bin/tessenger-server) no Python 3.11, or the packages cannot be installed
  130  of the commands: interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return standard_streams.run("tessenger-server", lambda: _main(sys.argv[1:] if argv is None else list(argv)))


def _main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["users"]:
        from tessenger.server import users  # noqa: PLC0415  a server needs nothing of it

        return users.main(arguments[1:])
    if arguments[:1] == ["redact"]:
        from tessenger.server import redact  # noqa: PLC0415  likewise

        return redact.main(arguments[1:])
    early_signals.catch()  # where no launcher has done so already
    try:
        return _serve(_parser().parse_args(arguments))
    except KeyboardInterrupt:
        return 0  # told to stop, and stopped


def _serve(options: argparse.Namespace) -> int:
    read_config = partial(load, options.config, os.environ, _overrides(options))
    config = read_config()

    from tessenger.server import supervisor  # noqa: PLC0415  --help and mistakes are answered without it

    return supervisor.run(config, read_config, may_remove_all=options.remove_accounts)


def _parser() -> Parser:
    parser = Parser(
        prog="tessenger-server",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("server_ip", nargs="?", help="address to listen on; several have commas between, * is all")
    parser.add_argument("tcp_port", nargs="?", type=int, help="TCP port; 0 takes any free one")
    parser.add_argument("max_attempts", nargs="?", type=int, help="wrong passwords in a row that block an account")
    parser.add_argument("--workers", metavar="N", type=int, help="processes that serve the clients")
    parser.add_argument("--config", metavar="FILE", type=Path, help="read this config.toml")
    parser.add_argument("--credentials", metavar="FILE", help="the users and their passwords")
    parser.add_argument("--data-dir", metavar="DIR", help="where the journal, the logs and the TLS key are kept")
    parser.add_argument("--no-tls", action="store_true", help="plain TCP, on loopback only")
    parser.add_argument(
        "--remove-accounts", action="store_true", help="start though the credentials have none of the accounts so far"
    )
    parser.add_argument("--version", action="version", version=f"tessenger-server {__version__}")
    return parser


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Return what the command line says, by table and key of the configuration."""
    server = {
        "host": options.server_ip,
        "port": options.tcp_port,
        "workers": options.workers,
        "data_dir": options.data_dir,
        "credentials": options.credentials,
        "tls": False if options.no_tls else None,
    }
    auth = {"max_attempts": options.max_attempts}
    return {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in (("server", server), ("auth", auth))
    }
