"""Answers that come in several parts: put together, and bounded whatever the server sends."""

from __future__ import annotations

from tessenger.client import whole
from tessenger.client.whole import NONSENSE
from tessenger.wire.messages import AnyAnswer, Error, Joined, NamesAnswer, Pong

ODD = Error("unknown_outcome", NONSENSE)


def taken(*parts: AnyAnswer) -> list[AnyAnswer]:
    """Return what is handed on of these parts."""
    found: list[AnyAnswer] = []
    take = whole.whole(found.append)
    for part in parts:
        take(part)
    return found


def test_the_lists_of_all_parts_are_one() -> None:
    """With what else the last one says."""
    parts = [NamesAnswer(1, ["a"], [], more=True), NamesAnswer(1, ["b"], ["g"], more=True), NamesAnswer(1, [], ["h"])]
    assert taken(*parts) == [NamesAnswer(1, ["a", "b"], ["g", "h"])]
    assert taken(Pong(1)) == [Pong(1)]


def test_an_error_in_place_of_the_rest_is_the_answer() -> None:
    """Half a list is none."""
    error = Error("unavailable", "later", 1)
    assert taken(NamesAnswer(1, ["a"], more=True), error) == [error]


def test_parts_of_different_kinds_are_no_answer() -> None:
    """What follows is left out."""
    assert taken(NamesAnswer(1, ["a"], more=True), Joined(1, "g", []), Pong(1)) == [ODD]


def test_a_list_without_an_end_is_no_answer() -> None:
    """However long it goes on, no more than the bound is kept."""
    part = NamesAnswer(1, ["x" * 1_000] * 1_000, more=True)
    assert taken(*[part] * 30) == [ODD]
