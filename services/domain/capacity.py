"""Capacity: what an installation of a given size needs, and what it runs out of first.

A linear model: so much for each paper, poll, edition and mail, as measured (`measured`, written by
`python -m tests.benchmarks fit`), over the hours in which it has to be done. What cannot be measured here (how many
papers have code, how far away a mail server is) is an assumption, and a field of `Load`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.domain.errors import InvalidInput
from services.domain.measured import MACHINE, MEASURED_ON, Figures
from services.domain.repos import next_check

DAY_S, HOUR_S = 86_400.0, 3_600.0
BUSY = 0.7
"""How much of a core is planned for: above it queues grow faster than work."""
ARXIV_INTERVAL_S, ARXIV_PAGE = 3.0, 2_000
"""arXiv's terms: one request in three seconds over all machines; the most of its API in one page."""
ARXIV_DAILY_REQUESTS = 60
"""Listings, announcements and re-checks of an arXiv-centred installation."""
GITHUB_POINTS, GITHUB_BATCH, GITHUB_COST = 5_000, 50, 2
"""Points an hour for a token; repositories and points of one request (GraphQL cost, at most)."""
HF_REQUESTS = 500 * 12
"""Hugging Face without a token: 500 requests in five minutes, here an hour."""
HF_A_PAPER = 6
"""A paper's record there is looked at six times in its first 60 days (`domain.rechecks`)."""
MEASURED_CANDIDATES, MOST_KEPT = 500, 5_000
"""From how many papers the measured editions were chosen; up to how many are kept ready for the next ones."""
CONNECTIONS, CONNECTIONS_A_PROCESS, CONNECTIONS_BESIDES = 97, 2, 20
"""What PostgreSQL lets in as it is installed (100, three of them kept for its administrator); what a worker process
holds (its job's, and that of its search for overdue work); pages, schedule, heartbeats and people."""
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an installation has to carry. Raises `InvalidInput` for what cannot be."""

    papers: float
    """Held in the archive."""
    subscribers: float
    feeds: float
    papers_a_day: float | None = None
    """New ones; without a figure the archive's 3,000th part: arXiv has three million and adds a thousand a day."""
    polls_a_day: float = 24
    editions_a_day: float = 1
    queries: float | None = None
    """Different ones; without a figure a hundredth of the subscribers."""
    candidates: float | None = None
    """New papers an edition is chosen from; without a figure all that came since the last one."""
    mail_hours: float = 2
    """All mails of a day are to leave within so many hours."""
    backfill_days: float = 30
    code_share: float = 0.15
    """Papers with a repository (about an eighth of arXiv's name one)."""
    quota_share: float = 0.8
    jobs_keep_days: float = 30
    documents_keep_days: float = 90
    messages_keep_days: float = 30
    deliveries_keep_days: float = 365
    """For how long the disk is to suffice: of a delivery only the message is thrown away by itself."""
    backups: float = 3
    cores: float = 8
    """Of one machine."""
    mail_round_trip_s: float = 0.02
    """To the mail server and back."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and 0 <= value <= 1e12):
                raise InvalidInput(f"{name} must be a number from 0 to 1e12, not {value:g}")
        for name in ("polls_a_day", "mail_hours", "backfill_days", "quota_share", "cores"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} must be more than 0")
        if self.code_share > 1 or self.quota_share > 1 or self.mail_hours > 24:
            raise InvalidInput("code_share and quota_share are parts of 1, and a day has 24 mail_hours at most")

    @property
    def new_a_day(self) -> float:
        """Papers that come in a day."""
        return self.papers / 3_000 if self.papers_a_day is None else self.papers_a_day

    @property
    def new_an_edition(self) -> float:
        """New papers an edition is chosen from."""
        return self.new_a_day / max(self.editions_a_day, 1e-9) if self.candidates is None else self.candidates

    @property
    def different_queries(self) -> float:
        """Queries that are tried."""
        return min(self.subscribers, max(1.0, self.subscribers / 100) if self.queries is None else self.queries)

    @property
    def mails_a_day(self) -> float:
        """Editions, which are mails, that leave in a day."""
        return self.subscribers * self.editions_a_day


@dataclass(frozen=True, slots=True)
class Stage:
    """Work of one kind: seconds of processor a day, and cores while it has to be done."""

    name: str
    where: str
    """`workers`, `database`, or `backfill`, which is work of workers that comes once."""
    seconds_a_day: float
    within_h: float
    cores: float


@dataclass(frozen=True, slots=True)
class Limit:
    """A thing that can run out: what is used of what there is, in the same unit."""

    name: str
    used: float
    limit: float
    unit: str
    advice: str

    @property
    def share(self) -> float:
        """Above 1 it does not suffice."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a load needs."""

    load: Load
    stages: tuple[Stage, ...]
    database: str
    """SQLite where it suffices, and one process, which computes on one core, does; else PostgreSQL, and Redis for the
    hints."""
    sqlite_share: float
    """How much of the time SQLite would be making one write after another durable; above 1 it would not keep up."""
    machines: int
    """For workers."""
    processes: int
    """Of workers, on all machines together: enough for the processors, and for mails that wait for disk and network."""
    memory_mb: Mapping[str, float]
    disk_gb: Mapping[str, float]
    mail: Mapping[str, float]
    backfill_hours: Mapping[str, float]
    quotas: tuple[Limit, ...]
    """What others let us ask."""
    limits: tuple[Limit, ...]
    """All that can run out, the fullest first."""

    @property
    def worker_cores(self) -> float:
        """At the busiest, all stages but the database together."""
        return _cores(self.stages, "workers")

    @property
    def database_cores(self) -> float:
        """Of the database's machine."""
        return _cores(self.stages, "database")

    @property
    def first(self) -> Limit:
        """What runs out first."""
        return self.limits[0]

    def as_json(self) -> dict[str, Any]:
        """As scripts get it."""
        return {
            "load": asdict(self.load) | {"papers_a_day": self.load.new_a_day, "queries": self.load.different_queries},
            "measured": {"on": MEASURED_ON, "machine": MACHINE},
            "stages": [asdict(stage) for stage in self.stages],
            "machines": {
                "worker_cores": round(self.worker_cores, 2), "database_cores": round(self.database_cores, 2),
                "workers": self.machines, "worker_processes": self.processes, "database": self.database,
            },
            "memory_mb": self.memory_mb,
            "disk_gb": self.disk_gb,
            "mail": self.mail,
            "backfill_hours": self.backfill_hours,
            "limits": [asdict(one) | {"share": one.share} for one in self.limits],
            "saturates_first": self.first.name,
        }  # fmt: skip


def _cores(stages: Iterable[Stage], where: str) -> float:
    """At the busiest."""
    return sum(stage.cores for stage in stages if stage.where == where)


def plan(load: Load, figures: Figures) -> Plan:
    """What `load` needs, by what was measured."""
    mails_s = load.mails_a_day / (load.mail_hours * HOUR_S)
    stages = _stages(load, figures)
    disk = _disk(load, figures)
    senders = mails_s * (
        figures.mail_s + figures.edition_s + figures.commits_a_mail * figures.sync_s + 5 * load.mail_round_trip_s
    )
    held, kept = _cores(stages, "workers"), _cores(stages, "database")
    commits = mails_s * figures.commits_a_mail + load.feeds * load.polls_a_day / DAY_S * figures.commits_a_poll
    one_after_another = commits * figures.sync_s
    small = one_after_another < BUSY and held + kept <= 1
    machines = max(1, math.ceil(held / load.cores))
    processes = max(1, math.ceil(held), math.ceil(senders))
    # Indexes and new rows are what a database reads all day; a tenth of it all is what it takes to hold them.
    pages_mb = 256 + 0.1 * 1000 * (disk["papers"] + disk["deliveries"] * load.jobs_keep_days / 365)
    memory = {
        "workers": round(processes * figures.worker_mb), "web": 0 if small else round(figures.worker_mb),
        "database": 0 if small else round(pages_mb),
    }  # fmt: skip
    mail = {
        "a_day": load.mails_a_day, "a_second": round(mails_s, 2), "hours": load.mail_hours,
        "at_the_same_time": max(1, math.ceil(senders)),
        "gb_a_day": round(load.mails_a_day * figures.mail_wire_bytes / GB, 6),
    }  # fmt: skip
    backfill = {
        "arxiv": round(load.papers / ARXIV_PAGE * ARXIV_INTERVAL_S / HOUR_S, 2),
        "one_core": round(load.papers * (figures.paper_s + figures.database_paper_s) / HOUR_S, 2),
    }
    quotas = _quotas(load, figures)
    ours = (
        Limit(
            "the one process, on one core", held + kept, 1.0, "cores",
            "PostgreSQL and Redis, with `broadsheet worker` beside the web pages, or more hours for the mails",
        ),
        Limit(
            "SQLite: durable writes, one after another", one_after_another, 1.0, "of the time",
            "PostgreSQL, which makes the writes of many workers durable together, or a faster disk",
        ),
    ) if small else (
        Limit(
            "processors of workers", held, machines * load.cores, "cores",
            "more machines for `broadsheet worker`, or more hours for the mails",
        ),
        Limit(
            "processors of the database", kept, load.cores, "cores",
            "more cores for PostgreSQL, or more hours for the mails",
        ),
        Limit(
            "PostgreSQL: connections", processes * CONNECTIONS_A_PROCESS + CONNECTIONS_BESIDES, CONNECTIONS,
            "connections", "a higher max_connections in PostgreSQL, or more hours for the mails",
        ),
    )  # fmt: skip
    limits = sorted([*quotas, *ours], key=lambda one: -one.share)
    return Plan(
        load=load, stages=stages, database=SQLITE if small else POSTGRESQL, sqlite_share=one_after_another,
        machines=machines, processes=processes, memory_mb=memory | {"total": sum(memory.values())}, disk_gb=disk,
        mail=mail, backfill_hours=backfill, quotas=tuple(quotas), limits=tuple(limits),
    )  # fmt: skip


def _stages(load: Load, figures: Figures) -> tuple[Stage, ...]:
    polls = load.feeds * load.polls_a_day
    each_s = figures.edition_s + (
        figures.candidate_s * max(load.new_an_edition - MEASURED_CANDIDATES, 0.0)
        if load.new_an_edition <= MOST_KEPT
        else figures.reading_s * load.new_an_edition
    )
    query_s = (
        load.different_queries
        * figures.query_s
        * load.editions_a_day
        * max(1.0, load.new_an_edition / MEASURED_CANDIDATES)
    )
    work = (
        ("fetch", "workers", polls * figures.poll_s, 24.0),
        ("parse and store", "workers", load.new_a_day * figures.paper_s, 24.0),
        ("choose", "workers", load.mails_a_day * each_s + query_s, load.mail_hours),
        ("render and send", "workers", load.mails_a_day * figures.mail_s, load.mail_hours),
        (
            "database, for feeds and papers", "database",
            load.new_a_day * figures.database_paper_s + polls * figures.database_poll_s, 24.0,
        ),
        ("database, for mails", "database", load.mails_a_day * figures.database_mail_s, load.mail_hours),
        (
            "backfill, once", "backfill",
            load.papers * (figures.paper_s + figures.database_paper_s) / load.backfill_days, 24.0,
        ),
    )  # fmt: skip
    return tuple(
        Stage(name, where, spent, hours, spent / (hours * HOUR_S) / BUSY) for name, where, spent, hours in work
    )


def _disk(load: Load, figures: Figures) -> dict[str, float]:
    """In GB. Documents are those of what came within their retention, the backfill among them."""
    kept = min(load.papers, load.new_a_day * load.documents_keep_days)
    filling = load.papers * min(1.0, load.documents_keep_days / max(load.backfill_days, 1e-9))
    days = load.deliveries_keep_days
    bare = max(days - load.messages_keep_days, 0.0)
    parts = {
        "papers": load.papers * figures.paper_bytes,
        "documents": max(kept, filling) * figures.document_bytes,
        "polls": load.feeds * load.polls_a_day * load.jobs_keep_days * figures.poll_bytes,
        "deliveries": load.mails_a_day * (days * figures.delivery_bytes - bare * figures.message_bytes),
        "jobs": 2 * load.mails_a_day * load.jobs_keep_days * figures.job_bytes,
        "readers": load.subscribers * figures.reader_bytes,
    }
    database = sum(parts.values())
    grown = load.new_a_day * (figures.paper_bytes + figures.document_bytes) + load.mails_a_day * figures.delivery_bytes
    parts |= {"backups": load.backups * database * figures.backup_share}
    found = {name: round(size / GB, 6) for name, size in parts.items()}
    return found | {"total": round(sum(parts.values()) / GB, 6), "growth_a_day": round(grown / GB, 6)}


def _quotas(load: Load, figures: Figures) -> list[Limit]:
    points = readings_a_day(load) / GITHUB_BATCH * figures.requests_per_fifty * GITHUB_COST / 24
    return [
        Limit(
            "arXiv: one request in 3 s", ARXIV_DAILY_REQUESTS * ARXIV_INTERVAL_S, DAY_S, "s a day",
            "it counts over all your machines: ask for more papers a page, or mirror its OAI-PMH",
        ),
        Limit(
            "GitHub: points an hour", points, GITHUB_POINTS * load.quota_share, "points",
            "a second token, or read old repositories less often",
        ),
        Limit(
            "Hugging Face: requests an hour", load.new_a_day * HF_A_PAPER / 24, HF_REQUESTS * load.quota_share,
            "requests", "set a token, or turn off BROADSHEET_PAPER_RECHECK",
        ),
    ]  # fmt: skip


def readings_a_day(load: Load) -> float:
    """Repositories that are due a day by the very schedule that reads them (`domain.repos.next_check`)."""
    new = load.new_a_day * load.code_share
    now, age, young = datetime(2026, 1, 1, tzinfo=UTC), timedelta(0), 0.0
    last = timedelta(days=90)
    while age < last:
        wait = next_check("found", now=now, age_of_paper=age, stars=None, failures=0) - now
        age, young = age + wait, young + 1
    old_wait = next_check("found", now=now, age_of_paper=last, stars=None, failures=0) - now
    old = max(load.papers * load.code_share - new * 90, 0.0)
    return new * young + old / (old_wait / timedelta(days=1))
