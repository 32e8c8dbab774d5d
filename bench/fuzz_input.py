"""Inputs that nobody would send on purpose: made by structure, and made out of others. The same seed makes the same.

`Shaped` builds JSON and MessagePack values as the messages of a protocol have them, and goes wrong in depth, size,
numbers, duplicate keys, Unicode and types. `mutated` changes bytes of any kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

DEPTHS = (1, 2, 31, 32, 33, 127, 500, 999, 1_000, 1_001, 1_500, 5_000, 30_000)
"""Around what parsers stop at: CPython's recursion limit (1,000) and powers of two."""

NUMBERS: Sequence[Any] = (
    0, -0.0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63),
    -(2**63) - 1, 10**30, 10**400, 0.1, 1e308, -1e-320, 1.7976931348623157e308,
)  # fmt: skip

TEXTS = (
    "", "a", "aaa", "bbb", "g", "A" * 33, "x" * 5_000, "\x00", "\x1b[31mred\x1b[0m", "\x9b31m", "\u202eabc", "\ufeff",
    "\u200b\u200d\ufe0f", "👩‍👩‍👧", "🏴\U000e0067\U000e007f", "e\u0301" * 50, "نص", "a\nb\r\nc",
    "\u2028", "../../etc/passwd", "%s%n{}", "\\u0000",
    "true", "1e9", "[" * 50, "\U0010ffff",
)  # fmt: skip

RAW_JSON = (
    b"NaN", b"Infinity", b"-", b"01", b"1.", b"1e", b"1e999999", b"-1e-999999", b'"\\ud800"', b'"\\udc00\\ud800"',
    b'"\\u00"', b'"\\x"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\x01"', b'"', b"nul", b"{",
    b"}", b"[1,]", b'{"a"}',
    b"9" * 5_000, b'"' + b"x" * 70_000 + b'"',
)  # fmt: skip
"""What stands for a value in a line and is none, or hardly one."""


class Shaped:
    """Makes values like those of `kinds`: structs with tags, of one protocol."""

    def __init__(self, random: Random, kinds: Sequence[type[msgspec.Struct]]) -> None:
        self._random = random
        self._shapes = [
            (kind.__struct_config__.tag_field or "type", kind.__struct_config__.tag, kind.__struct_encode_fields__)
            for kind in kinds
        ]
        self._fields = sorted({field for _, _, fields in self._shapes for field in fields})

    def json_line(self) -> bytes:
        """Return a line of JSON, or what looks like one, without its end."""
        random = self._random
        if random.random() < 0.04:
            return self._deep(b"[", b"]") if random.random() < 0.5 else self._deep(b'{"a":', b"}")
        tag_field, tag, fields = random.choice(self._shapes)
        names = [tag_field, *fields]
        if random.random() < 0.1:
            random.shuffle(names)
        pairs = [
            (name, json.dumps(tag).encode() if name == tag_field and random.random() < 0.95 else self._json(name))
            for name in names
            if random.random() < 0.95
        ]
        if random.random() < 0.1:
            pairs.append(random.choice([*pairs, (random.choice(self._fields), self._json(""))]))
        return b"{" + b",".join(json.dumps(name).encode() + b":" + value for name, value in pairs) + b"}"

    def msgpack(self) -> bytes:
        """Return a value in MessagePack: an array that begins with a tag, as frames between processes have it."""
        random = self._random
        if random.random() < 0.05:
            depth = random.choice(DEPTHS)
            return random.choice([b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01"]) * depth + b"\xc0"
        if random.random() < 0.05:  # lengths that promise what does not come
            return random.choice([b"\xdd", b"\xdf", b"\xc6", b"\xdb"]) + random.randbytes(4) + random.randbytes(9)
        _, tag, fields = random.choice(self._shapes)
        values = [tag, *(self._plain(name) for name in fields)]
        if random.random() < 0.1:
            del values[random.randrange(len(values)) :]
        return _packed([values] if random.random() < 0.5 else values)

    def _deep(self, opening: bytes, closing: bytes) -> bytes:
        depth = self._random.choice(DEPTHS)
        return opening * depth + b"1" + (closing * depth if self._random.random() < 0.8 else b"")

    def _json(self, name: str) -> bytes:
        random = self._random
        chance = random.random()
        if chance < 0.05:
            return random.choice(RAW_JSON)
        if chance < 0.07:
            return self._deep(b"[", b"]")
        value = self._plain(name)
        ascii_only = random.random() < 0.5
        try:
            return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError):
            return b"null"

    def _plain(self, name: str) -> Any:  # noqa: ANN401 that is the point
        random = self._random
        if random.random() < 0.6:  # plausible, so that more than the first field is looked at
            if name in ("id", "re", "seq", "after", "udp_port", "request", "n", "slot"):
                return random.randrange(1, 2_000)
            return random.choice(("aaa", "bbb", "ccc", "g", "0123456789abcdef", "hello"))
        made: Sequence[Callable[[], Any]] = (
            lambda: random.choice(NUMBERS),
            lambda: random.choice(TEXTS),
            lambda: None,
            lambda: random.random() < 0.5,
            lambda: [self._plain("") for _ in range(random.choice((0, 1, 2, 40)))],
            lambda: {random.choice(TEXTS): self._plain("")},
            lambda: random.randrange(-(2**65), 2**65),
            lambda: "".join(chr(random.randrange(0x110000)) for _ in range(9)),
        )
        return random.choice(made)()


def _packed(value: Any) -> bytes:  # noqa: ANN401 any value
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError, RecursionError, TypeError):
        return msgspec.msgpack.encode(str(value)[:100].encode("utf-8", "replace"))


def mutated(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return `data` with some changes; `others` lend parts of theirs."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(8):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << random.randrange(8)
            case 1:
                del changed[at : at + random.choice((1, 2, 8, 1_000))]
            case 2:
                changed[at:at] = random.randbytes(random.choice((1, 2, 4, 8, 40)))
            case 3:
                changed[at : at + 4] = random.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")
                )
            case 4:
                part = random.choice(others)
                begin = random.randrange(len(part) + 1)
                changed[at:at] = part[begin : begin + random.choice((4, 40, 4_000))]
            case 5:
                end = at + random.choice((1, 2, 8, 100))
                changed[at:at] = changed[at:end] * random.choice((1, 2, 50, 1_200))
            case 6:
                changed[at:at] = random.choice(TEXTS).encode("utf-8", "replace")
            case _:
                del changed[at:]
    return bytes(changed)
