"""Plan 4: days pass in one process and in no time; any step may be the last of its worker.

No sockets and no processes: the world is asked directly, the database is a file in memory, the clock is turned by
the plan, forwards by uneven steps and now and then an hour forwards or back. Weeks with a change of daylight saving
time and leap days are chosen more often than others. The same seed makes the same run.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import structlog.testing
from sqlalchemy import Engine

from config.settings import Settings
from services.channels import no_intent
from services.channels.mime import build_mime
from services.domain.messages import Message, Receipt
from services.pipeline import drain
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, schema
from services.storage.engine import make_engine
from services.upstreams.http import Fetched, NotModified, Validators
from tests.factories import FeedSpec
from tests.fakes import Crash
from tests.faults.audit import Archive, Expected, audit
from tests.faults.kill import WINDOW, Report
from tests.faults.world import Mail, World, works_told
from workers.demo.exchange import Ask

BEGINNINGS = (
    datetime(2027, 3, 12, 20, tzinfo=UTC), datetime(2027, 11, 5, 20, tzinfo=UTC),  # New York's changes
    datetime(2027, 3, 26, 20, tzinfo=UTC), datetime(2026, 10, 23, 20, tzinfo=UTC),  # Europe's
    datetime(2027, 4, 2, 8, tzinfo=UTC), datetime(2026, 10, 2, 8, tzinfo=UTC),  # Lord Howe's: half an hour
    datetime(2028, 2, 27, 20, tzinfo=UTC), datetime(2026, 12, 30, 20, tzinfo=UTC),  # leap day, turn of the year
    datetime(2026, 6, 10, 20, tzinfo=UTC),
)  # fmt: skip
WISHES = (
    ("America/New_York", "02:30"), ("Europe/Berlin", "02:30"), ("Australia/Lord_Howe", "02:15"), ("UTC", "00:00"),
    ("America/Nuuk", "23:30"), ("Asia/Kathmandu", "08:00"), ("America/New_York", "01:30"), ("Europe/Berlin", "23:59"),
)  # fmt: skip
"""Time zones and hours of readers: those that a change skips, or shows twice."""

DAYS = 2
CRASHES = 0.012
"""Of the steps passed, how many are a worker's last."""


class Sky:
    """The plan's clock."""

    def __init__(self, start: datetime) -> None:
        self.at = start

    def now(self) -> datetime:
        """The present moment; it moves a little whenever it is read."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.at += timedelta(seconds=max(seconds, 0.0) * 60)


class Wire:
    """Stands in for the HTTP client: the world is asked without sockets."""

    def __init__(self, world: World, sky: Sky) -> None:
        self._world, self._sky = world, sky

    def get(
        self, url: str, *, validators: Validators | None = None, headers: Mapping[str, str] | None = None,
        expect_statuses: Any = (),
    ) -> Fetched | NotModified:  # fmt: skip
        """One answer."""
        del headers, expect_statuses
        parts = urlsplit(url)
        answer = self._world.answer(
            Ask(method="GET", path=parts.path, query=parse_qs(parts.query), headers={}, body=b"", base_url="",
                now=self._sky.at)
        )  # fmt: skip
        etag = answer.headers.get("ETag")
        shared: dict[str, Any] = {
            "url": url, "final_url": url, "headers": {k.lower(): v for k, v in answer.headers.items()},
            "validators": Validators(etag, None), "permanent_url": None,
        }  # fmt: skip
        if validators is not None and validators.etag == etag and etag is not None:
            not_modified: NotModified = _make(NotModified, {**shared, "status": 304})
            return not_modified
        fetched: Fetched = _make(Fetched, {**shared, "status": answer.status, "body": answer.body})
        return fetched

    def close(self) -> None:
        """Nothing is held."""


def _make(kind: Any, values: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


class Post:
    """Stands in for the mail server: takes every message, and may be a worker's last step twice over."""

    name = "email"

    def __init__(self, checkpoint: Callable[[str], None], sky: Sky) -> None:
        self.mails: list[Mail] = []
        self.checkpoint = checkpoint
        self._sky = sky

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """See `channels.Channel.send`."""
        del key
        raw = build_mime(message, "Broadsheet <broadsheet@papers.example>", to)
        commit_intent()
        tokens = works_told(message.text)
        self.mails.append(Mail(to, message.message_id, str(hash(raw)), tokens))
        self.checkpoint("send_deliveries.dotted")
        return Receipt(code="250 2.0.0", detail="taken", accepted_at=self._sky.at)


class _Seed:
    """One run."""

    def __init__(self, seed: int, engine: Engine, settings: Settings) -> None:
        self.chance = random.Random(seed)
        self.start = self.chance.choice(BEGINNINGS) + timedelta(minutes=self.chance.randint(0, 600))
        self.sky = Sky(self.start)
        self.world = World(serve=False)
        self.crashes = self.window = self.left = self.steps = 0
        self.calm = False
        self.wishes = self.chance.sample(WISHES, 3)
        self.readers = [f"reader{n}@readers.example" for n in range(len(self.wishes))]
        self.post = Post(self.checkpoint, self.sky)
        self.rt = Runtime(
            settings=settings, engine=engine, http=Wire(self.world, self.sky),  # type: ignore[arg-type]
            channels={"email": self.post}, clock=self.sky.now, sleep=self.sky.sleep, worker="simulated",
            secret="a key for fault plans only", checkpoint=self.checkpoint,
        )  # fmt: skip

    def checkpoint(self, name: str) -> None:
        """Perhaps the end of this worker."""
        self.steps += 1
        if self.calm or self.chance.random() >= CRASHES * (6 if name in WINDOW else 1):
            return
        self.crashes += 1
        if name in WINDOW:
            self.window += 1
            self.left += name != "send_deliveries.intended"
        raise Crash

    def set_up(self) -> None:
        """Feeds and readers."""
        self.calm = True
        with self.rt.writing() as session:
            now = self.rt.now()
            feeds.add(
                session, FeedSpec(name="daily", interval_minutes=360, history_days=1, params={"limit": "3"}), now=now
            )
            for name in ("blog", "lab"):
                feeds.add(
                    session,
                    FeedSpec(name=name, kind="rss", url=f"https://{name}.example/{name}.json", interval_minutes=360),
                    now=now,
                )
            for reader, (zone, at) in zip(self.readers, self.wishes, strict=True):
                subscribe(self.rt, session, to=reader, budget=500, at=at, timezone=zone, confirmed=True)
        self.calm = False

    def live(self) -> None:
        """The days with crashes, then a quiet one in which everything must come right."""
        day = self.sky.at.date()
        self.world.announce(day, 4)
        until = self.start + timedelta(days=DAYS)
        while self.sky.at < until:
            self.work()
            self.sky.at += timedelta(minutes=self.chance.choice((20, 60, 95, 130)))
            if self.chance.random() < 0.03:
                self.sky.at += timedelta(hours=self.chance.choice((-1, 1)))
            if self.sky.at.date() > day:
                day = self.sky.at.date()
                self.world.announce(day, 3)
        self.calm = True
        quiet_until = self.sky.at + timedelta(hours=30)
        while self.sky.at < quiet_until:
            self.work()
            self.sky.at += timedelta(minutes=100)
        self.work()

    def work(self) -> None:
        """A worker runs until it is idle, or is no more."""
        with suppress(Crash):
            drain.run_until_idle(self.rt)

    def due_dates(self, zone: str, at: str, end: datetime) -> set[str]:
        """The dates of which an edition must exist, found by looking at the reader's clock minute by minute."""
        place, found = ZoneInfo(zone), set()
        moment = self.start.replace(second=0, microsecond=0)
        hour, minute = int(at[:2]), int(at[3:])
        before = moment.astimezone(place)
        reached = (before.hour, before.minute) >= (hour, minute)
        day: date = before.date()
        while moment <= end:
            local = moment.astimezone(place)
            if local.date() != day:
                if not reached:
                    found.add(day.isoformat())  # the hour was skipped by a change at midnight: the day's last minute
                day, reached = local.date(), False
            if not reached and (local.hour, local.minute) >= (hour, minute):
                reached = True
                found.add(day.isoformat())
            moment += timedelta(minutes=1)
        return found


def one(seed: int, engine: Engine, settings: Settings, archive: Archive) -> tuple[_Seed, list[str]]:
    """Run one seed on a fresh database; what was wrong."""
    run = _Seed(seed, engine, settings)
    with structlog.testing.capture_logs():
        run.set_up()
        run.live()
    hold = settings.smtp_ambiguity == "hold"
    found = audit(
        archive,
        Expected(
            announced=run.world.announced(), repos=run.world.repos(), mails=run.post.mails, readers=run.readers,
            ambiguity=settings.smtp_ambiguity, unknown=(run.window, run.window) if hold else (0, 0),
            doubled=(0, 0) if hold else (run.left, run.left),
        ),
    )  # fmt: skip
    for reader, (zone, at) in zip(run.readers, run.wishes, strict=True):
        held = [
            period
            for (period,) in archive.rows(
                "SELECT e.period FROM editions e JOIN subscriptions s ON s.id = e.subscription_id "
                "JOIN subscribers r ON r.id = s.subscriber_id WHERE r.address = :reader", reader=reader,
            )
        ]  # fmt: skip
        due = run.due_dates(zone, at, run.sky.at)
        if set(held) != due or len(held) != len(due):
            found.violations.append(
                f"{reader} ({zone} {at}): editions {sorted(set(held) ^ due)} are not as the clock says"
            )
    return run, found.violations


def run(*, seeds: int, seed: int, limit_s: float = 600) -> Report:
    """Run so many seeds, from `seed` on, or as many as fit into `limit_s` seconds."""
    report = Report("simulation")
    began = time.monotonic()
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="broadsheet-faults-", dir=memory if memory.is_dir() else None))
    steps = 0
    try:
        engines = {}
        for ambiguity in ("hold", "resend"):
            values: dict[str, Any] = {
                "home": home / ambiguity, "gate_scale": 0, "retry_first_s": 1, "secret_key": "a key",
                "repo_recheck": False,
                "hf_url": "https://hf.example/hf", "github_api_url": "https://api.example/github",
                "mail_from": "Broadsheet <broadsheet@papers.example>", "smtp_url": "smtp://mail.example",
                "smtp_ambiguity": ambiguity, "digest_wait_minutes": 0,
            }  # fmt: skip
            settings = Settings(_env_file=None, **values)
            engine = make_engine(settings.database)
            schema.migrate(engine)
            engine.dispose()
            shutil.copy(settings.home / "broadsheet.db", settings.home / "empty.db")
            engines[ambiguity] = (settings, engine, Archive(settings.database))
        for number in range(seed, seed + seeds):
            settings, engine, archive = engines["hold" if number % 3 else "resend"]
            for old in settings.home.glob("broadsheet.db*"):
                old.unlink()
            shutil.copy(settings.home / "empty.db", settings.home / "broadsheet.db")
            done, wrong = one(number, engine, settings, archive)
            engine.dispose()
            report.rounds += 1
            report.faults += done.crashes
            report.window += done.window
            steps += done.steps
            report.violations.extend(f"seed {number}: {words}" for words in wrong)
            if len(report.violations) > 20 or time.monotonic() - began > limit_s:
                break
    finally:
        shutil.rmtree(home, ignore_errors=True)
    report.seconds = time.monotonic() - began
    report.extra = {"seeds": report.rounds, "steps": steps,
                    "seeds_per_s": round(report.rounds / max(report.seconds, 1e-9), 2)}  # fmt: skip
    return report
