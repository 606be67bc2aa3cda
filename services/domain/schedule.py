"""Schedule: when an edition is due, when a feed is asked again, and on which days arXiv announces.

Editions keep the reader's wall clock through changes of daylight saving time. Feeds keep to slots: points of
a grid counted from 1970-01-01T00:00Z, so that any number of schedulers agree on them without talking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from services.domain.errors import InvalidInput

CADENCES = ("instant", "daily", "weekdays", "weekly", "monthly")
INSTANT = timedelta(minutes=5)
"""Alerts are gathered for this long."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def parse_timezone(name: str) -> ZoneInfo:
    """The IANA time zone `name` (`Europe/Berlin`). Raises `InvalidInput` when there is no such zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        meant = next((zone for zone in sorted(available_timezones()) if _city(zone) == _city(name)), "")
        advice = f"did you mean {meant}?" if meant else "use a name like Europe/Berlin or UTC"
        raise InvalidInput(f"there is no time zone {name[:60]!r}; {advice}") from None


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].replace(" ", "_").casefold()


def parse_at(at: str) -> time:
    """The time of day `HH:MM`, 00:00 to 23:59. Raises `InvalidInput` for anything else."""
    if not re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", at):
        raise InvalidInput(f"{at[:40]!r} is no time of day; use HH:MM, from 00:00 to 23:59")
    return time(int(at[:2]), int(at[3:]))


# --- editions --------------------------------------------------------------------------------------------


def next_edition_at(*, cadence: str, at: str, timezone: str, after: datetime) -> datetime:
    """When the next edition is due, in UTC and later than `after`.

    `daily`, `weekdays` (Monday to Friday), `weekly` (Monday) and `monthly` (the 1st) at `at` by the clocks of
    `timezone`, once for each such date. `instant` ignores both and gives the next point of the five-minute
    grid. Raises `InvalidInput` for an unknown cadence, time or zone.
    """
    wall, zone = parse_at(at), parse_timezone(timezone)
    if cadence == "instant":
        return slot_of(after + INSTANT, INSTANT)
    for day in _dates(cadence, after.astimezone(zone).date()):
        due_at = local_moment(day, wall, zone)
        if due_at is not None and due_at > after:
            return due_at
    raise InvalidInput(f"there is no {cadence} edition after {after.isoformat()}")


def _dates(cadence: str, first: date) -> Iterator[date]:
    days = (first + _DAY * number for number in range(100))
    match cadence:
        case "daily":
            return days
        case "weekdays":
            return (day for day in days if day.weekday() < 5)
        case "weekly":
            return (day for day in days if day.weekday() == 0)
        case "monthly":
            return (day for day in days if day.day == 1)
    raise InvalidInput(f"there is no cadence {cadence[:40]!r}; use one of {', '.join(CADENCES)}")


def local_moment(day: date, wall: time, zone: ZoneInfo) -> datetime | None:
    """The moment (UTC) at which clocks in `zone` show `wall` on `day`; each date has its own, and one only.

    A time that occurs twice (clocks set back) means the first. A time that is skipped means the first moment
    after the gap; where that lies on the next date already (Nuuk skips 23:00 to 24:00), the last minute
    before the gap, so that two dates never share a moment. `None` for a date that a zone left out (Samoa,
    2011-12-30).
    """
    local = datetime.combine(day, wall, zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # In a gap fold=0 reads the clock with the offset before it, fold=1 with the one after: the two readings
    # lie on either side of the change.
    change = _change_between(local.replace(fold=1).astimezone(UTC), moment, zone)
    for candidate in (change, change - timedelta(minutes=1)):
        if candidate.astimezone(zone).date() == day:
            return candidate
    return None


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the zone's offset changes, in (before, after]."""
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


def period_of(cadence: str, due_at: datetime, timezone: str) -> str:
    """An edition's name: its local date (`2026-11-24`), for `instant` its UTC slot (`2026-11-24T08:05Z`)."""
    if cadence not in CADENCES:
        raise InvalidInput(f"there is no cadence {cadence[:40]!r}; use one of {', '.join(CADENCES)}")
    if cadence == "instant":
        return slot_of(due_at, INSTANT).strftime("%Y-%m-%dT%H:%MZ")
    return due_at.astimezone(parse_timezone(timezone)).date().isoformat()


LONG = timedelta(days=4)
"""Papers of a time that long are not compared by how fresh they are."""
LONGEST_GAP = timedelta(days=92)
"""An edition looks back no further, however long nothing was sent."""


def is_catch_up(cadence: str, span: timedelta) -> bool:
    """Whether an edition that covers `span` makes up for some not sent: after a pause, or when we were down."""
    usual = {"weekdays": 3 * _DAY, "monthly": 31 * _DAY}.get(cadence) or max(period_length(cadence), _DAY)
    return span >= 2 * usual


def period_length(cadence: str) -> timedelta:
    """The shortest time from one edition to the next, daylight saving left out of account."""
    lengths = {"instant": INSTANT, "daily": _DAY, "weekdays": _DAY, "weekly": 7 * _DAY, "monthly": 28 * _DAY}
    if cadence not in lengths:
        raise InvalidInput(f"there is no cadence {cadence[:40]!r}; use one of {', '.join(CADENCES)}")
    return lengths[cadence]


# --- feeds -----------------------------------------------------------------------------------------------

MAX_BACKOFF = timedelta(hours=24)
MAX_WAIT = timedelta(days=7)
"""No answer of theirs keeps us away for longer: a `Retry-After` of ten years is a mistake, or a trick."""
FIRST_BACKOFF = timedelta(minutes=15)
MAX_JITTER = timedelta(minutes=5)


def slot_of(now: datetime, every: timedelta) -> datetime:
    """The point of the grid at or before `now`, in UTC. Raises `InvalidInput` unless `every` is positive."""
    if every <= timedelta(0):
        raise InvalidInput("slots must be longer than nothing")
    return _EPOCH + (now - _EPOCH) // every * every


def next_check_at(
    *,
    now: datetime,
    last_slot: datetime,
    interval: timedelta,
    failures: int,
    retry_after: timedelta | None,
    max_age: timedelta | None,
    jitter: float,
) -> datetime:
    """When a feed is asked again.

    After a success: the first slot that is later than the one of `last_slot` and than now, and not before what
    the answer allowed (`max_age`, `retry_after`, each up to `MAX_WAIT`). `last_slot` is the slot just served or
    any time within it, jitter included, so neither late runs nor jitter move the grid.

    After `failures` in a row: 15 minutes (or `interval`, if shorter), doubled by each further failure up to
    24 hours, and never given up; `max_age` and `retry_after` hold as well.

    `jitter` (0 to 1, drawn by the caller) spreads feeds over up to a tenth of the wait, at most 5 minutes.
    Raises `InvalidInput` unless `interval` is positive.
    """
    if interval <= timedelta(0):
        raise InvalidInput("a feed's interval must be longer than nothing")
    zero = timedelta(0)
    pause = max(zero, min(retry_after or zero, MAX_WAIT), min(max_age or zero, MAX_WAIT))
    if failures > 0:
        wait = min(min(interval, FIRST_BACKOFF) * (1 << min(failures - 1, 20)), MAX_BACKOFF)
        due_at = now + max(wait, pause)
    else:
        wait, earliest = interval, now + pause
        due_at = max(slot_of(last_slot, interval) + interval, slot_of(earliest, interval))
        while due_at <= now or due_at < earliest:
            due_at += interval
    return due_at + min(max(jitter, 0.0), 1.0) * min(wait / 10, MAX_JITTER)


def why_next(
    *, now: datetime, next_at: datetime, asked_at: datetime | None, interval: timedelta, fixed: bool, own: bool,
    failures: int, sooner_for: str = "",
) -> str:  # fmt: skip
    """Why a feed is asked again at `next_at` and not at another time, for people.

    `interval` is what `next_check_at` was given; `own`: it is the feed's own rhythm, `fixed`: somebody chose it.
    `sooner_for` names the batch that is looked at again before that.
    """
    if next_at <= now:
        return "it is due: the schedule takes it with its next tick"
    if sooner_for:
        return f"{sooner_for} is not complete: it is looked at again, sooner than usual"
    if failures:
        times = "once" if failures == 1 else f"{failures} times in a row"
        return f"it has failed {times}: it is asked ever more seldom, but at least once a day"
    if asked_at is not None and next_at > asked_at + interval + MAX_JITTER:
        return "the last answer said that it keeps until then"
    return "as often as somebody chose" if fixed else "by its own rhythm" if own else "at its usual interval"


def own_interval(interval: timedelta, *, per_week: float | None, ttl: timedelta | None, fixed: bool) -> timedelta:
    """How often to ask a feed that shows only what is on it now, by its own rhythm.

    `per_week` is how many entries a week it brought lately (`None`: too young to tell): it is asked four times for
    each entry, on average, but not more often than four times its `interval` and not more seldom than a fourth of
    it. `ttl`, the feed's own wish, holds within the same bounds. An interval that somebody chose (`fixed`) stays.
    """
    if fixed or (per_week is None and ttl is None):
        return interval
    wished = interval
    if per_week is not None:
        wished = timedelta(days=7) / (4 * max(per_week, 0.01))
    wished = max(wished, ttl or wished)
    wished = max(interval / 4, min(wished, interval * 4))
    return max(timedelta(minutes=max(1, round(wished / timedelta(minutes=1)))), timedelta(minutes=1))


def periods(view: str, days: Sequence[date]) -> list[str]:
    """The batches that cover `days`, oldest first, for a source that lists by `view`: days (`2026-11-24`), weeks
    (`2026-W48`), months (`2026-11`); any other view has one list only, the empty batch."""
    forms = {"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m"}
    if view not in forms:
        return [""]
    return list(dict.fromkeys(day.strftime(forms[view]) for day in days))


def days_due(*, today: date, complete_until: date | None, history_days: int, backfill_days: int) -> list[date]:
    """Which days to ask a source that lists by day for, oldest first.

    Always yesterday and today, which may still grow. Beyond them, every day since `complete_until` (the last
    day known to be complete), but none more than `backfill_days` ago; on the first fetch (`None`) the
    `history_days` before today.
    """
    yesterday = today - _DAY
    if complete_until is None:
        first = today - _DAY * max(history_days, 0)
    else:
        first = max(min(complete_until, today) + _DAY, today - _DAY * max(backfill_days, 0))
    first = min(first, yesterday)
    return [first + _DAY * number for number in range((today - first).days + 1)]


# --- arXiv -----------------------------------------------------------------------------------------------

ARXIV_HOLIDAYS = frozenset(
    date(2026, month, day)
    for month, day in ((1, 1), (1, 19), (6, 19), (7, 3), (9, 7), (11, 26), (12, 25), (12, 29), (12, 31))
)
"""Days on which arXiv closes no batch (info.arxiv.org/help/availability); it names them a year at a time."""


def expected_quiet(day: date) -> bool:
    """Whether arXiv's lists are rightly empty on `day`, the date they carry (US Eastern, from midnight).

    A batch is closed at 14:00 Eastern from Monday to Friday and announced at 20:00: Monday's to Thursday's
    the same evening, Friday's on Sunday evening. Lists carry the date of the following morning, Monday to
    Friday. A holiday closes no batch, so the list after it is missing: Thanksgiving Thursday empties
    Friday's, a Friday holiday empties Monday's. Years whose holidays are not known here have weekends only.
    """
    if day.weekday() >= 5:
        return True
    closed_on = day - (3 * _DAY if day.weekday() == 0 else _DAY)
    return closed_on in ARXIV_HOLIDAYS


_CLOSING = time(14, 0)
_EASTERN = ZoneInfo("America/New_York")


def submission_window(day: date) -> tuple[datetime, datetime]:
    """The submissions (UTC, from and until) that arXiv's list dated `day` is made of.

    Batches are closed at 14:00 Eastern; the list's batch is the one closed last before it, and begins where the one
    before that was closed. Raises `InvalidInput` for a day whose list is empty.
    """
    if expected_quiet(day):
        raise InvalidInput(f"arXiv announces nothing on {day}")
    until = _closed_before(day)
    return _closing_moment(_closed_before(until)), _closing_moment(until)


def _closed_before(day: date) -> date:
    closed_on = day - _DAY
    while closed_on.weekday() >= 5 or closed_on in ARXIV_HOLIDAYS:
        closed_on -= _DAY
    return closed_on


def _closing_moment(day: date) -> datetime:
    return datetime.combine(day, _CLOSING, _EASTERN).astimezone(UTC)


def arxiv_day(moment: datetime) -> date:
    """The date arXiv's lists carry at a moment: they begin at midnight in New York."""
    return moment.astimezone(_EASTERN).date()


def announcement_days(start: date, end: date) -> list[date]:
    """The dates from `start` to `end`, both included, whose lists arXiv fills (see `expected_quiet`)."""
    days = (start + _DAY * number for number in range((end - start).days + 1))
    return [day for day in days if not expected_quiet(day)]
