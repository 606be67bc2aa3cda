"""Dates as a listing writes them: without the year where it is the current one.

The page says `Mar 26` for this year and `Nov 18, 2024` for others. Which year "this" was, a saved page does
not say; `Calendar` works it out from what is written and what is known of the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.domain.feeds import DocumentInfo

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        1,
    )
    for name in names
}
_MONTH = r"(?P<month>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d{2})"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+)?"
_SHAPES = (
    re.compile(rf"{_WEEKDAY}{_MONTH}\s+{_DAY}(?:,?\s+{_YEAR})?", re.I),
    re.compile(rf"{_WEEKDAY}{_DAY}\s+{_MONTH}(?:,?\s+{_YEAR})?", re.I),
    re.compile(r"(?P<year>(?:19|20)\d{2})-(?P<month>\d{2})-(?P<day>\d{2})"),
)
_FIRST_YEAR = 1990
"""Before arXiv there is nothing to list."""


@dataclass(frozen=True, slots=True)
class WrittenDate:
    """A day as written; `year` only where it is."""

    month: int
    day: int
    year: int | None = None


def read_date(text: str) -> WrittenDate | None:
    """The date that `text` is as a whole: `Nov 21`, `Dec 10, 2024`, `21 November 2025`, `2025-11-21`."""
    for shape in _SHAPES:
        found = shape.fullmatch(text.strip())
        if found is None:
            continue
        name = found["month"].lower()
        month = int(name) if name.isdecimal() else _MONTHS.get(name, 0)
        day, year = int(found["day"]), int(found["year"]) if found["year"] else None
        # Day 29 of February is left to the calendar: without a year it may be right.
        if _valid(year or 2000, month, day) is None or (year is not None and year < _FIRST_YEAR):
            return None
        return WrittenDate(month, day, year)
    return None


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Gives written dates their year: `year` is the one the page leaves out, `latest` the last day it speaks
    of.
    """

    year: int
    latest: date

    def resolve(self, written: WrittenDate) -> date | None:
        """The day meant. One later than the page itself belongs to the year before; `None` for no such day."""
        if written.year is not None:
            return _valid(written.year, written.month, written.day)
        for year in range(self.year, self.year - 5, -1):  # five years hold a leap day
            day = _valid(year, written.month, written.day)
            if day is not None and day <= self.latest:
                return day
        return None


def make_calendar(dates: Iterable[WrittenDate], page_day: WrittenDate | None, about: DocumentInfo) -> Calendar:
    """The calendar of one page: `dates` are those of its entries, `page_day` the one in its heading.

    The year left out is that of `about.as_of` (or of the batch, a day), else that of a heading with year,
    else the one after the newest year written out among the entries, else that of `about.fetched_at`; and
    never one that lies ahead of `fetched_at`.
    """
    fetched = about.fetched_at.astimezone(UTC).date()
    as_of = about.as_of or _batch_day(about.batch)
    if as_of is not None:
        year, latest = as_of.year, as_of
    elif page_day is not None and page_day.year is not None:
        year, latest = page_day.year, _valid(page_day.year, page_day.month, page_day.day) or fetched
    else:
        written = [one.year for one in dates if one.year is not None and one.year <= fetched.year]
        year = min(max(written) + 1, fetched.year) if written else fetched.year
        # The page may have been saved a time zone ahead of us.
        latest = min(date(year, 12, 31), fetched + timedelta(days=1))
    calendar = Calendar(year, latest)
    shown = calendar.resolve(page_day) if page_day is not None else None
    # What the heading says is the page's own day: its entries are not from later, and it sets their year.
    return Calendar(shown.year, shown) if shown is not None else calendar


def _batch_day(batch: str) -> date | None:
    try:
        return date.fromisoformat(batch) if len(batch) == 10 else None
    except ValueError:
        return None


def midnight(day: date | None) -> datetime | None:
    """A day as the aware moment it begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
