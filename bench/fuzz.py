"""Feed rubbish to everything that decodes, and to a running server, and see that nothing but a refusal comes of it.

    python -m bench.fuzz --minutes 1               every decoder in turn, then a running server: what CI does
    python -m bench.fuzz --runs 10000000           so many inputs for each decoder
    python -m bench.fuzz --only requests --seed 7  one decoder; the same seed makes the same inputs
    python -m bench.fuzz --guided --minutes 30     led by coverage, where atheris is installed (Linux on x86-64)

Inputs are made by structure (bench/fuzz_input.py) and out of a corpus (bench/corpus): what has once led to a fault. An
input that leads to anything but the errors that a decoder refuses with is written to a file, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random

from bench import fuzz_server
from bench.fuzz_decoders import Decoder, Shape, decoders
from bench.fuzz_input import Shaped, mutated

CORPUS = Path(__file__).parent / "corpus"
FAULTS = Path("fuzz-faults")
"""Where inputs that lead to a fault are written, in the current directory."""

SERVER_SHARE = 0.3
"""What of the time is for the running server."""

KEPT = 400
"""Inputs that lend parts to others, at most."""


def inputs(decoder: Decoder, random: Random) -> Iterator[bytes]:
    """Yield inputs for ever: the corpus first, then what is made of it and by structure."""
    known = [*decoder.samples, *corpus(decoder.name)]
    yield from known
    shaped = Shaped(random, decoder.kinds) if decoder.kinds else None
    while True:
        if shaped is not None and random.random() < 0.6:
            data = made(decoder, shaped)
            if len(known) < KEPT:
                known.append(data)
            yield data
        else:
            yield mutated(random, random.choice(known), known)


def made(decoder: Decoder, shaped: Shaped) -> bytes:
    """Return an input by structure."""
    return shaped.msgpack() if decoder.shape is Shape.MSGPACK else shaped.json_line()


def corpus(name: str) -> list[bytes]:
    """Return the kept inputs of a decoder, in a fixed order."""
    folder = CORPUS / name.replace(" ", "-").replace("'", "")
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def fuzz(decoder: Decoder, random: Random, runs: int, seconds: float) -> tuple[int, bytes | None]:
    """Run until so many inputs or seconds are over; return how many there were, and the one that led to a fault."""
    end = time.monotonic() + seconds
    for count, data in enumerate(inputs(decoder, random)):
        if count >= runs or (not count % 256 and time.monotonic() > end):
            return count, None
        if not faultless(decoder, data):
            return count, data
    raise AssertionError("inputs have ended")


def faultless(decoder: Decoder, data: bytes) -> bool:
    """Tell whether a decoder takes this or refuses it properly; print what else it does."""
    try:
        decoder.run(data)
    except decoder.refuses:
        return True
    except Exception:  # noqa: BLE001 this is what is looked for
        traceback.print_exc()
        return False
    return True


def keep(decoder: Decoder, seed: int, fault: bytes) -> None:
    """Write down an input that led to a fault, and say where."""
    FAULTS.mkdir(exist_ok=True)
    path = FAULTS / f"{decoder.name.replace(' ', '-')}-{seed}"
    path.write_bytes(fault)
    print(f"    {len(fault)} bytes, kept in {path}", flush=True)


def fuzz_and_keep(decoder: Decoder, seed: int, runs: int, seconds: float) -> tuple[int, bool]:
    """Search in this process; return how many inputs there were, and whether there was a fault."""
    count, fault = fuzz(decoder, Random(f"{decoder.name} {seed}"), runs, seconds)
    if fault is not None:
        keep(decoder, seed, fault)
    return count, fault is not None


def guided(decoder: Decoder, seed: int, runs: int, seconds: float) -> tuple[int, bool]:
    """Let atheris search, in a process of its own; return the same as `fuzz_and_keep`."""
    command = [sys.executable, "-m", "bench.fuzz_guided", decoder.name, str(seed), str(runs), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", flush=True)
    last = done.stdout.rpartition("\n")[0].rpartition("\n")[2]
    return (int(last) if last.isdecimal() else 0), done.returncode != 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="in all (1)")
    parser.add_argument("--runs", type=int, default=0, help="inputs for each decoder, however long that takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", metavar="NAME", help="one decoder")
    parser.add_argument("--guided", action="store_true", help="led by coverage, with atheris; not the running server")
    asked = parser.parse_args(arguments)
    if asked.guided and find_spec("atheris") is None:
        parser.error("atheris is not installed; there are packages of it for Linux on x86-64 only")
    faults = 0
    with decoders() as known:
        chosen = [decoder for decoder in known if asked.only in (None, decoder.name)]
        if not chosen:
            parser.error(f"there is no decoder {asked.only}; there are: {', '.join(d.name for d in known)}")
        share = asked.minutes * 60 * (1 - SERVER_SHARE) / len(chosen)
        for decoder in chosen:
            began = time.monotonic()
            runs, seconds = (asked.runs, float("inf")) if asked.runs else (sys.maxsize, share)
            search = guided if asked.guided else fuzz_and_keep
            count, failed = search(decoder, asked.seed, runs, seconds)
            rate = count / max(time.monotonic() - began, 0.001)
            print(f"{decoder.name:<24} {count:>11,} inputs {rate:>10,.0f}/s  {'FAULT' if failed else 'ok'}", flush=True)
            faults += failed
    if not (asked.only or asked.guided):
        done, problems = fuzz_server.run(asked.seed, asked.minutes * 60 * SERVER_SHARE)
        print(f"{'a running server':<24} {done}  {'FAULT' if problems else 'ok'}")
        for problem in problems:
            print(f"    {problem}")
        faults += len(problems)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
