"""docs/protocol.md shows every message of the wire, as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from tessenger.wire.messages import AnyAnswer, AnyRequest

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"

EXAMPLES = [
    line
    for block in re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]

TYPES = {kind.__struct_config__.tag: kind for kind in get_args(AnyRequest)}
ANSWER_TYPES = {kind.__struct_config__.tag: kind for kind in get_args(AnyAnswer)}


def decoded(line: str) -> Any:
    """Decode an example as a request or, if it carries no `id` of one, as an answer."""
    is_answer = json.loads(line).get("type") in ANSWER_TYPES and "id" not in json.loads(line)
    return msgspec.json.decode(line, type=AnyAnswer if is_answer else AnyRequest)


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_a_message(line: str) -> None:
    """It decodes strictly, has no field that the message does not have, and says the same when it is encoded again."""
    message = decoded(line)
    shown = json.loads(line)
    whole = json.loads(msgspec.json.encode(message))
    assert shown.keys() <= {"type", *message.__struct_encode_fields__}
    assert {name: whole.get(name, shown[name]) for name in shown} == shown
    assert msgspec.json.decode(msgspec.json.encode(message), type=type(message)) == message


@pytest.mark.parametrize("kind", [*TYPES.values(), *ANSWER_TYPES.values()], ids=lambda kind: kind.__name__)
def test_every_message_has_an_example(kind: type) -> None:
    """Requests, answers and events."""
    assert any(type(decoded(line)) is kind for line in EXAMPLES)
