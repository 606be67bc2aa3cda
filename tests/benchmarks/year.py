"""A year of readers in minutes: `python -m tests.benchmarks.year [--readers N] [--seed S]`, exit 1 on any violation.

Readers in twenty time zones, with every cadence and hour, pause until a date, and leave. The service's own decisions
(`next_edition_at`, the edition's job, `is_paused`, `should_send`) are taken at the moments a scheduler would take them,
some of which come hours late since the service was down. What came of it is compared with a calendar worked out
another way: everybody due got exactly one edition for each of their dates, at their hour by their own clocks, and
nobody one while paused or after leaving.
"""

from __future__ import annotations

import argparse
import random
import sys
import time as stopwatch
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.domain.deliveries import expires_at, should_send
from services.domain.schedule import next_edition_at
from services.pipeline.schedule import edition_job
from services.pipeline.views import local_day
from services.storage.subscribers import is_paused
from services.storage.tables import Subscription

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
ZONES = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo",
    "America/St_Johns", "America/Santiago", "America/Nuuk", "Africa/Cairo", "Africa/Casablanca", "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo", "Asia/Beirut", "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Auckland", "Pacific/Chatham",
    "Pacific/Kiritimati", "UTC",
)  # fmt: skip
CADENCES = ("daily", "daily", "daily", "weekdays", "weekly", "monthly")
HOURS = (
    "00:00",
    "00:30",
    "01:30",
    "02:00",
    "02:15",
    "02:30",
    "03:00",
    "07:00",
    "08:00",
    "08:45",
    "12:00",
    "23:00",
    "23:59",
)
TICK = timedelta(minutes=1)
"""How often the scheduler looks."""
DAY = timedelta(days=1)


@dataclass(slots=True)
class Reader:
    """One reader, and what they got: (period, due, sent at)."""

    subscription: Subscription
    leaves_at: datetime | None
    paused_at: datetime | None
    got: list[tuple[str, datetime, datetime]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outages:
    """When the service is down: nothing is looked at until the end."""

    starts: list[datetime]
    length: timedelta = timedelta(hours=5)

    def next_tick(self, due: datetime) -> datetime:
        """When a scheduler first sees what is due then."""
        at = START + -((START - due) // TICK) * TICK
        place = bisect_right(self.starts, at) - 1
        if place >= 0 and at < self.starts[place] + self.length:
            return self.starts[place] + self.length
        return at


def make_readers(number: int, draw: random.Random) -> list[Reader]:
    """Readers, drawn at random; a third pauses for up to six weeks, a fifth leaves."""
    found = []
    for n in range(number):
        zone = ZONES[n % len(ZONES)]
        moment = START + timedelta(minutes=draw.randrange(0, 360 * 24 * 60))
        pauses = draw.random() < 1 / 3
        until = (moment + timedelta(days=draw.randint(1, 42))).date() if pauses else None
        subscription = Subscription(
            id=n + 1, subscriber_id=n + 1, name="Daily Papers", cadence=draw.choice(CADENCES), at=draw.choice(HOURS),
            timezone=zone, paused_until=until, created_at=START, since_at=START,
        )  # fmt: skip
        leaves = START + timedelta(minutes=draw.randrange(0, 365 * 24 * 60)) if draw.random() < 0.2 else None
        found.append(Reader(subscription, leaves, moment if pauses else None))
    return found


def live(reader: Reader, outages: Outages) -> None:
    """A reader's year, decided as the service decides."""
    own = reader.subscription
    known: set[str] = set()
    due = next_edition_at(cadence=own.cadence, at=own.at, timezone=own.timezone, after=START)
    while due < END:
        now = outages.next_tick(due)
        job = edition_job(own.id or 0, own.cadence, own.timezone, due)
        state = "unsubscribed" if reader.leaves_at is not None and now >= reader.leaves_at else "active"
        paused = (
            reader.paused_at is not None and now >= reader.paused_at and is_paused(own, local_day(own.timezone, now))
        )
        if not paused and job.key not in known:
            known.add(job.key)
            if should_send("planned", state, now, max(expires_at(due, own.cadence), now + DAY / 2), "hold") == "send":
                reader.got.append((job.payload["period"], due, now))
        due = next_edition_at(cadence=own.cadence, at=own.at, timezone=own.timezone, after=now)


# -- the same calendar, worked out another way ---------------------------------------------------------------------


def moment_of(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """When the clocks of a zone first show `wall` on `day`, or would have but for a gap; found by trying offsets."""
    naive = datetime.combine(day, wall)
    offsets = {
        offset
        for hours in (-30, 0, 30)
        if (offset := (naive.replace(tzinfo=UTC) + timedelta(hours=hours)).astimezone(zone).utcoffset()) is not None
    }
    fitting = [
        moment
        for offset in offsets
        if (moment := (naive - offset).replace(tzinfo=UTC)).astimezone(zone).replace(tzinfo=None) == naive
    ]
    if fitting:
        return min(fitting)
    minute = (naive - max(offsets)).replace(tzinfo=UTC)
    while minute.astimezone(zone).replace(tzinfo=None) < naive:
        minute += timedelta(minutes=1)
    # A gap that ends the day: the minute before it.
    return minute if minute.astimezone(zone).date() == day else minute - timedelta(minutes=1)


def dates_of(cadence: str) -> Iterator[date]:
    """The dates of a cadence in the year, a day more at both ends."""
    day = START.date() - DAY
    while day <= END.date():
        if (
            cadence == "daily"
            or (cadence == "weekdays" and day.isoweekday() < 6)
            or (cadence == "weekly" and day.isoweekday() == 1)
            or (cadence == "monthly" and day.day == 1)
        ):
            yield day
        day += DAY


def _in_pause(reader: Reader, moment: datetime, zone: ZoneInfo) -> bool:
    until = reader.subscription.paused_until
    if reader.paused_at is None or until is None or moment < reader.paused_at:
        return False
    return moment.astimezone(zone).date() < until


def violations(
    reader: Reader, outages: Outages, calendar: dict[tuple[str, str, str], dict[str, datetime]]
) -> list[str]:
    """What was wrong with a reader's year."""
    own = reader.subscription
    key = (own.cadence, own.at, own.timezone)
    if key not in calendar:
        zone, wall = ZoneInfo(own.timezone), time.fromisoformat(own.at)
        calendar[key] = {day.isoformat(): moment_of(day, wall, zone) for day in dates_of(own.cadence)}
    due_by_day = calendar[key]
    zone = ZoneInfo(own.timezone)
    found = []
    counted = Counter(period for period, _, _ in reader.got)
    found += [f"{number} editions for {period}" for period, number in counted.items() if number > 1]
    for period, due, sent_at in reader.got:
        if due_by_day.get(period) != due:
            found.append(f"{period} was due at {due_by_day.get(period)}, not {due}")
        if sent_at != outages.next_tick(due):
            found.append(f"{period} left at {sent_at}")
        if reader.leaves_at is not None and sent_at >= reader.leaves_at:
            found.append(f"{period} was sent after the reader left")
        if _in_pause(reader, sent_at, zone):
            found.append(f"{period} was sent in a pause")
    for period, due in due_by_day.items():
        if not START < due < END or period in counted:
            continue
        seen = outages.next_tick(due)
        left = reader.leaves_at is not None and seen >= reader.leaves_at
        if not left and not _in_pause(reader, seen, zone):
            found.append(f"{period} was due at {due} and never came")
    return [f"{own.timezone} {own.cadence} {own.at}: {what}" for what in found]


def run(number: int, seed: int) -> tuple[int, Sequence[str]]:
    """(editions sent, violations) of a year with that many readers."""
    draw = random.Random(seed)
    starts = sorted(START + DAY * n + timedelta(hours=draw.randrange(24)) for n in draw.sample(range(0, 364, 2), 12))
    # One outage over each change of the clocks in Berlin, so that hours that do not exist or come twice are missed.
    starts = sorted([*starts, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)])
    starts = [s for n, s in enumerate(starts) if n == 0 or s - starts[n - 1] > timedelta(hours=6)]
    outages = Outages(starts)
    calendar: dict[tuple[str, str, str], dict[str, datetime]] = {}
    sent, wrong = 0, []
    for reader in make_readers(number, draw):
        live(reader, outages)
        sent += len(reader.got)
        wrong += violations(reader, outages, calendar)
        reader.got.clear()
    return sent, wrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.year", description=__doc__)
    parser.add_argument("--readers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    started = stopwatch.process_time()
    sent, wrong = run(given.readers, given.seed)
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    took = stopwatch.process_time() - started
    who = f"{given.readers:,} readers in {len(ZONES)} zones"
    print(f"{who}, {sent:,} editions, {len(wrong)} violations, {took:.0f} s of CPU")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
