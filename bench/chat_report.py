"""What bench/chat.py has measured, as text: lines on the way, Markdown tables, the chart. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.chat_chart import OURS, draw

COLUMNS = {
    "direct1": "direct, window 1",
    "direct32": "direct, window 32",
    "group1": "group of 500, window 1",
    "group8": "group of 500, window 8",
}


QUIET = 0.1
"""Of a processor: what other programs may have without disturbing a measurement."""


LATE = 300.0
"""µs: how late one message in a hundred of a paced load may be sent without the machine having been disturbed. The load
has a processor of its own, and sends by the clock; where it was late, the whole machine stood still meanwhile."""


def disturbance_of(elsewhere: float, late_p99: float) -> float:
    """Return how much the machine disturbed a measurement: up to 1 that counts as nothing."""
    return max(elsewhere / QUIET, late_p99 / LATE)


class Figure(NamedTuple):
    """One server under one load, once: µs of CPU for each delivery, deliveries a second, latencies in µs."""

    server: str
    load: str
    cpu: float
    rate: float
    p50: float
    p99: float
    late_p99: float
    busy: float
    """The share of its processor that the load itself was busy."""
    elsewhere: float
    """How many processors other programs had, on average: what may have disturbed."""


class Idle(NamedTuple):
    """One server with many idle connections: kB for each, sign-ins a second, µs of CPU for each sign-in."""

    server: str
    people: int
    kb: float
    sign_ins: float
    cpu: float


class Growth(NamedTuple):
    """Our server in some size: µs of CPU for each delivery, window 1 and window 32, each of every round."""

    what: str
    size: str
    window1: list[float]
    window32: list[float]
    elsewhere: list[float]
    """How many processors other programs had meanwhile, in each measurement."""


class Results(NamedTuple):
    """Everything that was measured."""

    loads: list[Figure]
    idle: list[Idle]
    growth: list[Growth]

    def as_json(self) -> str:
        """Return it with the names of all values."""
        parts = {"loads": self.loads, "idle": self.idle, "growth": self.growth}
        named = {part: [each._asdict() for each in found] for part, found in parts.items()}  # type: ignore[attr-defined]
        return json.dumps(named, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Return what `as_json` has kept."""
        kept = json.loads(text)
        return cls(
            [Figure(**each) for each in kept["loads"]],
            [Idle(**each) for each in kept["idle"]],
            [Growth(**each) for each in kept["growth"]],
        )


def line(figure: Figure) -> str:
    """Return a figure as one line, while the measurement goes on."""
    parts = [f"{figure.server}, {figure.load}: {figure.cpu:.2f} µs", f"{figure.rate:,.0f}/s"]
    if figure.load == "paced":
        parts.append(f"p50 {figure.p50:.0f} µs, p99 {figure.p99:.0f} µs (sent late: p99 {figure.late_p99:.0f} µs)")
    parts.append(f"load {figure.busy:.0%} busy, other programs {figure.elsewhere:.0%}")
    return ", ".join(parts)


def idle_line(idle: Idle) -> str:
    """Return what was found about idle connections, as one line."""
    return f"{idle.server}, {idle.people:,} idle: {idle.kb:.2f} kB each, {idle.sign_ins:,.0f} sign-ins/s"


def markdown(results: Results) -> str:
    """Return every table that there are figures for."""
    parts = []
    if results.loads or results.idle:
        parts.append(_costs(results.loads, results.idle))
    if results.loads:
        parts += [_ratios(results.loads), _rates(results.loads)]
    if results.growth:
        parts.append(_growth(results.growth))
    return "\n\n".join(parts)


def chart(figures: Sequence[Figure]) -> str:
    """Return the chart of what a delivery costs, as SVG."""
    costs = {name: {s: v for s in _servers(figures) if (v := _median(figures, s, name, _cpu))} for name in COLUMNS}
    return draw({COLUMNS[name]: values for name, values in costs.items() if values})


def _cpu(figure: Figure) -> float:
    return figure.cpu


def _servers(figures: Sequence[Figure | Idle]) -> list[str]:
    return list(dict.fromkeys(figure.server for figure in figures))


def _median(figures: Sequence[Figure], server: str, load: str, of: Callable[[Figure], float]) -> float | None:
    values = [of(figure) for figure in figures if figure.server == server and figure.load == load]
    return median(values) if values else None


def _cost(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _spread(values: Sequence[float]) -> str:
    """Return the median, and between what the rounds were."""
    if len(values) < 2:
        return "".join(map(_cost, values))
    return f"{_cost(median(values))} ({_cost(min(values))} to {_cost(max(values))})"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])


def disturbance(results: Results) -> str:
    """Return how much of the machine others had meanwhile."""
    measured = [(figure.elsewhere, figure.late_p99) for figure in results.loads]
    measured += [(share, 0.0) for row in results.growth for share in row.elsewhere]
    shares = sorted(share for share, _ in measured)
    disturbed = sum(disturbance_of(*each) > 1 for each in measured)
    return (
        f"Other programs had {median(shares):.0%} of a processor (median), at most {shares[-1]:.0%}; they, or the "
        f"machine itself, disturbed {disturbed} of {len(shares)} measurements."
    )


def _costs(figures: Sequence[Figure], idle: Sequence[Idle]) -> str:
    """The table of docs/performance.md: what each server costs under each load, and at rest."""
    resting = {each.server: each for each in idle}
    header = ["CPU µs a delivery", *COLUMNS.values(), "paced p50, µs", "paced p99, µs", "idle, kB each", "sign-ins/s"]
    rows = []
    for server in _servers([*figures, *idle]):
        costs = [_spread([f.cpu for f in figures if (f.server, f.load) == (server, load)]) for load in COLUMNS]
        paced = [_whole(_median(figures, server, "paced", of)) for of in (lambda f: f.p50, lambda f: f.p99)]
        at_rest = resting.get(server)
        last = [f"{at_rest.kb:.1f}", _whole(at_rest.sign_ins)] if at_rest else ["", ""]
        rows.append([server, *costs, *paced, *last])
    return _table(header, rows)


def _ratios(figures: Sequence[Figure]) -> str:
    """Ours over each other server: below 1, ours is the cheaper one."""
    first, *others = _servers(figures)
    rows = []
    for server in (server for server in others if not server.startswith(OURS)):
        pairs = [(_median(figures, first, load, _cpu), _median(figures, server, load, _cpu)) for load in COLUMNS]
        rows.append([server, *(f"{ours / theirs:.2f}" if ours and theirs else "" for ours, theirs in pairs)])
    return _table([f"{first}'s CPU for a delivery over that of", *COLUMNS.values()], rows)


def _rates(figures: Sequence[Figure]) -> str:
    """Deliveries a second, with the share that the load was busy: where that is near 1, it held the server up."""
    rows = []
    for server in _servers(figures):
        cells = []
        for load in COLUMNS:
            rate = _median(figures, server, load, lambda figure: figure.rate)
            busy = _median(figures, server, load, lambda figure: figure.busy)
            cells.append("" if rate is None or busy is None else f"{rate:,.0f} ({busy:.0%})")
        rows.append([server, *cells])
    return _table(["deliveries/s (load busy)", *COLUMNS.values()], rows)


def _growth(growth: Sequence[Growth]) -> str:
    """Each group of rows beside its first one."""
    rows, first = [], growth[0]
    for each in growth:
        if each.what != first.what:
            first = each
        cells = []
        for values, base in ((each.window1, first.window1), (each.window32, first.window32)):
            cells.append(f"{median(values):.2f}" + (f" ({median(values) / median(base):.2f})" if each != first else ""))
        rows.append([each.what, each.size, *cells])
    return _table(["as this grows", "", "direct, window 1: µs (ratio)", "direct, window 32: µs (ratio)"], rows)
