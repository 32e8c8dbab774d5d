"""The configuration: every limit and default of both programs, and where its values come from.

Values are frozen structs, one for each table of config.toml. Sizes are integer bytes, rates bytes a second (messages:
messages a second), times seconds; 0 switches a limit off. `load` puts them together, in either program's first process:
command line over environment over file over the defaults here.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tessenger.errors import ConfigError

_Size = Annotated[int, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(ge=0)]
_Port = Annotated[int, Meta(ge=0, le=65535)]
_Text = Annotated[str, Meta(min_length=1)]


class ServerSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where it listens and where it keeps things. Relative paths are relative to config.toml's folder."""

    host: _Text = "127.0.0.1"
    port: _Port = 12000
    workers: Annotated[int, Meta(ge=1, le=64)] = 4
    data_dir: _Text = "data"
    credentials: _Text = "credentials.txt"
    tls: bool = True


class AuthSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: the blocklist."""

    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = 3
    block_seconds: Annotated[float, Meta(ge=0.1, le=31_536_000)] = 10


class LimitsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[limits]`: what one client may cost."""

    messages_per_second: _Count = 50
    burst: Annotated[int, Meta(ge=1)] = 200
    logins_per_second: _Count = 20
    connections: _Count = 12_000
    connections_per_address: _Count = 1_000
    group_members: _Count = 1_000
    line_bytes: Annotated[int, Meta(ge=1_024, le=65_536)] = 65_536
    text_bytes: Annotated[int, Meta(ge=1, le=60_000)] = 49_152
    queue_bytes: Annotated[int, Meta(ge=65_536)] = 4_194_304
    feed_bytes: Annotated[int, Meta(ge=1_048_576)] = 67_108_864
    login_seconds: Annotated[float, Meta(ge=1)] = 60
    dead_peer_seconds: Annotated[int, Meta(ge=0, le=32_767)] = 60
    bad_lines: Annotated[int, Meta(ge=1)] = 10


class JournalSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[journal]`: what a commit means, and how long what was said is kept."""

    durability: Literal["process", "power"] = "process"
    wal_bytes: Annotated[int, Meta(ge=1_048_576)] = 67_108_864
    retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    retention_mb: _Size = 0
    log_bytes: _Size = 104_857_600
    log_files: _Count = 0


class SessionsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[sessions]`: what happens when a connection breaks."""

    grace_seconds: _Seconds = 30
    token_seconds: Annotated[float, Meta(ge=60)] = 604_800


class MessagesSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[messages]`: messages to people who are away."""

    offline_delivery: bool = False


class ConsoleSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[console]`: what the server prints. "events" leaves messages out."""

    level: Literal["full", "events", "off"] = "full"


class ClientSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[client]`: where the client connects and what it keeps."""

    host: _Text = "127.0.0.1"
    port: _Port = 12000
    udp_port: _Port = 0
    advertise: str = ""
    tls: bool = True
    state_dir: _Text = "client-state"
    history_lines: _Count = 10_000


class TransferSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[transfer]`: files from others."""

    auto_accept_below: _Size = 104_857_600
    download_dir: _Text = "downloads"
    rate_limit: _Size = 0
    stall_seconds: Annotated[float, Meta(ge=1)] = 30


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration. Paths in it are absolute once it is loaded."""

    server: ServerSection = ServerSection()
    auth: AuthSection = AuthSection()
    limits: LimitsSection = LimitsSection()
    journal: JournalSection = JournalSection()
    sessions: SessionsSection = SessionsSection()
    messages: MessagesSection = MessagesSection()
    console: ConsoleSection = ConsoleSection()
    client: ClientSection = ClientSection()
    transfer: TransferSection = TransferSection()


FILE_NAME: Final = "config.toml"
FILE_VARIABLE: Final = "TESSENGER_CONFIG"
"""The environment variable that names the config file, as `--config` does."""

_KEYS: Final[Mapping[str, Mapping[str, Any]]] = {
    section.name: {key.name: key.type for key in msgspec.structs.fields(section.type)}
    for section in msgspec.structs.fields(Config)
}
"""The type of every key, by table and key."""

_PATHS: Final = (
    ("server", "data_dir"),
    ("server", "credentials"),
    ("client", "state_dir"),
    ("transfer", "download_dir"),
)

_Values = dict[tuple[str, str], Any]
"""Checked values by section and key, of one source or of several put together."""


def load(explicit: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Mapping[str, object]]) -> Config:
    """Return the configuration, with absolute paths, or raise `ConfigError` saying where the first mistake is.

    `explicit` is the file that the command line names, `overrides` are the command line's values by section and key.
    Relative paths in the file start at its folder, those of the command line and the environment at the current one.
    """
    path = find(explicit, environ)
    from_file = _read(path) if path else {}
    from_here = dict(_from_environment(environ)) | dict(_from_command_line(overrides))
    folder = path.parent if path else Path.cwd()
    paths = _default_paths(path) | _anchored(from_file, folder) | _anchored(from_here, Path.cwd())
    values = from_file | from_here | paths
    tables: dict[str, dict[str, object]] = {section: {} for section in _KEYS}
    for (section, key), value in values.items():
        tables[section][key] = value
    config = msgspec.convert(tables, Config)
    _check_together(config)
    return config


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the absolute path of the config file to read: the one that is named, the checkout's, or the user's."""
    named = explicit or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named:
        return Path(os.path.abspath(named.expanduser()))  # noqa: PTH100  `resolve` would follow symbolic links
    return next((path for path in (_of_checkout(), _of_user()) if path and path.is_file()), None)


def is_loopback(host: str) -> bool:
    """Tell whether nobody outside this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _of_checkout() -> Path | None:
    """The config file beside this package, if that is a checkout and not an installation."""
    top = Path(__file__).resolve().parents[1]
    return top / FILE_NAME if (top / "pyproject.toml").is_file() else None


def _of_user() -> Path:
    import platformdirs  # noqa: PLC0415  a checkout does without it

    return platformdirs.user_config_path("tessenger") / FILE_NAME


def _default_paths(config_file: Path | None) -> _Values:
    """Where things lie unless told otherwise: beside a config file of their own folder, or in XDG's folders."""
    if config_file and (config_file == _of_checkout() or config_file != _of_user()):
        defaults = {(section, key): getattr(getattr(Config(), section), key) for section, key in _PATHS}
        return _anchored(defaults, config_file.parent)

    import platformdirs  # noqa: PLC0415  a checkout does without it

    return {
        ("server", "data_dir"): str(platformdirs.user_data_path("tessenger")),
        ("server", "credentials"): str(platformdirs.user_config_path("tessenger") / "credentials.txt"),
        ("client", "state_dir"): str(platformdirs.user_state_path("tessenger")),
        ("transfer", "download_dir"): str(platformdirs.user_downloads_path()),
    }


def _anchored(values: _Values, folder: Path) -> _Values:
    """Return those of `values` that are paths, absolute."""
    return {name: os.path.abspath(folder / Path(values[name]).expanduser()) for name in _PATHS if name in values}  # noqa: PTH100


def _read(path: Path) -> _Values:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    return dict(_from_tables(tables, str(path)))


def _from_tables(tables: Mapping[str, object], origin: str) -> Iterator[tuple[tuple[str, str], Any]]:
    for section, table in tables.items():
        if section not in _KEYS:
            raise ConfigError(f"{origin}: unknown {_unknown_top_level(section, table)}")
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"{origin}: {section} = {_shown(table)}: must be a table: write [{section}], then its keys"
            )
        for key, value in table.items():
            yield (section, key), _checked(section, key, value, origin)


def _from_command_line(overrides: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[tuple[str, str], Any]]:
    return _from_tables(overrides, "command line")


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], Any]]:
    known = {f"TESSENGER_{section}_{key}".upper(): (section, key) for section, keys in _KEYS.items() for key in keys}
    for variable, text in environ.items():
        if variable in known:
            section, key = known[variable]
            yield (section, key), _checked(section, key, text, f"environment variable {variable}", is_text=True)
        elif variable.startswith("TESSENGER_") and variable != FILE_VARIABLE:
            # Other programs may have variables of this beginning, so only what is nearly ours is a mistake.
            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if nearest:
                raise ConfigError(f"unknown environment variable {variable}: did you mean {nearest[0]}?")


def _checked(section: str, key: str, value: object, origin: str, *, is_text: bool = False) -> object:
    """Return the value in its field's type; `is_text` says that numbers and truth values are spelt as text."""
    if key not in _KEYS[section]:
        nearest = difflib.get_close_matches(key, _KEYS[section], n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"[{section}] has {', '.join(_KEYS[section])}"
        raise ConfigError(f"{origin}: unknown key {section}.{key}: {hint}")
    type_ = _KEYS[section][key]
    try:
        converted = msgspec.convert(value, type_, strict=not is_text)
    except msgspec.ValidationError:
        converted = math.nan
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ConfigError(f"{origin}: {section}.{key} = {_shown(value)}: must be {_allowed(type_)}")
    return converted


def _check_together(config: Config) -> None:
    """Check what concerns several keys."""
    for section, host, tls in (
        ("server", config.server.host, config.server.tls),
        ("client", config.client.host, config.client.tls),
    ):
        if not tls and not is_loopback(host):
            raise ConfigError(
                f"{section}.tls = false with {section}.host = {_shown(host)}: without TLS (--no-tls) the host must be "
                "on loopback, as 127.0.0.1 is, for passwords would cross the network in clear"
            )
    limits = config.limits
    if limits.text_bytes >= limits.line_bytes:
        raise ConfigError(
            f"limits.text_bytes = {limits.text_bytes}: must be less than limits.line_bytes = {limits.line_bytes}, "
            "for a line holds the text and what is around it"
        )


def _unknown_top_level(name: str, value: object) -> str:
    homes = [section for section, keys in _KEYS.items() if name in keys]
    if homes and not isinstance(value, Mapping):
        return f"key {name} outside of any table: it belongs under {' or '.join(f'[{home}]' for home in homes)}"
    nearest = difflib.get_close_matches(name, _KEYS, n=1)
    hint = f"did you mean [{nearest[0]}]?" if nearest else f"there are {', '.join(f'[{known}]' for known in _KEYS)}"
    return f"table [{name}]: {hint}"


def _shown(value: object) -> str:
    """A value as TOML spells it, at most a line of it."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _allowed(type_: Any) -> str:  # noqa: ANN401  a type annotation is of no type that could be named
    """Say in words what a field of this type takes."""
    info = msgspec.inspect.type_info(type_)
    match info:
        case msgspec.inspect.IntType():
            return f"a whole number{_bounds(info.ge, info.le)}"
        case msgspec.inspect.FloatType():
            return f"a number{_bounds(info.ge, info.le)}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.LiteralType():
            return " or ".join(f'"{value}"' for value in info.values)
        case msgspec.inspect.StrType(min_length=1):
            return "a text that is not empty"
    return "a text"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if low is not None else ""
