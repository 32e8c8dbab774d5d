"""client.toml: what someone wants of the client wherever they start it, and a profile for each server they use.

It lies in the user's config folder (`~/.config/tessenger` on Linux). Its keys are those of config.toml's `[client]` and
`[transfer]`, without tables: on top for every server, in `[profiles.NAME]` for one. Read by the client's main process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tessenger.config import KEYS, Values, anchored
from tessenger.config_values import checked, nearest_or_all, read_toml, shown
from tessenger.errors import ConfigError
from tessenger.wire.names import is_name
from tessenger.wire.text import clean_line

FILE_NAME: Final = "client.toml"
TABLE: Final = "profiles"
HOMES: Final[Mapping[str, str]] = {key: section for section in ("client", "transfer") for key in KEYS[section]}
"""The table of config.toml that each key belongs to."""


class ClientFile(Struct, frozen=True):
    """What the file says, checked, with absolute paths: for every server, and by the name of a profile."""

    path: Path
    common: Values
    profiles: Mapping[str, Values]

    def values(self, profile: str) -> Values:
        """Return what holds for this profile; "": for none. Raises `ConfigError` for one that is not there."""
        if not profile:
            return self.common
        if profile not in self.profiles:
            there = nearest_or_all(profile, self.profiles, "there are" if self.profiles else "there are none;")
            raise ConfigError(f"{self.path}: no profile {shown(profile)}: {there.strip(' ;')}")
        return self.common | self.profiles[profile]

    def lines(self) -> Iterator[str]:
        """Yield a line for each profile: its name, and who would connect where."""
        for name in self.profiles:
            values = {key: value for (section, key), value in self.values(name).items() if section == "client"}
            user = f"{values['user']}@" if values.get("user") else ""
            host, port = values.get("host", "127.0.0.1"), values.get("port", 12000)
            yield clean_line(f"{name}  {user}{host}:{port}")


def usual_path() -> Path:
    """Return where the file lies."""
    import platformdirs  # noqa: PLC0415 - for whoever reads the file only

    return platformdirs.user_config_path("tessenger") / FILE_NAME


def read(path: Path) -> ClientFile:
    """Read and check the whole file, profiles that are not used included; one that is not there says nothing."""
    if not path.is_file():
        return ClientFile(path, {}, {})
    tables = read_toml(path)
    profiles = tables.pop(TABLE, {})
    if not isinstance(profiles, Mapping):
        raise ConfigError(f"{path}: {TABLE} = {shown(profiles)}: must be tables: write [{TABLE}.NAME], then its keys")
    return ClientFile(
        path,
        _checked(tables, "", path),
        {name: _checked(_profile(name, table, path), f"{TABLE}.{name}.", path) for name, table in profiles.items()},
    )


def _profile(name: str, table: object, path: Path) -> Mapping[str, object]:
    if not is_name(name):
        raise ConfigError(f"{path}: [{TABLE}.{shown(name)}]: a profile's name has 1 to 32 of A-Za-z0-9_.-")
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: {TABLE}.{name} = {shown(table)}: must be a table: write [{TABLE}.{name}]")
    return table


def _checked(table: Mapping[str, Any], prefix: str, path: Path) -> Values:
    values: Values = {}
    for key, value in table.items():
        if key not in HOMES:
            hint = nearest_or_all(key, HOMES, "there are")
            raise ConfigError(f"{path}: unknown key {prefix}{key}: {hint}")
        section = HOMES[key]
        values[section, key] = checked(f"{prefix}{key}", KEYS[section][key], value, str(path))
    return values | anchored(values, path.parent)
