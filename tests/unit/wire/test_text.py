"""Text of other people cannot steer a terminal, and stays what it was otherwise."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.wire.text import clean, clean_line, escaped

BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]


def harmless(text: str, allowed: str) -> bool:
    """Tell whether no control character and no bidirectional override is left but those that are `allowed`."""
    return all(c in allowed or (unicodedata.category(c) != "Cc" and ord(c) not in BIDI) for c in text)


@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
def test_c0_controls_are_shown_as_their_pictures(code: int) -> None:
    """All but line end and tab, which are text."""
    shown = clean(f"a{chr(code)}b")
    if chr(code) in "\n\t":
        assert shown == f"a{chr(code)}b"
    else:
        assert shown == f"a{chr(0x2421 if code == 0x7F else 0x2400 + code)}b"


@pytest.mark.parametrize("code", [*range(0x80, 0xA0), *BIDI])
def test_c1_controls_and_bidirectional_overrides_are_replaced(code: int) -> None:
    """By the replacement character, in every form."""
    for form in (clean, clean_line, escaped):
        assert form(f"a{chr(code)}b") == "a\ufffdb"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b[31mred", "␛[2J␛[31mred"),
        ("\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "␛]8;;http://evil␛\\click␛]8;;␛\\"),
        ("\x1b]52;c;cm0gLXJm\x07", "␛]52;c;cm0gLXJm␇"),
        ("\x9b31m", "\ufffd31m"),
        ("user\rroot", "user␍root"),
        ("a\r\nb", "a\nb"),
        ("line\u2028next\u2029par", "line\nnext\npar"),
        ("abc\u202etxt.exe", "abc\ufffdtxt.exe"),
    ],
)
def test_sequences_that_steer_terminals_are_made_visible(text: str, shown: str) -> None:
    """Colours, links, the clipboard, the carriage return that overwrites, and what reorders."""
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "how are u ?",
        "two\nlines\tand a tab",
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER} \N{FAMILY} 1\ufe0f\u20e3",
        "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}",
        "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}",
        "e\u0301 שלום مرحبا नमस्ते 你好",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ],
)
def test_text_of_all_scripts_and_emoji_stays_as_it_is(text: str) -> None:
    """Also joiners, variation selectors and scripts that run from the right."""
    assert clean(text) == text


@given(st.text())
def test_cleaned_text_is_harmless_and_stays_so(text: str) -> None:
    """Whatever it was; cleaning once more changes nothing."""
    assert harmless(clean(text), "\n\t")
    assert clean(clean(text)) == clean(text)
    assert harmless(clean_line(text), "")
    assert clean_line(clean_line(text)) == clean_line(text)


@given(st.text())
def test_an_escaped_text_is_one_harmless_line(text: str) -> None:
    """So that one entry of a log is one line; different harmless texts stay different."""
    line = escaped(text)
    assert len(line.splitlines()) <= 1
    assert harmless(line, "")


@given(st.text(), st.text())
def test_different_texts_are_different_in_a_log(one: str, other: str) -> None:
    """Once cleaned, an escaped text can be read back."""
    if clean(one) != clean(other):
        assert escaped(clean(one)) != escaped(clean(other))


def test_line_ends_are_spelt_out_in_a_log() -> None:
    """And so is the backslash, which spells them."""
    assert escaped("a\nb\tc\\n") == "a\\nb\\tc\\\\n"
