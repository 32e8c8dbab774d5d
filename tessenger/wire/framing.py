"""Bytes of a client become requests: one JSON object a line, whatever the fragments they come in. Pure.

A line that is no valid request becomes a `BadLine` in its place; a line that is too long ends the reading, because
nobody can tell where the next one begins without keeping all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tessenger.undecodable import UNDECODABLE, reason
from tessenger.wire.messages import AnyRequest


class BadLine(Struct, frozen=True, gc=False):
    """A line that is no valid request; `text` says why. `re` is its id where it could be read."""

    text: str
    re: int | None = None


class TooLong(Struct, frozen=True, gc=False):
    """A line is longer than the limit. The last thing that a reader returns."""


Line = AnyRequest | BadLine | TooLong

ANY = 2**62
"""No bound to bad lines."""


class _JustId(Struct):
    id: int


_decoder = msgspec.json.Decoder(AnyRequest)
_id_decoder = msgspec.json.Decoder(_JustId)


class LineReader:
    """Cuts what one connection sends into lines and decodes them."""

    __slots__ = ("_limit", "_rest", "_stopped", "is_careful")

    def __init__(self, limit: int) -> None:
        """`limit`: bytes in the longest line, without its line end.

        `is_careful`: the last lines that it returned may not all be requests.
        """
        self.is_careful = False
        self._limit = limit
        self._rest = b""
        self._stopped = False

    @property
    def at_once(self) -> int:
        """How many bytes of whole lines `decoded_together` may decode in place of `feed`: 0 in the midst of a line."""
        return 0 if self._rest or self._stopped else self._limit

    def feed(self, data: bytes, bad_left: int = ANY) -> list[Line]:
        """Return what `data` completes, in order. Blank lines are skipped.

        The `bad_left`th bad line is the last that is returned, ever: whoever sends so many is heard no further.
        """
        if self._stopped:
            return []
        if self._rest:
            data = self._rest + data
            self._rest = b""
        end = data.rfind(b"\n") + 1
        if end != len(data):
            self._rest = data[end:]
            data = data[:end]
        if len(data) > self._limit or len(self._rest) > self._limit:
            return self._carefully(data, bad_left)
        self.is_careful = False
        if not data:
            return []
        try:
            return _decoder.decode_lines(data)
        except UNDECODABLE:
            return self._carefully(data, bad_left)

    def close(self) -> None:
        """Let go of the line that has come in part, and of all that still comes."""
        self._stop([])

    def _carefully(self, data: bytes, bad_left: int) -> list[Line]:
        """Decode line by line, so that what is wrong costs only its own line."""
        self.is_careful = True
        lines: list[Line] = []
        for line in data.splitlines() if b"\n" not in data else data[:-1].split(b"\n"):
            if len(line) > self._limit:
                return self._stop([*lines, TooLong()])
            if line.strip():
                lines.append(_decoded(line))
                if type(lines[-1]) is BadLine:
                    bad_left -= 1
                    if bad_left <= 0:
                        return self._stop(lines)
        if len(self._rest) > self._limit:
            return self._stop([*lines, TooLong()])
        return lines

    def _stop(self, lines: list[Line]) -> list[Line]:
        self._stopped = True
        self._rest = b""
        return lines


def decoded_together(lines: Sequence[bytes]) -> list[AnyRequest] | None:
    """Return the request of each of these; None where one is not a single whole line, or no request.

    For what many connections have sent: it takes half the time of a call for each.
    """
    if [line.find(b"\n") + 1 for line in lines] != list(map(len, lines)):
        return None
    try:
        requests = _decoder.decode_lines(b"".join(lines))
    except Exception:  # noqa: BLE001 whatever it is, it is of one of them: they are decoded one by one then
        return None
    return requests if len(requests) == len(lines) else None  # some may be blank


def _decoded(line: bytes) -> AnyRequest | BadLine:
    try:
        request: AnyRequest = _decoder.decode(line)
    except UNDECODABLE as problem:
        return BadLine(f"This is no valid request: {reason(problem)}", _id_of(line))
    return request


def _id_of(line: bytes) -> int | None:
    try:
        re = _id_decoder.decode(line).id
    except UNDECODABLE:
        return None
    return re if 0 <= re <= 2**53 else None
