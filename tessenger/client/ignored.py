"""Of whom one wants to see nothing (/ignore): kept for each server and user, in the state folder. Runs in the client.

A name a line. A file that is damaged counts for the lines in it that are names.
"""

from __future__ import annotations

from pathlib import Path

from tessenger.client import kept_file
from tessenger.client.commands import Mistake
from tessenger.client.position import account_name
from tessenger.wire.names import is_name, key
from tessenger.wire.text import clean_line


class Ignored:
    """The people whose messages, offers and invitations are not shown."""

    def __init__(self, state_dir: Path, server: str, user: str) -> None:
        self._path = state_dir / "ignored" / account_name(server, user)
        self._user = user
        self._names = {key(name): name for name in _read(self._path)}

    def __contains__(self, user: str) -> bool:
        return key(user) in self._names

    def __len__(self) -> int:
        return len(self._names)

    def command(self, name: str = "") -> str | Mistake:
        """Carry out /ignore and return the answer: who is ignored, or who is from now on, or is not any more."""
        if not name:
            return f"You ignore {', '.join(self._names.values())}." if self._names else "You ignore nobody."
        if not is_name(name):
            return Mistake(f"{clean_line(name)[:40]} is no name of a user.")
        if key(name) == key(self._user):
            return Mistake("You cannot ignore yourself.")
        if name in self:
            del self._names[key(name)]
            answer = f"You do not ignore {name} any more"
        else:
            self._names[key(name)] = name
            answer = f"You ignore {name} from now on; /ignore {name} again ends that"
        data = "".join(f"{known}\n" for known in self._names.values()).encode()
        kept = kept_file.write(self._path, data, synced=True)
        return f"{answer}." if kept else f"{answer}, until you leave: {self._path} cannot be written."


def _read(path: Path) -> list[str]:
    try:
        return [name for name in kept_file.read(path).decode("ascii", "replace").split() if is_name(name)]
    except OSError:
        return []
