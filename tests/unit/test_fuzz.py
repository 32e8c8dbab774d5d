"""The fuzzer: the same seed makes the same inputs, and a decoder that does what it must not is caught."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from bench import fuzz
from bench.fuzz_decoders import REQUESTS, Decoder, Shape
from bench.fuzz_input import Shaped
from tessenger.wire.framing import BadLine, LineReader


def refusing(data: bytes) -> None:
    """Take no input at all."""
    raise ValueError(len(data))


def test_a_seed_makes_the_same_inputs() -> None:
    """As many as are wanted, of every shape; another seed makes others."""
    for shape in Shape:
        decoder = Decoder("requests", shape, len, (), REQUESTS)
        one, again, other = (list(islice(fuzz.inputs(decoder, Random(seed)), 500)) for seed in (1, 1, 2))
        assert one == again != other


def test_requests_by_structure_are_often_requests() -> None:
    """Otherwise nothing behind the first check would ever be tried; and often they are none."""
    shaped = Shaped(Random(1), REQUESTS)
    decoder = Decoder("requests", Shape.JSON, refusing, (ValueError,))
    assert fuzz.faultless(decoder, shaped.json_line())

    taken = [
        type(line) is not BadLine for _ in range(2_000) for line in LineReader(10**6).feed(shaped.json_line() + b"\n")
    ]
    assert 0.05 < sum(taken) / len(taken) < 0.95


def test_a_fault_is_caught_and_its_input_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a decoder refuses with is none."""
    monkeypatch.chdir(tmp_path)

    def breaks(data: bytes) -> None:
        if len(data) > 20:
            raise KeyError(data)
        raise ValueError

    decoder = Decoder("planted", Shape.JSON, breaks, (ValueError,), REQUESTS)
    count, fault = fuzz.fuzz(decoder, Random(1), 10_000, 60)
    assert fault is not None
    assert len(fault) > 20
    assert count < 10_000
    assert "KeyError" in capsys.readouterr().err
    sound = Decoder("sound", Shape.JSON, refusing, (ValueError,), REQUESTS)
    assert fuzz.fuzz(sound, Random(1), 1_000, 60) == (1_000, None)


def test_what_has_led_to_a_fault_once_is_tried_first() -> None:
    """The corpus in the repository."""
    kept = fuzz.corpus("requests")
    assert any(b"[" * 1_001 in data for data in kept)
    decoder = Decoder("requests", Shape.JSON, len, (), REQUESTS)
    assert list(islice(fuzz.inputs(decoder, Random(1)), 1 + len(kept)))[1:] == kept
