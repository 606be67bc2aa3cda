"""Standings: of many papers only what decides their order, so that a long list is ordered without reading its texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import Session, col

from services.domain.momentum import DAY, steady
from services.domain.papers import PaperFacts, RepoFacts
from services.domain.repos import stars_gained
from services.storage import repos, votes
from services.storage.sql import chunks
from services.storage.tables import Link, Paper, Repo, Sighting

_COLUMNS = (
    "id", "key", "published_at", "announced_on", "first_seen_at", "upvotes", "comments_count", "withdrawn",
)  # fmt: skip
_RECENT = timedelta(days=9)
"""As far back as counts of stars are read for cards, so that both say the same."""


def standings(session: Session, ids: Sequence[int], *, now: datetime) -> list[PaperFacts]:
    """What `domain.ranking` looks at of these papers, in no particular order; titles, texts and people are left out.

    Their feeds are numbered rather than named: how many there are is what counts.
    """
    return [facts for part in chunks(list(ids)) for facts in _part(session, part, now)]


def _part(session: Session, ids: Sequence[int], now: datetime) -> Iterator[PaperFacts]:
    listed: dict[int, int] = dict(
        session.execute(
            sa.select(col(Sighting.paper_id), func.count(sa.distinct(col(Sighting.feed_id))))
            .where(col(Sighting.paper_id).in_(ids))
            .group_by(col(Sighting.paper_id))
        ).all()
    )
    linked: dict[int, dict[int, RepoFacts]] = defaultdict(dict)
    found = session.execute(
        sa.select(col(Link.paper_id), col(Repo.id), col(Repo.slug), col(Repo.state), col(Repo.stars))
        .join(Repo, col(Repo.id) == col(Link.repo_id))
        .where(col(Link.paper_id).in_(ids), col(Repo.kind) == "code")
    ).all()
    read = repos.readings(session, [row.id for row in found], since=now - _RECENT)
    for row in found:
        gained = stars_gained(steady(read.get(row.id, []), now), now, DAY)
        linked[row.paper_id][row.id] = RepoFacts(
            slug=row.slug, url="", state=row.state, stars=row.stars, stars_gained_24h=gained
        )
    cast = votes.tally(session, ids)
    for row in session.execute(sa.select(*(getattr(Paper, name) for name in _COLUMNS)).where(col(Paper.id).in_(ids))):
        yield PaperFacts(
            **row._mapping, title="", feeds=tuple(map(str, range(listed.get(row.id, 0)))),
            repos=tuple(linked[row.id].values()), votes=cast.get(row.id, (0, 0)),
        )  # fmt: skip
