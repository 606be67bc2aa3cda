"""Facets: what the papers of a list are made of, counted, so that it can be narrowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col

from services.storage.search_tree import has
from services.storage.sql import chunks
from services.storage.tables import Feed, Paper, Sighting

COUNTED = 1_000
"""Papers that are looked at, the first of the list."""
SHOWN = 12
"""Values of one kind, the most frequent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """How many of the papers are of each category, feed and year, and how many have code."""

    total: int
    categories: dict[str, int]
    feeds: dict[str, int]
    years: dict[int, int]
    with_code: int


def facets(session: Session, ids: Sequence[int]) -> Facets:
    """What these papers are made of, the first `COUNTED` of them; the most frequent first."""
    categories: Counter[str] = Counter()
    years: Counter[int] = Counter()
    feeds: Counter[str] = Counter()
    with_code, code, taken = 0, has("code"), ids[:COUNTED]
    names_of = dict(session.execute(sa.select(col(Feed.id), col(Feed.name))).all())
    for part in chunks(taken):
        for names, published, announced, has_code in session.execute(
            sa.select(col(Paper.categories), col(Paper.published_at), col(Paper.announced_on), code).where(
                col(Paper.id).in_(part)
            )
        ):
            categories.update(dict.fromkeys(names, 1))
            day = published or announced
            if day is not None:
                years[day.year] += 1
            with_code += bool(has_code)
        # By the papers, not by the feeds: a join with these makes SQLite read all that each of them has listed.
        listed = sa.select(col(Sighting.paper_id), col(Sighting.feed_id)).where(col(Sighting.paper_id).in_(part))
        feeds.update(names_of[feed_id] for _, feed_id in session.execute(listed.distinct()) if feed_id in names_of)
    return Facets(
        total=len(taken), categories=dict(categories.most_common(SHOWN)), feeds=dict(feeds.most_common(SHOWN)),
        years=dict(sorted(years.items(), reverse=True)), with_code=with_code,
    )  # fmt: skip
