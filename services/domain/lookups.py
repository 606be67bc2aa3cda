"""Lookups: scholarly services are asked about papers we hold, many papers a request, ever more seldom as they age.

What such a service knows comes late (a venue after months, citations for ever), so the looks go on longer than those
at a paper's own source (`domain.rechecks`), and are fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from msgspec.structs import replace

from services.domain.identifiers import Identifier
from services.domain.nearness import alike
from services.domain.papers import PaperData

AGES = tuple(timedelta(days=days) for days in (1, 4, 14, 45, 120, 300))
"""At which ages a paper is asked about: catalogues take days to list it, journals months to print it."""

MISS_WAITS = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1))
MOST_MISSES = 4
"""A paper that could not be asked about this often in a row is left alone until the next age."""

SAME_TITLE = 0.6
"""How alike the titles must be for an answer to be about the paper asked about: catalogues mix papers up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPaper:
    """A paper to ask a service about: how it is known, what it is called, since when it is listed."""

    identifiers: tuple[Identifier, ...]
    title: str
    announced_on: date | None = None

    def values(self, scheme: str) -> tuple[str, ...]:
        """Its identifiers of one scheme."""
        return tuple(one.value for one in self.identifiers if one.scheme == scheme)

    @property
    def dois(self) -> tuple[str, ...]:
        """Its DOIs, lower case, a publisher's before the one arXiv gives to each paper."""
        return (*self.values("doi"), *(f"10.48550/arxiv.{value}" for value in self.values("arxiv")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a service lives (no trailing slash) and what it lets us in by; unused parts are empty."""

    url: str
    key: str = ""
    user: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupRequest:
    """One request about many papers: a POST where there is `json` to send, else a GET."""

    url: str
    json: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


def first_lookup(since: datetime, now: datetime) -> datetime:
    """When a paper listed at `since` is asked about for the first time: not before it is a day old."""
    return max(since + AGES[0], now)


def next_lookup(since: datetime, now: datetime) -> datetime | None:
    """When it is asked about next, later than `now`; `None` when it is old."""
    return next((since + age for age in AGES if since + age > now), None)


def after_miss(since: datetime, now: datetime, misses: int) -> datetime | None:
    """When to ask again after the `misses`-th time in a row without a usable answer."""
    following = next_lookup(since, now)
    if misses >= MOST_MISSES:
        return following
    again = now + MISS_WAITS[min(max(misses, 1), len(MISS_WAITS)) - 1]
    return again if following is None else min(again, following)


def agreed(asked: AskedPaper, answer: PaperData) -> PaperData | None:
    """The answer as a statement about the paper asked about, or `None` when it is about another one.

    It is known by all names the two have, so that a name we did not know joins what it belongs to. It was listed
    when it was listed: a catalogue says nothing about that.
    """
    if alike(asked.title, answer.title) < SAME_TITLE:
        return None
    names = tuple(dict.fromkeys((*asked.identifiers, *answer.identifiers)))
    return replace(answer, identifiers=names, announced_on=asked.announced_on)
