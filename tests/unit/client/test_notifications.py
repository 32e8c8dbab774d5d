"""What calls attention, and how."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tessenger.client import notifications
from tessenger.client.notifications import Notifier, calls, words
from tessenger.config import ClientSection
from tessenger.wire.messages import GroupMessage, Message
from tests.support.deadline import until
from tests.support.server_process import is_running

PRIVATE = Message(1, "bbb", "hi", 1)
IN_GROUP = GroupMessage(1, "g", "bbb", "hi", 1)


@pytest.mark.parametrize(
    ("notify", "private", "mention", "other"),
    [
        ("off", False, False, False),
        ("private", True, False, False),
        ("mentions", True, True, False),
        ("all", True, True, True),
    ],
)
def test_which_messages_call(notify: str, *, private: bool, mention: bool, other: bool) -> None:
    """Each setting with a private message, a mention in a group, and any other message there."""
    assert calls(notify, PRIVATE, mentioned=False) is private
    assert calls(notify, IN_GROUP, mentioned=True) is mention
    assert calls(notify, IN_GROUP, mentioned=False) is other


def test_a_burst_rings_once() -> None:
    """And what comes after the gap rings again."""
    rung: list[int] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        now = 100.0
        loop.time = lambda: now  # type: ignore[method-assign]
        notifier = Notifier(lambda: rung.append(1))
        for _ in range(100):
            notifier.about(PRIVATE, ClientSection(), mentioned=False)
        now += notifications.GAP_SECONDS
        notifier.about(PRIVATE, ClientSection(), mentioned=False)
        notifier.about(PRIVATE, ClientSection(notify="off"), mentioned=False)

    asyncio.run(scenario())
    assert len(rung) == 2


def program(folder: Path, body: str) -> str:
    """Return a program that stands in for notify-send. It tells the reader of the fifo `said` what it was given."""
    os.mkfifo(folder / "said")
    path = folder / "notify-send"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o700)
    return str(path)


def call_over_desktop(path: str | None, said: Path | None = None) -> tuple[str, int]:
    """Call over the desktop and close; return what the program has said and how often the bell rang."""
    rung: list[int] = []

    async def scenario() -> str:
        notifier = Notifier(lambda: rung.append(1), path)
        event = Message(1, "-b", "<b>1 & 2</b>\x1b]0;x\x07\nnext", 1)
        notifier.about(event, ClientSection(notify_with="desktop"), mentioned=False)
        try:
            return await asyncio.to_thread(said.read_text) if said else ""
        finally:
            await notifier.close()

    return asyncio.run(scenario()), len(rung)


def test_the_desktop_is_told(tmp_path: Path) -> None:
    """Title and text as arguments that cannot be taken for options, cleaned, and with no markup."""
    said = tmp_path / "said"
    path = program(tmp_path, f"open('{said}', 'w').write('|'.join(sys.argv[1:]))")
    words = "--app-name=Tessenger|--|-b|&lt;b&gt;1 &amp; 2&lt;/b&gt;␛]0;x␇␊next"
    assert call_over_desktop(path, said) == (words, 0)


def test_without_a_program_the_bell_rings(tmp_path: Path) -> None:
    """So that the setting does no harm where there is no desktop; one that cannot be run is passed over."""
    assert call_over_desktop(None) == ("", 1)
    assert call_over_desktop(str(tmp_path / "missing")) == ("", 0)


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    """It is not waited for, and gone when the client leaves."""
    said = tmp_path / "said"
    path = program(tmp_path, f"open('{said}', 'w').write(str(os.getpid()))\ntime.sleep(600)")
    pid = int(call_over_desktop(path, said)[0])
    until(lambda: not is_running(pid), "it still runs")


def test_words() -> None:
    """Who, where, and the beginning of what was said."""
    assert words(PRIVATE) == ("bbb", "hi")
    assert words(IN_GROUP) == ("bbb in g", "hi")
    assert len(words(Message(1, "b", "x" * 1000, 1))[1]) == notifications.LONGEST
