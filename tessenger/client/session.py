"""One person's chat, without a terminal: typed lines become requests, what comes becomes text. Runs in the client.

Both front ends use it: the line filter and the REPL. All output is in the order in which the server sent it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from tessenger.chat.words import EMPTY_TEXT, TEXT_TOO_LONG
from tessenger.client import render
from tessenger.client.channel import Channel
from tessenger.client.commands import Call, Kind, Mistake, help_text
from tessenger.client.conversation import Conversation
from tessenger.client.delivery import Event
from tessenger.client.file_commands import FileCommands
from tessenger.client.files import FileProcess, Report
from tessenger.client.groups import GroupCommands, shown
from tessenger.client.ignored import Ignored
from tessenger.client.known_names import KnownNames, Named, ask_named, ask_names
from tessenger.client.look_back import NO_SPAN, NOTHING, LookBack, asked
from tessenger.client.offers import Transfers
from tessenger.client.output import Output
from tessenger.client.preferences import Preferences
from tessenger.client.whole import whole
from tessenger.wire.messages import (
    ActiveUser,
    ActiveUsers,
    AnyAnswer,
    AnyRequest,
    Error,
    GroupLeft,
    GroupMessage,
    GroupMsg,
    Invitation,
    Limits,
    Logout,
    Message,
    MsgTo,
    Offer,
    Sent,
    Unread,
)
from tessenger.wire.text import clean_line

LOGOUT_SECONDS = 5.0
"""How long a logout waits for the server's answer."""


LEAVING = frozenset({"logout", "quit"})
"""Commands that end the session."""

ANSWERED_HERE = frozenset({"clear", "help", "ignore", "notify", "set", "transfers"})
"""Commands that need no server."""


class Chat:
    """A signed-in session."""

    def __init__(
        self, connection: Channel, files: FileProcess, output: Output, transfers: Transfers, limits: Limits,
        preferences: Preferences, ignored: Ignored,
    ) -> None:  # fmt: skip
        self._files = FileCommands(transfers, files, connection, output)
        self.conversation = Conversation()
        self._preferences = preferences
        self._ignored = ignored
        self._connection = connection
        self._output = output
        self._limits = limits
        self._leaving = False
        self._wants_to_leave = False
        self._on_answered: Callable[[], None] | None = None
        self._heading: Unread | None = None
        self._away_in = ""  # the token of the session in which that was said
        self._handlers: dict[str, Callable[..., None]] = {
            "msgto": self._msgto,
            "activeuser": self._activeuser,
            "groupmsg": self._groupmsg,
            **GroupCommands(self._ask, output, self._not_in, self._away_set).handlers,
            "history": self._history,
            "logout": self._logout,
            "quit": self._logout,
            "ignore": self._ignore,
            "clear": self._output.clear,
            **self._files.handlers,
            "talk": self._talk,
            "set": self._set,
            "notify": lambda *words: self._set("notify", *words),
            "help": lambda name=None: self._answer(help_text(name)),
        }

    def begin(self) -> None:
        """Show events from here on, first those that came right behind the sign-in."""
        self._files.begin()
        self._connection.deliver_to(self.on_event)

    def end(self) -> None:
        """Nothing more is shown or sent."""
        self._files.end()

    @property
    def transfers(self) -> Transfers:
        """The files that are offered, on their way, or just done."""
        return self._files.transfers

    @property
    def leaving(self) -> bool:
        """Whether the person has said that they leave, though answers may have to come before that."""
        return self._leaving or self._wants_to_leave

    @property
    def is_away(self) -> bool:
        """Whether others are told that one does not look. A new session begins without that."""
        return bool(self._away_in) and self._away_in == self._connection.token

    # ---- what the person types ----

    def leaves(self, line: str) -> bool:
        """Tell whether a line ends the session."""
        call = self.conversation.read(line)
        return isinstance(call, Call) and call.command.name in LEAVING

    def needs_server(self, line: str) -> bool:
        """Tell whether a line is only carried out by the server."""
        call = self.conversation.read(line)
        return isinstance(call, Call) and call.command.name not in ANSWERED_HERE

    async def execute(self, line: str, on_answered: Callable[[], None] | None = None) -> None:
        """Carry a line out in its turn: its answer is shown after the answers to all lines before it.

        Requests go out without waiting for answers, as these come in order; what is answered here waits for them.
        `on_answered` is called once nothing more is to come of the line.
        """
        self._on_answered = on_answered
        await self._carry_out(line)
        if self._on_answered is not None and not self._connection.ended.done():
            self._on_answered()  # no request has taken it along

    async def _carry_out(self, line: str) -> None:
        call = self.conversation.read(line)
        self.conversation.seen("")
        if call is None:
            return
        mistake = call if isinstance(call, Mistake) else self._over_limit(call)
        if mistake is not None:
            await self.settled()
            self._output.refuse(mistake.text)
            return
        assert isinstance(call, Call)
        self._wants_to_leave = call.command.name in LEAVING
        if call.command.pipelined:
            await self._connection.room()
        else:
            await self.settled()
        if not self._connection.ended.done():
            self._handlers[call.command.name](*call.values)
        if not call.command.pipelined:
            await self.settled()

    async def settled(self) -> None:
        """Wait until every line so far has its answer, or the session has ended."""
        while not self._connection.ended.done():
            await self._connection.settled()
            if not self._files.opening:
                return
            await self._files.changed()

    async def uploaded(self) -> None:
        """Wait until one's own uploads have ended, or the session has."""
        while self.transfers.uploading and not self._connection.ended.done():
            await self._files.changed()

    async def log_out(self) -> None:
        """Sign out, unless that has happened; the session's end follows within `LOGOUT_SECONDS`.

        A server that cannot be told notices by itself: that is no failure of what was asked for before.
        """
        self.leave()
        if self._connection.state == "connected":
            await asyncio.wait({self._connection.ended}, timeout=LOGOUT_SECONDS)
        if not self._connection.ended.done():
            self._output.notice("The server could not be told that you leave; it notices by itself.")
            self._connection.close()

    def leave(self) -> None:
        """Sign out without waiting for the answer, unless that has happened."""
        if not self._leaving and not self._connection.ended.done():
            self._logout()

    def cancel_foreground(self) -> bool:
        """Give up the newest of one's own uploads, if there is one; tell whether there was."""
        return self._files.cancel_newest()

    def on_report(self, report: Report) -> None:
        """The UDP process has something to say."""
        self._files.on_report(report)

    async def names(self, *, everybody: bool = False) -> KnownNames:
        """Ask the server for the names that can be completed; `everybody`: of people who are not online, too."""
        done: asyncio.Future[KnownNames] = asyncio.get_running_loop().create_future()

        def answered(names: KnownNames) -> None:
            if not done.done():
                done.set_result(names)

        ask_names(self._connection, answered, everybody=everybody)
        return await self._connection.unless_ended(done)

    def _over_limit(self, call: Call) -> Mistake | None:
        for argument, value in zip(call.command.arguments, call.values, strict=False):
            if argument.kind is Kind.TEXT:
                if not value.strip():
                    return Mistake(EMPTY_TEXT)
                count, limit = len(value.encode()), self._limits.text_bytes
                if limit and count > limit:
                    return Mistake(TEXT_TOO_LONG.format(size=count, limit=limit))
        return None

    # ---- commands ----

    def _talk(self, name: str = "") -> None:
        if not name:
            self.conversation.talk("", group=False)
            self._output.changed()
            return

        def answered(named: Named | Error) -> None:
            if isinstance(named, Error):
                self._output.refuse(render.error(named))
                return
            self.conversation.talk(named.name, group=named.is_group)
            self._output.notice(f"You talk {'in' if named.is_group else 'to'} {named.name} now; /talk ends that.")
            if not named.is_group and not named.is_online:
                self._output.notice(f"{named.name} is not online now.")
            self._output.changed()

        ask_named(self._connection, name, answered)

    def _set(self, *words: str) -> None:
        self._answer(self._preferences.command(*words))
        self._output.changed()

    def _ignore(self, *user: str) -> None:
        self._answer(self._ignored.command(*user))
        for sender in [name for name in self.conversation.unread if name in self._ignored]:
            self.conversation.read_all(sender)
        self._output.changed()

    def _answer(self, answer: str | Mistake) -> None:
        if isinstance(answer, Mistake):
            self._output.refuse(answer.text)
        else:
            self._output.show(answer)

    def _msgto(self, to: str, text: str) -> None:
        self.conversation.seen(to)
        self._ask(MsgTo(0, to, text), shown(self._output, Sent, partial(render.message_sent, to)))

    def _groupmsg(self, group: str, text: str) -> None:
        self.conversation.seen(group)
        self._ask(GroupMsg(0, group, text), shown(self._output, Sent, render.group_message_sent))

    def _activeuser(self) -> None:
        self._ask(ActiveUser(0), shown(self._output, ActiveUsers, lambda a: render.active_users(a.users)))

    def _history(self, *words: str) -> None:
        wanted = asked(words, time.time_ns() // 1_000_000)
        if wanted is None:
            self._output.refuse(NO_SPAN.format(clean_line(words[-1])))
            return

        def done(found: list[Message | GroupMessage]) -> None:
            found = [event for event in found if event.sender not in self._ignored]
            if found:
                self._output.look_back(found)
            else:
                self._output.show(NOTHING)

        LookBack(*wanted, self._ask, done).begin()

    def _logout(self) -> None:
        self._leaving = True
        self._files.leave()
        self._connection.tell_seen()
        self._ask(Logout(0), lambda answer: None)  # the connection ends with `bye`, and the front end says so

    def _ask(self, request: AnyRequest, on_answer: Callable[[AnyAnswer], None]) -> None:
        """Send a request; `on_answer` gets all parts of its answer as one. An error is shown in the server's words."""
        on_answered, self._on_answered = self._on_answered, None

        def answered(answer: AnyAnswer) -> None:
            if on_answered is not None:
                on_answered()
            if isinstance(answer, Error):
                self._output.refuse(render.error(answer))
            else:
                on_answer(answer)

        if not self._connection.fits(request):
            self._on_answered = on_answered
            self._output.refuse(f"This is too long for one line to the server ({self._limits.line_bytes} bytes).")
            return
        self._connection.request(request, whole(answered))

    # ---- what comes ----

    def on_event(self, event: Event) -> None:
        """Show an event of the server."""
        match event:
            case Unread():
                # Whoever ignores somebody may be shown fewer of them, or none: then it waits for the first one.
                self._heading = Unread(0) if self._ignored else None
                if self._heading is None:
                    self._output.unread(event)
                return
            case Message() | GroupMessage() | Offer() | Invitation() if event.sender in self._ignored:
                pass
            case Message() | GroupMessage():
                self._head(event.seq)
                self.conversation.came(event)
                self._output.message(event, missed=event.seq <= self._connection.missed_until)
            case Invitation():
                self._head(event.seq)
                self._output.show(render.invitation(event))
            case GroupLeft():
                self._output.show(render.departure(event, self._connection.user))
                if event.user == self._connection.user:
                    self._not_in(event.group)
            case _:
                self._files.on_event(event)
        self._output.once_shown(partial(self._connection.shown, event.seq, self._connection.branch))

    def _head(self, seq: int) -> None:
        """Show what stands above the messages of an absence, if event `seq` is the first of them that is shown."""
        if self._heading is not None and seq <= self._connection.missed_until:
            self._output.unread(self._heading)
            self._heading = None

    def _away_set(self, text: str) -> None:
        self._away_in = self._connection.token if text else ""
        self._output.changed()

    def _not_in(self, group: str) -> None:
        if self.conversation.is_over(group):
            self._output.notice("That was where you talked; plain lines are commands again.")
            self._output.changed()
