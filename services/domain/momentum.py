"""Momentum: what the star counts of a repository say of its speed, whatever is odd about them.

Counts are readings at moments. They fall (accounts are removed), are reset (a repository is made anew under
its old name), and one reading of many is sometimes plainly wrong; none of that may show as speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from services.domain.repos import stars_gained

Readings = Sequence[tuple[datetime, int]]

DAY, WEEK = timedelta(days=1), timedelta(days=7)
STALE = timedelta(days=365)
"""A repository nobody pushed to for so long is marked as stale."""

_RESET_SHARE = 0.5
"""A count that falls below this share of the last and stays there is a count begun anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Momentum:
    """Stars gained over spans of time; lost stars are negative, `None` is not known.

    `per_day` is the typical speed of the last week in stars a day: the median of its days, so that one great day
    does not make a fast repository.
    """

    gained_24h: int | None = None
    gained_7d: int | None = None
    gained_since: int | None = None
    """Since the paper came out."""
    per_day: float | None = None


def steady(readings: Readings, now: datetime) -> list[tuple[datetime, int]]:
    """Readings up to `now`, oldest first, one a moment, without outliers, from the last reset on.

    An outlier is a single count that leaps away and comes back: it is at least half off from both neighbours,
    which agree with each other. A reset is a fall by more than half that lasts.
    """
    known = sorted({at: stars for at, stars in readings if at <= now and stars >= 0}.items())
    known = [reading for n, reading in enumerate(known) if not _is_outlier(known, n)]
    for n in range(len(known) - 1, 0, -1):
        if known[n - 1][1] >= 10 and known[n][1] < known[n - 1][1] * _RESET_SHARE:
            return known[n:]
    return known


def _is_outlier(known: Sequence[tuple[datetime, int]], n: int) -> bool:
    if not 0 < n < len(known) - 1:
        return False
    before, here, after = known[n - 1][1], known[n][1], known[n + 1][1]
    around = max(before, after, 1)
    if abs(before - after) > 0.2 * around:  # the neighbours do not agree: it may be a step
        return False
    return min(abs(here - before), abs(here - after)) > max(0.5 * around, 10)


def momentum(readings: Readings, now: datetime, *, published_at: datetime | None = None) -> Momentum:
    """What the readings say at `now`; `published_at` is when the paper came out."""
    known = steady(readings, now)
    return Momentum(
        gained_24h=stars_gained(known, now, DAY),
        gained_7d=stars_gained(known, now, WEEK),
        gained_since=_since(known, published_at, now),
        per_day=_per_day(known, now),
    )


def _since(known: Readings, published_at: datetime | None, now: datetime) -> int | None:
    """Gain since a moment. A first reading within three days after it stands for the count at that moment."""
    if published_at is None or not known or published_at >= now:
        return None
    first_at = known[0][0]
    if first_at > published_at + timedelta(days=3) or len(known) < 2:
        return None
    if first_at >= published_at:
        return known[-1][1] - known[0][1]
    return stars_gained(known, now, now - published_at)


def _per_day(known: Readings, now: datetime) -> float | None:
    """The median over the last week's steps of their daily rate, each step weighing as long as it lasted."""
    recent = [reading for reading in known if reading[0] > now - WEEK]
    earlier = [reading for reading in known if reading[0] <= now - WEEK]
    steps = [*earlier[-1:], *recent]
    rates: list[float] = []
    for (start, a), (end, b) in pairwise(steps):
        days = (end - max(start, now - WEEK)) / DAY
        whole = (end - start) / DAY
        if whole > 0 and days > 0:
            rates += [(b - a) / whole] * max(1, round(days * 4))  # a quarter of a day is one vote
    return round(median(rates), 2) if rates else None


def is_stale(pushed_at: datetime | None, now: datetime) -> bool:
    """Whether nothing was pushed for a year."""
    return pushed_at is not None and now - pushed_at > STALE
