"""No sequence of keys ends the line editor, and a key that fails leaves a trace in the log."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.data_structures import Size
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from tessenger.client.channel import Channel
from tessenger.client.colours import Depth
from tessenger.client.files import NoFiles
from tessenger.client.ignored import Ignored
from tessenger.client.line_editor import Hands, LineEditor, TerminalOutput
from tessenger.client.link import Dialer
from tessenger.client.offers import Transfers
from tessenger.client.people import People
from tessenger.client.preferences import Preferences
from tessenger.client.reconnect import FOREVER
from tessenger.client.repl import Repl
from tessenger.client.session import Chat
from tessenger.client.steady_keys import MOST_REPEATED, MOST_TYPED, steady
from tessenger.client.tab import ChatCompleter
from tessenger.config import ClientSection, TransferSection
from tessenger.wire.messages import Limits
from tests.support.deadline import PATIENCE

SEQUENCES = 1_000
AT_A_TIME = 10
"""So many in each editing mode, and so many until it is looked whether a line can be entered."""

CTRL_C = b"\x03"
SUSPENDS = 0x1A
"""Ctrl-Z stops the whole process group, the tests among it."""


class Typist:
    """A line editor in a window of 80 by 24, and somebody who types."""

    def __init__(self, keys: PipeInput, directory: Path, editing: str) -> None:
        self.keys = keys
        self.screen = io.StringIO()
        self.entered: list[str] = []
        preferences = Preferences(ClientSection(state_dir=str(directory)), {})
        preferences.command("editing", editing)
        channel = Channel(Dialer("127.0.0.1", 1, None, print), FOREVER, print)
        output = TerminalOutput(self.screen, lambda: Size(24, 80), term="xterm")
        ignored = Ignored(directory, "", "aaa")
        chat = Chat(
            channel, NoFiles(), Repl(preferences, keys, output, Depth.NOTHING, unicode=True),
            Transfers("aaa", TransferSection(), asks=True), Limits(65_536, 49_152, 1_000), preferences, ignored,
        )  # fmt: skip
        completer = ChatCompleter(chat, People(chat, channel, lambda: None))
        hands = Hands(
            may_enter=lambda line: True,
            entered=self.entered.append,
            interrupted=lambda: False,
            may_leave=lambda: False,
            prompt=lambda: "> ",
            toolbar=lambda: " aaa@127.0.0.1 | connected ",
        )
        self.editor = LineEditor(keys, output, InMemoryHistory(), completer, preferences, hands)

    async def type(self, keys: bytes) -> None:
        """Press keys, and let the editor have them."""
        self.keys.send_bytes(keys)
        await asyncio.sleep(0)

    async def until_entered(self, line: str) -> None:
        """Get out of whatever was begun, as a person does, until a line can be typed and entered."""
        async with asyncio.timeout(PATIENCE):
            while line not in self.entered:
                for keys in (CTRL_C, CTRL_C, line.encode() + b"\r"):
                    await self.type(keys)
                    for _ in range(10):  # turns of the loop: each is to be read for itself
                        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let the editor have what was typed until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 nothing tells of it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def typist(directory: Path, editing: str = "emacs") -> AsyncIterator[Typist]:
    """Have somebody type; the editor must be there in the end, and what was in the way of a key in the log."""
    with create_pipe_input() as keys:
        someone = Typist(keys, directory, editing)
        typing = asyncio.ensure_future(someone.editor.run())
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        try:
            await someone.until_entered("ready")
            yield someone
            assert not typing.done(), "the editor has ended"
            assert failures == []
        finally:
            typing.cancel()
            await asyncio.wait({typing})


def _sequence(chance: random.Random) -> bytes:
    """Return what somebody, or a terminal, or something that was pasted raw, may send."""
    pieces = [
        lambda: chance.choice(list(ANSI_SEQUENCES)).encode(),
        lambda: chance.randbytes(chance.randint(1, 8)),
        lambda: b"\x1b[" + bytes(chance.choices(b"0123456789;<MmRH~?", k=chance.randint(1, 8))),
        lambda: b"\x1b[M" + chance.randbytes(3),
        lambda: b"\x1b" + bytes([chance.randrange(128)]),
        lambda: bytes(chance.choices(b"abc /\"'@#:0129\t\r\x11\x18()", k=chance.randint(1, 12))),
        lambda: chance.choice(
            [b"/msgto b\t", b"/sendfile b /\t", b"\x1b[200~", b"\x1b[201~", b"\xe6\x97\xa5\xef\xb8\x8f"]
        ),
    ]
    whole = b"".join(chance.choice(pieces)() for _ in range(chance.randint(1, 6)))
    return bytes(byte for byte in whole if byte != SUSPENDS)


@pytest.mark.parametrize("editing", ["emacs", "vi"])
def test_whatever_is_typed(tmp_path: Path, editing: str) -> None:
    """Thousands of sequences, sensible and not: after each Ctrl-C helps, and a line can be entered."""

    async def run() -> None:
        chance = random.Random(editing)
        async with typist(tmp_path, editing) as someone:
            for number in range(SEQUENCES // AT_A_TIME):
                keys = [_sequence(chance) for _ in range(AT_A_TIME)]
                for sequence in keys:
                    await someone.type(sequence)
                try:
                    await someone.until_entered(f"line {number}")
                except TimeoutError:
                    raise AssertionError(f"behind {keys} nothing can be entered any more") from None

    asyncio.run(run())


@pytest.mark.parametrize(
    "keys",
    [b"\x1b[31m", b"\x1b[M\x7f!!", b"\x1b[M\xff\xff\xff", b"\x1b[<999;1;1M", b"\x1b[9M", b"\x1b[5;5R", b"\x1b[1;1R"],
)
def test_reports_that_nobody_has_asked_for(tmp_path: Path, keys: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """They have no effect, and what is typed before and behind them is whole."""

    async def run() -> None:
        async with typist(tmp_path) as someone:
            await someone.type(b"be" + keys + b"hind\r")
            await until(lambda: "behind" in someone.entered)

    asyncio.run(run())
    assert caplog.records == []


def test_a_key_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log, and the keys behind it are carried out."""
    failing = KeyBindings()

    @failing.add("c-x", "f")
    def _(event: KeyPressEvent) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        lines: list[str] = []
        with create_pipe_input() as keys:
            session: PromptSession[str] = PromptSession(input=keys, key_bindings=failing)
            steady(session)
            keys.send_text("on\x18fe\r")
            lines.append(await session.prompt_async())
        assert lines == ["one"]

    asyncio.run(run())
    assert [record.exc_info is not None and record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_a_paste_without_an_end(tmp_path: Path) -> None:
    """Ctrl-C ends it, and clears the line."""

    async def run() -> None:
        async with typist(tmp_path) as someone:
            await someone.type(b"\x1b[200~lost")
            await someone.until_entered("alive")
            assert someone.entered == ["ready", "alive"]

    asyncio.run(run())


def test_repeated_keys_are_bounded(tmp_path: Path) -> None:
    """A number in front of a key, and a line that is doubled over and over, cannot fill the memory."""

    async def run() -> None:
        async with typist(tmp_path) as someone:
            await someone.type(b"\x1b9\x1b9\x1b9\x1b9a\r")
            await someone.until_entered("next")
            assert someone.entered[1] == "a" * MOST_REPEATED
            for _ in range(5):
                await someone.type(b"\x15" + b"\x1b9\x1b9\x19" * 2)
            async with asyncio.timeout(PATIENCE):
                while len(someone.editor.text) < MOST_TYPED:
                    await someone.type(b"x\x15\x1b9\x1b9\x19")
                    await asyncio.sleep(0.001)
            assert len(someone.editor.text) == MOST_TYPED

    asyncio.run(run())


def test_a_macro_that_calls_itself(tmp_path: Path) -> None:
    """It comes to an end."""

    async def run() -> None:
        async with typist(tmp_path, "vi") as someone:
            await someone.type(b'@q\x1b0"qyy@q')
            await someone.until_entered("alive")

    asyncio.run(run())


def test_ctrl_c_with_keys_of_vi(tmp_path: Path) -> None:
    """It clears the line, and what is typed then is inserted."""

    async def run() -> None:
        async with typist(tmp_path, "vi") as someone:
            await someone.type(b"half\x1b")
            await until(lambda: someone.editor.mode == "navigation")
            await someone.type(CTRL_C + b"whole\r")
            await until(lambda: someone.entered[1:] == ["whole"])

    asyncio.run(run())
