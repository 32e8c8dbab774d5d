"""Settings that are kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tessenger.client.commands import Mistake
from tessenger.client.preferences import ABOUT, FILE_NAME, Preferences, values_of
from tessenger.config import ClientSection


def preferences(folder: Path) -> Preferences:
    """Return the settings of a client whose configuration has short times."""
    return Preferences(ClientSection(state_dir=str(folder), times="short"), {})


def refusal(answer: str | Mistake) -> str:
    """Return why something was not done."""
    assert isinstance(answer, Mistake)
    return answer.text


def done(answer: str | Mistake) -> str:
    """Return what was answered."""
    assert isinstance(answer, str)
    return answer


def test_what_was_set_holds_and_lasts(tmp_path: Path) -> None:
    """At once, in the next session, and before what the configuration says; the file is private."""
    now = preferences(tmp_path / "state")
    assert now.command("paste_lines", "20") == "paste_lines is 20 now."
    assert now.command("suggestions", "false") == "suggestions is false now."
    assert now.command("times", "full") == "times is full now."
    later = preferences(tmp_path / "state")
    for each in (now, later):
        assert (each.values.paste_lines, each.values.suggestions, each.values.times) == (20, False, "full")
    path = tmp_path / "state" / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [FILE_NAME]


def test_all_settings_are_listed(tmp_path: Path) -> None:
    """Each with its value and what it is about."""
    lines = done(preferences(tmp_path).command()).splitlines()
    assert [line.split(" = ")[0] for line in lines] == list(ABOUT)
    assert lines[-2] == f"{'times = short':<24}  {ABOUT['times']}"
    assert done(preferences(tmp_path).command("notify")).startswith("notify = mentions ")


def test_the_environment_of_this_run_comes_first(tmp_path: Path) -> None:
    """Before what was set in earlier ones; what is set now holds now."""
    preferences(tmp_path).command("times", "full")
    client = ClientSection(state_dir=str(tmp_path), times="short")
    assert Preferences(client, {}).values.times == "full"
    now = Preferences(client, {"TESSENGER_CLIENT_TIMES": "short"})
    assert now.values.times == "short"
    assert now.command("times", "full") == "times is full now."
    assert done(now.command("times")).startswith("times = full ")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("paste_lines", "many"), "/set: paste_lines = 'many': must be a whole number of at least 0"),
        (("paste_lines", "-1"), "/set: paste_lines = '-1': must be a whole number of at least 0"),
        (("editing", "ed"), '/set: editing = \'ed\': must be "emacs" or "vi"'),
        (("suggestions", "perhaps"), "/set: suggestions = 'perhaps': must be true or false"),
        (("editting",), "There is no setting editting. Did you mean editing?"),
        (("qqq", "1"), "There is no setting qqq. /set shows them."),
        (("\x1b[2J", "1"), "There is no setting ␛[2J. /set shows them."),
        (("host", "evil.example"), "There is no setting host. /set shows them."),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, words: tuple[str, ...], answer: str) -> None:
    """And change nothing."""
    now = preferences(tmp_path)
    before = now.values
    assert refusal(now.command(*words)) == answer
    assert now.values == before
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[]", b"3", b'{"notify": 7, "times": ["x"], "unknown": 1}', b"{", b'{"a":' * 5_000, b'"\xff"'],
)
def test_a_damaged_file_counts_as_not_there(tmp_path: Path, content: bytes) -> None:
    """A later setting replaces it."""
    (tmp_path / FILE_NAME).write_bytes(content)
    assert preferences(tmp_path).values == ClientSection(state_dir=str(tmp_path), times="short")
    preferences(tmp_path).command("notify", "off")
    assert preferences(tmp_path).values.notify == "off"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The setting holds for this session, and that is said."""
    tmp_path.chmod(0o500)
    now = preferences(tmp_path)
    answer = now.command("notify", "off")
    assert answer == f"notify is off now, until you leave: {tmp_path / FILE_NAME} cannot be written."
    assert now.values.notify == "off"


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    """The setting holds for this session, and that is said."""
    (tmp_path / "state").write_text("a file")
    now = preferences(tmp_path / "state")
    assert "until you leave" in done(now.command("notify", "off"))
    assert now.values.notify == "off"


def test_values_for_completion() -> None:
    """Of settings that have a few."""
    assert values_of("notify") == ("off", "private", "mentions", "all")
    assert values_of("suggestions") == ("true", "false")
    assert values_of("paste_lines") == values_of("host") == values_of("nonsense") == ()
