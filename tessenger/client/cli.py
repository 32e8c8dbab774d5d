"""`tessenger-client`: the choice of the front end, and what errors look like. Main process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tessenger import error_log, standard_streams
from tessenger.client import app, options, profiles, render
from tessenger.client.files import FileProcess, KeptRunning, NoFiles
from tessenger.client.preferences import Preferences
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.sign_in import SignInFailed
from tessenger.config import ClientSection, Config, is_loopback
from tessenger.errors import ConnectionFailed, OutputFailed, Stopped, TessengerError
from tessenger.standard_streams import Writer

NOT_CONNECTED = 3
"""Exit status of --exec and --json where there was no connection, no sign-in, or the session was ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client and return its exit status: 0 after a logout."""
    return standard_streams.run("tessenger-client", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    asked = options.parser().parse_args(argv)
    try:
        return _run(asked)
    except ConnectionRefusedError:
        _complain(asked, "connection_failed", render.CONNECTION_REFUSED)
        return NOT_CONNECTED if _is_scripted(asked) else ConnectionFailed.exit_status
    except (OutputFailed, Stopped):
        raise
    except TessengerError as error:
        of_connection = isinstance(error, ConnectionFailed | SignInFailed)
        _complain(asked, "connection_failed" if of_connection else "usage", str(error))
        return NOT_CONNECTED if of_connection and _is_scripted(asked) else error.exit_status


def _run(asked: argparse.Namespace) -> int:
    file = profiles.read(profiles.usual_path())
    if asked.list_profiles:
        for line in file.lines():
            standard_streams.say(line)
        return 0
    settings = options.settings(asked, os.environ, file, _warn)
    _keep_failures(settings.config)
    os.environ.pop(options.PASSWORD_VARIABLE, None)  # the processes that this one starts need not have it
    files = file_process(settings.config)
    if asked.exec and not options.moves_files(asked.exec):
        files = NoFiles()
    return asyncio.run(_session(asked, settings, files))


async def _session(asked: argparse.Namespace, settings: app.Settings, files: FileProcess) -> int:
    preferences = Preferences(settings.config.client, os.environ)
    front = _front_end(asked, settings, preferences)
    status = await app.run(settings, front, files, preferences)
    if _is_scripted(asked):
        return NOT_CONNECTED if status else int(bool(asked.exec) and getattr(front, "refused", False))
    return status


def _keep_failures(config: Config) -> None:
    """Have unexpected failures in a log, for whoever looks for their cause, instead of on the screen."""
    state_dir = _state_dir(config)
    if os.access(state_dir, os.W_OK):
        error_log.keep(state_dir / "client.log")


def _state_dir(config: Config) -> Path:
    state_dir = Path(config.client.state_dir)
    with contextlib.suppress(OSError):  # then there are no logs of faults
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state_dir


def file_process(config: Config) -> FileProcess:
    """Return the background process that moves files, not started yet."""
    state_dir = _state_dir(config)
    return KeptRunning(
        ReceiverOptions(
            download_dir=config.transfer.download_dir,
            udp_port=config.client.udp_port,
            bind_host=_udp_host(config.client),
            rate_limit=config.transfer.rate_limit,
            stall_seconds=config.transfer.stall_seconds,
            log_path=str(state_dir / "udp-process.log") if os.access(state_dir, os.W_OK) else "",
        )
    )


def _udp_host(client: ClientSection) -> str:
    """Return where to take datagrams: on loopback alone where the server is there and nothing else was advertised."""
    if client.advertise or not is_loopback(client.host):
        return ""
    return "::1" if ":" in client.host else "127.0.0.1"


def _front_end(asked: argparse.Namespace, settings: app.Settings, preferences: Preferences) -> app.FrontEnd:
    person = _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    # A dumb terminal cannot move its cursor: plain lines.
    if person and not _is_scripted(asked) and not asked.plain and os.environ.get("TERM", "dumb") != "dumb":
        from tessenger.client.repl import in_terminal  # noqa: PLC0415 - a pipe does not pay for prompt_toolkit

        return in_terminal(preferences, sys.stdout.encoding or "")
    from tessenger.client.filter import Filter, standard_input  # noqa: PLC0415 - nor the other way
    from tessenger.client.lines import Lines, ListedLines  # noqa: PLC0415

    lines: Lines = ListedLines(asked.exec, standard_input) if asked.exec else standard_input()
    out, notices = Writer(sys.stdout), Writer(sys.stderr)
    if asked.json:
        from tessenger.client.json_lines import JsonLines  # noqa: PLC0415

        return JsonLines(lines, out, notices)
    prompts = not asked.exec and (person or not settings.credentials.password)
    return Filter(lines, out, notices, asks=person and prompts, prompts=prompts)


def _is_scripted(asked: argparse.Namespace) -> bool:
    return bool(asked.exec or asked.json)


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def _complain(asked: argparse.Namespace, code: str, text: str) -> None:
    """Say why the client ends, to a person or to a program."""
    if asked.json:
        from tessenger.client.json_lines import error_line  # noqa: PLC0415

        standard_streams.say(error_line(code, text or "The server did not let this user in."))
    elif text == render.CONNECTION_REFUSED and not asked.exec:
        standard_streams.say(text)
    elif text:
        _warn(text)


def _warn(text: str) -> None:
    standard_streams.complain("tessenger-client", text)
