"""Which typed lines wait for their answer."""

from __future__ import annotations

from tessenger.client.open_lines import NAMED_LINES, OpenLines


def test_what_is_answered_is_open_no_more() -> None:
    """In whatever order; the others stay in theirs, and the same words count each time."""
    lines = OpenLines()
    answered = [lines.add(text) for text in ("one", "two", "two", "three")]
    answered[1]()
    answered[1]()
    assert list(lines) == ["one", "two", "three"]
    answered[0]()
    assert (list(lines), len(lines)) == (["two", "three"], 2)


def test_people_are_told_a_few_and_a_count() -> None:
    """Shortened, without what could steer a terminal."""
    lines = OpenLines()
    lines.add("msgto bbb \x1b[31mred")
    lines.add("x" * 500)
    assert lines.named() == ["  msgto bbb ␛[31mred", f"  {'x' * 57}..."]
    for number in range(NAMED_LINES):
        lines.add(str(number))
    assert len(lines.named()) == NAMED_LINES
    assert lines.named()[-1] == f"  ... and {2 + NAMED_LINES - (NAMED_LINES - 1)} more"
