"""Lines out of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessenger.client.lines import LineSplitter


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))), st.data())
def test_any_fragmentation(lines: list[str], data: st.DataObject) -> None:
    """However the bytes of lines are cut, inside a character too, the lines come out; the last needs no end."""
    stream = "\n".join(lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = LineSplitter()
    found: list[str] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if end > start:
            found += splitter.feed(stream[start:end])
    found += splitter.feed(b"")
    expected = lines[:-1] if lines and not lines[-1] else lines
    assert found == [line.removeprefix("\ufeff") if not place else line for place, line in enumerate(expected)]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """Some programs put one at the beginning of a file, and only there."""
    assert LineSplitter().feed(b"\xef\xbb\xbfaaa\n\xef\xbb\xbfbbb\n") == ["aaa", "\ufeffbbb"]


def test_line_ends_of_windows() -> None:
    r"""`\r\n` is a line end as well."""
    assert LineSplitter().feed(b"aaa\r\n123\r\n") == ["aaa", "123"]


def test_bytes_that_are_no_text() -> None:
    """They are replaced, the line stays."""
    assert LineSplitter().feed(b"msgto bbb \xff\xfe!\n") == ["msgto bbb \ufffd\ufffd!"]
