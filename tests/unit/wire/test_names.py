"""Names of users and groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.errors import InvalidName
from tessenger.wire.names import checked, is_name, key

ALLOWED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"


@given(st.text(ALLOWED, min_size=1, max_size=32))
def test_1_to_32_of_the_allowed_characters_are_a_name(name: str) -> None:
    """It is returned as it is; names that differ in case compare equal."""
    assert is_name(name)
    assert checked(name, "user") == name
    assert key(name.upper()) == key(name.lower()) == key(name)


@given(st.text(max_size=40))
def test_nothing_else_is_a_name(text: str) -> None:
    """Neither other characters nor other lengths; the two functions agree."""
    allowed = 1 <= len(text) <= 32 and all(c in ALLOWED for c in text)
    assert is_name(text) == allowed
    if not allowed:
        with pytest.raises(InvalidName):
            checked(text, "user")


@pytest.mark.parametrize("text", ["aaa\n", "ä", "a b", "a/b", "\u0661", "", "\u212a", "a\x00"])
def test_what_looks_like_a_name_is_none(text: str) -> None:
    """A line end behind it, other letters and digits, separators."""
    assert not is_name(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "A group name must not be empty."),
        ("x" * 33, "The group name is too long: 33 characters, at most 32 are allowed."),
        ("a b", "The group name has characters that are not allowed: use letters, digits, '_', '.' and '-'."),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    """In words for people."""
    with pytest.raises(InvalidName) as raised:
        checked(text, "group")
    assert str(raised.value) == words
