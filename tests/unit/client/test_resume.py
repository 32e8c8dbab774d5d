"""One attempt to take a session up again over a new connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from tessenger.client import reconnect
from tessenger.client.link import LOST, Link
from tessenger.client.reconnect import Ends, Refused, resume
from tessenger.client.unanswered import Unanswered
from tessenger.errors import ConnectionFailed
from tessenger.wire.messages import AnyAnswer, AnyRequest, Denied, DeniedCode, Limits, MsgTo, Resume, Welcome

LIMITS = Limits(65_536, 49_152, 1_000)


class ScriptedLink(Link):
    """A link without a socket: what is sent is kept."""

    def __init__(self, on_answer: Callable[[AnyAnswer], None], on_lost: Callable[[str], None]) -> None:
        super().__init__(on_answer, on_lost)
        self.lose = on_lost
        self.log: list[str] = []

    def send(self, line: bytes) -> None:
        """Keep the type of a request, and whose token or text it has."""
        request = msgspec.json.decode(line, type=AnyRequest)
        self.log.append(type(request).__name__)

    def drop(self, reason: str) -> None:
        """It is lost at once, as with `abort`."""
        self.log.append("dropped")
        self.lose(reason)

    def close(self) -> None:
        """Keep that it was closed: the loss comes later, after TLS has said goodbye."""
        self.log.append("closed")


class Attempt:
    """An attempt to resume, whose server's answers the test gives."""

    def __init__(self) -> None:
        self.unanswered = Unanswered()
        self.log: list[str] = []
        self.links: list[ScriptedLink] = []

    async def dial(self, on_answer: Callable[[AnyAnswer], None], on_lost: Callable[[str], None]) -> Link:
        """Connect at once."""
        self.links.append(ScriptedLink(on_answer, on_lost))
        return self.links[-1]

    def receive(self, answer: AnyAnswer) -> None:
        """Hand an answer on as the channel does."""
        on_answer = self.unanswered.answered(getattr(answer, "re", 0), answer)
        assert on_answer is not None
        on_answer(answer)

    def resumed(self, link: Link) -> None:
        """The link is in use."""
        assert isinstance(link, ScriptedLink)
        self.log.append("resumed")
        link.log.append("in use")

    def begin(self) -> asyncio.Task[None]:
        """Begin it, with one request that was not answered before."""
        self.unanswered.add(MsgTo(0, "bbb", "hi"), self.log.append)  # type: ignore[arg-type]
        ends = Ends(self.receive, self.resumed, lambda reason: self.log.append(f"lost: {reason}"), lambda: None)
        return asyncio.ensure_future(resume(self, Resume(0, "token", 7), self.unanswered, ends))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario within a deadline."""
    asyncio.run(asyncio.wait_for(scenario, 10))


def test_what_was_not_answered_goes_out_behind_the_welcome() -> None:
    """The link is in use before that, so that nothing which is asked meanwhile overtakes or is left out."""

    async def scenario() -> None:
        attempt = Attempt()
        task = attempt.begin()
        await asyncio.sleep(0)
        (link,) = attempt.links
        assert link.log == ["Resume"]
        attempt.receive(Welcome(2, "aaa", "token", 9, LIMITS))
        assert link.log == ["Resume", "in use", "MsgTo"]
        await task
        link.lose(LOST)
        assert attempt.log == ["resumed", f"lost: {LOST}"]

    run(scenario())


@pytest.mark.parametrize(("code", "final"), [("session_expired", True), ("unavailable", False)])
def test_a_refusal_is_final_unless_the_server_is_busy(code: DeniedCode, *, final: bool) -> None:
    """`Refused` ends the session; another failure of the connection is followed by another attempt."""

    async def scenario() -> None:
        attempt = Attempt()
        task = attempt.begin()
        await asyncio.sleep(0)
        attempt.receive(Denied(2, code, "no"))
        with pytest.raises(Refused if final else ConnectionFailed) as failed:
            await task
        assert isinstance(failed.value, Refused) is final
        assert attempt.log == []
        assert len(attempt.unanswered) == 1

    run(scenario())


def test_a_link_that_was_given_up_is_nobodys_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may end long after the attempt, when another one is in use: that must not be taken for lost."""
    monkeypatch.setattr(reconnect, "RESUME_SECONDS", 0.01)

    async def scenario() -> None:
        attempt = Attempt()
        with pytest.raises(ConnectionFailed):
            await attempt.begin()
        (link,) = attempt.links
        assert link.log == ["Resume", "closed"]
        link.lose(LOST)
        assert attempt.log == []

    run(scenario())
