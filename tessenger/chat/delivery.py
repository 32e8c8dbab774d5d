"""Who gets what of a committed batch: each client's lines gathered, joined and written once. Pure; the hot path.

Lines for one connection leave in the order of their sequence numbers. Consecutive messages to one group form a *run*,
so that their lines are joined once for all members; the run ends as soon as anything else is due to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat

from tessenger.chat import events
from tessenger.chat.acknowledgements import FEW, Acknowledgements
from tessenger.chat.entries import GroupMessage
from tessenger.chat.link import Link


class Delivery:
    """The signed-in connections of one worker, and what they are due at the moment."""

    def __init__(self) -> None:
        """Start without connections."""
        self.links: dict[str, Link] = {}
        """By the user's name as the entries have it."""
        self.members: dict[str, dict[Link, None]] = {}
        """For each group, by its name as the entries have it, the connections of its members here."""
        self.wake: Callable[[], object] | None = None
        """Asks for a `tick` some milliseconds later; without it no acknowledgement waits."""
        self._acknowledgements = Acknowledgements()
        self._is_waking = False
        self._now = 0
        self._due: dict[Link, bytes | list[bytes]] = {}  # a single piece, as most are, stands without a list
        self._run_group = ""
        self._run: list[tuple[bytes, Link | None, bytes]] = []

    def say(self, link: Link, data: bytes) -> None:
        """Send `data` to `link` with the next flush, behind what it is due already."""
        if self._run:
            self._end_run()
        due = self._due
        lines = due.get(link)
        if lines is None:
            due[link] = data
        elif type(lines) is list:
            lines.append(data)
        else:
            due[link] = [lines, data]  # type: ignore[list-item]  # by type

    def acknowledge(self, link: Link, line: bytes, now: int) -> None:
        """Send an acknowledgement in its order, with the next flush or a little later (see acknowledgements.py).

        `now` is the steady clock's time, in ms.
        """
        if self._run:
            self._end_run()
        self._now = now
        held = self._acknowledgements.held
        if link in self._due or now < link.hurried_until or link.throttled:
            self.say(link, line)
        elif link in held:
            held[link].append(line)
        else:
            held[link] = [line]

    @property
    def is_hurried(self) -> bool:
        """Whether some client has to be acknowledged at once."""
        return self._now < self._acknowledgements.hurried_until

    def hurry(self, link: Link) -> None:
        """Let acknowledgements that wait for a connection leave with the next flush."""
        lines = self._acknowledgements.take(link)
        if lines:
            due = self._due.get(link, [])
            self._due[link] = lines + due if type(due) is list else [*lines, due]  # type: ignore[list-item]  # by type

    def tick(self) -> None:
        """Send acknowledgements that have waited long enough: since the last tick at least."""
        self._is_waking = False
        for link in self._acknowledgements.tick(self._now):
            self.hurry(link)
        self.flush()

    def group_message(self, entry: GroupMessage, sender: Link | None, answer: bytes) -> None:
        """Deliver a message to a group's members here; `sender` gets `answer` instead of the event."""
        if entry.group != self._run_group:
            if self._run:
                self._end_run()
            self._run_group = entry.group
        self._run.append((events.group_event(entry.seq, entry.at, entry.body), sender, answer))

    def flush(self) -> None:
        """Write what everybody is due."""
        held = self._acknowledgements.held
        if self._run:
            self._end_run(write=not self._due and not held)
        if held:
            self._flush_held(held)
        if not self._due:
            return
        due, self._due = self._due, {}
        pieces = [b"".join(lines) if type(lines) is list else lines for lines in due.values()]
        _write(due, pieces, map(len, pieces))  # type: ignore[arg-type]  # by type
        for link in due:
            if link.throttled:
                link.go_on()

    def subscribe(self, link: Link, group: str) -> None:
        """Let a connection have what comes to a group from here on: nothing of a run that has begun."""
        if self._run:
            self._end_run()
        self.members.setdefault(group, {})[link] = None

    def unsubscribe(self, link: Link, group: str) -> None:
        """Let a connection have nothing of a group behind what it is due already."""
        if self._run:
            self._end_run()
        self.members.get(group, {}).pop(link, None)

    def drop(self, link: Link) -> None:
        """Forget a connection."""
        if self.links.get(link.user) is link:
            del self.links[link.user]
        self._due.pop(link, None)
        self._acknowledgements.take(link)

    def _flush_held(self, held: Mapping[Link, list[bytes]]) -> None:
        """Let acknowledgements that waited leave with what is due, or all, where they are few; or wait on."""
        waits = self.wake is not None and len(held) >= FEW
        for link in held.keys() & self._due.keys() if waits else list(held):
            self.hurry(link)
        if held and not self._is_waking and self.wake is not None:
            self._is_waking = True
            self.wake()

    def _end_run(self, *, write: bool = False) -> None:
        """Let a group's members be due what was said; or `write` it, where they are due nothing else."""
        run, self._run = self._run, []
        group, self._run_group = self._run_group, ""
        senders = {sender: None for _, sender, _ in run if sender is not None}
        blob = run[0][0] if len(run) == 1 else b"".join([event for event, _, _ in run])
        members = self.members.get(group, {})
        others = [link for link in members if link not in senders] if senders else list(members)
        if write:
            _write(others, repeat(blob), repeat(len(blob)))
        elif not self._due:
            self._due = dict.fromkeys(others, blob)
        else:
            for link in others:
                self.say(link, blob)
        for link in senders:
            self.say(link, b"".join([answer if sender is link else event for event, sender, answer in run]))


def _write(links: Iterable[Link], pieces: Iterable[bytes], sizes: Iterable[int]) -> None:
    """Send each link its piece. The hottest loop of all: between two calls of the kernel there is no other function."""
    unfinished: list[tuple[Link, bytes]] = []
    for link, piece, size in zip(links, pieces, sizes, strict=False):  # some repeat for ever
        try:
            taken = link.write(piece)
        except OSError:  # as `Link.send` has it
            taken = 0
        if taken != size:
            unfinished.append((link, piece[taken:]))
    for link, rest in unfinished:
        link.write_rest(rest)
