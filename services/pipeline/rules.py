"""Rules tried before they are used: what a query would have brought in the last days, and what it shuts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlmodel import Session

from services.domain.indexed import Indexed
from services.domain.papers import PaperFacts
from services.domain.queries import parse_query
from services.domain.ranking import rank
from services.domain.rules import allowing, exclusions, written
from services.storage import archive, search

DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePreview:
    """What a query would have brought in `days` days up to today."""

    query: str
    days: int
    considered: int
    """Papers listed in that time."""
    matched: int
    by_day: tuple[tuple[date, int], ...]
    """Matches by their first day of listing, oldest first, days without any included."""
    papers: tuple[PaperFacts, ...]
    """The best of them by `trending`."""
    removed: tuple[tuple[str, int], ...]
    """For each exclusion how many more there would be without it."""

    @property
    def per_day(self) -> float:
        """Matches a day."""
        return self.matched / self.days

    def sentence(self) -> str:
        """`last 30 days: 212 matches, 7 a day; -survey removes 14`."""
        rate = f"{self.per_day:.0f}" if self.per_day >= 2 or not self.matched else f"{self.per_day:.1f}"
        matches = f"{self.matched:,} {'match' if self.matched == 1 else 'matches'}"
        parts = [
            f"last {self.days} days: {matches}, {rate} a day",
            *(f"{what} removes {n:,}" for what, n in self.removed),
        ]
        return "; ".join(parts)


def preview_rule(
    session: Session, text: str, *, now: datetime, days: int = DAYS, feeds: Sequence[str] = (), limit: int = 10
) -> RulePreview:
    """Try a query on the papers of the last `days` days. Raises `QueryError` for one that cannot be read."""
    today = now.date()
    query = parse_query(text, today)
    since = today - timedelta(days=days - 1)
    shut_out = exclusions(query)
    ids = search.find(session, allowing(query, *shut_out), now=now, since=since, feeds=feeds)
    near = [Indexed(paper) for paper in archive.load(session, ids, now=now) if not paper.withdrawn]
    found = [indexed.paper for indexed in near if query.matches(indexed)]
    removed = []
    for exclusion in shut_out:
        without = allowing(query, exclusion)
        removed.append((written(exclusion), sum(without.matches(indexed) for indexed in near) - len(found)))
    first = Counter(max(p.announced_on, since) if p.announced_on else today for p in found)
    every = (since + timedelta(days=n) for n in range(days))
    return RulePreview(
        query=text, days=days, considered=len(archive.ids(session, since=since, feeds=feeds)), matched=len(found),
        by_day=tuple((day, first[day]) for day in every), papers=tuple(rank(found, now=now)[:limit]),
        removed=tuple(removed),
    )  # fmt: skip
