"""`tessenger-client`: the command line, the choice of the front end, and what errors look like. Main process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tessenger import __version__
from tessenger.client import app, render
from tessenger.client.files import FileProcess, KeptRunning
from tessenger.client.receiver_options import ReceiverOptions
from tessenger.client.sign_in import Address
from tessenger.config import ClientSection, Config, is_loopback, load
from tessenger.errors import ConnectionFailed, TessengerError, UsageError

_DESCRIPTION = "Chat from the terminal: private messages, group chats, and files straight to other people's machines."
_EPILOG = (
    "What is left out comes from config.toml or TESSENGER_CLIENT_... in the environment. Without a terminal on both"
    " ends the client is a filter: it reads a name, a password and then one command a line."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client and return its exit status: 0 after a logout."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows question marks, not a traceback
    try:
        options = _parser().parse_args(argv)
        settings = _settings(options, os.environ)
        return asyncio.run(_run(settings))
    except ConnectionRefusedError:
        print(render.CONNECTION_REFUSED, flush=True)
        return ConnectionFailed.exit_status
    except app.Stopped as stopped:
        return stopped.exit_status
    except TessengerError as error:
        if str(error):
            print(f"tessenger-client: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as bug:  # noqa: BLE001 the last resort: nobody is shown a traceback
        print(f"tessenger-client: an error in Tessenger itself: {type(bug).__name__}: {bug}", file=sys.stderr)
        return 1


async def _run(settings: app.Settings) -> int:
    return await app.run(settings, _front_end(settings), file_process(settings.config))


def file_process(config: Config) -> FileProcess:
    """Return the background process that moves files, not started yet."""
    state_dir = Path(config.client.state_dir)
    with contextlib.suppress(OSError):  # then there is no log of the process's own faults
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def _front_end(settings: app.Settings) -> app.FrontEnd:
    person = _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    if person and os.environ.get("TERM", "dumb") != "dumb":  # a dumb terminal cannot move its cursor: plain lines
        from tessenger.client.repl import in_terminal  # noqa: PLC0415 - a pipe does not pay for prompt_toolkit

        return in_terminal(settings.config.client)
    from tessenger.client.filter import over_pipes  # noqa: PLC0415

    return over_pipes(asks=person)


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tessenger-client", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument("server_ip", nargs="?", help="the server's address or host name")
    parser.add_argument("tcp_port", nargs="?", type=int, help="the server's TCP port")
    parser.add_argument("udp_port", nargs="?", type=int, help="the UDP port for files on this machine; 0: any free one")
    parser.add_argument("--version", action="version", version=f"tessenger-client {__version__}")
    parser.add_argument("--config", metavar="FILE", type=Path, help="read this config.toml")
    parser.add_argument("--download-dir", metavar="DIR", help="where files from others are saved")
    parser.add_argument(
        "--advertise", metavar="HOST:PORT", help="the UDP address that others are told to use, for a forwarded port"
    )
    parser.add_argument("--no-tls", action="store_true", help="plain TCP, for a server on this machine without TLS")
    return parser


def _settings(options: argparse.Namespace, environ: Mapping[str, str]) -> app.Settings:
    client = {"host": options.server_ip, "port": options.tcp_port, "udp_port": options.udp_port}
    client["advertise"] = options.advertise
    client["tls"] = False if options.no_tls else None
    config = load(
        options.config,
        environ,
        {
            "client": {key: value for key, value in client.items() if value is not None},
            "transfer": {"download_dir": options.download_dir} if options.download_dir else {},
        },
    )
    return app.Settings(config, parse_address(config.client.advertise) if config.client.advertise else None)


def parse_address(text: str) -> Address:
    """Return what `HOST:PORT` says; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise UsageError(f"--advertise wants HOST:PORT with a port from 1 to 65535, not {text!r}.")
    return Address(host, int(port))


def _silence_stdout() -> None:
    """Nobody reads any more: keep Python from complaining once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
