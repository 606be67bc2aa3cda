"""Numbers, ages and dates as a reader says them: functions of their arguments, no clock, no locale."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_EVIDENCE = {
    "hf_auto": "found by Hugging Face itself",
    "abstract": "link from the authors’ abstract",
    "comment": "link from the authors’ comment on arXiv",
    "hf": "link from Hugging Face",
    "project_page": "link from the project page",
    "readme": "its README names the paper",
    "feed": "link from the feed",
    "in_passing": "named in passing",
}
_SCHEMES = {
    "arxiv": "arXiv", "doi": "DOI", "openreview": "OpenReview", "pmid": "PubMed", "pmcid": "PMC",
    "s2": "Semantic Scholar",
}  # fmt: skip

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?")


def zone(name: str) -> tzinfo:
    """The time zone of that name; UTC when there is none, so that an edition always goes out."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, not a name, a folder or a name too long for the disk
        return UTC


def zone_name(name: str) -> str:
    """`name` when it is a time zone, else `UTC`."""
    return "UTC" if zone(name) is UTC else name


def local_date(at: datetime, timezone: str) -> date:
    """The reader's date at that moment."""
    return at.astimezone(zone(timezone)).date()


def span(since: datetime, now: datetime) -> str:
    """How long from `since` to `now`: `40 min`, `3 h`, `2 days`, `5 months`, `2 years`, or `moments`."""
    minutes = int((now - since).total_seconds() // 60)
    if minutes < 1:
        return "moments"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h"
    days = hours // 24
    if days < 60:
        return f"{days} days"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"


def age(since: datetime, now: datetime) -> str:
    """`3 h ago`; `just now` below a minute and for times to come, which are somebody's wrong clock."""
    length = span(since, now)
    return "just now" if length == "moments" else f"{length} ago"


def count(number: int) -> str:
    """A count in at most four characters: `412`, `1.2k`, `12k`, `3.4M`. Cut, never rounded up."""
    if number < 0:
        return f"−{count(-number)}"
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            tenths = number * 10 // size
            return f"{tenths // 10}.{tenths % 10}{unit}" if tenths < 100 and tenths % 10 else f"{tenths // 10}{unit}"
    return str(number)


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 model`, `2 models`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def day(on: date, *, today: date | None = None) -> str:
    """`Tue 24 Nov`, with the year when it is not that of `today`."""
    short = f"{_DAYS[on.weekday()][:3]} {on.day} {_MONTHS[on.month - 1][:3]}"
    return short if today is None or today.year == on.year else f"{short} {on.year}"


def long_day(on: date) -> str:
    """`Tuesday, 24 November 2026`."""
    return f"{_DAYS[on.weekday()]}, {on.day} {_MONTHS[on.month - 1]} {on.year}"


def people(names: tuple[str, ...], total: int, *, all_named: bool = True) -> str:
    """The first two authors, the last and how many: `Ada Rossi, Bo Chen, … Kenji Ito (6)`.

    Where not `all_named` (a source gives a number and some names) no last author is claimed.
    """
    if not names:
        return plural(total, "author") if total else ""
    if total <= 3 and len(names) == total:
        return ", ".join(names)
    first = ", ".join(names[:2])
    return f"{first}, … {names[-1]} ({total})" if all_named and len(names) > 2 else f"{first}, … ({total})"


def evidence(kind: str | None) -> str:
    """Where a repository's link was seen, in words; empty when that is not known."""
    return _EVIDENCE.get(kind or "", "")


def identifier(key: str, version: int | None) -> str:
    """A key as readers write it: `arXiv 2611.01234v1`, `DOI 10.1000/x`; empty for URLs and titles."""
    scheme, _, value = key.partition(":")
    if scheme not in _SCHEMES or not value:
        return ""
    suffix = f"v{version}" if version is not None and scheme == "arxiv" else ""
    return f"{_SCHEMES[scheme]} {value}{suffix}"


def answer(code: str | None, detail: str | None) -> str:
    """What a channel answered, its code once."""
    told = code and re.search(rf"(?<![\w.]){re.escape(code)}(?![\w]|\.\d)", detail or "")
    return " ".join(part for part in ("" if told else code, detail) if part)


def run_state(state: str) -> str:
    """The state of a run, or the outcome of a try, as it is told to people."""
    return "given up" if state == "dead" else state


def moments(text: str) -> str:
    """A text with its moments to the minute: `lab 2026-11-24T08:00:31.52Z` is `lab 2026-11-24 08:00`."""
    return _MOMENT.sub(r"\1 \2", text)
