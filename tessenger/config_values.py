"""Values of the configuration: read from TOML, brought into their types, and what is said of those not allowed."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tessenger.errors import ConfigError
from tessenger.undecodable import UNDECODABLE, reason


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a file, or raise `ConfigError`."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except UNDECODABLE as error:
        raise ConfigError(f"{path}: is not valid TOML: {reason(error)}") from None


def checked(name: str, type_: Any, value: object, origin: str, *, is_text: bool = False) -> object:  # noqa: ANN401  a type annotation is of no type that could be named
    """Return the value of the key `name` in its type, or raise `ConfigError` with `origin` and what is allowed.

    `is_text` says that numbers and truth values are spelt as text.
    """
    try:
        converted = msgspec.convert(value, type_, strict=not is_text)
    except UNDECODABLE:
        converted = math.nan
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ConfigError(f"{origin}: {name} = {shown(value)}: must be {_allowed(type_)}")
    return converted


def nearest_or_all(name: str, known: Iterable[str], owner: str) -> str:
    """Return a hint for a name that does not exist: the nearest one that does, or all that `owner` has."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"{owner} {', '.join(names)}"


def unknown_top_level(name: str, value: object, keys: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what is wrong with a table, or a key outside of any, that config.toml cannot have."""
    homes = [section for section, its_keys in keys.items() if name in its_keys]
    if homes and not isinstance(value, Mapping):
        return f"key {name} outside of any table: it belongs under {' or '.join(f'[{home}]' for home in homes)}"
    nearest = difflib.get_close_matches(name, keys, n=1)
    hint = f"did you mean [{nearest[0]}]?" if nearest else f"there are {', '.join(f'[{known}]' for known in keys)}"
    return f"table [{name}]: {hint}"


def shown(value: object) -> str:
    """A value as TOML spells it, at most a line of it."""
    try:
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    except UNDECODABLE as error:
        text = f"(what cannot be shown: {reason(error)})"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _allowed(type_: Any) -> str:  # noqa: ANN401  a type annotation is of no type that could be named
    """Say in words what a field of this type takes."""
    return _described(msgspec.inspect.type_info(type_))


def _described(info: msgspec.inspect.Type) -> str:
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
        case msgspec.inspect.ListType():
            return f"a list with {_described(info.item_type)}"
        case msgspec.inspect.UnionType():
            return ", or ".join(map(_described, info.types))
    return "a text"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of at least {low}" if low is not None else ""
