"""What a loaded logger holds back from workers: places alone, for a moment, and never for those in a hurry."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from tessenger.chat import entries, events
from tessenger.chat.acknowledgements import FEW
from tessenger.chat.entries import AnyEntry
from tessenger.chat.ledger import Ledger
from tessenger.chat.ports import Worker
from tessenger.chat.routing import Placed, Told
from tessenger.journal.store import SqliteJournal
from tessenger.server import frames
from tessenger.server.followers import Follower, Followers
from tessenger.server.log_link import LogLink
from tests.support.memory_journal import MemoryJournal
from tests.unit.server.test_frames import NONSENSE

NOW = 1_700_000_000_000
DEADLINE = 10.0


class Wire:
    """The transport of a follower: what was sent over it, as frames."""

    def __init__(self) -> None:
        self.fed: list[object] = []
        self.is_closed = False
        self.came = asyncio.Event()
        self._reader = frames.from_logger()

    def write(self, data: bytes) -> None:
        """Take frames."""
        for frame in self._reader.feed(data):
            assert isinstance(frame, frames.Feed)
            self.fed += frame.batch
        self.came.set()

    def get_write_buffer_size(self) -> int:
        """Everything is read at once."""
        return 0

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    abort = close


class Scene:
    """A logger's followers: worker 1, who serves `s`, and worker 2, who serves `r`."""

    def __init__(self) -> None:
        self.ledger = Ledger(MemoryJournal().load(), 1_000)
        self.followers = Followers(
            self.ledger, cast(SqliteJournal, None), lambda *_: None, lambda _: None, lambda: None
        )
        self.wires: dict[int, Wire] = {}
        self.by_slot: dict[int, Follower] = {}
        self._request = 0
        for slot, user in ((1, "s"), (2, "r")):
            self.ledger.follow(slot, 1)
            self.order(slot, [entries.Online(slot, slot, 0, user, "127.0.0.1", 0, 1, b"", NOW)])
            follower = Follower(self.followers)
            follower.slot, follower.live = slot, True
            wire = self.wires[slot] = Wire()
            follower.transport = cast(asyncio.Transport, wire)
            self.followers.all.add(follower)
            self.by_slot[slot] = follower

    def order(self, slot: int, batch: list[AnyEntry]) -> list[AnyEntry]:
        """Return a batch of one worker, in order."""
        return self.ledger.order(slot, 1, self.ledger.slots[slot][1] + 1, batch, NOW)

    def messages(self, count: int, sender: str = "s") -> list[AnyEntry]:
        """Return messages between the two, in order."""
        slot, to = (1, "r") if sender == "s" else (2, "s")
        batch: list[AnyEntry] = []
        for _ in range(count):
            self._request += 1
            body = events.message_body(sender, "hi")
            batch.append(entries.Message(slot, slot, self._request, sender, to, "hi", body))
        return self.order(slot, batch)


def play(work: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a scene on a loop."""

    async def scene() -> None:
        await work(Scene())

    asyncio.run(scene())


def test_places_wait_and_what_a_recipient_is_told_does_not() -> None:
    """They come in the end, without anything else; until then not everybody follows."""

    async def work(scene: Scene) -> None:
        first, second = scene.messages(FEW), scene.messages(FEW)
        scene.followers.pass_on(first, is_loaded=True)
        scene.followers.pass_on(second, is_loaded=True)
        assert [type(item) for item in scene.wires[2].fed] == [Told] * 2 * FEW
        assert not scene.wires[1].fed
        assert not scene.followers.all_follow(2)
        async with asyncio.timeout(DEADLINE):
            await scene.wires[1].came.wait()
        assert scene.wires[1].fed == [Placed(2, FEW, 3, NOW), Placed(2 + FEW, FEW, 3 + FEW, NOW)]
        assert scene.followers.all_follow(2)

    play(work)


def test_what_else_comes_takes_them_with_it() -> None:
    """In its order."""

    async def work(scene: Scene) -> None:
        scene.followers.pass_on(scene.messages(FEW), is_loaded=True)
        scene.followers.pass_on(scene.messages(1, sender="r"), is_loaded=True)
        assert [type(item) for item in scene.wires[1].fed] == [Placed, Told]
        assert scene.wires[2].fed[-1] == Placed(2, 1, 3 + FEW, NOW)
        assert scene.followers.all_follow(2)

    play(work)


@pytest.mark.parametrize(
    ("count", "is_loaded", "is_urgent"), [(FEW - 1, True, False), (FEW, False, False), (FEW, True, True)]
)
def test_they_do_not_wait_where_somebody_may_wait_for_them(count: int, is_loaded: bool, is_urgent: bool) -> None:
    """Where there are few, where there is little to do, and where a client is known to wait."""

    async def work(scene: Scene) -> None:
        scene.by_slot[1].is_urgent = is_urgent
        scene.followers.pass_on(scene.messages(count), is_loaded=is_loaded)
        assert scene.wires[1].fed == [Placed(2, count, 3, NOW)]

    play(work)


def test_who_is_told_a_lone_message_gets_the_processor_before_its_sender_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is passed on with others waits for nobody."""

    async def work(scene: Scene) -> None:
        seen: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "sched_yield", lambda: seen.append((len(scene.wires[2].fed), len(scene.wires[1].fed))))
        scene.followers.pass_on(scene.messages(1))
        assert seen == [(1, 0)]
        assert scene.wires[1].fed == [Placed(2, 1, 3, NOW)]
        scene.followers.pass_on(scene.messages(2))
        assert seen == [(1, 0)]
        assert len(scene.wires[2].fed) == 3

    play(work)


def test_they_are_sent_before_the_logger_ends() -> None:
    """What waits is not lost with it."""

    async def work(scene: Scene) -> None:
        scene.followers.pass_on(scene.messages(FEW), is_loaded=True)
        scene.followers.close()
        assert scene.wires[1].fed == [Placed(2, FEW, 3, NOW)]
        assert scene.wires[1].is_closed

    play(work)


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_a_worker_that_sends_nonsense_is_hung_up_on(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What it sent before in the same piece it sends again; the others are followed as before."""

    async def work(scene: Scene) -> None:
        appended: list[object] = []
        scene.followers.appended = lambda _, frame: appended.append(frame)
        scene.by_slot[1].data_received(frames.encode(frames.Append(2, [entries.Mark()])) + nonsense)
        assert not appended
        assert scene.wires[1].is_closed
        scene.by_slot[2].data_received(frames.encode(frames.Append(2, [entries.Mark()])))
        assert len(appended) == 1
        assert not scene.wires[2].is_closed
        assert "worker 1 sent what is no frame" in caplog.text

    play(work)


def test_a_worker_says_that_a_client_waits() -> None:
    """With what it appends, and the logger notes it."""

    async def work(scene: Scene) -> None:
        link = LogLink(Worker(1, 1), 0, lambda _: None)
        sent: list[bytes] = []
        wire = cast(asyncio.Transport, type("Wire", (), {"write": lambda _, data: sent.append(data)})())
        link.connection_made(wire)
        link.data_received(frames.encode(frames.CaughtUp()))
        follower = scene.by_slot[1]
        for is_urgent in (True, False):
            link.is_urgent = lambda is_urgent=is_urgent: is_urgent  # type: ignore[misc]
            sent.clear()
            link.append(entries.Mark())
            link.send()
            follower.data_received(b"".join(sent))
            assert follower.is_urgent == is_urgent

    play(work)
