"""Completeness, lived through: `python -m tests.completeness [--days 365] [--seed 1] [--json FILE]`.

The real pipeline reads Hugging Face's daily list and arXiv's three interfaces over simulated days, while the sites
misbehave: storms of 429, 5xx, broken connections, cut and garbled bodies, hanging answers, short and empty pages, stale
announcements, expired resumption tokens, and now and then a day and a half on which nothing answers. Nobody lifts a
hand. At the end it compares, source by source and day by day, what was announced with what was stored or rejected by
name; the exit status is 1 if anything is missing. A year takes some minutes; nothing waits but for what hangs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time as wall
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlmodel import col, select

from config.settings import Settings
from services.domain.batches import COMPLETE
from services.domain.schedule import announcement_days, expected_quiet
from services.pipeline import drain
from services.pipeline.ledger import MADE_UP
from services.runtime import Runtime
from services.storage import feeds, schema
from services.storage.tables import Batch, Feed, Fetch, Identifier, Job, Rejection, Sighting
from tests.factories import FeedSpec
from tests.fakes import Clock
from tests.fakes_sites import Sites

START = date(2026, 1, 5)
STEP = timedelta(hours=6)
READING = ("fetch", "parse")
DEADLINE_S, HANG_S = 0.5, 0.6
PREFIXES = ("/hf", "/api", "/rss", "/oai")
TROUBLES = ("none", "429", "503", "502", "drop", "truncate", "garbage", "hang")
MET = ("429", "502", "503", "dropped", "truncated", "hung", "short", "stale", "expired token", "lost day")
"""What must have been met, or the run proves less than it says."""


@dataclass(slots=True)
class Source:
    """What became of one source's days."""

    name: str
    days: int = 0
    announced: int = 0
    stored: int = 0
    rejected: int = 0
    made_up: int = 0
    """Days that were brought by another way."""
    missing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """A run: the sources, the troubles met, jobs by outcome, calls made."""

    sources: list[Source]
    met: Counter[str]
    jobs: Counter[str]
    calls: int

    @property
    def wrong(self) -> list[str]:
        """What is missing, and what was not put to the proof."""
        unmet = [f"no {kind} was met" for kind in MET if not self.met[kind]]
        return [f"{source.name}: {what}" for source in self.sources for what in source.missing] + unmet


def settings() -> dict[str, Any]:
    """Settings for a run, beside where the sites are."""
    return {"retry_first_s": 600, "gate_scale": 0}


def hasten(rt: Runtime) -> None:
    """Nothing waits, and nobody pulls the plug."""
    rt.http._sleep = lambda _: None
    rt.http._exchange._deadline_s = DEADLINE_S

    def careless(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(rt.engine, "connect", careless)


def sites_for(clock: Clock, first: date, days: int, *, seed: int = 1) -> Sites:
    """The sites of a run, with room before and after."""
    clock.advance(to=datetime.combine(first, time(13), UTC))
    return Sites(clock, first - timedelta(days=3), first + timedelta(days=days + 6), seed=seed, hang_s=HANG_S)


def run(
    rt: Runtime, sites: Sites, clock: Clock, *, first: date, days: int, seed: int = 1,
    told: Callable[[date], None] = lambda _: None,
) -> Report:  # fmt: skip
    """Live through `days` days from `first` on, then a quiet week, and compare."""
    hf, api, rss, oai = _feeds(rt)
    dice = random.Random(seed)
    decks = {prefix: _deck(dice) for prefix in PREFIXES}
    lost = {first + timedelta(days=n) for n in range(min(9, days // 2 - 1), days, 45)}
    outcomes: Counter[str] = Counter()
    every = [first + timedelta(days=number) for number in range(days)]
    for day in every:
        told(day)
        _end_of_trouble(sites)
        hours = 25
        if day in lost:  # nothing answers for a day and a half
            for prefix in PREFIXES:
                sites.faults.down(prefix, 503)
            sites.met["lost day"] += 1
            hours = 37
        else:
            for prefix in PREFIXES:
                _disturb(sites, prefix, next(decks[prefix]), dice)
            if dice.random() < 0.6:
                sites.short_pages += dice.randint(1, 5)
            match day.toordinal() % 4:
                case 0:
                    sites.stale_until = clock.now() + timedelta(hours=dice.choice((7, 16)))
                case 1:
                    sites.expired_tokens += dice.randint(1, 3)
        outcomes += _live(rt, clock, datetime.combine(day, time(), UTC) + timedelta(hours=hours))
    _end_of_trouble(sites)
    sites.short_pages, sites.stale_until, sites.expired_tokens = 0, None, 0
    outcomes += _live(rt, clock, datetime.combine(every[-1], time(), UTC) + timedelta(days=7))
    listed = set(announcement_days(every[0], every[-1]))
    sources = [
        compare(rt, hf, {day: {i["paper"]["id"] for i in sites.hf_days[day]} for day in every}),
        compare(rt, api, {day: sites.submitted(day) for day in every}),
        compare(rt, rss, {day: sites.listed(day) for day in every if day in listed}),
        compare(rt, oai, {day: sites.listed(day) for day in every}, own_days=False),
    ]
    with rt.reading() as session:
        running = session.exec(select(Job.key).where(Job.state == "running")).all()
    sources[0].missing += [f"the job {key} still runs" for key in running]
    return Report(sources, sites.met, outcomes, len(sites.calls))


def _feeds(rt: Runtime) -> list[Feed]:
    specs = (
        FeedSpec(name="daily-papers", kind="hf_papers", interval_minutes=360, history_days=0),
        FeedSpec(name="arxiv-api", kind="arxiv_api", interval_minutes=720, history_days=0,
                 params={"query": "cat:cs.CL", "page_size": "20"}),
        FeedSpec(name="arxiv-rss", kind="arxiv_rss", interval_minutes=360, history_days=0,
                 params={"category": "cs.CL"}),
        FeedSpec(name="arxiv-oai", kind="arxiv_oai", interval_minutes=720, history_days=0, params={"set": "cs:cs:CL"}),
    )  # fmt: skip
    with rt.writing() as session:
        return [feeds.add(session, spec, now=rt.now()) for spec in specs]


def _live(rt: Runtime, clock: Clock, until: datetime) -> Counter[str]:
    """Let the service run, looking every few hours, until a moment; outcomes of jobs are counted."""
    outcomes: Counter[str] = Counter()
    while clock.now() < until:
        outcomes.update(drain.run_until_idle(rt, stages=READING))
        clock.advance(seconds=STEP.total_seconds())
    return outcomes


# -- troubles ----------------------------------------------------------------------------------------------------


def _deck(dice: random.Random) -> Iterator[str]:
    """Troubles in an order of chance, each once before any comes again."""
    while True:
        yield from dice.sample(TROUBLES, len(TROUBLES))


def _disturb(sites: Sites, prefix: str, trouble: str, dice: random.Random) -> None:
    faults = sites.faults
    match trouble:
        case "429":
            faults.fail_next(prefix, 429, dice.randint(1, 6), {"Retry-After": "900"}, b"Rate exceeded.")
        case "503":
            faults.fail_next(prefix, 503, dice.randint(1, 8), {}, b"<h1>Backend fetch failed</h1>")
        case "502":
            faults.fail_next(prefix, 502, dice.randint(1, 3), {}, b"")
        case "drop":
            faults.drop_next(prefix, dice.randint(1, 7))
        case "truncate":
            faults.truncate_next(prefix, dice.randint(1, 7))
        case "garbage":  # half a document that claims to be whole
            faults.fail_next(prefix, 200, 1, {"Content-Type": "text/plain"}, b'[{"paper": {"id": "2608.0')
        case "hang":
            sites.hangs[prefix] = 1


def _end_of_trouble(sites: Sites) -> None:
    """What is still in store for the next calls is dropped."""
    for prefix in PREFIXES:
        sites.faults.heal(prefix)


# -- comparing ---------------------------------------------------------------------------------------------------


def compare(rt: Runtime, feed: Feed, announced: dict[date, set[str]], *, own_days: bool = True) -> Source:
    """Day by day, what a source announced with what is there. Without `own_days` its records are dated otherwise (a
    harvest's day is that of the change): they are looked for wherever the feed listed them."""
    stored = _stored(rt, feed)
    rejected = _rejected(rt, feed)
    anywhere = set().union(*stored.values())
    with rt.reading() as session:
        batches = {row.batch: row for row in session.exec(select(Batch).where(Batch.feed_id == feed.id))}
    source = Source(feed.name, days=len(announced))
    for day, ids in announced.items():
        there = stored[day] if own_days else anywhere & ids
        source.announced += len(ids)
        source.stored += len(there)
        source.rejected += rejected[day]
        if there - ids or len(there) + rejected[day] != len(ids):
            source.missing.append(f"{day}: {len(ids)} announced, {len(there)} stored, {rejected[day]} rejected")
        row = batches.get(day.isoformat())
        if row is None:
            if not expected_quiet(day):
                source.missing.append(f"{day}: it has no entry in the ledger")
            continue
        source.made_up += row.note == MADE_UP
        if row.state not in COMPLETE or (row.announced is not None and row.announced != row.seen):
            source.missing.append(f"{day}: the ledger says {row.state}: {row.seen} of {row.announced} seen")
    return source


def _stored(rt: Runtime, feed: Feed) -> dict[date, set[str]]:
    found: dict[date, set[str]] = defaultdict(set)
    with rt.reading() as session:
        for day, value in session.execute(
            sa.select(col(Sighting.day), col(Identifier.value))
            .join(Identifier, col(Identifier.paper_id) == col(Sighting.paper_id))
            .where(col(Identifier.scheme) == "arxiv", col(Sighting.feed_id) == feed.id)
        ):
            found[day].add(value)
    return found


def _rejected(rt: Runtime, feed: Feed) -> Counter[date]:
    """How many entries of each day were refused, each counted once however often it came."""
    with rt.reading() as session:
        rows = session.exec(
            select(Fetch.batch, Rejection.entry)
            .join(Rejection, col(Rejection.fetch_id) == col(Fetch.id))
            .where(Fetch.feed_id == feed.id)
            .distinct()
        ).all()
    return Counter(date.fromisoformat(batch) for batch, _ in rows if batch)


def table(report: Report) -> str:
    """The sources, a line each, and what was met."""
    lines = [f"{'source':<14}{'days':>6}{'announced':>11}{'stored':>9}{'rejected':>10}{'made up':>9}{'missing':>9}"]
    lines += [
        f"{s.name:<14}{s.days:>6}{s.announced:>11,}{s.stored:>9,}{s.rejected:>10}{s.made_up:>9}{len(s.missing):>9}"
        for s in report.sources
    ]
    lines.append("met: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(report.met.items()) if count))
    lines.append("jobs: " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(report.jobs.items())))
    return "\n".join([*lines, f"calls: {report.calls:,}"])


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.completeness", description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--first", type=date.fromisoformat, default=START)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    clock, began = Clock(), wall.monotonic()

    def told(day: date) -> None:
        if day.day == 1:
            print(f"{day:%B %Y} ({wall.monotonic() - began:.0f} s)", file=sys.stderr)

    with tempfile.TemporaryDirectory() as home, sites_for(clock, args.first, args.days, seed=args.seed) as sites:
        values: dict[str, Any] = {"home": Path(home), "allowed_private_hosts": "127.0.0.1", "secret_key": "of a trial"}
        values |= sites.urls() | settings()
        rt = Runtime.from_settings(Settings(_env_file=None, **values))
        rt.clock, rt.sleep = clock.now, clock.sleep
        hasten(rt)
        schema.migrate(rt.engine)
        report = run(rt, sites, clock, first=args.first, days=args.days, seed=args.seed, told=told)
        rt.close()
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps([asdict(source) for source in report.sources], indent=1))
    for what in report.wrong[:50]:
        print(what)
    print(f"{len(report.wrong)} violations in {wall.monotonic() - began:.0f} s")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
