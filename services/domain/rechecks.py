"""Re-checks: a young paper's record at its source is read again, ever more seldom, for what comes late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from services.domain.papers import PaperData

AGES = (
    timedelta(hours=6), timedelta(days=1), timedelta(days=3), timedelta(days=7), timedelta(days=21), timedelta(days=60),
)  # fmt: skip
"""At which ages a paper is looked at again; summaries, votes and linked models mostly come within the first days."""

MISS_WAITS = (timedelta(minutes=30), timedelta(hours=3), timedelta(hours=12), timedelta(days=1))
MOST_MISSES = 6
"""A record that could not be read this often in a row is left alone until the next age."""

LATE_FIELDS = ("comments_count", "upvotes", "organization", "thumbnail_url", "ai_summary")


def next_recheck(since: datetime, now: datetime) -> datetime | None:
    """When a paper listed at `since` is looked at next, later than `now`; `None` when it is old."""
    return next((since + age for age in AGES if since + age > now), None)


def after_miss(since: datetime, now: datetime, misses: int) -> datetime | None:
    """When to try again after the `misses`-th time in a row that the record could not be read."""
    following = next_recheck(since, now)
    if misses >= MOST_MISSES:
        return following
    again = now + MISS_WAITS[min(max(misses, 1), len(MISS_WAITS)) - 1]
    return again if following is None else min(again, following)


def keep_said(record: PaperData, said: Mapping[str, Any]) -> PaperData:
    """A paper's own record together with what the listing said (`said`) and the record leaves out.

    The record lacks what belongs to the listing, such as the number of comments; to leave it out is not to take it
    back.
    """
    changes: dict[str, Any] = {
        name: said[name] for name in LATE_FIELDS if getattr(record, name) is None and said.get(name) is not None
    }
    if not record.ai_keywords and said.get("ai_keywords"):
        changes["ai_keywords"] = tuple(said["ai_keywords"])
    return replace(record, **changes)
