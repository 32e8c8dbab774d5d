"""Draw docs/screens.svg, the picture in the README, from a real session: `python -m docs.picture`.

Starts a server and two clients in pseudo-terminals, lets them talk, and takes both screens while a file is on its way.
What a terminal emulator (pyte) then shows becomes an SVG of real text, one element for each run of characters of one
style. Its size depends on nothing but the size of the two windows.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from html import escape
from itertools import groupby
from pathlib import Path

from msgspec import Struct
from pyte.screens import Char

from tests.support.piped_client import environment
from tests.support.pty_terminal import ENTER, PtyTerminal
from tests.support.server_process import running_server

TARGET = Path(__file__).parent / "screens.svg"
CLIENT = [sys.executable, "-m", "tessenger", "client"]
USUAL_PORT = 12_000

COLUMNS, ROWS = 70, 17
FILE_SIZE = 30_000_000
RATE = 7_500_000
"""Bytes a second: slow enough to take the picture at half of the file."""

CELL, LINE, FONT = 8, 18, 13
BAR, MARGIN, GAP = 30, 14, 22
PANE_WIDTH = COLUMNS * CELL + 2 * MARGIN
PANE_HEIGHT = ROWS * LINE + BAR + MARGIN

INK, PAPER, FRAME = "#d8dee9", "#1b1f27", "#2b303b"
PALETTE = {
    "black": "#3b4252", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "yellow": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#d8dee9",
}  # fmt: skip


class Style(Struct, frozen=True):
    """How a character looks."""

    ink: str
    paper: str
    bold: bool
    italics: bool
    underlined: bool


def colour(name: str, usual: str) -> str:
    """Return a colour of the emulator as SVG writes it."""
    if name == "default":
        return usual
    return f"#{name}" if re.fullmatch("[0-9a-fA-F]{6}", name) else PALETTE[name.removeprefix("bright")]


def style(char: Char) -> Style:
    """Return how a character looks."""
    ink, paper = colour(char.fg, INK), colour(char.bg, PAPER)
    if char.reverse:
        ink, paper = paper, ink
    return Style(ink, paper, char.bold, char.italics, char.underscore)


def runs(row: Sequence[Char]) -> Iterator[tuple[int, str, Style]]:
    """Yield column, text and style of the stretches of a row that look the same; a wide character is followed by ""."""
    cells = [(column, char.data, style(char)) for column, char in enumerate(row)]
    for look, group in groupby(cells, key=lambda cell: cell[2]):
        members = list(group)
        yield members[0][0], "".join(data for _, data, _ in members), look


def drawn(column: int, line: int, text: str, look: Style) -> Iterator[str]:
    """Yield the elements of one stretch: what is behind it, and its words, each where it stands on the screen."""
    x, y = MARGIN + column * CELL, BAR + line * LINE
    if look.paper != PAPER:
        place = f'x="{x}" y="{y}" width="{len(text) * CELL}" height="{LINE}"'
        yield f'<rect {place} fill="{look.paper}" shape-rendering="crispEdges"/>'
    for match in re.finditer(r"\S+(?: \S+)*", text):
        weight = ' font-weight="bold"' if look.bold else ""
        weight += ' font-style="italic"' if look.italics else ""
        weight += ' text-decoration="underline"' if look.underlined else ""
        yield (
            f'<text x="{x + match.start() * CELL}" y="{y + FONT}" fill="{look.ink}"{weight}'
            f' textLength="{len(match[0]) * CELL}" lengthAdjust="spacingAndGlyphs">{escape(match[0])}</text>'
        )


def pane(title: str, screen: Sequence[Sequence[Char]], left: int) -> Iterator[str]:
    """Yield the elements of one window."""
    yield f'<g transform="translate({left} 0)">'
    yield f'<rect width="{PANE_WIDTH}" height="{PANE_HEIGHT}" rx="9" fill="{PAPER}" stroke="{FRAME}"/>'
    yield f'<path d="M0 22V9a9 9 0 0 1 9-9h{PANE_WIDTH - 18}a9 9 0 0 1 9 9v13z" fill="{FRAME}"/>'
    yield from (f'<circle cx="{15 + 15 * n}" cy="11" r="4" fill="#5c6370"/>' for n in range(3))
    middle = f'x="{PANE_WIDTH // 2}" y="15" text-anchor="middle" font-size="11"'
    yield f'<text {middle} fill="#9aa2b1">{escape(title)}</text>'
    for line, row in enumerate(screen):
        for column, text, look in runs(row):
            yield from drawn(column, line, text, look)
    yield "</g>"


def picture(panes: Sequence[tuple[str, Sequence[Sequence[Char]]]]) -> str:
    """Return the SVG of these windows, side by side."""
    width = len(panes) * (PANE_WIDTH + GAP) - GAP
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg"',
        f'viewBox="-1 -1 {width + 2} {PANE_HEIGHT + 2}" font-size="{FONT}"',
        "font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\"",
        'xml:space="preserve" role="img" aria-label="Two people chat, and one sends the other a video">',
    ]
    for number, (title, screen) in enumerate(panes):
        parts += pane(title, screen, number * (PANE_WIDTH + GAP))
    return "\n".join([*parts, "</svg>", ""])


class Person:
    """Someone at a terminal."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.name = name
        self.home = folder / name
        self.home.mkdir()
        variables = {"TESSENGER_TRANSFER_RATE_LIMIT": str(RATE), "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
        self._command = [*CLIENT, "--user", name, "127.0.0.1", str(port)]
        self._environment = environment(self.home, variables)
        self.terminal = self._start()

    def _start(self) -> PtyTerminal:
        return PtyTerminal(self._command, env=self._environment, cwd=self.home, columns=COLUMNS, rows=ROWS)

    def come_back(self) -> None:
        """Sign in a second time: the server's key is known now, as it mostly is, and so is who else is online."""
        earlier, self.terminal = self.terminal, self._start()
        with earlier:
            self.sign_in()

    def sign_in(self) -> None:
        """Answer the question for the password, and wait for the command line."""
        self.terminal.until_shown("Password:")
        self.terminal.type("123" + ENTER)
        self.terminal.until_shown("Welcome to TESSENGER!")
        self.terminal.until_shown("connected")

    def says(self, line: str, shown: str) -> None:
        """Type a line and wait for its answer."""
        self.terminal.type(line + ENTER)
        self.terminal.until_shown(shown)

    def sees(self, text: str) -> None:
        """Wait until a text is there, wrapped or not."""
        self.terminal.until(lambda: text in " ".join(self.terminal.text().split()), f"{text!r} did not appear")

    def sees_half_of_the_file(self) -> None:
        """Wait until the progress bar is in its middle."""
        self.terminal.until(
            lambda: re.search(r"\b[4-7]\d ?%", self.terminal.text()) is not None, "the file did not get half of its way"
        )

    def screen(self) -> list[list[Char]]:
        """Return what is on the screen now."""
        buffer = self.terminal._screen.buffer
        return [[buffer[row][column] for column in range(COLUMNS)] for row in range(ROWS)]


def talk(anna: Person, ben: Person) -> None:
    """Have the conversation of the picture."""
    anna.says("/msgto ben how are u ?", "message sent at")
    ben.sees("how are u ?")
    ben.says("/msgto anna fine, thanks! Is the film ready?", "message sent at")
    anna.sees("Is the film ready?")
    ben.says("/creategroup premiere anna", "Group chat created premiere")
    ben.terminal.type("/talk premiere" + ENTER)
    anna.says("/groupmsg premiere haha! It is. Here it comes.", "Group chat message sent at")
    ben.sees("Here it comes.")
    anna.terminal.type("/p2pvideo ben film.mp4" + ENTER)
    anna.sees_half_of_the_file()
    ben.sees_half_of_the_file()


def free_port() -> int:
    """Return the usual port, or 0 for any where it is taken."""
    try:
        with socket.create_server(("127.0.0.1", USUAL_PORT)):
            return USUAL_PORT
    except OSError:
        return 0


def main() -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(
            running_server(folder / "server", port=free_port(), users="anna 123\nben 123\ncleo 123\n")
        )
        people = [Person(user, server.port, folder) for user in ("anna", "ben")]
        for person in people:
            person.sign_in()
        for person in people:
            person.come_back()
            stack.enter_context(person.terminal)
        anna, ben = people
        (anna.home / "film.mp4").write_bytes(os.urandom(FILE_SIZE))
        talk(anna, ben)
        TARGET.write_text(picture([(person.name, person.screen()) for person in people]), encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
