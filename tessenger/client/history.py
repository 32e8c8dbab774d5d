r"""The lines that someone typed, kept between sessions: a file for each user, 0600, bounded. Runs in the client's REPL.

One entry a line; a line end inside an entry is written `\n`, a backslash `\\`. Whatever else the file holds, damaged
bytes included, is taken as it is: a history is never a reason not to start. Passwords are asked elsewhere, without one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.history import History

from tessenger.client import kept_file
from tessenger.wire.names import is_name, key
from tessenger.wire.text import clean

HISTORY_BYTES = 67_108_864
"""Bytes of the file that are read at most, its last ones: what is longer is cut."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def encode(entry: str) -> str:
    """Return `entry` on one line. Pure."""
    return entry.replace("\\", "\\\\").replace("\n", "\\n")


def decode(line: str) -> str:
    """Return what `encode` made `line` from; of other text, something harmless. Pure."""
    return clean(_ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], line))


class BoundedHistory(History):
    """The last `limit` entries in the file at `path`; 0: nothing is kept."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__()
        self._path = path
        self._limit = limit

    def load_history_strings(self) -> Iterable[str]:
        """Return the entries, the latest first; a file that has grown to twice its bound is cut."""
        if not self._limit:
            return []
        try:
            lines = kept_file.read(self._path, HISTORY_BYTES, end_of_longer=True).decode("utf-8", "replace").split("\n")
        except OSError:
            return []  # there is none yet, or it cannot be read: the REPL works without
        lines = [line for line in lines if line]
        if len(lines) > 2 * self._limit:
            lines = lines[-self._limit :]
            kept_file.write(self._path, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
        return [decode(line) for line in reversed(lines[-self._limit :])]

    def store_string(self, string: str) -> None:
        """Append an entry, unless the disk will not have it."""
        if not self._limit:
            return
        with suppress(OSError):  # what was typed still works, it is only not kept
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
                file.write(f"{encode(string)}\n".encode("utf-8", "replace"))


def history_path(state_dir: Path, user: str) -> Path | None:
    """Return where the history of `user` is kept; a name that is none, from a strange server, has no file."""
    return state_dir / f"history-{key(user)}" if is_name(user) and not user.startswith(".") else None
