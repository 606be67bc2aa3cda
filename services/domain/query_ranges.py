"""Ranges: numbers and days in a query, open and closed, as terms."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from luqum.tree import From, Item, Phrase, Prohibit, Range, To, Word

from services.domain.query_syntax import Prepared, QueryError, unescaped
from services.domain.query_terms import DateTerm, NumberTerm
from services.domain.text import clean

_DAY = timedelta(days=1)
_DATE = re.compile(r"((?:19|20|21)[0-9]{2})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_RELATIVE = re.compile(r"(?:now|today)(?:([-+])([0-9]{1,4})([dwmy]))?", re.I)


def number_term(prepared: Prepared, item: Item, field: str) -> NumberTerm:
    """The term for `100`, `>=100`, `[10 TO *]`, `{10 TO 20]`. Raises `QueryError` for what is no number."""
    low: int | None
    high: int | None
    match item:
        case Range():
            low, high = _whole(prepared, item.low), _whole(prepared, item.high)
            low = low + 1 if low is not None and not item.include_low else low
            high = high - 1 if high is not None and not item.include_high else high
        case From():
            low, high = _whole(prepared, item.a), None
            low = low + 1 if low is not None and not item.include else low
        case To():
            low, high = None, _whole(prepared, item.a)
            high = high - 1 if high is not None and not item.include else high
        case _:
            low = high = _whole(prepared, item)
    if low is not None and high is not None and low > high:
        raise _empty_range(prepared, item)
    return NumberTerm(field, low, high)


def _whole(prepared: Prepared, item: Item) -> int | None:
    negative = isinstance(item, Prohibit)
    inner = item.a if negative else item
    text = _bound(inner)
    if text == "*":
        return None
    digits = re.sub(r"[,_]", "", text)
    if not re.fullmatch(r"-?[0-9]{1,12}", digits):
        raise prepared.error(
            inner.pos,
            f"{clean(text, limit=40)!r} is no whole number",
            "Write a number: stars:100, stars:>=100, stars:[10 TO *].",
        )
    return -int(digits) if negative else int(digits)


def date_term(prepared: Prepared, item: Item, field: str, today: date) -> DateTerm:
    """The term for `2026-11`, `>2026-10`, `[2026-11-01 TO *]`, `>=now-7d`; months and years are ranges themselves.

    Raises `QueryError` for what is no day, month or year.
    """
    low: date | None
    high: date | None
    match item:
        case Range():
            start, end = _days(prepared, item.low, today), _days(prepared, item.high, today)
            low = start and (start[0] if item.include_low else start[1] + _DAY)
            high = end and (end[1] if item.include_high else end[0] - _DAY)
        case From():
            start = _days(prepared, item.a, today)
            low, high = start and (start[0] if item.include else start[1] + _DAY), None
        case To():
            end = _days(prepared, item.a, today)
            low, high = None, end and (end[1] if item.include else end[0] - _DAY)
        case _:
            both = _days(prepared, item, today)
            low, high = both or (None, None)
    if low is not None and high is not None and low > high:
        raise _empty_range(prepared, item)
    return DateTerm(field, low, high)


def _days(prepared: Prepared, item: Item, today: date) -> tuple[date, date] | None:
    """The first and last day of a day, month or year; `None` for `*`."""
    text = _bound(item)
    if text == "*":
        return None
    found, relative = _DATE.fullmatch(text), _RELATIVE.fullmatch(text)
    try:
        if relative is not None:
            day = _moved(today, relative)
            return day, day
        if found is None:
            raise ValueError(text)
        year, month = int(found[1]), int(found[2] or 1)
        first = date(year, month, int(found[3] or 1))
    except (ValueError, OverflowError):
        raise prepared.error(
            item.pos,
            f"{clean(text, limit=40)!r} is no day, month or year",
            "Write 2026-11-24, 2026-11 or 2026, or as far back as now-7d (d, w, m, y: days, weeks, months, years); "
            "a range as [2026-11-01 TO 2026-11-15] or >=now-2w.",
        ) from None
    if found[3]:
        return first, first
    last_month = month if found[2] else 12
    return first, date(year, last_month, calendar.monthrange(year, last_month)[1])


def _moved(today: date, relative: re.Match[str]) -> date:
    """The day `now-7d` stands for. Where a month has no such day, its last one: a month before 31 March, 28 February.

    Raises `ValueError` or `OverflowError` for a day outside the calendar.
    """
    number = int(relative[2] or 0) * (-1 if relative[1] == "-" else 1)
    unit = (relative[3] or "d").lower()
    if unit in "dw":
        return today + _DAY * number * (7 if unit == "w" else 1)
    months = today.year * 12 + today.month - 1 + number * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))


def _bound(item: Item) -> str:
    return unescaped(item.value)[0].strip('"').removeprefix("=") if isinstance(item, Word | Phrase) else str(item)


def _empty_range(prepared: Prepared, item: Item) -> QueryError:
    return prepared.error(item.pos, "nothing lies in this range", "Put the smaller end first.")
