"""/history: which messages its words ask for, and the pages of an answer put together. Pure; runs in the client."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from tessenger.wire.messages import MAX_HISTORY, AnyAnswer, GroupMessage, History, HistoryAnswer, Message

USUAL = 50
"""Messages that are shown where nobody says how many."""

_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(\d{1,6})([mhd]?)", re.ASCII)

NOTHING = "No messages."
NO_SPAN = "The last word of /history is a number of messages, a time like 30m, 2h or 7d, or today; not {}."


class Span(Struct, frozen=True):
    """How far back: the newest `limit` messages at or after `since` (Unix ms; 0: of ever)."""

    limit: int = USUAL
    since: int = 0


def span(word: str, now_ms: int) -> Span | None:
    """Return what `20`, `30m`, `2h`, `7d` or `today` means, None for anything else."""
    if word.lower() == "today":
        now = time.localtime(now_ms / 1000)
        midnight = time.mktime((now.tm_year, now.tm_mon, now.tm_mday, 0, 0, 0, 0, 0, -1))
        return Span(MAX_HISTORY, int(midnight * 1000))
    match = _SPAN.fullmatch(word.lower())
    if match is None or not int(match[1]):
        return None
    if not match[2]:
        return Span(min(int(match[1]), MAX_HISTORY))
    return Span(MAX_HISTORY, max(1, now_ms - int(match[1]) * _UNITS[match[2]] * 1000))


def asked(values: Sequence[str], now_ms: int) -> tuple[str, Span] | None:
    """Return whose messages, and which, the words behind /history ask for; None where the last one makes no sense.

    One word alone is a span if it can be one: for someone who is called `10` or `today`, write a span behind the name.
    """
    if not values:
        return "", Span()
    if len(values) == 1:
        alone = span(values[0], now_ms)
        return ("", alone) if alone is not None else (values[0], Span())
    wanted = span(values[1], now_ms)
    return None if wanted is None else (values[0], wanted)


class LookBack:
    """One /history under way: asks on until it has what was asked for, or there is no more."""

    def __init__(
        self,
        whose: str,
        wanted: Span,
        ask: Callable[[History, Callable[[AnyAnswer], None]], None],
        done: Callable[[list[Message | GroupMessage]], None],
    ) -> None:
        """`ask` sends a request; `done` gets the messages, the oldest first."""
        self._whose = whose
        self._wanted = wanted
        self._ask = ask
        self._done = done
        self._found: list[Message | GroupMessage] = []
        self._page: list[Message | GroupMessage] = []
        self._before = 0

    def begin(self, before: int = 0) -> None:
        """Ask for what is older than number `before`; 0: for the newest."""
        self._before = before
        missing = self._wanted.limit - len(self._found)
        self._ask(History(0, self._whose, limit=missing, since=self._wanted.since, before=before), self._answered)

    def _answered(self, answer: AnyAnswer) -> None:
        if not isinstance(answer, HistoryAnswer):
            return
        self._page += answer.messages
        if answer.more:
            return
        self._found, self._page = self._page + self._found, []
        goes_back = not self._before or answer.before < self._before  # else there would be no end of asking
        if answer.before and goes_back and len(self._found) < self._wanted.limit:
            self.begin(answer.before)
        else:
            self._done(self._found)
