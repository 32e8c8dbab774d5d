"""How far someone has read, from one run to the next."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tessenger.client import position
from tessenger.client.position import Lineage, Position, position_path
from tessenger.wire.messages import MAX_RUNS, Limits, Welcome

KEY = "sha256:abc"


def in_a_loop(steps: Callable[[], None]) -> None:
    """Run steps where there is an event loop."""

    async def scenario() -> None:
        steps()

    asyncio.run(scenario())


def save(path: Path, *seqs: int, key: str = KEY) -> None:
    """Show these and end in good order."""

    def steps() -> None:
        kept = Position(path, key)
        for seq in seqs:
            kept.shown(seq)
        kept.save()

    in_a_loop(steps)


def test_the_last_number_is_there_at_the_next_start(tmp_path: Path) -> None:
    """In a file that only its owner can read, and nothing else lies beside it."""
    path = tmp_path / "shown" / "host:1 aaa"
    save(path, 7, 9, 8)
    assert Position(path, KEY).seq == 9
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_first_after_a_silence_is_saved_at_once(tmp_path: Path) -> None:
    """Whoever is killed behind a lone message has it saved; of a burst the rest follows within a second."""
    path = tmp_path / "p"

    def steps() -> None:
        kept = Position(path, KEY)
        kept.shown(5)
        assert Position(path, KEY).seq == 5
        kept.shown(6)
        kept.shown(7)
        assert Position(path, KEY).seq == 5

    in_a_loop(steps)


def test_a_burst_is_written_once_a_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer saves what came meanwhile, and after a quiet period the next one is saved at once again."""
    monkeypatch.setattr(position, "SAVE_SECONDS", 0.01)
    path = tmp_path / "p"
    written: list[int] = []
    replace = Path.replace

    def counted(self: Path, target: Path) -> Path:
        written.append(int(self.read_text().split()[0]))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", counted)

    async def scenario() -> None:
        kept = Position(path, KEY)
        for seq in range(1, 101):
            kept.shown(seq)
        async with asyncio.timeout(10):
            while kept._timer is not None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        kept.shown(200)
        kept.save()

    asyncio.run(scenario())
    assert written == [1, 100, 200]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "12",
        "12 sha256:other",
        "-5 sha256:abc",
        "5 sha256:abc a b",
        "5 sha256:abc a b:" + "9" * 5_000,
        "5 sha256:abc a b:-1",
        f"5 sha256:abc a b:{2**53 + 1}",
        f"5 sha256:abc {'a' * 65}",
        "5 sha256:abc a:5 b:6",
        "5 sha256:abc a " + "b:1 " * (MAX_RUNS + 1),
        "9" * 40 + " sha256:abc",
        "9" * 5_000 + " sha256:abc",
        "\x00\xff",
    ],
)
def test_anything_else_counts_as_nothing(tmp_path: Path, text: str) -> None:
    """A damaged file, or one of a server that has another key now, skips no message."""
    path = tmp_path / "p"
    path.write_bytes(text.encode("latin-1"))
    assert Position(path, KEY).seq == 0


def test_the_runs_of_a_number_are_kept_with_it(tmp_path: Path) -> None:
    """And what was shown above the number that the server still has is forgotten."""
    path = tmp_path / "p"
    lineage = Lineage("0011223344556677", (("8899aabbccddeeff", 0), ("ffeeddccbbaa9988", 20)))
    save(path, 500)

    def steps() -> None:
        kept = Position(path, KEY)
        assert (kept.seq, kept.lineage) == (500, Lineage())
        kept.go_on(lineage, 20)
        kept.save()
        assert Position(path, KEY).seq == 20
        kept.shown(21)

    in_a_loop(steps)
    kept = Position(path, KEY)
    assert (kept.seq, kept.lineage) == (21, lineage)


@pytest.mark.parametrize("runs", ["a", "a b:5 c:7"])
def test_what_stands_behind_the_key_are_runs(tmp_path: Path, runs: str) -> None:
    """The present one and earlier ones; an older program left nothing there."""
    path = tmp_path / "p"
    path.write_text(f"12 {KEY} {runs}\n")
    first, *others = runs.split()
    ended = tuple((run, int(upto)) for run, upto in (other.split(":") for other in others))
    assert Position(path, KEY).lineage == Lineage(first, ended)


@pytest.mark.parametrize("run", ["", "a b", "a:b", "a\nb", "x" * 65, "\x1b[m", "é"])
def test_a_server_that_names_its_runs_oddly_names_none(run: str) -> None:
    """Nothing of it gets into the file."""
    limits = Limits(1, 1, 1)
    assert Lineage.of(Welcome(1, "aaa", "t", 5, limits, run=run, runs=[("a", 1)])) == Lineage()
    if run:
        assert Lineage.of(Welcome(1, "aaa", "t", 5, limits, run="a", runs=[(run, 1)])) == Lineage()
    assert Lineage.of(Welcome(1, "aaa", "t", 5, limits, run="a", runs=[("b", -1)])) == Lineage()
    many = [(f"{n}", n) for n in range(1_000)]
    assert Lineage.of(Welcome(1, "aaa", "t", 5, limits, run="a", runs=many)) == Lineage("a", tuple(many[-MAX_RUNS:]))


def test_a_disk_that_takes_nothing_is_no_reason_to_stop(tmp_path: Path) -> None:
    """The chat goes on; the server knows it too."""
    (tmp_path / "file").write_text("")
    save(tmp_path / "file" / "p", 3)
    assert (tmp_path / "file").read_text() == ""


def test_each_server_and_user_has_a_file(tmp_path: Path) -> None:
    """Names compare without case; what is no name has none, and no name leaves the folder."""
    path = position_path(tmp_path, "Chat.example.org:12000", "AAA")
    assert path == position_path(tmp_path, "chat.example.org:12000", "aaa")
    assert path != position_path(tmp_path, "chat.example.org:12001", "aaa")
    assert position_path(tmp_path, "h:1", "../x") is None
    strange = position_path(tmp_path, "../../etc/x:1", "..")
    assert strange is not None
    assert strange.parent == tmp_path / "shown"
