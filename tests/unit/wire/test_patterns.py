"""Texts with a pattern match it whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from msgspec.inspect import ListType, StrType, StructType, TupleType, Type, UnionType

from tessenger.wire import messages

SAMPLES = {"transfer": "9f86d081884c7d65", "key": "A" * 43, "udp_host": "192.0.2.1", "host": "192.0.2.1"}


def patterns_in(type_: Type) -> Iterator[str]:
    """Yield every pattern that a type has in it."""
    match type_:
        case StrType(pattern=str(pattern)):
            yield pattern
        case ListType(item_type=inner):
            yield from patterns_in(inner)
        case TupleType(item_types=inner) | UnionType(types=inner):
            for each in inner:
                yield from patterns_in(each)
        case StructType(fields=fields):
            for field in fields:
                yield from patterns_in(field.type)


@pytest.mark.parametrize("kind", [*get_args(messages.AnyRequest), *get_args(messages.AnyAnswer)])
def test_every_pattern_is_anchored_at_the_very_end(kind: type[msgspec.Struct]) -> None:
    r"""With `\Z`: before a line end at the end of the text, `$` would match too."""
    for pattern in patterns_in(msgspec.inspect.type_info(kind)):
        assert (pattern[:2], pattern[-2:]) == (r"\A", r"\Z"), pattern


@pytest.mark.parametrize("field", ["transfer", "key", "udp_host"])
def test_a_line_end_is_no_part_of_it(field: str) -> None:
    """As somebody sent it who wanted a line of their own in the log."""
    request = {"type": "login", "id": 1, "user": "a", "password": "b", "udp_host": SAMPLES["udp_host"]}
    if field != "udp_host":
        request = {"type": "p2pvideo", "id": 1, "to": "b", "name": "n", "size": 1}
        request |= {name: SAMPLES[name] for name in ("transfer", "key")}
    decoder = msgspec.json.Decoder(messages.AnyRequest)
    assert getattr(decoder.decode(msgspec.json.encode(request)), field) == SAMPLES[field]
    with pytest.raises(msgspec.ValidationError, match=field):
        decoder.decode(msgspec.json.encode({**request, field: f"{SAMPLES[field]}\n"}))
