"""Charts: small SVG made here, of numbers alone, coloured by the style sheet. No script, no style attribute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

WIDTH, HEIGHT, PAD = 220, 44, 4


def sparkline(readings: Sequence[tuple[datetime, int]], *, noun: str = "stars") -> Markup | None:
    """Counts over time as a line with a dot at its end; `None` below two readings.

    `readings` are (moment, count), oldest first. Time runs to scale, so that a gap is seen as one.
    """
    points = sorted(readings)
    if len(points) < 2 or points[0][0] == points[-1][0]:
        return None
    first, last = points[0], points[-1]
    span = (last[0] - first[0]).total_seconds()
    low, high = min(n for _, n in points), max(n for _, n in points)
    # A flat line belongs in the middle, not on the floor.
    rise = high - low or 1
    base = HEIGHT - PAD if high != low else HEIGHT / 2
    places = [
        (
            PAD + (WIDTH - 2 * PAD) * (at - first[0]).total_seconds() / span,
            base - (HEIGHT - 2 * PAD) * (number - low) / rise if high != low else base,
        )
        for at, number in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    area = f"{places[0][0]:.1f},{HEIGHT} {line} {places[-1][0]:.1f},{HEIGHT}"
    label = f"{first[1]:,} {noun} on {first[0].day} {first[0]:%b %Y}, {last[1]:,} on {last[0].day} {last[0]:%b %Y}"
    return Markup(
        '<svg class="spark" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-label="{label}">'
        '<title>{label}</title><polygon class="spark-area" points="{area}"/>'
        '<polyline class="spark-line" points="{line}"/>'
        '<circle class="spark-dot" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/></svg>'
    ).format(w=WIDTH, h=HEIGHT, label=label, area=area, line=line, x=places[-1][0], y=places[-1][1])


def bar(number: int, most: int) -> Markup:
    """One upright bar, `number` of `most`; the number itself stands beside it in words."""
    tall = 0 if most <= 0 else max(1.0, 22 * number / most) if number > 0 else 0
    return Markup(
        '<svg class="bar" viewBox="0 0 20 22" width="20" height="22" aria-hidden="true" focusable="false">'
        '<rect x="0" y="{y:.1f}" width="20" height="{h:.1f}"/></svg>'
    ).format(y=22 - tall, h=tall)


HOURS_TALL, STEP = 66, 30


def hours(bars: Sequence[tuple[datetime, int, int]], marks: Sequence[datetime] = ()) -> Markup:
    """Work that ended, hour by hour: what came right upwards of a line, what failed below it, changes as ticks on it.

    `bars` are (beginning of the hour, good, bad), oldest first. Both sides have the same scale.
    """
    most = max([max(good, bad) for _, good, bad in bars], default=0) or 1
    half, wide = HOURS_TALL / 2, STEP * len(bars)
    parts = [Markup('<line class="axis" x1="0" x2="{w}" y1="{y}" y2="{y}"/>').format(w=wide, y=half)]
    for place, (at, good, bad) in enumerate(bars):
        words = f"{at:%H}:00 UTC: {good:,} done, {bad:,} failed"
        up, down = (max(1.5, (half - 5) * n / most) if n else 0.0 for n in (good, bad))
        parts.append(
            Markup(
                '<g><title>{words}</title><rect class="all" x="{x}" y="0" width="{s}" height="{t}"/>'
                '<rect class="good" x="{x3}" y="{y:.1f}" width="{b}" height="{up:.1f}"/>'
                '<rect class="bad" x="{x3}" y="{y2:.1f}" width="{b}" height="{down:.1f}"/></g>'
            ).format(
                words=words, x=place * STEP, s=STEP, t=HOURS_TALL, x3=place * STEP + 4, b=STEP - 8, y=half - 1 - up,
                up=up, y2=half + 1, down=down,
            )
        )  # fmt: skip
    if bars:
        began = bars[0][0]
        inside = [(at - began).total_seconds() / 3600 * STEP for at in marks if at >= began]
        parts += [Markup('<path class="tick" d="M{x:.1f} {y} l-4 -7 h8 z"/>').format(x=x, y=half) for x in inside]
    total, failed = sum(good for _, good, _ in bars), sum(bad for *_, bad in bars)
    label = f"The last {len(bars)} hours: {total:,} runs done, {failed:,} tries failed, {len(marks)} changes"
    return Markup(
        '<svg class="hours" role="img" viewBox="0 0 {w} {t}" preserveAspectRatio="none" '
        'aria-label="{label}">{body}</svg>'
    ).format(w=wide or 1, t=HOURS_TALL, label=label, body=Markup("").join(parts))
