"""When things are due."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidInput
from services.domain.schedule import (
    ARXIV_HOLIDAYS,
    CADENCES,
    MAX_BACKOFF,
    MAX_WAIT,
    announcement_days,
    arxiv_day,
    days_due,
    expected_quiet,
    local_moment,
    next_check_at,
    next_edition_at,
    own_interval,
    parse_timezone,
    period_length,
    period_of,
    periods,
    slot_of,
    submission_window,
    why_next,
)

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # changes at midnight
    "America/Nuuk",  # skips the last hour of a Saturday
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",  # half an hour of daylight saving time
    "Africa/Casablanca",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Antarctica/Troll",  # two hours
)
DATED = ("daily", "weekdays", "weekly", "monthly")

walls = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
moments = st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(ZONES)


@pytest.mark.parametrize(
    ("name", "advice"),
    [("Berlin", "did you mean Europe/Berlin"), ("new york", "did you mean America/New_York"), ("Mars", "a name like")],
)
def test_a_time_zone_that_is_none_is_refused_with_the_one_that_was_meant(name: str, advice: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(advice)):
        parse_timezone(name)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wanted(cadence: str, day: date) -> bool:
    return {
        "daily": True,
        "weekdays": day.weekday() < 5,
        "weekly": day.weekday() == 0,
        "monthly": day.day == 1,
    }[cadence]


def editions(cadence: str, at: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    found = [next_edition_at(cadence=cadence, at=at, timezone=zone, after=start)]
    while found[-1] < end:
        found.append(next_edition_at(cadence=cadence, at=at, timezone=zone, after=found[-1]))
    return found


# --- editions ---------------------------------------------------------------------------------------------


@given(st.sampled_from(DATED), walls, zones, moments)
def test_the_next_edition_is_later_on_a_wanted_date_at_the_wall_clock_s_time(
    cadence: str, at: str, zone: str, after: datetime
) -> None:
    due_at = next_edition_at(cadence=cadence, at=at, timezone=zone, after=after)
    local = due_at.astimezone(ZoneInfo(zone))
    assert due_at > after
    assert due_at.tzinfo is UTC
    assert wanted(cadence, local.date())
    if local.strftime("%H:%M") != at:  # only where that time does not exist
        wall = datetime.combine(local.date(), time.fromisoformat(at), ZoneInfo(zone))
        assert wall.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall.replace(tzinfo=None)


@given(st.sampled_from(DATED), walls, zones, moments)
def test_nothing_wanted_lies_between_now_and_the_next_edition(
    cadence: str, at: str, zone: str, after: datetime
) -> None:
    due_at = next_edition_at(cadence=cadence, at=at, timezone=zone, after=after)
    just_before = due_at - timedelta(seconds=1)
    assert next_edition_at(cadence=cadence, at=at, timezone=zone, after=max(after, just_before)) == due_at
    middle = after + (due_at - after) / 2
    assert next_edition_at(cadence=cadence, at=at, timezone=zone, after=middle) == due_at


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["00:00", "00:30", "01:30", "02:30", "08:00", "23:30"])
def test_every_local_date_of_two_years_has_exactly_one_daily_edition(zone: str, at: str) -> None:
    due = editions("daily", at, zone, utc("2027-01-01T12:00"), utc("2029-01-05T12:00"))
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in due]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    assert date(2028, 2, 29) in days
    assert len(due) >= 730
    periods = [period_of("daily", moment, zone) for moment in due]
    assert periods == [day.isoformat() for day in days]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cadence", ["weekdays", "weekly", "monthly"])
def test_no_wanted_date_is_skipped_or_doubled(cadence: str, zone: str) -> None:
    due = editions(cadence, "02:30", zone, utc("2027-01-02T12:00"), utc("2029-01-05T12:00"))
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in due]
    span = (days[-1] - days[0]).days + 1
    assert days == [day for day in (days[0] + timedelta(n) for n in range(span)) if wanted(cadence, day)]


@pytest.mark.parametrize(
    ("zone", "at", "after", "due_at"),
    [
        # Clocks go from 02:00 to 03:00: 02:30 is missing, 03:00 is the first moment after.
        ("Europe/Berlin", "02:30", "2027-03-27T12:00", "2027-03-28T01:00"),
        ("America/New_York", "02:30", "2027-03-13T12:00", "2027-03-14T07:00"),
        # Midnight itself is missing.
        ("America/Havana", "00:15", "2027-03-13T12:00", "2027-03-14T05:00"),
        # Half an hour is missing.
        ("Australia/Lord_Howe", "02:15", "2027-10-02T00:00", "2027-10-02T15:30"),
        # The gap ends on the next date: the last minute before it, so that Sunday keeps its own.
        ("America/Nuuk", "23:30", "2027-03-27T12:00", "2027-03-28T00:59"),
        ("America/Nuuk", "23:30", "2027-03-28T02:00", "2027-03-29T00:30"),
        # 02:30 comes twice: the first.
        ("Europe/Berlin", "02:30", "2027-10-30T12:00", "2027-10-31T00:30"),
        ("Europe/Berlin", "02:30", "2027-10-31T00:30", "2027-11-01T01:30"),
        # Ordinary days on both sides of the change keep the wall clock.
        ("Europe/Berlin", "08:00", "2027-03-27T12:00", "2027-03-28T06:00"),
        ("Europe/Berlin", "08:00", "2027-03-26T12:00", "2027-03-27T07:00"),
        # Exactly at the due time the next one is meant.
        ("UTC", "08:00", "2027-03-27T08:00", "2027-03-28T08:00"),
        ("UTC", "08:00", "2027-03-27T07:59:59", "2027-03-27T08:00"),
    ],
)
def test_changes_of_daylight_saving_time(zone: str, at: str, after: str, due_at: str) -> None:
    assert next_edition_at(cadence="daily", at=at, timezone=zone, after=utc(after)) == utc(due_at)


def test_a_date_that_a_zone_left_out_has_no_moment() -> None:
    samoa = ZoneInfo("Pacific/Apia")
    assert local_moment(date(2011, 12, 30), time(8), samoa) is None
    due = editions("daily", "08:00", "Pacific/Apia", utc("2011-12-29T00:00"), utc("2012-01-01T00:00"))
    assert [period_of("daily", moment, "Pacific/Apia") for moment in due][:3] == [
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ]


def test_weekly_is_monday_and_monthly_the_first() -> None:
    after = utc("2026-11-24T12:00")  # a Tuesday
    assert next_edition_at(cadence="weekly", at="08:00", timezone="UTC", after=after) == utc("2026-11-30T08:00")
    assert next_edition_at(cadence="monthly", at="08:00", timezone="UTC", after=after) == utc("2026-12-01T08:00")
    friday = utc("2026-11-27T12:00")
    assert next_edition_at(cadence="weekdays", at="08:00", timezone="UTC", after=friday) == utc("2026-11-30T08:00")


@given(moments, zones)
def test_alerts_are_due_on_the_next_point_of_the_five_minute_grid(after: datetime, zone: str) -> None:
    due_at = next_edition_at(cadence="instant", at="08:00", timezone=zone, after=after)
    assert timedelta(0) < due_at - after <= timedelta(minutes=5)
    assert due_at.minute % 5 == due_at.second == due_at.microsecond == 0
    assert period_of("instant", due_at, zone) == due_at.strftime("%Y-%m-%dT%H:%MZ")


def test_periods_are_named_by_the_reader_s_date() -> None:
    due_at = utc("2026-11-24T23:30")
    assert period_of("daily", due_at, "Asia/Tokyo") == "2026-11-25"
    assert period_of("daily", due_at, "America/New_York") == "2026-11-24"
    assert period_of("instant", utc("2026-11-24T08:07:31"), "Asia/Tokyo") == "2026-11-24T08:05Z"


@given(st.sampled_from(DATED), zones, moments)
def test_two_editions_are_never_nearer_than_the_period_but_for_daylight_saving(
    cadence: str, zone: str, after: datetime
) -> None:
    first = next_edition_at(cadence=cadence, at="08:00", timezone=zone, after=after)
    second = next_edition_at(cadence=cadence, at="08:00", timezone=zone, after=first)
    assert second - first >= period_length(cadence) - timedelta(hours=2)


@pytest.mark.parametrize(
    ("cadence", "at", "timezone"),
    [
        ("hourly", "08:00", "UTC"),
        ("daily", "8:00", "UTC"),
        ("daily", "24:00", "UTC"),
        ("daily", "08:60", "UTC"),
        ("daily", "08:00\n", "UTC"),
        ("daily", "٠٨:٠٠", "UTC"),
        ("daily", "08:00", "Mars/Olympus"),
        ("daily", "08:00", "../../etc/passwd"),
        ("daily", "08:00", "Europe"),
        ("daily", "08:00", "a\x00b"),
        ("daily", "08:00", ""),
    ],
)
def test_what_cannot_be_scheduled_is_refused(cadence: str, at: str, timezone: str) -> None:
    with pytest.raises(InvalidInput):
        next_edition_at(cadence=cadence, at=at, timezone=timezone, after=utc("2026-11-24T00:00"))


def test_an_unknown_cadence_has_no_period() -> None:
    for refuse in (lambda: period_of("hourly", utc("2026-11-24T00:00"), "UTC"), lambda: period_length("hourly")):
        with pytest.raises(InvalidInput, match="hourly"):
            refuse()
    assert all(period_length(cadence) > timedelta(0) for cadence in CADENCES)


# --- feeds ------------------------------------------------------------------------------------------------

intervals = st.sampled_from([timedelta(minutes=m) for m in (1, 5, 15, 60, 360, 1_440, 10_080)])


@given(moments, intervals)
def test_a_slot_is_the_last_point_of_the_grid(now: datetime, every: timedelta) -> None:
    slot = slot_of(now, every)
    assert slot <= now < slot + every
    assert slot_of(slot, every) == slot
    assert (slot - datetime(1970, 1, 1, tzinfo=UTC)) % every == timedelta(0)
    assert slot_of(now.astimezone(ZoneInfo("Asia/Tokyo")), every) == slot


def test_slots_need_a_length() -> None:
    with pytest.raises(InvalidInput):
        slot_of(utc("2026-11-24T00:00"), timedelta(0))


def check(now: datetime, last_slot: datetime, interval: timedelta, **more: object) -> datetime:
    given_: dict[str, object] = {"failures": 0, "retry_after": None, "max_age": None, "jitter": 0.0} | more
    return next_check_at(now=now, last_slot=last_slot, interval=interval, **given_)  # type: ignore[arg-type]


@given(
    moments,
    intervals,
    st.timedeltas(timedelta(0), timedelta(days=40)),
    st.one_of(st.none(), st.timedeltas(timedelta(0), MAX_WAIT)),
    st.one_of(st.none(), st.timedeltas(timedelta(0), MAX_WAIT)),
    st.integers(0, 50),
    st.floats(0, 1),
)
def test_a_feed_is_never_asked_before_it_may_be_and_always_asked_again(
    now: datetime,
    interval: timedelta,
    late: timedelta,
    retry_after: timedelta | None,
    max_age: timedelta | None,
    failures: int,
    jitter: float,
) -> None:
    last_slot = slot_of(now - late, interval)
    due_at = check(now, last_slot, interval, failures=failures, retry_after=retry_after, max_age=max_age, jitter=jitter)
    earliest = now + max(retry_after or timedelta(0), max_age or timedelta(0))
    assert due_at > now
    assert due_at >= earliest
    assert due_at <= max(earliest, now + MAX_BACKOFF) + interval + timedelta(minutes=5)


@given(moments, intervals, st.floats(0, 1))
def test_late_runs_and_jitter_do_not_move_the_grid(start: datetime, interval: timedelta, jitter: float) -> None:
    first = due_at = slot_of(start, interval)
    for turn in range(1, 20):
        due_at = check(due_at + interval * 0.3, due_at, interval, jitter=jitter)
        assert slot_of(due_at, interval) == first + turn * interval
        assert due_at - slot_of(due_at, interval) <= timedelta(minutes=5)


def test_missed_slots_are_not_made_up_for() -> None:
    last = utc("2026-11-24T06:00")
    assert check(utc("2026-11-24T09:10"), last, timedelta(hours=1)) == utc("2026-11-24T10:00")
    assert check(utc("2026-11-24T09:00"), last, timedelta(hours=1)) == utc("2026-11-24T10:00")


def test_failures_double_the_wait_up_to_a_day_and_never_end_it() -> None:
    now = utc("2026-11-24T06:00")
    waits = [check(now, now, timedelta(hours=1), failures=n) - now for n in (1, 2, 3, 4, 7, 8, 9, 10_000)]
    assert waits == [timedelta(minutes=m) for m in (15, 30, 60, 120, 960, 1_440, 1_440, 1_440)]
    assert check(now, now, timedelta(minutes=5), failures=1) - now == timedelta(minutes=5)


@given(st.integers(1, 200), intervals, moments)
def test_more_failures_never_mean_a_shorter_wait(failures: int, interval: timedelta, now: datetime) -> None:
    assert check(now, now, interval, failures=failures + 1) >= check(now, now, interval, failures=failures)


def test_what_they_ask_for_is_honoured_but_not_for_ever() -> None:
    now = utc("2026-11-24T06:10")
    hour = timedelta(hours=1)
    assert check(now, utc("2026-11-24T06:00"), hour, max_age=timedelta(hours=3)) == utc("2026-11-24T10:00")
    assert check(now, utc("2026-11-24T06:00"), hour, failures=1, retry_after=timedelta(hours=2)) == utc(
        "2026-11-24T08:10"
    )
    assert check(now, utc("2026-11-24T06:00"), hour, retry_after=timedelta.max) <= now + MAX_WAIT + hour


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(InvalidInput):
        check(utc("2026-11-24T06:00"), utc("2026-11-24T06:00"), timedelta(0))


# --- days -------------------------------------------------------------------------------------------------

days = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(days, st.one_of(st.none(), days), st.integers(0, 60), st.integers(0, 60))
def test_days_due_are_in_order_without_holes_and_end_today(
    today: date, complete_until: date | None, history: int, backfill: int
) -> None:
    due = days_due(today=today, complete_until=complete_until, history_days=history, backfill_days=backfill)
    assert due[-2:] == [today - timedelta(days=1), today]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(due))
    longest = history if complete_until is None else backfill
    assert len(due) <= max(longest, 1) + 1
    if complete_until is not None and today - timedelta(days=backfill) <= complete_until < today:
        assert {complete_until + timedelta(days=n) for n in range(1, (today - complete_until).days + 1)} <= set(due)


@pytest.mark.parametrize(
    ("complete_until", "first"),
    [
        (None, date(2026, 11, 21)),
        (date(2026, 11, 24), date(2026, 11, 23)),
        (date(2026, 11, 23), date(2026, 11, 23)),
        (date(2026, 11, 18), date(2026, 11, 19)),
        (date(2026, 1, 1), date(2026, 11, 14)),
        (date(2027, 1, 1), date(2026, 11, 23)),
    ],
)
def test_missed_days_are_asked_for_again(complete_until: date | None, first: date) -> None:
    due = days_due(today=date(2026, 11, 24), complete_until=complete_until, history_days=3, backfill_days=10)
    assert due[0] == first


# --- arXiv ------------------------------------------------------------------------------------------------


def test_thanksgiving_empties_the_list_of_the_friday_after() -> None:
    week = announcement_days(date(2026, 11, 22), date(2026, 11, 29))
    assert week == [date(2026, 11, day) for day in (23, 24, 25, 26)]
    assert expected_quiet(date(2026, 11, 27))


def test_a_friday_holiday_empties_monday_s_list() -> None:
    assert expected_quiet(date(2026, 7, 6))
    assert not expected_quiet(date(2026, 7, 3))
    assert announcement_days(date(2026, 12, 24), date(2027, 1, 4)) == [
        date(2026, 12, 24),
        date(2026, 12, 25),
        date(2026, 12, 29),
        date(2026, 12, 31),
        date(2027, 1, 4),
    ]


def test_a_year_has_a_list_each_weekday_but_one_less_for_each_holiday() -> None:
    weekdays = [day for day in (date(2026, 1, 1) + timedelta(n) for n in range(365)) if day.weekday() < 5]
    # The list missing for the last holiday, 31 December, would be dated 1 January 2027.
    assert len(announcement_days(date(2026, 1, 1), date(2026, 12, 31))) == len(weekdays) - (len(ARXIV_HOLIDAYS) - 1)


@given(days)
def test_weekends_are_always_quiet(day: date) -> None:
    assert expected_quiet(day) or day.weekday() < 5


def test_an_empty_stretch_has_no_announcements() -> None:
    assert announcement_days(date(2026, 11, 25), date(2026, 11, 24)) == []


# --- how often, by whose rhythm ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_week", "ttl_minutes", "minutes"),
    [
        (None, None, 60),  # too young to tell
        (42.0, None, 60),  # four looks an entry
        (84.0, None, 30),
        (5000.0, None, 15),  # a fourth of it at most
        (21.0, None, 120),
        (1.0, None, 240),  # four times it at most
        (0.0, None, 240),
        (84.0, 45, 45),  # the feed wants to be left alone for longer
        (84.0, 20, 30),
        (84.0, 9000, 240),
        (None, 120, 120),
    ],
)
def test_a_feed_is_asked_by_its_own_rhythm(per_week: float | None, ttl_minutes: int | None, minutes: int) -> None:
    ttl = timedelta(minutes=ttl_minutes) if ttl_minutes else None
    hour = timedelta(hours=1)
    assert own_interval(hour, per_week=per_week, ttl=ttl, fixed=False) == timedelta(minutes=minutes)
    assert own_interval(hour, per_week=per_week, ttl=ttl, fixed=True) == hour


@given(minutes=st.integers(1, 44_640), per_week=st.none() | st.floats(0, 1e6), ttl=st.none() | st.integers(1, 100_000))
def test_an_interval_stays_within_a_fourth_and_four_times(
    minutes: int, per_week: float | None, ttl: int | None
) -> None:
    interval = timedelta(minutes=minutes)
    own = own_interval(interval, per_week=per_week, ttl=timedelta(minutes=ttl) if ttl else None, fixed=False)
    half = timedelta(seconds=30)  # it is rounded to minutes
    assert own >= timedelta(minutes=1)
    assert interval / 4 - half <= own <= interval * 4 + half


_HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"next_in": -_HOUR}, "it is due"),
        ({"sooner_for": "2026-11-24", "failures": 2}, "2026-11-24 is not complete"),
        ({"failures": 1}, "it has failed once"),
        ({"failures": 3}, "it has failed 3 times in a row"),
        ({"next_in": 3 * _HOUR}, "the last answer said that it keeps until then"),
        ({"fixed": True}, "as often as somebody chose"),
        ({"own": True}, "by its own rhythm"),
        ({"asked": None, "next_in": 3 * _HOUR}, "at its usual interval"),
        ({}, "at its usual interval"),
    ],
)
def test_why_a_feed_is_asked_then(changes: dict[str, Any], words: str) -> None:
    now = datetime(2026, 11, 24, 9, tzinfo=UTC)
    values = {"fixed": False, "own": False, "failures": 0, "next_in": _HOUR, "asked": now, **changes}
    next_in, asked = values.pop("next_in"), values.pop("asked")
    assert why_next(now=now, next_at=now + next_in, asked_at=asked, interval=_HOUR, **values).startswith(words)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("daily", ["2026-12-31", "2027-01-01"]),
        ("weekly", ["2026-W53"]),
        ("monthly", ["2026-12", "2027-01"]),
        ("trending", [""]),
    ],
)
def test_periods_cover_the_days(view: str, expected: list[str]) -> None:
    assert periods(view, [date(2026, 12, 31), date(2027, 1, 1)]) == expected


@pytest.mark.parametrize(
    ("day", "since", "until"),
    [
        # Wednesday's list: from Monday's closing to Tuesday's, 14:00 in New York (winter: 19:00 UTC)
        (date(2026, 11, 25), datetime(2026, 11, 23, 19, tzinfo=UTC), datetime(2026, 11, 24, 19, tzinfo=UTC)),
        (date(2026, 11, 23), datetime(2026, 11, 19, 19, tzinfo=UTC), datetime(2026, 11, 20, 19, tzinfo=UTC)),
        (date(2026, 11, 24), datetime(2026, 11, 20, 19, tzinfo=UTC), datetime(2026, 11, 23, 19, tzinfo=UTC)),
        # Thanksgiving closes no batch: the Monday after gathers Wednesday's closing to Friday's
        (date(2026, 11, 30), datetime(2026, 11, 25, 19, tzinfo=UTC), datetime(2026, 11, 27, 19, tzinfo=UTC)),
        # over the change of clocks on 1 November
        (date(2026, 11, 3), datetime(2026, 10, 30, 18, tzinfo=UTC), datetime(2026, 11, 2, 19, tzinfo=UTC)),
    ],
)
def test_a_list_is_made_of_what_was_sent_in_between_two_closings(day: date, since: datetime, until: datetime) -> None:
    assert submission_window(day) == (since, until)


def test_a_year_of_lists_leaves_no_moment_out_and_none_twice() -> None:
    windows = [submission_window(day) for day in announcement_days(date(2026, 1, 5), date(2027, 1, 15))]
    assert len(windows) > 240
    assert all(earlier[1] == later[0] for earlier, later in pairwise(windows))


def test_a_day_without_a_list_has_no_window() -> None:
    for day in (date(2026, 11, 28), date(2026, 11, 27)):
        with pytest.raises(InvalidInput):
            submission_window(day)


def test_arxivs_day_begins_at_midnight_in_new_york() -> None:
    assert arxiv_day(datetime(2026, 11, 25, 4, 59, tzinfo=UTC)) == date(2026, 11, 24)
    assert arxiv_day(datetime(2026, 11, 25, 5, 0, tzinfo=UTC)) == date(2026, 11, 25)
    assert arxiv_day(datetime(2026, 7, 1, 4, 0, tzinfo=UTC)) == date(2026, 7, 1)
