"""Lines of a window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from tessenger.client.wrapping import characters, wrap


def lines(text: str, columns: int, *, used: int = 6, indent: int = 6) -> list[str]:
    """Return the lines as they stand in the window, without what takes the first `used` columns."""
    found = wrap(text, columns, used=used, indent=indent, width=get_cwidth)
    return [found[0].text, *(" " * line.indent + line.text for line in found[1:])]


def test_a_text_that_fits_stays_as_it_is() -> None:
    """Blanks at either end and in between too."""
    assert lines("  a  b ", 14) == ["  a  b "]
    assert lines("", 14) == [""]


def test_words_go_below_the_beginning_of_the_text() -> None:
    """The blank at the break is gone, those elsewhere stay."""
    assert lines("one two  three four", 16) == ["one two", "      three four"]


def test_lines_of_the_text_stay_lines() -> None:
    """Each is set off like the first; what a program's lines are indented by stays."""
    assert lines("if x:\n    y()\n\treturn", 20) == ["if x:", "          y()", "          return"]


def test_a_long_word_is_broken_where_the_line_ends() -> None:
    """It begins where there is room."""
    assert lines("ab " + "x" * 14, 14) == ["ab xxxxx", "      xxxxxxxx", "      x"]


def test_wide_characters_count_twice() -> None:
    """No line is wider than the window, and none of them is cut in half."""
    assert lines("日本語のテキスト", 13) == ["日本語", "      のテキ", "      スト"]


@pytest.mark.parametrize("whole", ["👩‍🚀", "👍🏽", "🇩🇪", "e\u0301", "❤️", "கி"])
def test_what_a_reader_takes_for_one_character_is_not_broken(whole: str) -> None:
    """Joined emoji, skin tones, flags, marks."""
    assert list(characters(whole * 3)) == [whole] * 3


@pytest.mark.parametrize("link", ["https://example.org/a?b=c&d", "(see http://example.org/wiki_(x))"])
def test_a_link_is_never_broken(link: str) -> None:
    """It goes to a line of its own, to the left where it needs the room, and whole even where that is not enough."""
    start, _, last = f"look at {link} now".rpartition(" ")
    for columns in range(20, 80):
        shown = wrap(f"{start} {last}", columns, used=6, indent=6, width=get_cwidth)
        assert any(link.rpartition(" ")[2] in line.text for line in shown), columns
    assert lines("see https://example.org/abcdef ok", 28) == ["see", "https://example.org/abcdef", "      ok"]
    assert lines("see https://example.org/abcdef ok", 20) == ["see", "https://example.org/abcdef", "      ok"]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers(12, 60), st.booleans())
def test_nothing_is_lost_and_no_line_is_too_wide(text: str, columns: int, left: bool) -> None:
    """Whatever the text: everything but blanks is there, in order, and only a link may be wider than the window."""
    found = wrap(text, columns, used=8, indent=2 if left else 8, width=get_cwidth)
    assert "".join("".join(line.text.split()) for line in found) == "".join(text.split())
    for line in found:
        assert "://" in line.text or line.indent + get_cwidth(line.text) <= columns


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "kind", ["x", " ", "\t", "@", "https://", "日本", "e\u0301", "\u200d", "a ", "x" * 90 + " " * 90]
)
def test_a_long_text_of_one_kind_is_no_trouble(kind: str) -> None:
    """Nobody can stop another's screen with 48 kB of anything: the time grows with the length alone."""
    text = kind * (48_000 // len(kind.encode()))
    found = wrap(text, 80, used=30, indent=30, width=get_cwidth)
    assert "".join("".join(line.text.split()) for line in found) == "".join(text.split())
