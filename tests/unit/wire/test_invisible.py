"""Characters that show nothing: out where they mean nothing, in where they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.wire.text import clean, clean_line, escaped

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    "text",
    [
        "plain, grün, 日本語, ελληνικά",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # a rainbow flag
        "\U0001f44d\U0001f3fd",  # a thumb with a tone of skin
        "\U0001f9d1\U0001f3fd\u200d\U0001f4bb",  # somebody with that tone, at a computer
        "1\ufe0f\u20e3 \u00a9\ufe0f",
        ENGLAND,
        f"{ENGLAND}{ENGLAND} x",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner in a word
        "\u0647\u200d.",  # Persian, an abbreviation that ends with a joiner
        "\u0995\u09cd\u200d\u09b7 \u0d28\u0d4d\u200d ",  # Bengali and Malayalam
        "\u05e9\u05dc\u05d5\u05dd \u200eabc\u200f!",  # Hebrew with marks around what is Latin
        "\u0627\u0644\u0633\u0644\u0627\u0645 \u061c5%",
    ],
)
def test_what_a_script_or_an_emoji_needs_stays(text: str) -> None:
    """To the letter."""
    assert clean(text) == clean_line(text) == escaped(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay\u200bpal \ufeffx\u2060y\u00adz", "paypal xyz"),
        ("a\u200db \u200c\u200d c", "ab  c"),
        ("\u0645\u200c\u200c\u200d\u06cc", "\u0645\u200c\u06cc"),
        ("\u0430\u200d\u0430", "\u0430\u0430"),
        ("abc\u200f\u200edef\u061c", "abcdef"),
        ("hi\U000e0068\U000e0069", "hi\ufffd\ufffd"),
        ("\U0001f3f4\U000e0067", "\U0001f3f4\ufffd"),
        ("\U0001f600\U000e0067\U000e007f", "\U0001f600\ufffd\ufffd"),
        ("\U000e0001", "\ufffd"),
        ("a\ufff9b\ufffac\ufffb \u206a", "a\ufffdb\ufffdc\ufffd \ufffd"),
        ("\U0001f468\u200d", "\U0001f468"),
    ],
)
def test_what_means_nothing_is_out_or_visible(text: str, shown: str) -> None:
    """Zero-width characters and marks are gone, what can carry a text is seen."""
    assert clean(text) == clean_line(text) == escaped(text) == shown


_ODD = st.sampled_from(
    "a \u0645\u0915\u094d\u200b\u200c\u200d\u200e\u05d0\ufeff\ufe0f\u202e\n\x1b\U0001f3f4\U000e0067\U000e007f\U0001f468"
)


@given(st.text(_ODD | st.characters(codec="utf-8"), max_size=40))
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    """So the server may clean what a client has, and a client what a server has."""
    for cleaned in (clean, clean_line):
        assert cleaned(cleaned(text)) == cleaned(text)
