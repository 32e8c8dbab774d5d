"""One answer to what cannot be decoded: it covers whatever decoders raise, and nobody has another one."""

from __future__ import annotations

import ast
import struct
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import tessenger
from tessenger.undecodable import UNDECODABLE, reason

OWN_ERRORS = {"DecodeError", "JSONDecodeError", "MsgspecError", "RecursionError", "TOMLDecodeError", "ValidationError"}
"""What only some inputs make a decoder raise."""

APART = {"client/link.py": "ValidationError"}
"""There it tells what is no JSON from what is JSON of a newer protocol; `UNDECODABLE` is caught behind it."""


@pytest.mark.parametrize(
    ("decode", "said"),
    [
        (lambda: msgspec.json.decode(b"[" * 5_000), "it is nested too deeply"),
        (lambda: msgspec.msgpack.decode(b"\x91" * 5_000), "it is nested too deeply"),
        (lambda: tomllib.loads("a=" + "[" * 5_000), "it is nested too deeply"),
        (lambda: msgspec.json.decode(b'"\xff"'), "it is not UTF-8 text: invalid start byte at byte 0"),
        (lambda: msgspec.json.decode(b"{"), "Input data was truncated"),
        (lambda: msgspec.json.decode(b"7", type=str), "Expected `str`, got `int`"),
        (lambda: int("9" * 5_000), "Exceeds the limit (4300 digits) for integer string conversion"),
        (lambda: (2**64).to_bytes(8), "int too big to convert"),
        (lambda: struct.unpack("<I", b"x"), "unpack requires a buffer of 4 bytes"),
        (lambda: bytes(2**62), "it needs too much memory"),
    ],
)
def test_whatever_a_decoder_raises(decode: Callable[[], object], said: str) -> None:
    """Is caught, and said in a few words."""
    with pytest.raises(UNDECODABLE) as problem:
        decode()
    assert reason(problem.value).startswith(said)


def test_a_reason_is_short() -> None:
    """It may repeat what was sent."""
    with pytest.raises(UNDECODABLE) as problem:
        msgspec.convert("x" * 10_000, int, strict=False)
    assert reason(ValueError("x" * 10_000)) == "x" * 199 + "…"
    assert len(reason(problem.value)) <= 200


def test_nobody_has_another_answer() -> None:
    """Whoever caught a decoder's own error would miss the others: a line of brackets ended a server that way."""
    top = Path(tessenger.__file__).parent
    found = {
        path.relative_to(top).as_posix(): name
        for path in sorted(top.rglob("*.py"))
        for handler in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(handler, ast.ExceptHandler) and handler.type is not None
        for name in _names(handler.type) & OWN_ERRORS
    }
    assert found == APART


def _names(expression: ast.expr) -> set[str]:
    """Return the last parts of the names in an expression."""
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(expression)
        if isinstance(node, ast.Attribute | ast.Name)
    }
