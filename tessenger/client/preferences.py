"""What a person can set while they chat (/set, /notify), and the file that keeps it. Runs in the client.

A setting is a key of `[client]` in the configuration. What was set is kept in the state folder, as JSON that
this module alone writes, 0600 and replaced in one step; it comes before every configuration file. A damaged file, or a
value that a later version does not know, counts as not set.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec.structs import replace

from tessenger.client import kept_file
from tessenger.client.commands import Mistake
from tessenger.config import ClientSection
from tessenger.config_values import checked
from tessenger.errors import ConfigError
from tessenger.undecodable import UNDECODABLE
from tessenger.wire.text import clean_line

FILE_NAME = "settings.json"

ABOUT = {
    "notify": "what to call attention to: off, private, mentions (and private) or all",
    "notify_with": "how: bell, or desktop (notify-send)",
    "editing": "keys of the line editor: emacs or vi",
    "suggestions": "show how an earlier line went on: true or false",
    "paste_lines": "lines above which a message is asked about; 0: never",
    "times": "times on the screen: full, or short (without the day)",
    "colours": "colours and weights: true or false",
}
"""Every setting, and what it is about."""

_TYPES = {field.name: field.type for field in msgspec.structs.fields(ClientSection)}


class Preferences:
    """The settings that hold now: `values` is the client's section with what was set on top."""

    def __init__(self, client: ClientSection, environ: Mapping[str, str]) -> None:
        """What `environ` says for this run comes first, until it is changed."""
        self._path = Path(client.state_dir) / FILE_NAME
        self._set = _read(self._path)
        saved = {name: value for name, value in self._set.items() if f"TESSENGER_CLIENT_{name}".upper() not in environ}
        self.values = replace(client, **saved)

    def command(self, name: str = "", *words: str) -> str | Mistake:
        """Carry out /set with these words and return the answer: all settings, one, or what has changed."""
        if not name:
            return "\n".join(self._line(known) for known in ABOUT)
        if name not in ABOUT:
            nearest = difflib.get_close_matches(name, ABOUT, n=1)
            hint = f"Did you mean {nearest[0]}?" if nearest else "/set shows them."
            return Mistake(f"There is no setting {clean_line(name)[:40]}. {hint}")
        if not words:
            return self._line(name)
        try:
            value = _checked(name, " ".join(words), "/set")
        except ConfigError as error:
            return Mistake(clean_line(str(error)))
        self._set = {**self._set, name: value}
        self.values = replace(self.values, **{name: value})
        kept = "" if _write(self._path, self._set) else f", until you leave: {self._path} cannot be written"
        return f"{name} is {_shown(value)} now{kept}."

    def _line(self, name: str) -> str:
        head = f"{name} = {_shown(getattr(self.values, name))}"
        return f"{head:<24}  {ABOUT[name]}"


def values_of(name: str) -> tuple[str, ...]:
    """Return what completes the value of a setting."""
    if name not in ABOUT:
        return ()
    if _TYPES[name] is bool:
        return ("true", "false")
    return get_args(_TYPES[name]) if get_origin(_TYPES[name]) is Literal else ()


def _checked(name: str, text: str, origin: str) -> object:
    return checked(name, _TYPES[name], text, origin, is_text=True)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = msgspec.json.decode(kept_file.read(path))
    except (OSError, *UNDECODABLE):
        return {}
    found: dict[str, Any] = {}
    for name, value in kept.items() if isinstance(kept, dict) else ():
        if name in ABOUT:
            with contextlib.suppress(ConfigError, *UNDECODABLE):  # a value of another version
                found[name] = _checked(name, _shown(value), FILE_NAME)
    return found


def _write(path: Path, values: dict[str, Any]) -> bool:
    return kept_file.write(path, msgspec.json.format(msgspec.json.encode(values)) + b"\n", synced=True)
