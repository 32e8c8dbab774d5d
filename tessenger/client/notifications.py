"""Calling attention to a message: the terminal's bell, or a notification of the desktop. Runs in the client's REPL.

Which messages call is a rule (pure); they call at most once in `GAP_SECONDS`, so that a burst rings once. The program
that shows a notification is started and never waited for; nobody is called about what came while they were away.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable

from tessenger.client import render
from tessenger.client.conversation import conversation_of
from tessenger.config import ClientSection
from tessenger.wire.messages import GroupMessage, Message
from tessenger.wire.text import clean_line

GAP_SECONDS = 2.0
"""After a call, others do not follow for this long."""

RUN_SECONDS = 10.0
"""A notification program that takes longer is ended."""

LONGEST = 200
"""Characters of a message that a notification shows."""


def calls(notify: str, event: Message | GroupMessage, *, mentioned: bool) -> bool:
    """Tell whether a message calls attention with this setting. Pure."""
    match notify:
        case "all":
            return True
        case "mentions":
            return mentioned or isinstance(event, Message)
        case "private":
            return isinstance(event, Message)
        case _:
            return False


class Notifier:
    """Calls, by `bell` or over the desktop. `program`: what shows a notification, None where there is none."""

    def __init__(self, bell: Callable[[], None], program: str | None = None) -> None:
        self._bell = bell
        self._program = program
        self._quiet_until = 0.0
        self._running: set[asyncio.Task[None]] = set()

    def cannot(self, values: ClientSection) -> bool:
        """Tell whether the desktop is wanted and cannot be told, so that the bell rings instead."""
        return values.notify_with == "desktop" and values.notify != "off" and self._program is None

    def about(self, event: Message | GroupMessage, values: ClientSection, *, mentioned: bool) -> None:
        """Call about a message that has just come, if the settings want it."""
        now = asyncio.get_running_loop().time()
        if not calls(values.notify, event, mentioned=mentioned) or now < self._quiet_until:
            return
        self._quiet_until = now + GAP_SECONDS
        if values.notify_with == "desktop" and self._program is not None:
            task = asyncio.ensure_future(_show(self._program, *words(event)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        else:
            self._bell()

    async def close(self) -> None:
        """End what still runs."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)


def words(event: Message | GroupMessage) -> tuple[str, str]:
    """Return title and text of a notification. Its daemon may read the text as markup, so that is escaped. Pure."""
    where = conversation_of(event)
    title = f"{event.sender} in {where}" if isinstance(event, GroupMessage) else where
    text = render.one_line(clean_line(event.text))
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return clean_line(title), text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def desktop_program() -> str | None:
    """Return the program that shows notifications here."""
    return shutil.which("notify-send")


async def _show(program: str, title: str, text: str) -> None:
    """Run the program; that it cannot be run is no reason to disturb the person."""
    null = asyncio.subprocess.DEVNULL
    with contextlib.suppress(OSError):
        process = await asyncio.create_subprocess_exec(
            program, "--app-name=Tessenger", "--", title, text,
            stdin=null, stdout=null, stderr=null, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(RUN_SECONDS):
                await process.wait()
        except TimeoutError:
            pass  # ended below
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
