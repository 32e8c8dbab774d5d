"""The commands about files: what `offers.Transfers` decides is carried out here. Runs in the client."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tessenger.client.channel import Channel
from tessenger.client.effects import Ask, Effects, Note, Refuse, Show, Tell
from tessenger.client.files import FileProcess, ProcessDied, Report
from tessenger.client.local_files import absolute, is_folder, look_into, said_left_out, unreadable
from tessenger.client.offers import Transfers
from tessenger.client.output import Output
from tessenger.client.transfer import describe
from tessenger.wire.messages import Accepted, AnyAnswer, Cancelled, Folder, Offer, Rejected
from tessenger.wire.text import clean_line

TICK_SECONDS = 1.0
"""How often the age of offers is looked at."""


class FileCommands:
    """`handlers`: for each command what carries it out, called with its arguments.

    `opening`: how many of one's own offers have no answer from the server yet.
    """

    def __init__(self, transfers: Transfers, files: FileProcess, connection: Channel, output: Output) -> None:
        self.transfers = transfers
        self.opening = 0
        self._files = files
        self._connection = connection
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.handlers: dict[str, Callable[..., None]] = {
            "p2pvideo": self._p2pvideo,
            "sendfile": self._sendfile,
            "transfers": self._transfers,
            "accept": lambda which="": self._apply(self.transfers.answer(which, takes=True)),
            "reject": lambda which="": self._apply(self.transfers.answer(which, takes=False)),
            "cancel": lambda number: self._apply(self.transfers.cancel(int(number))),
        }

    def begin(self) -> None:
        """Look at the age of offers from here on."""
        effects = self.transfers.tick(self._loop.time())
        if effects:
            self._apply(effects)
        self._timer = self._loop.call_later(TICK_SECONDS, self.begin)

    def end(self) -> None:
        """Do so no more."""
        if self._timer is not None:
            self._timer.cancel()

    async def changed(self) -> None:
        """Wait until something has happened to a transfer."""
        self._moved.clear()
        await self._moved.wait()

    def cancel_newest(self) -> bool:
        """Give up the newest of one's own uploads, if there is one; tell whether there was."""
        mine = [t.number for t in self.transfers if t.outgoing and not t.ended]
        if mine:
            self._apply(self.transfers.cancel(mine[-1]))
        return bool(mine)

    def leave(self) -> None:
        """The person signs out."""
        self._apply(self.transfers.leave())

    def on_event(self, event: Offer | Accepted | Rejected | Cancelled) -> None:
        """The other side of a transfer has something to say."""
        self._apply(self.transfers.event(event, self._loop.time()))

    def on_report(self, report: Report) -> None:
        """The UDP process has something to say."""
        if isinstance(report, ProcessDied):
            self._apply(self.transfers.process_died(self._loop.time()))
        else:
            self._apply(self.transfers.report(report, self._loop.time()))

    # ---- commands ----

    def _p2pvideo(self, to: str, path: str) -> None:
        full = absolute(path)
        problem = unreadable(full, path)
        if problem:
            self._output.refuse(problem)
        else:
            self._offer(to, full, full.name)

    def _sendfile(self, to: str, *paths: str) -> None:
        for path in paths:
            full = absolute(path)
            if is_folder(full, path):
                self._send_folder(to, full, path)
                continue
            problem = unreadable(full, path)
            if problem:
                self._output.refuse(problem)
            else:
                self._offer(to, full, full.name)

    def _send_folder(self, to: str, full: Path, path: str) -> None:
        contents = look_into(full)
        if contents.left_out:
            self._output.notice(f"Not sent of {clean_line(path)}: {said_left_out(contents.left_out)}.")
        if not contents.parts:
            self._output.refuse(f"There is nothing in {clean_line(path)} that can be sent.")
        folder = Folder(secrets.token_hex(8), len(contents.parts), contents.size)
        for part, name in contents.parts:
            self._offer(to, part, name, folder)

    def _offer(self, to: str, file: Path, name: str, folder: Folder | None = None) -> None:
        self._apply(self.transfers.send(secrets.token_hex(8), to, str(file), name, self._loop.time(), folder))

    def _transfers(self) -> None:
        self._output.show("\n".join(map(describe, self.transfers)) or "There are no transfers.")

    # ---- effects ----

    def _apply(self, effects: Effects) -> None:
        for effect in [*effects, *self.transfers.start_waiting(self._loop.time())]:
            match effect:
                case Show(text=text):
                    self._output.show(text)
                case Refuse(text=text):
                    self._output.refuse(text)
                case Note(text=text):
                    self._output.notice(text)
                case Tell(message=message):
                    self._files.send(message)
                case Ask(transfer=transfer, request=request):
                    self._connection.request(request, partial(self._transfer_answered, transfer))
        self.opening = sum(t.outgoing and t.opening for t in self.transfers)
        self._moved.set()
        self._output.changed()

    def _transfer_answered(self, transfer: str, answer: AnyAnswer) -> None:
        self._apply(self.transfers.answered(transfer, answer))
