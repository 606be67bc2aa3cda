"""Curves drawn as SVG, small enough to be read as text."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, EDGE = 640, 320, 56


def curve(title: str, points: Sequence[tuple[float, float]], unit: str = "papers/s") -> str:
    """One curve from (papers, what is measured in `unit`); both axes begin at zero."""
    right, top = max(x for x, _ in points), max(y for _, y in points) * 1.1
    place = [(EDGE + (WIDTH - 2 * EDGE) * x / right, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * y / top) for x, y in points]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in place)
    floor = HEIGHT - EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
        f'<text x="{EDGE}" y="24" font-size="14">{escape(title)}</text>\n'
        f'<path d="M{EDGE} {EDGE}V{floor}H{WIDTH - EDGE}" fill="none" stroke="gray"/>\n'
        f'<text x="{EDGE}" y="{floor + 18}">0</text>\n'
        f'<text x="{WIDTH - EDGE}" y="{floor + 18}" text-anchor="end">{right:,.0f} papers</text>\n'
        f'<text x="{EDGE + 4}" y="{EDGE - 6}">{top:,.0f} {escape(unit)}</text>\n'
        f'<polyline points="{line}" fill="none" stroke="steelblue" stroke-width="2"/>\n</svg>\n'
    )
