"""Someone at a terminal in front of the client, whatever server it talks to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.piped_client import SCRIPTED, environment
from tests.support.pty_terminal import ENTER, PtyTerminal


class Person:
    """Someone at a terminal, before they have signed in."""

    def __init__(
        self, port: int, home: Path, *options: str, columns: int = 80, rows: int = 24,
        command: Sequence[str] = SCRIPTED, env: Mapping[str, str] | None = None, term: str = "xterm-256color",
    ) -> None:  # fmt: skip
        whole = [*command, *options, "127.0.0.1", str(port)]
        self.terminal = PtyTerminal(whole, env=environment(home, env), cwd=home, columns=columns, rows=rows, term=term)

    def sign_in(self, user: str = "aaa") -> PtyTerminal:
        """Sign in; return the terminal with an empty command line."""
        self.terminal.until_line("Username:")
        self.terminal.type(user + ENTER)
        self.terminal.until_line("Password:")
        self.terminal.type("123" + ENTER)
        self.terminal.until_line(">")
        return self.terminal
