"""Ranking: which papers come first, by a formula anyone can check.

    interest = 1 + ln(1 + upvotes) + 0.5 ln(1 + comments) + 0.7 ln(1 + stars gained in 24 h)
                 + 0.2 ln(1 + stars) + 0.5 (feeds that listed it - 1)
    trending = interest x 0.5 ^ (age in days / 2)          (the best of a longer time: interest, whatever the age)

Logarithms, so that one famous repository does not bury the day; gained stars weigh more than stars, so that
new work can rise; the leading 1, so that unnoticed papers still fade with age. Of several repositories the
best figure counts; repositories that are gone count nothing. Withdrawn papers come last in every order, and
ties are settled by key, so the same papers give the same list everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time

from services.domain.errors import InvalidInput
from services.domain.indexed import GONE
from services.domain.papers import PaperFacts

ORDERS = ("trending", "newest", "upvotes", "stars")
RANKINGS = ("personal", *ORDERS)
"""What a subscription may be ranked by; `personal` is `domain.interests`."""
HALF_LIFE_DAYS = 2.0
_MOST = 10**9


def rank(
    papers: Sequence[PaperFacts], *, now: datetime, order: str = "trending", ageing: bool = True
) -> list[PaperFacts]:
    """`papers`, best first; `ageing` as in `score`. Raises `InvalidInput` for an order not one of `ORDERS`."""
    weights: dict[str, Callable[[PaperFacts], tuple[float, ...]]] = {
        "trending": lambda paper: (score(paper, now, ageing=ageing),),
        "newest": lambda paper: (_day(paper).toordinal(), _since(paper).timestamp()),
        "upvotes": lambda paper: (_known(paper.upvotes),),
        "stars": lambda paper: (_known(_stars(paper)),),
    }
    weigh = weights.get(order)
    if weigh is None:
        raise InvalidInput(f"there is no order {order[:40]!r}; use one of {', '.join(ORDERS)}")
    return sorted(papers, key=lambda paper: (paper.withdrawn, *(-part for part in weigh(paper)), paper.key))


def score(paper: PaperFacts, now: datetime, *, ageing: bool = True) -> float:
    """The `trending` figure of one paper, at least 0; rounded, so that machines agree on ties.

    Without `ageing` it is the interest alone: the best of three weeks is not what came yesterday.
    """
    interest = (
        1
        + _damped(paper.upvotes)
        + 0.5 * _damped(paper.comments_count)
        + 0.7 * _damped(_gained(paper))
        + 0.2 * _damped(_stars(paper))
        + 0.5 * max(0, len(set(paper.feeds)) - 1)
        + _damped(paper.votes[0] - paper.votes[1])
    )
    fresh = math.pow(0.5, _age_days(paper, now) / HALF_LIFE_DAYS) if ageing else 1.0
    return float(f"{interest * fresh:.9g}")


def reasons(paper: PaperFacts, now: datetime) -> tuple[str, ...]:
    """What speaks for a paper, in plain words, at least one; for the line that says why it is here."""
    found = list(_signals(paper))
    if found:
        return tuple(found)
    days = int(_age_days(paper, now))
    return ("new today" if days == 0 else "new yesterday" if days == 1 else f"{days} days old",)


def _signals(paper: PaperFacts) -> Iterable[str]:
    if (paper.upvotes or 0) > 0:
        yield f"▲ {paper.upvotes:,} on Hugging Face"
    if (paper.comments_count or 0) > 0:
        yield f"{paper.comments_count:,} comment{'' if paper.comments_count == 1 else 's'}"
    gained = _gained(paper)
    if gained is not None and gained > 0:
        yield f"+{gained:,} stars in 24 h" if gained > 1 else "+1 star in 24 h"
    if paper.votes[0] > paper.votes[1]:
        yield votes_in_words(paper.votes)
    feeds = sorted(set(paper.feeds))
    if feeds:
        yield f"listed by {feeds[0]}" if len(feeds) == 1 else f"listed by {len(feeds)} feeds"


def votes_in_words(votes: tuple[int, int]) -> str:
    """`3 of your team for it, 1 against`; empty where nobody voted."""
    ups, downs = votes
    if not ups:
        return f"{downs} of your team against it" if downs else ""
    return f"{ups} of your team for it" + (f", {downs} against" if downs else "")


def _gained(paper: PaperFacts) -> int | None:
    return _best(repo.stars_gained_24h for repo in paper.repos if repo.state not in GONE)


def _stars(paper: PaperFacts) -> int | None:
    return _best(repo.stars for repo in paper.repos if repo.state not in GONE)


def _best(counts: Iterable[int | None]) -> int | None:
    return max((count for count in counts if count is not None), default=None)


def _known(count: int | None) -> int:
    """Unknown counts come after 0."""
    return -1 if count is None else min(max(count, 0), _MOST)


def _damped(count: int | None) -> float:
    return math.log1p(min(max(count or 0, 0), _MOST))


def _since(paper: PaperFacts) -> datetime:
    return paper.published_at or paper.first_seen_at


def _day(paper: PaperFacts) -> date:
    return paper.announced_on or _since(paper).astimezone(UTC).date()


def _age_days(paper: PaperFacts, now: datetime) -> float:
    """Days since it was announced, else published, else first seen; dates ahead of us count as now."""
    began = datetime.combine(paper.announced_on, time(), UTC) if paper.announced_on else _since(paper)
    return max(0.0, (now - began).total_seconds() / 86_400)
