"""What a delivery costs, as a chart: a dot for each server, the cost on a logarithmic scale. Pure: returns SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

WIDTH = 860
LEFT, RIGHT, TOP, BOTTOM = 170, 60, 44, 30
ROW, GAP, HEADING = 18, 14, 26
LOWEST = 0.1
"""µs: the scale begins there."""
OUR_COLOUR, THEIR_COLOUR = "#0b6bcb", "#555b63"
OURS = "Tessenger"
"""What the names of our servers begin with."""


def draw(costs: Mapping[str, Mapping[str, float]]) -> str:
    """Return the chart: for each load the servers, the cheapest first, each with its µs of CPU for a delivery."""
    highest = 10 ** math.ceil(math.log10(max(max(values.values()) for values in costs.values())))
    decades = math.log10(highest / LOWEST)
    height = TOP + BOTTOM + sum(HEADING + GAP + ROW * len(values) for values in costs.values())

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(max(value, LOWEST) / LOWEST) / decades

    title = "Server CPU for each delivery, µs (less is better)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<style>text { font: 13px sans-serif }</style>",
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="22" font-weight="bold">{title}</text>',
    ]
    tick = LOWEST
    while tick <= highest * 1.01:
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{height - BOTTOM}" stroke="#e2e2e2"/>'
        )
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 10}" text-anchor="middle">{tick:g}</text>')
        tick *= 10
    top = TOP
    for load, values in costs.items():
        top += HEADING
        parts.append(f'<text x="16" y="{top - 8}" font-weight="bold">{escape(load)}</text>')
        for server, value in sorted(values.items(), key=lambda each: each[1]):
            colour = OUR_COLOUR if server.startswith(OURS) else THEIR_COLOUR
            middle = top + ROW // 2
            shown = f"{value:.2f}" if value < 10 else f"{value:.1f}"
            parts.append(
                f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end" fill="{colour}">{escape(server)}</text>'
            )
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle}" y2="{middle}" stroke="#f0f0f0"/>')
            parts.append(f'<circle cx="{x(value):.1f}" cy="{middle}" r="5" fill="{colour}"/>')
            parts.append(f'<text x="{x(value) + 10:.1f}" y="{middle + 4}" fill="{colour}">{shown}</text>')
            top += ROW
        top += GAP
    return "\n".join([*parts, "</svg>", ""])
