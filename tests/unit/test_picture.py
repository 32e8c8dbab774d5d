"""The picture in the README: what a terminal shows, as SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pyte

from docs import picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> ET.Element:
    """Return the picture of one window in which a program has written `text`."""
    screen = pyte.Screen(picture.COLUMNS, picture.ROWS)
    pyte.Stream(screen).feed(text)
    rows = [[screen.buffer[row][column] for column in range(picture.COLUMNS)] for row in range(picture.ROWS)]
    return ET.fromstring(picture.picture([("anna <&>", rows)]))  # noqa: S314 - our own


def words(root: ET.Element) -> dict[str, ET.Element]:
    """Return the texts of a picture with their elements."""
    return {element.text or "": element for element in root.iter(f"{SVG}text")}


def test_it_is_text_where_it_stood() -> None:
    """Each phrase is one element, at its column and line, as wide as on the screen; markup in it is harmless."""
    found = words(drawn("one <b>\r\n     two   three"))
    assert found.keys() == {"anna <&>", "one <b>", "two", "three"}
    assert found["one <b>"].get("textLength") == str(7 * picture.CELL)
    first, second = found["two"], found["three"]
    assert int(second.get("x", "")) - int(first.get("x", "")) == 6 * picture.CELL
    assert int(first.get("y", "")) - int(found["one <b>"].get("y", "")) == picture.LINE


def test_colours_and_weights() -> None:
    """Names of the palette, 256 colours, bold, and reverse, which is a rectangle behind the words."""
    root = drawn("\x1b[31mred\x1b[0m \x1b[38;5;130mbrown\x1b[0m \x1b[1mbold\x1b[0m \x1b[7mbar\x1b[0m")
    found = words(root)
    assert found["red"].get("fill") == picture.PALETTE["red"]
    assert found["brown"].get("fill") == "#af5f00"
    assert found["bold"].get("font-weight") == "bold"
    assert found["bar"].get("fill") == picture.PAPER
    assert [rect.get("width") for rect in root.iter(f"{SVG}rect") if rect.get("fill") == picture.INK] == ["24"]


def test_the_picture_of_the_readme_is_a_harmless_one() -> None:
    """It is there, as large as the script makes it, and shows no path and no address but that of this machine."""
    text = picture.TARGET.read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert root.get("viewBox") == f"-1 -1 {2 * picture.PANE_WIDTH + picture.GAP + 2} {picture.PANE_HEIGHT + 2}"
    shown = " ".join(words(root))
    assert "film.mp4" in shown
    assert not re.search(r"/(tmp|home|root|Users|work)\b", shown)
    assert "docs/screens.svg" in (Path(picture.TARGET).parents[1] / "README.md").read_text("utf-8")
