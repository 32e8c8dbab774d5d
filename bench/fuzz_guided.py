"""One decoder under atheris: libFuzzer keeps the inputs that reach code which none has reached, and changes these.

`bench.fuzz --guided` starts this as a process for each decoder, as `atheris.Fuzz` never returns:

    python -m bench.fuzz_guided NAME SEED RUNS SECONDS

Only Tessenger's own Python code counts as covered: of msgspec and SQLite only what they lead to is seen. The last line
of standard output is how many inputs there were; the exit status is 1 for a fault, whose input is kept in fuzz-faults/.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["tessenger"]):
    from bench.fuzz import corpus, faultless, keep, made
    from bench.fuzz_decoders import Decoder, decoders
from bench.fuzz_input import Shaped, mutated

LARGEST = 131_072
"""Bytes of an input, at most: twice the longest line that a server takes."""

STUCK_SECONDS = 20
"""An input that takes longer than this is a fault, which libFuzzer reports."""


class Search:
    """What libFuzzer calls with each input, and for each that it wants changed; ends the process when it is over."""

    def __init__(self, decoder: Decoder, seed: int, runs: int, seconds: float) -> None:
        self._decoder, self._seed, self._runs = decoder, seed, runs
        self._end = time.monotonic() + seconds
        self._count = 0
        self._known = [*decoder.samples, *corpus(decoder.name)]
        self.cleaning = ExitStack()

    def run(self, data: bytes) -> None:
        """Let the decoder have this."""
        if self._count >= self._runs or (not self._count % 256 and time.monotonic() > self._end):
            self._over(0)
        self._count += 1
        if not faultless(self._decoder, data):
            keep(self._decoder, self._seed, data)
            self._over(1)

    def change(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Return another input: by structure, by what is known of such inputs, or as libFuzzer does it."""
        random = Random(seed)
        chance = random.random()
        if chance < 0.3 and self._decoder.kinds:
            changed = made(self._decoder, Shaped(random, self._decoder.kinds))
        elif chance < 0.6:
            changed = mutated(random, data, self._known)
        else:
            changed = atheris.Mutate(data, len(data) + 64)
        return bytes(changed[:max_size])

    def begin(self) -> NoReturn:
        """Begin with what is known; never return."""
        folder = self.cleaning.enter_context(tempfile.TemporaryDirectory())
        for number, data in enumerate(self._known):
            Path(folder, str(number)).write_bytes(data)
        options = {"seed": self._seed, "max_len": LARGEST, "len_control": 0, "timeout": STUCK_SECONDS}
        given = [f"-{name}={value}" for name, value in options.items()]
        atheris.Setup([sys.argv[0], *given, folder], self.run, custom_mutator=self.change)
        atheris.Fuzz()
        raise AssertionError("atheris has returned")

    def _over(self, status: int) -> NoReturn:
        """End the process at once: an exception that leaves `run` would be a fault to libFuzzer."""
        self.cleaning.close()
        print(self._count, flush=True)
        os._exit(status)


def main() -> None:
    """Run the command."""
    name, seed, runs, seconds = sys.argv[1:]
    with ExitStack() as opened:
        decoder = next(decoder for decoder in opened.enter_context(decoders()) if decoder.name == name)
        search = Search(decoder, int(seed), int(runs), float(seconds))
        search.cleaning.push(opened.pop_all())
        search.begin()


if __name__ == "__main__":
    main()
