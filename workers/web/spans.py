"""Spans: the days a list of papers is of. A day, a week, a month, or the two weeks in which papers trend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from services.digests.words import long_day

SPANS = {"day": "Day", "week": "Week", "month": "Month", "trending": "Trending"}
"""What there is, in the words of the page."""
TRENDING = timedelta(days=14)
"""Interest halves every two days: what is older is behind in any case."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Days, inclusive."""

    name: str
    since: date
    until: date

    @property
    def title(self) -> str:
        """In words: `Tuesday, 24 November 2026`, `23 – 29 November 2026`, `November 2026`."""
        if self.name == "day":
            return long_day(self.since)
        if self.name == "month":
            return f"{self.since:%B %Y}"
        if self.name == "trending":
            return "Trending"
        first = f"{self.since.day}"
        if self.since.year != self.until.year:
            first = f"{self.since.day} {self.since:%B %Y}"
        elif self.since.month != self.until.month:
            first = f"{self.since.day} {self.since:%B}"
        return f"{first} – {self.until.day} {self.until:%B %Y}"

    @property
    def short(self) -> str:
        """As a link to it says."""
        return {"week": f"Week of {self.since.day} {self.since:%b}", "month": f"{self.since:%B}"}.get(self.name, "")


def span_of(name: str, on: date) -> Span:
    """The span of that name that holds a day; a day for any other name."""
    if name == "week":
        first = on - timedelta(days=on.weekday())
        return Span(name=name, since=first, until=first + 6 * _DAY)
    if name == "month":
        first = on.replace(day=1)
        return Span(name=name, since=first, until=(first + 31 * _DAY).replace(day=1) - _DAY)
    if name == "trending":
        return Span(name=name, since=on - TRENDING + _DAY, until=on)
    return Span(name="day", since=on, until=on)


def beside(span: Span, *, first: date, last: date) -> tuple[Span | None, Span | None]:
    """The weeks or months before and after, as far as the archive goes."""
    if span.name not in {"week", "month"}:
        return None, None
    before = span_of(span.name, span.since - _DAY) if span.since > first else None
    after = span_of(span.name, span.until + _DAY) if span.until < last else None
    return before, after
