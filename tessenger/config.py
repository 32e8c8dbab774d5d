"""The configuration: every limit and default of both programs, and where its values come from.

Values are frozen structs, one for each table of config.toml. Sizes are integer bytes, rates bytes a second (messages:
messages a second), times seconds; 0 switches a limit off. `load` puts them together, in either program's first process:
command line over environment over the client's own file (`client.profiles`) over config.toml over the defaults here.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tessenger.config_values import checked, nearest_or_all, read_toml, shown, unknown_top_level
from tessenger.errors import ConfigError

_Size = Annotated[int, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(ge=0)]
_Port = Annotated[int, Meta(ge=0, le=65535)]
_Text = Annotated[str, Meta(min_length=1)]


class ServerSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where it listens and where it keeps things. Relative paths are relative to config.toml's folder."""

    host: _Text | Annotated[list[_Text], Meta(min_length=1)] = "127.0.0.1"
    port: _Port = 12000
    workers: Annotated[int, Meta(ge=1, le=64)] = 4
    data_dir: _Text = "data"
    credentials: _Text = "credentials.txt"
    tls: bool = True

    @property
    def hosts(self) -> list[str]:
        """The addresses to listen on: a list, or a text with commas between them."""
        return self.host if isinstance(self.host, list) else [host.strip() for host in self.host.split(",")]


class AuthSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: the blocklist."""

    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = 3
    block_seconds: Annotated[float, Meta(ge=0.1, le=31_536_000)] = 10


class LimitsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[limits]`: what one client may cost."""

    messages_per_second: _Count = 50
    burst: Annotated[int, Meta(ge=1)] = 200
    logins_per_second: _Count = 20
    waiting_sign_ins: Annotated[int, Meta(ge=1)] = 2_000
    waiting_sign_ins_per_address: Annotated[int, Meta(ge=1)] = 500
    connections: _Count = 12_000
    connections_per_address: _Count = 1_000
    group_members: _Count = 1_000
    groups_per_user: _Count = 100
    groups_per_minute: _Count = 10
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
    error_log_bytes: _Size = 1_048_576


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
    user: str = ""
    password_file: str = ""
    udp_port: _Port = 0
    advertise: str = ""
    tls: bool = True
    state_dir: _Text = "client-state"
    history_lines: _Count = 10_000
    notify: Literal["off", "private", "mentions", "all"] = "mentions"
    notify_with: Literal["bell", "desktop"] = "bell"
    editing: Literal["emacs", "vi"] = "emacs"
    suggestions: bool = True
    paste_lines: _Count = 5
    times: Literal["full", "short"] = "full"
    colours: bool = True


class TransferSection(Struct, frozen=True, forbid_unknown_fields=True):
    """`[transfer]`: files from others."""

    auto_accept_below: _Size = 104_857_600
    unasked_bytes_per_sender: _Size = 4_294_967_296
    unasked_bytes: _Size = 17_179_869_184
    files_at_once_per_sender: _Count = 16
    files_at_once: _Count = 64
    offers_per_sender: _Count = 100
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

KEYS: Final[Mapping[str, Mapping[str, Any]]] = {
    section.name: {key.name: key.type for key in msgspec.structs.fields(section.type)}
    for section in msgspec.structs.fields(Config)
}
"""The type of every key, by table and key."""

_PATHS: Final = (
    ("server", "data_dir"),
    ("server", "credentials"),
    ("client", "state_dir"),
    ("client", "password_file"),
    ("transfer", "download_dir"),
)

_OTHER_VARIABLES: Final = {FILE_VARIABLE, "TESSENGER_PROFILE", "TESSENGER_PASSWORD"}
"""Environment variables that are no keys: the client reads the last two."""

Values = dict[tuple[str, str], Any]
"""Checked values by section and key, of one source or of several put together."""


def load(
    explicit: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, object]],
    from_client_file: Values | None = None,
) -> Config:
    """Return the configuration, with absolute paths, or raise `ConfigError` saying where the first mistake is.

    `explicit` is the file that the command line names, `overrides` are the command line's values by section and key.
    Relative paths in the file start at its folder, those of the command line and the environment at the current one.
    What is in `from_client_file` was checked already, and its paths are absolute.
    """
    path = find(explicit, environ)
    from_file = dict(_from_tables(read_toml(path), str(path))) if path else {}
    from_here = dict(_from_environment(environ)) | dict(_from_command_line(overrides))
    folder = path.parent if path else Path.cwd()
    from_file = _default_paths(path) | from_file | anchored(from_file, folder)
    values = from_file | (from_client_file or {}) | from_here | anchored(from_here, Path.cwd())
    tables: dict[str, dict[str, object]] = {section: {} for section in KEYS}
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


def _default_paths(config_file: Path | None) -> Values:
    """Where things lie unless told otherwise: beside a config file of their own folder, or in XDG's folders."""
    if config_file and (config_file == _of_checkout() or config_file != _of_user()):
        defaults = {(section, key): getattr(getattr(Config(), section), key) for section, key in _PATHS}
        return anchored(defaults, config_file.parent)

    import platformdirs  # noqa: PLC0415  a checkout does without it

    return {
        ("server", "data_dir"): str(platformdirs.user_data_path("tessenger")),
        ("server", "credentials"): str(platformdirs.user_config_path("tessenger") / "credentials.txt"),
        ("client", "state_dir"): str(platformdirs.user_state_path("tessenger")),
        ("transfer", "download_dir"): str(platformdirs.user_downloads_path()),
    }


def anchored(values: Values, folder: Path) -> Values:
    """Return those of `values` that are paths, absolute; relative ones start at `folder`."""
    return {name: os.path.abspath(folder / Path(values[name]).expanduser()) for name in _PATHS if values.get(name)}  # noqa: PTH100


def _from_tables(tables: Mapping[str, object], origin: str) -> Iterator[tuple[tuple[str, str], Any]]:
    for section, table in tables.items():
        if section not in KEYS:
            raise ConfigError(f"{origin}: unknown {unknown_top_level(section, table, KEYS)}")
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"{origin}: {section} = {shown(table)}: must be a table: write [{section}], then its keys"
            )
        for key, value in table.items():
            yield (section, key), _checked(section, key, value, origin)


def _from_command_line(overrides: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[tuple[str, str], Any]]:
    return _from_tables(overrides, "command line")


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], Any]]:
    known = {f"TESSENGER_{section}_{key}".upper(): (section, key) for section, keys in KEYS.items() for key in keys}
    for variable, text in environ.items():
        if variable in known:
            section, key = known[variable]
            yield (section, key), _checked(section, key, text, f"environment variable {variable}", is_text=True)
        elif variable.startswith("TESSENGER_") and variable not in _OTHER_VARIABLES:
            # Other programs may have variables of this beginning, so only what is nearly ours is a mistake.
            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if nearest:
                raise ConfigError(f"unknown environment variable {variable}: did you mean {nearest[0]}?")


def _checked(section: str, key: str, value: object, origin: str, *, is_text: bool = False) -> object:
    if key not in KEYS[section]:
        hint = nearest_or_all(key, KEYS[section], f"[{section}] has")
        raise ConfigError(f"{origin}: unknown key {section}.{key}: {hint}")
    return checked(f"{section}.{key}", KEYS[section][key], value, origin, is_text=is_text)


def _check_together(config: Config) -> None:
    """Check what concerns several keys."""
    if "" in config.server.hosts:
        raise ConfigError(f"server.host = {shown(config.server.host)}: an address is missing beside a comma")
    for section, hosts, tls in (
        ("server", config.server.hosts, config.server.tls),
        ("client", [config.client.host], config.client.tls),
    ):
        if not tls and not all(map(is_loopback, hosts)):
            raise ConfigError(
                f"{section}.tls = false with {section}.host = {shown(', '.join(hosts))}: without TLS (--no-tls) the "
                "host must be on loopback, as 127.0.0.1 is, for passwords would cross the network in clear"
            )
    limits = config.limits
    if limits.text_bytes >= limits.line_bytes:
        raise ConfigError(
            f"limits.text_bytes = {limits.text_bytes}: must be less than limits.line_bytes = {limits.line_bytes}, "
            "for a line holds the text and what is around it"
        )
