"""Noticing a server that is gone, and when to try again."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Awaitable, Callable

import pytest

from tessenger.client import keep_alive, reconnect
from tessenger.client.identity import IdentityChanged
from tessenger.client.keep_alive import KeepAlive
from tessenger.client.reconnect import FOREVER, LONGEST_SECONDS, Patience, Refused, delays, retry
from tessenger.errors import ConnectionFailed


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let seconds be short."""
    monkeypatch.setattr(keep_alive, "PING_SECONDS", 0.01)
    monkeypatch.setattr(reconnect, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(reconnect, "LONGEST_SECONDS", 0.01)


def test_a_silent_server_is_asked_and_then_given_up() -> None:
    """Two questions without a word, and at the third tick it counts as gone, once."""

    async def scenario() -> tuple[int, str]:
        pings = 0
        gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def ping() -> None:
            nonlocal pings
            pings += 1

        KeepAlive(ping, gone.set_result).start()
        reason = await asyncio.wait_for(gone, 10)
        return pings, reason

    pings, reason = asyncio.run(scenario())
    assert pings == keep_alive.SILENT_TICKS - 1
    assert reason.startswith("The server has not answered for ")


def test_a_server_that_answers_is_kept() -> None:
    """Whatever comes counts as a sign of life."""

    async def scenario() -> None:
        enough = asyncio.Event()
        pings = 0

        def ping() -> None:
            nonlocal pings
            pings += 1
            watch.heard()
            if pings == 10:
                enough.set()

        def give_up(reason: str) -> None:
            raise AssertionError(reason)

        watch = KeepAlive(ping, give_up)
        watch.start()
        await asyncio.wait_for(enough.wait(), 10)
        watch.stop()

    asyncio.run(scenario())


def test_delays_double_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a tenth of a second to a quarter of a minute, halved or half as long again by chance."""
    monkeypatch.setattr(reconnect, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(reconnect, "LONGEST_SECONDS", LONGEST_SECONDS)
    middle = list(itertools.islice(delays(lambda: 0.5), 10))
    assert middle == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15])
    assert next(delays(lambda: 0.0)) == pytest.approx(0.05)
    assert next(delays(lambda: 1.0)) == pytest.approx(0.15)


def attempts(*outcomes: Exception | None) -> tuple[list[int], Callable[[], Awaitable[None]]]:
    """Return a count of attempts and what makes them: each with its outcome, None for success."""
    made: list[int] = []

    async def attempt() -> None:
        outcome = outcomes[min(len(made), len(outcomes) - 1)]
        made.append(1)
        if outcome is not None:
            raise outcome

    return made, attempt


def test_it_tries_until_it_succeeds() -> None:
    """A server that is being started refuses connections for a while."""
    made, attempt = attempts(ConnectionRefusedError(), ConnectionFailed("no"), None)
    asyncio.run(retry(attempt, FOREVER, lambda until: None, delays(random.random)))
    assert len(made) == 3


def test_it_says_when_it_tries_next() -> None:
    """Before each attempt a time that lies ahead, and while one is under way none."""
    _, attempt = attempts(ConnectionRefusedError(), None)

    async def scenario() -> list[float | None]:
        loop = asyncio.get_running_loop()
        waits: list[float | None] = []
        await retry(attempt, FOREVER, lambda until: waits.append(until and until - loop.time()), delays(random.random))
        return waits

    first, then, second, last = asyncio.run(scenario())
    assert first is not None
    assert second is not None
    assert 0 < first < 1
    assert 0 < second < 1
    assert then is last is None


def test_patience_ends() -> None:
    """Then the caller says what ended the connection."""
    made, attempt = attempts(ConnectionRefusedError())
    with pytest.raises(TimeoutError):
        asyncio.run(retry(attempt, Patience(0.1), lambda until: None, delays(random.random)))
    assert len(made) > 1


@pytest.mark.parametrize("reason", [Refused("Your session is over."), IdentityChanged("Another key.")])
def test_some_answers_are_final(reason: Exception) -> None:
    """A refused session and a strange key are not tried again."""
    made, attempt = attempts(reason, None)
    with pytest.raises(type(reason)):
        asyncio.run(retry(attempt, FOREVER, lambda until: None, delays(random.random)))
    assert len(made) == 1


def test_forever_is_forever() -> None:
    """The REPL waits as long as the person does."""
    assert math.isinf(FOREVER.seconds)
