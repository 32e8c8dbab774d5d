"""What every implementation of the port `Log` does; and what the real one does when its process dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tessenger.chat import entries, events
from tessenger.chat.entries import AnyEntry
from tessenger.chat.ports import Worker
from tessenger.chat.routing import Told
from tessenger.server import control, followers
from tests.support.log_process import DEADLINE, End, LoggerProcess, LogUnderTest, MemoryLog

Scenario = Callable[[], Awaitable[None]]


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoggerProcess]:
    """A real logger."""
    monkeypatch.chdir(tmp_path)  # so that the folder is changed back
    process = LoggerProcess(tmp_path / "data")
    yield process
    process.stop()


@pytest.fixture(params=["memory", "process"])
def log(request: pytest.FixtureRequest) -> LogUnderTest:
    """Each implementation."""
    found: LogUnderTest = MemoryLog() if request.param == "memory" else request.getfixturevalue("logger")
    return found


def play(log: LogUnderTest, scenario: Scenario) -> None:
    """Run a scenario on an event loop."""

    async def limited() -> None:
        try:
            async with asyncio.timeout(2 * DEADLINE):
                await scenario()
        finally:
            await log.leave()

    asyncio.run(limited())


def online(end: End, user: str, claim: int) -> entries.Online:
    """Return the entry of a sign-in; the claim is its session."""
    return entries.Online(claim, claim, 1, user, "ip", 0, end.worker.generation, b"hash", 10**15)


def message(claim: int, request: int, user: str, to: str, text: str = "hi") -> entries.Message:
    """Return a private message."""
    return entries.Message(claim, claim, request, user, to, text, events.message_body(user, text))


def group_message(claim: int, request: int, user: str, text: str) -> entries.GroupMessage:
    """Return a message to the group `g`."""
    return entries.GroupMessage(claim, claim, request, user, "g", text, events.group_body("g", user, text))


def numbered(got: list[AnyEntry]) -> list[AnyEntry]:
    """Return the entries that have a number."""
    return [entry for entry in got if entry.seq]


# ---- every log ----


def test_followers_get_what_concerns_all_in_one_order(log: LogUnderTest) -> None:
    """Numbers rise by one, times never fall, and each worker's own entries come back with their `n`."""

    async def scenario() -> None:
        ends = [await log.join(slot) for slot in (1, 2, 3)]
        for claim, (end, user) in enumerate(zip(ends, ("aaa", "bbb", "ccc"), strict=True), 1):
            assert end.append(online(end, user, claim)) == 1
        for end in ends:
            await end.until_own(1)
        for request in range(2, 52):
            for claim, (end, user) in enumerate(zip(ends, ("aaa", "bbb", "ccc"), strict=True), 1):
                assert end.append(group_message(claim, request, user, f"{user} {request}")) == request
            if request % 7 == 0:
                await asyncio.sleep(0)
        for end in ends:
            await end.until(lambda end=end: len(numbered(end.got)) == 153)  # type: ignore[misc]
            await end.synced()
        seen = [[(e.seq, e.slot, e.n) for e in numbered(end.got)] for end in ends]
        assert seen[0] == seen[1] == seen[2]
        assert [seq for seq, _, _ in seen[0]] == list(range(1, 154))
        for slot in (1, 2, 3):
            assert [n for _, of, n in seen[0] if of == slot] == list(range(1, 52))
        times = [entry.at for entry in numbered(ends[0].got)]
        assert times == sorted(times)

    play(log, scenario)


def test_a_private_message_comes_to_the_two_workers_that_it_concerns(log: LogUnderTest) -> None:
    """The recipient's is told what to send; the third worker hears only the next number, with what comes next."""

    async def scenario() -> None:
        one, two, three = [await log.join(slot) for slot in (1, 2, 3)]
        one.append(online(one, "aaa", 1))
        two.append(online(two, "bbb", 2))
        for end in (one, two, three):
            await end.until(lambda end=end: len(numbered(end.got)) == 2)  # type: ignore[misc]
        sent = await one.until_own(one.append(message(1, 2, "aaa", "bbb")))
        assert isinstance(sent, entries.Message)
        assert sent.body == events.message_body("aaa", "hi")
        assert len(await two.synced()) == len(await three.synced()) == 2
        assert two.told == [Told("bbb", sent.body, sent.seq, sent.at)]
        assert not one.told
        assert not three.told

    play(log, scenario)


def test_what_is_not_carried_out_comes_back_as_refused(log: LogUnderTest) -> None:
    """To the worker that appended it, in its place: stale, repeated, existing, gone. It has no number."""

    async def scenario() -> None:
        one = await log.join(1)
        one.append(online(one, "aaa", 5))
        batch: list[tuple[AnyEntry, str]] = [
            (message(4, 2, "aaa", "bbb"), "stale"),
            (message(5, 1, "aaa", "bbb"), "repeat"),
            (entries.GroupCreated(5, 5, 3, "aaa", "g", ["aaa"], 77), ""),
            (entries.GroupCreated(5, 5, 4, "aaa", "G", ["aaa"], 78), "exists"),
            (entries.GroupJoined(5, 5, 5, "aaa", "g", 79), "exists"),
            (entries.GroupJoined(5, 5, 6, "aaa", "nowhere", 80), "gone"),
            (online(one, "aaa", 3), "stale"),
        ]
        for entry, reason in batch:
            found = await one.until_own(one.append(entry))
            if not reason:
                assert isinstance(found, entries.GroupCreated)
                continue
            assert isinstance(found, entries.Refused)
            assert (found.reason, found.seq) == (reason, 0)
            assert found.claim == getattr(entry, "claim", 0)
        assert len(numbered(one.got)) == 2

    play(log, scenario)


def test_a_mark_comes_back_behind_everything_that_was_ordered_before(log: LogUnderTest) -> None:
    """That is what makes it a barrier; it has no number, and comes to its worker alone."""

    async def scenario() -> None:
        one, two = [await log.join(slot) for slot in (1, 2)]
        one.append(online(one, "aaa", 1))
        for request in range(2, 30):
            one.append(group_message(1, request, "aaa", "x"))
        await one.until_own(one.append(entries.Mark()))
        assert isinstance(one.got[-1], entries.Mark)
        assert len(numbered(one.got)) == 29
        assert len(await two.synced()) == 29
        assert [entry.slot for entry in two.got if isinstance(entry, entries.Mark)] == [2]

    play(log, scenario)


def test_who_joins_later_gets_what_they_missed(log: LogUnderTest) -> None:
    """Everything behind the number that they know, then what is new."""

    async def scenario() -> None:
        one = await log.join(1)
        one.append(online(one, "aaa", 1))
        for request in range(2, 12):
            one.append(group_message(1, request, "aaa", str(request)))
        await one.synced()
        two = await log.join(2, after=4)
        assert [entry.seq for entry in await two.synced()] == list(range(5, 12))
        one.append(group_message(1, 12, "aaa", "new"))
        await two.until(lambda: two.got[-1].seq == 12)

    play(log, scenario)


# ---- the real one ----


def test_nothing_is_lost_or_doubled_when_the_logger_is_killed_again_and_again(logger: LoggerProcess) -> None:
    """Two workers append all the while: in the end each entry is in the journal once, in each worker's own order."""

    async def scenario() -> None:
        ends = [await logger.join(slot) for slot in (1, 2)]
        for claim, end in enumerate(ends, 1):
            end.append(online(end, f"user{claim}", claim))
        request = 1
        for round_ in range(4):
            for _ in range(150):
                request += 1
                for claim, end in enumerate(ends, 1):
                    end.append(group_message(claim, request, f"user{claim}", f"{claim} {request}"))
                    if request % 10 == 0:
                        end.append(entries.Mark())
                if request % 3 == round_ % 3:
                    await asyncio.sleep(0)
            if round_ < 3:
                logger.kill()
                logger.start()
        for end in ends:
            await end.synced()
            await end.until(lambda end=end: len(numbered(end.got)) == 2 + 2 * 600)  # type: ignore[misc]
        orders = [[(e.seq, getattr(e, "text", ""), e.slot, e.n) for e in numbered(end.got)] for end in ends]
        assert [(seq, slot, n) for seq, _, slot, n in orders[0]] == [(seq, slot, n) for seq, _, slot, n in orders[1]]
        assert not [entry for end in ends for entry in end.got if isinstance(entry, entries.Refused)]
        for end in ends:
            marks = [entry.n for entry in end.got if isinstance(entry, entries.Mark)]
            assert len(marks) == 60 + 1
            own = [entry.n for entry in numbered(end.got) if entry.slot == end.worker.slot]
            assert sorted(own + marks) == list(range(1, 663))

    play(logger, scenario)
    texts = [entry.text for entry in logger.journaled() if isinstance(entry, entries.GroupMessage)]
    assert len(texts) == len(set(texts)) == 1_200
    for claim in "12":
        own = [int(text.split()[1]) for text in texts if text.startswith(claim)]
        assert own == sorted(own)


def test_a_verdict_that_was_on_its_way_when_the_logger_died_comes_from_the_next(logger: LoggerProcess) -> None:
    """A repeat is refused again, and a mark comes back, whoever had ordered them first."""

    async def scenario() -> None:
        one = await logger.join(1)
        one.append(online(one, "aaa", 1))
        await one.synced()
        logger.kill()
        refused = one.append(message(1, 1, "aaa", "bbb"))
        mark = one.append(entries.Mark())
        sent = one.append(message(1, 2, "aaa", "bbb"))
        logger.start()
        verdict = await one.until_own(refused)
        assert isinstance(verdict, entries.Refused)
        assert verdict.reason == "repeat"
        assert isinstance(await one.until_own(mark), entries.Mark)
        assert isinstance(await one.until_own(sent), entries.Message)

    play(logger, scenario)


def test_an_older_process_of_a_slot_is_not_let_in(logger: LoggerProcess) -> None:
    """It woke up late: nothing of what it has is ordered; the seated one goes on."""

    async def scenario() -> None:
        seated = await logger.join(1, generation=5)
        late, link = logger.link(1, generation=4)
        connecting = asyncio.ensure_future(link.connect())
        late.append(online(late, "old", 1))
        new = await seated.until_own(seated.append(online(seated, "new", 2)))
        assert isinstance(new, entries.Online)
        assert not connecting.done()
        assert late.got == []
        connecting.cancel()
        link.close()
        await seated.synced()

    play(logger, scenario)
    assert [entry.user for entry in logger.journaled() if isinstance(entry, entries.Online)] == ["new"]


def test_a_dead_worker_is_released_behind_everything_that_it_had_sent(logger: LoggerProcess) -> None:
    """The logger reads its stream to the end first; the release is in the journal when the supervisor is told."""

    async def scenario() -> None:
        one, link = logger.link(1, generation=3)
        await link.connect()
        two = await logger.join(2)
        one.append(online(one, "aaa", 1))
        for request in range(2, 300):
            one.append(group_message(1, request, "aaa", "x"))
        await one.synced()
        logger.tell(control.DeadWorker(Worker(1, 3)))
        assert len(await two.synced()) == 299
        assert not [entry for entry in two.got if isinstance(entry, entries.Released)]
        link.close()
        await two.until(lambda: isinstance(two.got[-1], entries.Released))
        assert await asyncio.to_thread(logger.hear) == control.ReleasedWorker(Worker(1, 3))

    play(logger, scenario)
    last = logger.journaled()[-1]
    assert isinstance(last, entries.Released)
    assert (last.dead_slot, last.generation, last.seq) == (1, 3, 300)


def test_a_follower_that_does_not_read_is_cut_off_and_caught_up(logger: LoggerProcess) -> None:
    """Its queue has an end; the others are not held up, and in the end it has everything once, in order."""
    text = "x" * 40_000
    count = followers.QUEUE_BYTES * 9 // 8 // len(text)

    async def scenario() -> None:
        one = await logger.join(1)
        slow, link = logger.link(2, 1)
        await link.connect()
        transport = link._transport
        assert transport is not None
        transport.pause_reading()
        one.append(online(one, "aaa", 1))
        for request in range(2, count + 2):
            one.append(group_message(1, request, "aaa", text))
            if request % 50 == 0:
                await one.synced()
        await one.synced()
        assert len(slow.got) < count
        transport.resume_reading()
        await slow.until(lambda: bool(slow.got) and slow.got[-1].seq == count + 1)
        assert [entry.seq for entry in numbered(slow.got)] == list(range(1, count + 2))
        assert link._transport is not transport

    play(logger, scenario)


def test_a_logger_that_is_stopped_for_a_while_delays_and_loses_nothing(logger: LoggerProcess) -> None:
    """What was appended meanwhile is ordered when it goes on."""

    async def scenario() -> None:
        one = await logger.join(1)
        one.append(online(one, "aaa", 1))
        await one.synced()
        logger.signal(signal.SIGSTOP)
        for request in range(2, 2_002):
            one.append(group_message(1, request, "aaa", str(request)))
            if request % 100 == 0:
                await asyncio.sleep(0)
        assert len(numbered(one.got)) == 1
        logger.signal(signal.SIGCONT)
        assert len(numbered(await one.synced())) == 2_001

    play(logger, scenario)
