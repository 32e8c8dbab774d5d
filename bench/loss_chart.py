"""Throughput against loss as a chart: lines over categories, the speed on a logarithmic scale. Pure: returns SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 200, 40, 60
COLOURS = ("#888888", "#0b6bcb", "#d1495b", "#2e8b57", "#8a5cc2")
LOWEST = 0.01
"""MB/s: what is less is drawn there."""


def draw(losses: Sequence[float], series: Mapping[str, Sequence[float]]) -> str:
    """Return the chart of one line for each of `series`, whose values are MB/s at each of `losses` (shares)."""
    highest = 10 ** math.ceil(math.log10(max(max(values) for values in series.values())))
    decades = math.log10(highest / LOWEST)

    def x(index: int) -> float:
        return LEFT + index * (WIDTH - LEFT - RIGHT) / max(1, len(losses) - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * math.log10(highest / max(value, LOWEST)) / decades

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<style>text { font: 13px sans-serif }</style>",
        "<title>Throughput against loss, 100 Mbit/s and 50 ms</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-weight="bold">MB/s against datagrams lost, 100 Mbit/s and 50 ms</text>',
    ]
    tick = LOWEST
    while tick <= highest * 1.01:
        at = y(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
        tick *= 10
    for index, loss in enumerate(losses):
        parts.append(
            f'<text x="{x(index):.1f}" y="{HEIGHT - BOTTOM + 22}" text-anchor="middle">{loss * 100:g} %</text>'
        )
    taken: list[float] = []
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in enumerate(values))
        dashes = ' stroke-dasharray="5 4"' if colour == COLOURS[0] else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>')
        label = y(values[-1])
        while any(abs(label - other) < 16 for other in taken):
            label += 4
        taken.append(label)
        words = escape(name).split(" and ")
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{label + 4:.1f}" fill="{colour}">{words[0]}</text>')
        if len(words) > 1:
            taken.append(label + 16)
            parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{label + 20:.1f}" fill="{colour}">and {words[1]}</text>')
    return "\n".join([*parts, "</svg>", ""])
