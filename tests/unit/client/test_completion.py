"""What the Tab key offers: text in, suggestions out."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.client.commands import COMMANDS
from tessenger.client.completion import Known, suggest, wants_names

KNOWN = Known(users=("aaa", "Bob", "bbb"), groups=("g", "team"), transfers=("1", "2"))
FOLDERS = {
    "": [("videos", True), ("my example.mp4", False), ("my notes", True), (".hidden", False), ("it's.txt", False)],
    "videos": [("a.mp4", False)],
    "my notes": [("b.txt", False)],
}


def completed(before: str) -> list[str]:
    """Return the line as it would be after each suggestion."""
    found = suggest(before, KNOWN, lambda folder: FOLDERS.get(folder, []))
    return [before[: len(before) - one.replaced] + one.text for one in found]


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        ("/msg", ["/msgto "]),
        ("msg", ["msgto "]),
        ("/LOG", ["/logout"]),
        ("frob", []),
        ("/msgto ", ["/msgto aaa ", "/msgto Bob ", "/msgto bbb "]),
        ("msgto B", ["msgto Bob ", "msgto bbb "]),
        ("/msgto bbb hi b", []),
        ("/groupmsg t", ["/groupmsg team "]),
        ("/joingroup ", ["/joingroup g ", "/joingroup team "]),
        ("/creategroup g", []),
        ("/creategroup g aaa b", ["/creategroup g aaa Bob ", "/creategroup g aaa bbb "]),
        ("/accept ", ["/accept 1 ", "/accept 2 ", "/accept all "]),
        ("/cancel ", ["/cancel 1 ", "/cancel 2 "]),
        ("/help act", ["/help activeuser "]),
        ("/nonsense b", []),
        ("/logout b", []),
    ],
)
def test_commands_and_names(before: str, lines: list[str]) -> None:
    """By the kind of the argument that the cursor is in, without regard to case."""
    assert completed(before) == lines


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        ("p2pvideo bbb v", ["p2pvideo bbb videos/"]),
        ("p2pvideo bbb videos/", ["p2pvideo bbb videos/a.mp4 "]),
        ("p2pvideo bbb my", ["p2pvideo bbb 'my example.mp4' ", "p2pvideo bbb 'my notes/"]),
        ("p2pvideo bbb 'my e", ["p2pvideo bbb 'my example.mp4' "]),
        ('p2pvideo bbb "my e', ["p2pvideo bbb 'my example.mp4' "]),
        ("p2pvideo bbb my\\ e", ["p2pvideo bbb 'my example.mp4' "]),
        ("p2pvideo bbb 'my notes/", ["p2pvideo bbb 'my notes/b.txt' "]),
        ("p2pvideo bbb i", ["p2pvideo bbb 'it'\\''s.txt' "]),
        ("p2pvideo bbb .h", ["p2pvideo bbb .hidden "]),
        ("p2pvideo bbb nowhere/", []),
    ],
)
def test_paths(before: str, lines: list[str]) -> None:
    """Quoted where they must be, open after a directory, hidden files only when asked for."""
    assert completed(before) == lines


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1))
def test_a_completed_path_is_read_back_as_it_is(name: str) -> None:
    """Whatever a file is called, the line that Tab makes names it; what cannot be shown is not offered."""
    found = suggest("sendfile bbb ./", Known(), lambda folder: [(name, False)])
    if not name.isprintable() or name.startswith("."):
        assert found == []
    else:
        assert shlex.split(found[0].text) == ["./" + name]


@given(st.text())
def test_any_text_can_be_completed(before: str) -> None:
    """No text raises, and a suggestion never replaces more than there is."""
    assert all(one.replaced <= len(before) for one in suggest(before, KNOWN, lambda folder: [("x", True)]))


def test_an_empty_line_offers_all_commands() -> None:
    """With their slash and what they do."""
    found = suggest("", KNOWN, lambda folder: [])
    assert [one.shown for one in found] == [f"/{command.name}" for command in COMMANDS]
    assert all(one.about for one in found)


@pytest.mark.parametrize(
    ("before", "wanted"), [("/msgto b", True), ("msgto bbb hi", False), ("/m", False), ("", False)]
)
def test_names_are_asked_for_only_where_they_can_stand(before: str, wanted: bool) -> None:
    """The server is not bothered for the rest."""
    assert wants_names(before) is wanted


def test_recent_correspondents_come_after_those_online() -> None:
    """Each name once."""
    known = Known(users=("aaa",), groups=("g",), recent=("zzz", "AAA", "g"))
    assert [one.shown for one in suggest("/msgto ", known, lambda folder: [])] == ["AAA", "zzz", "g"]
    assert [one.shown for one in suggest("/talk ", known, lambda folder: [])] == ["AAA", "g", "zzz"]


def test_settings_and_their_values() -> None:
    """From the table of settings; every setting says what it is about."""
    assert completed("/set ed") == ["/set editing "]
    assert completed("/set editing ") == ["/set editing emacs ", "/set editing vi "]
    assert completed("/set suggestions t") == ["/set suggestions true "]
    assert completed("/set paste_lines ") == completed("/set nonsense ") == []
    assert completed("/notify p") == ["/notify private "]
    assert all(one.about for one in suggest("/set ", KNOWN, lambda folder: []))


def test_in_a_conversation_names_are_completed_in_the_text() -> None:
    """A plain line is no command; a line with a slash is."""

    def shown(before: str) -> list[str]:
        return [one.shown for one in suggest(before, KNOWN, lambda folder: [], talking=True)]

    assert shown("hello b") == ["Bob", "bbb"]
    assert shown("b") == ["Bob", "bbb"]
    assert shown("first\nb") == ["Bob", "bbb"]
    assert shown("hello ") == shown("") == []
    assert shown("/msgt") == ["/msgto"]
    assert wants_names("hello b", talking=True)
    assert not wants_names("hello ", talking=True)
    assert not wants_names("/logout", talking=True)
