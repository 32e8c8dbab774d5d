"""Weights and colours."""

from __future__ import annotations

import pytest

from tessenger.client.colours import AUTHORS, Depth, Painter, depth_of

LEVELS = (0, 95, 135, 175, 215, 255)
BACKGROUNDS = {"black": (0, 0, 0), "white": (255, 255, 255), "dark": (0, 43, 54), "light": (253, 246, 227)}


def luminance(colour: tuple[int, int, int]) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("number", AUTHORS)
def test_every_colour_is_readable_on_light_and_dark(number: int) -> None:
    """3 is what WCAG asks of large text; bold text in a terminal is about that. The last two are Solarized's."""
    red, rest = divmod(number - 16, 36)
    colour = (LEVELS[red], LEVELS[rest // 6], LEVELS[rest % 6])
    assert contrast(colour, BACKGROUNDS["black"]) >= 3.4
    assert contrast(colour, BACKGROUNDS["white"]) >= 3.4
    assert contrast(colour, BACKGROUNDS["dark"]) >= 2.4
    assert contrast(colour, BACKGROUNDS["light"]) >= 3


def test_a_name_has_one_colour() -> None:
    """Whatever its case, in every session; and people differ."""
    painter = Painter(Depth.MANY)
    assert painter.name("Anna", "Anna").replace("Anna", "") == painter.name("anna", "anna").replace("anna", "")
    names = [f"user{n}" for n in range(100)]
    assert len({painter.name("x", name) for name in names}) == len(AUTHORS)
    assert len({Painter(Depth.BASIC).name("x", name) for name in names}) == 4


def test_depths() -> None:
    """Without colours weights remain, and without these only the text."""
    assert Painter(Depth.MANY).name("a", "a", "bold").startswith("\x1b[1;38;5;")
    assert Painter(Depth.WEIGHTS).name("a", "a") == "a"
    assert Painter(Depth.WEIGHTS).name("a", "a", "badge") == "\x1b[1;7ma\x1b[0m"
    assert Painter(Depth.WEIGHTS).paint("a", "dim") == "\x1b[2ma\x1b[0m"
    assert Painter(Depth.NOTHING).name("a", "a", "badge") == Painter(Depth.NOTHING).paint("a", "bold") == "a"


@pytest.mark.parametrize(
    ("environ", "depth"),
    [
        ({"TERM": "xterm-256color"}, Depth.MANY),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, Depth.MANY),
        ({"TERM": "linux"}, Depth.BASIC),
        ({"TERM": "vt220"}, Depth.WEIGHTS),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, Depth.WEIGHTS),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, Depth.MANY),
        ({"TERM": "dumb"}, Depth.NOTHING),
        ({}, Depth.NOTHING),
    ],
)
def test_what_the_terminal_can_show(environ: dict[str, str], depth: Depth) -> None:
    """TERM, COLORTERM and NO_COLOR, which counts when it is not empty."""
    assert depth_of(environ) is depth
