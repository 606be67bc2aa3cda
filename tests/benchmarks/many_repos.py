"""A hundred thousand repositories on a simulated clock: the true schedule, the true pipeline, and GitHub's answers from
the replay, in this process.

Nothing is stood in for but time and the wire: `schedule.tick` plans, `drain` runs the jobs, the client builds its
queries, and the replay's GraphQL reads them and counts their points by the hour.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa
from sqlmodel import Session, col, select

from config.settings import Settings
from services.domain.repos import next_check
from services.pipeline import drain, schedule
from services.runtime import Runtime
from services.storage import schema
from services.storage.sql import table_of
from services.storage.tables import Link, Paper, Reading, Repo, RepoName
from services.upstreams.http import Fetched, HttpClient, Validators
from tests.fakes import Clock
from workers.demo.content import DemoRepo
from workers.demo.exchange import Ask
from workers.demo.github import GitHub

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

CLASSES = (
    ("under 2 days", 2, 6 * HOUR), ("2 to 7 days", 7, 12 * HOUR), ("7 to 30 days", 30, DAY),
    ("30 to 90 days", 90, 3 * DAY), ("older", 2_000, 7 * DAY),
)  # fmt: skip
"""Repositories by the age of their paper in days, and how old their last reading may be by the plan."""
POPULAR = "1,000 stars"


@dataclass(slots=True)
class Seen:
    """What a simulation came to."""

    requests: int = 0
    read: int = 0
    spent: Counter[datetime] = field(default_factory=Counter)
    """Points by the hour, as GitHub counts them."""
    refused: int = 0
    """Answers that said that the quota is spent."""
    oldest: dict[str, timedelta] = field(default_factory=dict)
    """The oldest reading of each class at any time, once the first week's backlog is gone."""

    @property
    def per_fifty(self) -> float:
        """Requests for each 50 repositories read."""
        return self.requests / max(self.read / 50, 1e-9)


class Wire:
    """An `HttpClient` whose other end is the replay's GitHub, in this process, on the simulated clock."""

    def __init__(self, clock: Clock, repos: Mapping[str, DemoRepo], limit: int) -> None:
        self.seen = Seen()
        self._clock, self._content = clock, SimpleNamespace(repos_by_slug=repos)
        self._github = GitHub(60, token_limit=limit)

    def post(self, url: str, *, json: object, headers: Mapping[str, str]) -> Fetched:
        """One query."""
        return self._answer("POST", url, dumps(json), headers)

    def get(
        self, url: str, *, validators: Validators | None, headers: Mapping[str, str], expect_statuses: Collection[int]
    ) -> Fetched:
        """No feed, no page: nothing else is asked in this simulation."""
        raise AssertionError(f"{url} is not of GitHub's GraphQL")

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        now = self._clock.now()
        sent = {"user-agent": "Broadsheet/0"} | {name.lower(): value for name, value in headers.items()}
        ask = Ask(method=method, path="/graphql", query={}, headers=sent, body=body, base_url=url, now=now)
        reply = self._github.answer(ask, cast("Any", self._content))
        found = {name.lower(): value for name, value in reply.headers.items()}
        self.seen.requests += 1
        self.seen.refused += b'"RATE_LIMITED"' in reply.body
        reset_at = datetime.fromtimestamp(int(found["x-ratelimit-reset"]), now.tzinfo)
        self.seen.spent[reset_at] = max(self.seen.spent[reset_at], int(found["x-ratelimit-used"]))
        return Fetched(url, url, reply.status, found, reply.body)


def dumps(value: object) -> bytes:
    """JSON as it goes over the wire."""
    return json.dumps(value).encode()


class Repos(Mapping[str, DemoRepo]):
    """GitHub's side: any number of repositories, made when they are asked for. Stars grow by the day."""

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock, self._count, self._start = clock, count, clock.now()

    def __getitem__(self, slug: str) -> DemoRepo:
        number = int(slug.rpartition("r")[2])
        if not slug.startswith("lab/r") or number >= self._count:
            raise KeyError(slug)
        days = (self._clock.now() - self._start) // DAY
        return DemoRepo(
            id=10_000 + number, slug=slug, former=(), description="A repository.", homepage=None,
            stars=stars_of(number) + days, forks=1, open_issues=0, license="MIT", language="Python",
            topics=("simulation",), created_at=self._start - 900 * DAY, pushed_at=self._start, archived=False,
        )  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return (f"lab/r{number}" for number in range(self._count))

    def __len__(self) -> int:
        return self._count


def stars_of(number: int) -> int:
    """Every twelfth repository is popular."""
    return 1_500 if number % 12 == 0 else number % 400


@contextmanager
def world(
    *, count: int, fresh_a_day: int, days: int, limit: int = 5_000, never_read: bool = False, share: float = 0.8
) -> Iterator[tuple[Runtime, Wire, Clock]]:
    """An archive with `count` repositories of papers of all ages and `fresh_a_day` more each day to come.

    Each was read when the plan wanted it, or with `never_read` all are due at once.
    """
    clock = Clock()
    folder = Path(tempfile.mkdtemp(prefix="many-repos-"))
    try:
        settings = Settings(
            _env_file=None, home=folder, github_token="a token", secret_key="a key", quota_share=share, gate_scale=0,
            github_api_url="https://api.example/github", paper_recheck=False,
        )  # fmt: skip
        rt = Runtime.from_settings(settings)
        rt.http.close()
        wire = Wire(clock, Repos(clock, count + fresh_a_day * days), limit)
        rt.http, rt.clock, rt.sleep, rt.worker = cast("HttpClient", wire), clock.now, clock.sleep, "simulation"
        schema.migrate(rt.engine)
        with rt.writing() as session:
            _fill(session, clock.now(), count=count, fresh_a_day=fresh_a_day, days=days, never_read=never_read)
        yield rt, wire, clock
        rt.close()
    finally:
        shutil.rmtree(folder)


def simulate(rt: Runtime, wire: Wire, clock: Clock, *, days: float, settle: timedelta = timedelta(0)) -> Seen:
    """Let so many days pass, tick by tick; ages are looked at every two hours after `settle`."""
    begun = clock.now()
    while clock.now() - begun < days * DAY:
        schedule.tick(rt)
        drain.run_until_idle(rt, stages=["enrich"], ticking=False)
        if (clock.now() - begun) % (2 * HOUR) == timedelta(0) and clock.now() - begun >= settle:
            for name, age in ages(rt, clock.now()).items():
                wire.seen.oldest[name] = max(wire.seen.oldest.get(name, age), age)
        clock.advance(minutes=10)
    with rt.reading() as session:
        wire.seen.read = session.execute(sa.select(sa.func.count()).select_from(Reading)).scalar_one()
    return wire.seen


def ages(rt: Runtime, now: datetime) -> dict[str, timedelta]:
    """The oldest reading of each class; a repository never read counts from when it was found."""
    found: dict[str, timedelta] = {}
    with rt.reading() as session:
        rows = session.exec(
            select(Paper.first_seen_at, Repo.checked_at, Repo.stars).join(Repo, col(Repo.id) == col(Paper.id))
        ).all()
    for first_seen_at, checked_at, stars in rows:
        if first_seen_at > now:
            continue
        age = now - (checked_at or first_seen_at)
        days = (now - first_seen_at) / DAY
        name = POPULAR if (stars or 0) >= 1_000 and days >= 30 else next(n for n, top, _ in CLASSES if days < top)
        found[name] = max(found.get(name, age), age)
    return found


def _fill(session: Session, now: datetime, *, count: int, fresh_a_day: int, days: int, never_read: bool) -> None:
    """Repository `n` is the code of paper `n`; those after `count` come to light in the days to come."""
    papers, repos, names, links = [], [], [], []
    total = count + fresh_a_day * days
    for number in range(total):
        age = _age(number, count, fresh_a_day)
        first_seen_at = now - age
        stars = stars_of(number)
        wait = next_check("found", now=now, age_of_paper=max(age, timedelta(0)), stars=stars, failures=1) - now
        known = age > timedelta(0) and not never_read
        # Spread evenly over the time between two looks, by a stride that shares no factor with it.
        due_at = now + wait * ((number * 7_919) % 10_007 / 10_007) if known else max(now, first_seen_at)
        repos.append({
            "id": number + 1, "host": "github.com", "kind": "code", "slug": f"lab/r{number}", "topics": [],
            "host_id": str(10_000 + number) if known else None, "state": "found" if known else "new",
            "stars": stars if known else None, "archived": False, "fork": False, "gated": False, "misses": 0,
            "checked_at": due_at - wait if known else None, "next_check_at": due_at,
        })  # fmt: skip
        names.append({
            "host": "github.com", "kind": "code", "slug_key": f"lab/r{number}", "repo_id": number + 1, "since_at": now
        })  # fmt: skip
        papers.append({
            "id": number + 1, "key": f"arxiv:0000.{number:06d}", "title": f"Paper {number}", "authors": [],
            "categories": [], "ai_keywords": [], "withdrawn": False, "content_hash": "",
            "past_hashes": [], "first_seen_at": first_seen_at, "changed_at": first_seen_at,
        })  # fmt: skip
        links.append({
            "paper_id": number + 1, "url": f"https://github.com/lab/r{number}", "url_key": f"code:{number}",
            "kind": "code", "slug": f"lab/r{number}", "evidence": "abstract", "repo_id": number + 1,
            "found_at": first_seen_at,
        })  # fmt: skip
    for model, rows in ((Paper, papers), (Repo, repos), (RepoName, names), (Link, links)):
        session.connection().execute(table_of(model).insert(), rows)


def _age(number: int, count: int, fresh_a_day: int) -> timedelta:
    """As many papers a day over the last 90 days as in those to come; the rest are up to five years old."""
    if number >= count:
        return -DAY * ((number - count + 1) / fresh_a_day)
    recent = min(fresh_a_day * 90, count)
    if number < recent:
        return 90 * DAY * (number + 1) / recent
    return 90 * DAY + 1_700 * DAY * ((number - recent) / max(count - recent, 1))
