"""Parsing, help and hints of the client's commands."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessenger.client.commands import COMMANDS, Call, Kind, Mistake, help_text, parse
from tessenger.wire.text import clean_line

_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=20)


def values(line: str) -> tuple[str, ...]:
    """Return the arguments of a line that must be right."""
    call = parse(line)
    assert isinstance(call, Call), call
    return call.values


def mistake(line: str) -> str:
    """Return what is wrong with a line that must be."""
    found = parse(line)
    assert isinstance(found, Mistake), found
    return found.text


@pytest.mark.parametrize("line", ["activeuser", "/activeuser", "  /activeuser  ", "/ActiveUser"])
def test_with_or_without_slash(line: str) -> None:
    """Spaces around and capitals do not matter."""
    call = parse(line)
    assert isinstance(call, Call)
    assert call.command.name == "activeuser"


@pytest.mark.parametrize("line", ["", "   ", "\t", "\n"])
def test_an_empty_line_is_nothing(line: str) -> None:
    """Pressing Enter is no mistake."""
    assert parse(line) is None


@given(_WORDS, st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_text_is_verbatim(target: str, text: str) -> None:
    """Whatever stands behind the one space after the target is the text: spaces, quotes, line ends."""
    assert values(f"msgto {target} {text}") == (target, text)
    assert values(f"/groupmsg  {target} {text}") == (target, text)


@given(_WORDS, st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_a_path_is_quoted_as_in_a_shell(user: str, path: str) -> None:
    """Every path can be written."""
    user = user.translate(dict.fromkeys(map(ord, "'\"\\#"), "x"))
    assert values(f"p2pvideo {user} {shlex.quote(path)}") == (user, path)


@given(st.text())
def test_any_line_has_an_answer(line: str) -> None:
    """No input raises, and what is repeated of it cannot steer a terminal."""
    found = parse(line)
    if isinstance(found, Mistake):
        assert found.text == clean_line(found.text)
    elif found is not None:
        assert len(found.values) >= sum(not argument.optional for argument in found.command.arguments)


def test_lone_surrogates_do_not_reach_the_wire() -> None:
    """What a terminal in another encoding leaves behind is replaced."""
    assert values("msgto bbb caf\udce9") == ("bbb", "caf?")


HOW_TO_TALK = "To talk to someone, type /talk and a name first; /help shows all commands."


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("/frobnicate", "Unknown command frobnicate. /help shows all commands."),
        ("hello", f"Unknown command hello. {HOW_TO_TALK}"),
        ("mgsto bbb hi", "Unknown command mgsto. Did you mean /msgto?"),
        ("/mgsto bbb hi", "Unknown command mgsto. Did you mean /msgto?"),
        ("/", "Unknown command . /help shows all commands."),
        ("a\x1b]0;x\x07", f"Unknown command a␛]0;x␇. {HOW_TO_TALK}"),
        ("x" * 100, f"Unknown command {'x' * 39}…. {HOW_TO_TALK}"),
        ("msgto", "/msgto needs USER. Usage: /msgto USER TEXT"),
        ("msgto bbb", "/msgto needs TEXT. Usage: /msgto USER TEXT"),
        ("creategroup", "/creategroup needs GROUP. Usage: /creategroup [-p] GROUP [USER ...]"),
        ("activeuser now", "/activeuser has too many arguments. Usage: /activeuser"),
        (
            "p2pvideo bbb my example.mp4",
            "/p2pvideo has too many arguments. Put a path with spaces in quotation marks. Usage: /p2pvideo USER FILE",
        ),
        ("p2pvideo bbb 'my", "A quotation mark is not closed. Usage: /p2pvideo USER FILE"),
        ("accept one", "one is not the number of a transfer. /transfers shows them."),
        ("cancel all", "all is not the number of a transfer. /transfers shows them."),
        ("accept 1 2", "/accept has too many arguments. Usage: /accept [NUMBER|all]"),
        ("accept ²", "² is not the number of a transfer. /transfers shows them."),
    ],
)
def test_mistakes(line: str, text: str) -> None:
    """Each says what is wrong and how it is right."""
    assert mistake(line) == text


def test_arguments() -> None:
    """Members of a group are a list, and may be left out."""
    assert values("creategroup g aaa  bbb ccc") == ("g", "aaa", "bbb", "ccc")
    assert values("creategroup g") == ("g",)
    assert values("help") == ()
    assert values("accept 12") == ("12",)
    assert values("accept ALL") == ("all",)
    assert values("reject") == ()


def test_help_has_every_command() -> None:
    """One line each; `/help COMMAND` with or without slash."""
    text = help_text()
    assert isinstance(text, str)
    assert [line.split()[0] for line in text.splitlines()] == [f"/{command.name}" for command in COMMANDS]
    assert help_text("/msgto") == help_text("msgto") == "/msgto USER TEXT\nSend a private message."
    assert help_text("mgsto") == Mistake("Unknown command mgsto. Did you mean /msgto?")


def test_the_table_is_well_formed() -> None:
    """A verbatim text is always second and last, or all there is; `many` always last: what parsing relies on."""
    for command in COMMANDS:
        kinds = [argument.kind for argument in command.arguments]
        assert Kind.TEXT not in kinds or kinds == [Kind.TEXT] or kinds.index(Kind.TEXT) == 1 == len(kinds) - 1
        assert not any(argument.many for argument in command.arguments[:-1])
