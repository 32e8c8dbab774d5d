"""Up to which number two logs are the same one: the rule alone, and against every history of backups put back."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from tessenger.chat.runs import Run, Runs
from tessenger.wire.messages import MAX_RUNS, EndedRun, Login

A, B, C, D = "aaaa", "bbbb", "cccc", "dddd"

JOURNAL = Runs([Run(A, 0), Run(B, 10), Run(C, 30)])
"""Its last number is 50 in these examples."""


@pytest.mark.parametrize(
    ("after", "run", "runs", "common"),
    [
        (None, "", [], None),
        (40, C, [(A, 10), (B, 30)], 40),
        (0, C, [(A, 10), (B, 30)], 0),
        (25, B, [(A, 10)], 25),
        (25, A, [], 10),
        (25, B, [(A, 20)], 25),
        (80, D, [(A, 10), (B, 40)], 30),
        (80, D, [(A, 10), (B, 20)], 20),
        (15, D, [(A, 10), (B, 20)], 15),
        (80, D, [(A, 20)], 10),
        (80, D, [], None),
        (80, D, [("eeee", 5)], None),
        (80, C, [], 50),
        (40, "", [], 40),
        (50, "", [], 50),
        (51, "", [], None),
        (2**53, "", [(A, 10)], None),
    ],
)
def test_examples(after: int | None, run: str, runs: list[EndedRun], common: int | None) -> None:
    """A number of a run that both know, as far as that run went for either; of an older client, what there is."""
    assert JOURNAL.common(Login(1, "aaa", "123", after=after, run=run, runs=runs), 50) == common


def test_a_journal_without_runs_knows_none() -> None:
    """As in tests of other things: a client that names one has nothing in common with it."""
    assert Runs().current == ""
    assert Runs().common(Login(1, "aaa", "123", after=5, run=A), 50) is None
    assert Runs().common(Login(1, "aaa", "123", after=5), 50) == 5


def test_clients_are_told_of_the_newest() -> None:
    """A welcome stays short, however often the server was started; what it does not name, it still knows."""
    runs = Runs([Run(f"{n:04}", n * 10) for n in range(100)])
    assert runs.current == "0099"
    assert runs.ended == [(f"{n:04}", n * 10 + 10) for n in range(99 - MAX_RUNS, 99)]
    assert runs.common(Login(1, "aaa", "123", after=38, run="0003", runs=[("0002", 30)]), 2_000) == 38


class Server(Struct):
    """A server's journal: what is under which number, and its runs."""

    log: dict[int, int]
    runs: list[Run]
    last: int

    def copy(self) -> Server:
        """Return a backup."""
        return Server(dict(self.log), list(self.runs), self.last)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("start"), st.integers(0, 3)),  # with so many numbers left out
        st.tuples(st.just("back up"), st.just(0)),
        st.tuples(st.just("put back"), st.integers(0, 9)),  # one of the backups
        st.tuples(st.just("look"), st.integers(0, 3)),  # but for so many of the last ones
    ),
    max_size=40,
)


@given(steps)
def test_whatever_was_put_back_when(steps: list[tuple[str, int]]) -> None:
    """Up to the number that both have, the client has seen exactly what is in this log now: no less, and no more."""
    names = (f"{n:04}" for n in count())
    contents = count()
    server = Server({}, [Run(next(names), 0)], 0)
    backups = [server.copy()]
    seen: dict[int, int] = {}
    position, welcome = 0, Runs(server.runs)
    for step, n in steps:
        match step:
            case "append":
                for _ in range(n):
                    server.last += 1
                    server.log[server.last] = next(contents)
            case "start":
                server.last += n
                server.runs.append(Run(next(names), server.last))
            case "back up":
                backups.append(server.copy())
            case "put back":
                server = backups[n % len(backups)].copy()
                server.runs.append(Run(next(names), server.last))
            case _:
                welcome = Runs(server.runs)
                position = max(0, server.last - n)
                seen = {seq: content for seq, content in server.log.items() if seq <= position}
    login = Login(1, "aaa", "123", after=position, run=welcome.current, runs=welcome.ended)
    common = Runs(server.runs).common(login, server.last)
    same = {seq for seq, content in server.log.items() if seen.get(seq) == content}
    if common is None:
        known = {run.name for run in server.runs}
        assert not known & {login.run, *(run for run, _ in login.runs)}
    else:
        assert {seq for seq in server.log if seq <= common} == same
