"""The requests of a session that wait for their answers: numbered, encoded, to be sent again. Runs in the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from tessenger.wire.messages import AnyAnswer, AnyRequest

ID_BYTES = 20
"""More than a request's number takes on the wire."""


class _Pending(Struct, frozen=True):
    request: AnyRequest
    line: bytes
    on_answer: Callable[[AnyAnswer], None]


class Unanswered:
    """Requests by their number, which rises within a session."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._pending: dict[int, _Pending] = {}
        self._last_id = 0
        self._less = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, request: AnyRequest, on_answer: Callable[[AnyAnswer], None]) -> tuple[int, bytes]:
        """Give a request the next number; return that and its line."""
        self._last_id += 1
        line = self._encoder.encode(msgspec.structs.replace(request, id=self._last_id))
        self._pending[self._last_id] = _Pending(request, line, on_answer)
        return self._last_id, line

    def request(self, re: int) -> AnyRequest | None:
        """Return the request of this number, None where none waits."""
        pending = self._pending.get(re)
        return pending.request if pending is not None else None

    def answered(self, re: int, answer: AnyAnswer) -> Callable[[AnyAnswer], None] | None:
        """Return who waits for this answer, None for nobody; a list whose parts follow is not answered yet."""
        pending = self._pending.get(re)
        if pending is None:
            return None
        if not getattr(answer, "more", False):
            del self._pending[re]
        return pending.on_answer

    def forget(self, number: int) -> None:
        """Wait for this answer no longer."""
        self._pending.pop(number, None)

    @property
    def last_id(self) -> int:
        """The number that was given last."""
        return self._last_id

    def up_to(self, number: int) -> list[int]:
        """Return the numbers of requests up to `number`, in order."""
        return sorted(known for known in self._pending if known <= number)

    def number_anew(self) -> None:
        """Give all requests new numbers, in their order: another session began after they had theirs."""
        for number in sorted(self._pending):
            pending = self._pending.pop(number)
            self.add(pending.request, pending.on_answer)

    def lines(self) -> Iterator[bytes]:
        """Yield what must be sent again, in order."""
        for number in sorted(self._pending):
            yield self._pending[number].line

    def size(self, request: AnyRequest) -> int:
        """Return how many bytes a request may take on the wire."""
        return len(self._encoder.encode(request)) + ID_BYTES

    async def at_most(self, count: int, ended: asyncio.Future[Any]) -> None:
        """Wait until no more than `count` are left, or the session has ended."""
        while len(self._pending) > count and not ended.done():
            self._less.clear()
            await self._less.wait()

    def changed(self) -> None:
        """Wake up who waits: an answer was handed on, or the session has ended."""
        self._less.set()
