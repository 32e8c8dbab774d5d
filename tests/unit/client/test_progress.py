"""What a session has received and shown counts for the branch of the server's log that it came in, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tessenger.client.position import Lineage, Position
from tessenger.client.progress import Progress
from tessenger.wire.messages import Limits, Welcome

OLD = Lineage("aaaa", ())
NEW = Lineage("cccc", (("aaaa", 10),))


def welcome(lineage: Lineage, after: int, seq: int = 1_000) -> Welcome:
    """Return the welcome of a server that has come to `seq`."""
    return Welcome(
        1, "aaa", "token", seq, Limits(1, 1, 1), run=lineage.run, runs=list(lineage.runs), after=after
    )  # fmt: skip


def in_a_loop(steps: Callable[[], None]) -> None:
    """Run steps where there is an event loop."""

    async def scenario() -> None:
        steps()

    asyncio.run(scenario())


def at_25(path: Path, told: list[int]) -> Progress:
    """Return one that has received up to 25 and shown up to 24, and told everybody of 22."""
    progress = Progress(told.append)
    progress.keep(Position(path, ""))
    assert not progress.welcomed(welcome(OLD, 0))
    for seq in range(20, 26):
        assert progress.came(seq)
    progress.shown(22, progress.branch)
    progress.tell()
    progress.shown(24, progress.branch)
    return progress


def test_a_resume_goes_on_where_it_was(tmp_path: Path) -> None:
    """Where the server has all that came, nothing changes but the runs."""
    told: list[int] = []

    def steps() -> None:
        progress = at_25(tmp_path / "p", told)
        branch = progress.branch
        longer = Lineage("bbbb", (("aaaa", 25),))
        assert not progress.welcomed(welcome(longer, 25))
        assert progress.branch == branch
        assert not progress.came(25)
        assert progress.came(26)
        progress.shown(25, branch)
        progress.end()
        kept = Position(tmp_path / "p", "")
        assert (kept.seq, kept.lineage, progress.reached) == (25, longer, 26)
        assert progress.fields() == {"run": "bbbb", "runs": [("aaaa", 25)]}

    in_a_loop(steps)
    assert told == [22]


def test_where_the_server_went_back_everything_does(tmp_path: Path) -> None:
    """Low numbers come again as news. What was on its way to the screen is not noted as of the new branch."""
    told: list[int] = []

    def steps() -> None:
        progress = at_25(tmp_path / "p", told)
        branch = progress.branch
        assert progress.welcomed(welcome(NEW, 10))
        assert progress.reached == 10
        assert not progress.came(10)
        assert [progress.came(seq) for seq in (11, 12)] == [True, True]
        progress.shown(25, branch)
        assert progress.reached == 12
        progress.shown(11, progress.branch)
        progress.tell()
        kept = Position(tmp_path / "p", "")
        assert (kept.seq, kept.lineage) == (11, NEW)
        progress.end()

    in_a_loop(steps)
    assert told == [22, 11]


def test_an_older_server_that_is_behind_has_lost_its_past(tmp_path: Path) -> None:
    """It names no runs: then its own number tells."""
    told: list[int] = []

    def steps() -> None:
        progress = at_25(tmp_path / "p", told)
        assert not progress.welcomed(welcome(Lineage(), 0, seq=25))
        assert progress.reached == 25
        assert progress.welcomed(welcome(Lineage(), 0, seq=20))
        assert progress.reached == 0
        assert progress.came(1)
        progress.end()
        assert Position(tmp_path / "p", "").lineage == Lineage()

    in_a_loop(steps)


def test_a_server_never_sets_anything_forward(tmp_path: Path) -> None:
    """It cannot make a client pass over what it has not received."""

    def steps() -> None:
        progress = at_25(tmp_path / "p", [])
        progress.welcomed(welcome(NEW, 10**9))
        assert progress.reached == 25
        progress.end()

    in_a_loop(steps)
