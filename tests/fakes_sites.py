"""Synthetic sites over many days: Hugging Face's daily list and arXiv's three interfaces, on a test's clock.

What there is on each day follows from the seed, so a test can say afterwards what a complete archive must hold. How
the sites misbehave is scripted day by day; what was met is counted.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from services.domain.schedule import announcement_days, arxiv_day, expected_quiet, submission_window
from tests.fakes import Clock
from workers.demo.exchange import Answer, Ask, conditional, json_answer, text_answer
from workers.demo.faults import Faults, Trouble
from workers.demo.server import LoopbackServer

NEW_YORK = ZoneInfo("America/New_York")
_WINDOW = re.compile(r"submittedDate:\[(\d{12}) TO (\d{12})\]")


@dataclass(frozen=True, slots=True)
class Submission:
    """One paper sent in to arXiv."""

    arxiv_id: str
    submitted_at: datetime
    listed_on: date
    """The date of the list that announces it."""

    @property
    def announced_at(self) -> datetime:
        """When the API first shows it: 20:00 in New York on the eve of its list's date."""
        return datetime.combine(self.listed_on - timedelta(days=1), time(20), NEW_YORK).astimezone(UTC)


@dataclass(slots=True)
class Sites:
    """The sites between `first` and `last`, both included; `start` listens on loopback."""

    clock: Clock
    first: date
    last: date
    seed: int = 1
    hf_days: dict[date, list[dict[str, Any]]] = field(default_factory=dict)
    submissions: list[Submission] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    met: Counter[str] = field(default_factory=Counter)
    stale_until: datetime | None = None
    """Until then the announcement feed serves the list before the day's."""
    still: bool = False
    """Whether the announcement feed goes on serving what it served last, byte for byte."""
    short_pages: int = 0
    """How many of the next API pages come short or empty."""
    empty_from: int | None = None
    """API pages that start here or later come back empty."""
    hangs: dict[str, int] = field(default_factory=dict)
    """Below which path how many of the next calls hang, each for `hang_s`."""
    hang_s: float = 1.5
    expired_tokens: int = 0
    """How many of the next resumption tokens of the harvest are refused."""
    calls: list[tuple[datetime, str]] = field(default_factory=list)
    _server: LoopbackServer | None = None
    _served: Answer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)
        number = 0
        day = self.first
        while day <= self.last:
            papers = []
            for rank in range(0 if day.weekday() >= 5 else dice.choice((9, 17, 23, 40, 113))):
                number += 1
                papers.append(_hf_item(number, day, rank, broken=dice.random() < 0.02))
            self.hf_days[day] = papers
            day += timedelta(days=1)
        number = 0
        for listed in announcement_days(self.first, self.last + timedelta(days=4)):
            since, until = submission_window(listed)
            for _ in range(dice.randint(25, 70)):
                number += 1
                at = since + (until - since) * dice.random()
                at = at.replace(second=0, microsecond=0)
                at = max(at, since)
                self.submissions.append(Submission(f"2609.{number:05d}", at, listed))

    # -- what a complete archive must hold ---------------------------------------------------------------------

    def listed(self, day: date) -> set[str]:
        """The ids of arXiv's list of that date."""
        return {s.arxiv_id for s in self.submissions if s.listed_on == day}

    def submitted(self, day: date) -> set[str]:
        """The ids sent in on that day (UTC) and announced by now."""
        now = self.clock.now()
        return {s.arxiv_id for s in self.submissions if s.submitted_at.date() == day and s.announced_at <= now}

    # -- serving -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._server = LoopbackServer(0, self._handle, self._meet, self._record)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    def urls(self) -> dict[str, str]:
        """Settings that point at the sites."""
        assert self._server is not None
        base = f"http://127.0.0.1:{self._server.port}"
        return {
            "hf_url": f"{base}/hf",
            "arxiv_api_url": f"{base}/api",
            "arxiv_rss_url": f"{base}/rss",
            "arxiv_oai_url": f"{base}/oai",
        }

    def _meet(self, target: str) -> Trouble:
        trouble = self.faults.meet(target)
        with self._lock:
            if trouble.answer is not None:
                self.met[str(trouble.answer.status)] += 1
            self.met["dropped"] += trouble.drop
            self.met["truncated"] += trouble.truncate
            for prefix in self.hangs:
                if target.startswith(prefix) and self.hangs[prefix] > 0:
                    self.hangs[prefix] -= 1
                    self.met["hung"] += 1
                    return Trouble(hang_s=self.hang_s)
        return trouble

    def _record(self, at: datetime, _: str, target: str, __: Mapping[str, str], ___: int) -> None:
        with self._lock:
            self.calls.append((at, target))

    def _handle(self, ask: Ask) -> Answer:
        if ask.path == "/hf/api/daily_papers":
            reply = self._daily(ask)
        elif ask.path == "/api/query":
            reply = self._query(ask)
        elif ask.path.startswith("/rss/rss/"):
            reply = conditional(ask, self._announcement())
        elif ask.path == "/oai":
            reply = self._harvest(ask)
        else:
            return text_answer("there is no such page", 404)
        tag = f'"{hashlib.sha256(reply.body).hexdigest()[:20]}"'
        if ask.headers.get("if-none-match") == tag:
            return Answer(status=304, headers={"ETag": tag})
        return reply.with_headers(ETag=tag)

    def _daily(self, ask: Ask) -> Answer:
        day = date.fromisoformat(ask.param("date"))
        limit, page = int(ask.param("limit", "50")), int(ask.param("p", "0"))
        now = self.clock.now()
        # A day's list grows while the day runs: half of it is there by noon.
        items = self.hf_days.get(day, [])
        if now < datetime.combine(day, time(12), UTC):
            items = items[: len(items) // 2] if now.date() == day else []
        return json_answer(items[page * limit : (page + 1) * limit])

    def _query(self, ask: Ask) -> Answer:
        now = self.clock.now()
        found = [s for s in self.submissions if s.announced_at <= now]
        if window := _WINDOW.search(ask.param("search_query")):
            since, until = (datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC) for text in window.groups())
            found = [s for s in found if since <= s.submitted_at <= until and s.submitted_at < until + _MINUTE]
            if until - since == timedelta(days=1):
                found = [s for s in found if s.submitted_at < until]
        found.sort(key=lambda s: (s.submitted_at, s.arxiv_id))
        start, size = int(ask.param("start", "0")), int(ask.param("max_results", "10"))
        rows = found[start : start + size]
        if self.empty_from is not None and start >= self.empty_from:
            rows = []
        with self._lock:
            if self.short_pages and len(rows) > 1:
                self.short_pages -= 1
                self.met["short"] += 1
                rows = [] if self.short_pages % 2 else rows[: len(rows) // 2]
        return Answer(body=_atom(rows, start, size, len(found)), headers={"Content-Type": "application/xml"})

    def _announcement(self) -> Answer:
        now = self.clock.now()
        if self.still and self._served is not None:
            return self._served
        day = arxiv_day(now)
        shown = day
        with self._lock:
            if self.stale_until is not None and now < self.stale_until and not expected_quiet(day):
                shown = max(announcement_days(day - timedelta(days=9), day - timedelta(days=1)))
                self.met["stale"] += 1
        rows = [] if expected_quiet(shown) else [s for s in self.submissions if s.listed_on == shown]
        midnight = datetime.combine(day, time(), NEW_YORK)
        body = _rss(rows, midnight)
        etag = hashlib.sha256(body).hexdigest()[:32]  # without quotes, as theirs
        headers = {"Content-Type": "text/xml", "Cache-Control": "max-age=60", "ETag": etag}
        self._served = Answer(status=200, body=body, headers=headers)
        return self._served

    def _harvest(self, ask: Ask) -> Answer:
        """ListRecords: a record's datestamp is the date of the list that announced it."""
        token = ask.param("resumptionToken")
        if token:
            since, until, start = token.split("|")
            with self._lock:
                if self.expired_tokens:
                    self.expired_tokens -= 1
                    self.met["expired token"] += 1
                    return Answer(body=_oai('<error code="badResumptionToken">expired</error>'), headers=_XML)
        else:
            since, until, start = ask.param("from"), ask.param("until"), "0"
        now, begin = self.clock.now(), int(start)
        rows = [s for s in self.submissions if s.announced_at <= now and since <= s.listed_on.isoformat() <= until]
        rows.sort(key=lambda s: s.arxiv_id)
        if not rows:
            return Answer(body=_oai('<error code="noRecordsMatch"/>'), headers=_XML)
        end = begin + OAI_PAGE
        more = f"{since}|{until}|{end}" if end < len(rows) else ""
        records = "".join(map(_record, rows[begin:end]))
        return Answer(
            body=_oai(f"<ListRecords>{records}<resumptionToken>{more}</resumptionToken></ListRecords>"), headers=_XML
        )


OAI_PAGE = 60
_XML = {"Content-Type": "text/xml"}
_MINUTE = timedelta(minutes=1)


def _hf_item(number: int, day: date, rank: int, *, broken: bool) -> dict[str, Any]:
    paper: dict[str, Any] = {
        "id": f"2608.{number:05d}",
        "title": f"Weirs and eddies, measurement {number}",
        "summary": f"Measurement {number} of a weir in a small river.",
        "authors": [{"name": "Ada Quill"}, {"name": f"Bram Osei {number}"}],
        "publishedAt": f"{day - timedelta(days=1)}T00:00:00.000Z",
        "submittedOnDailyAt": f"{day}T00:00:00.000Z",
        "upvotes": 300 - rank,
    }
    if broken:
        del paper["title"]
    return {"paper": paper, "numComments": 1}


def _atom(rows: list[Submission], start: int, size: int, total: int) -> bytes:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/{s.arxiv_id}v1</id><title>Rivers and their weirs, study {s.arxiv_id}</title>"
        f"<summary>Study {s.arxiv_id} of a river.</summary><published>{s.submitted_at:%Y-%m-%dT%H:%M:%SZ}</published>"
        f"<updated>{s.submitted_at:%Y-%m-%dT%H:%M:%SZ}</updated><author><name>Cleo Brand</name></author>"
        '<category term="cs.CL"/></entry>'
        for s in rows
    )
    return (
        '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><title>arXiv Query</title>'
        f"<opensearch:totalResults>{total}</opensearch:totalResults><opensearch:startIndex>{start}</opensearch:startIndex>"
        f"<opensearch:itemsPerPage>{size}</opensearch:itemsPerPage>{entries}</feed>"
    ).encode()


def _rss(rows: list[Submission], midnight: datetime) -> bytes:
    dated = f"{midnight:%a, %d %b %Y %H:%M:%S %z}"
    items = "".join(
        f"<item><title>Rivers and their weirs, study {s.arxiv_id}</title><link>https://arxiv.org/abs/{s.arxiv_id}</link>"
        f"<description>arXiv:{s.arxiv_id}v1 Announce Type: new \nAbstract: Study {s.arxiv_id} of a river.</description>"
        f'<guid isPermaLink="false">oai:arXiv.org:{s.arxiv_id}v1</guid><category>cs.CL</category>'
        f"<pubDate>{dated}</pubDate><arxiv:announce_type>new</arxiv:announce_type>"
        "<dc:creator>Cleo Brand</dc:creator></item>"
        for s in rows
    )
    return (
        '<?xml version="1.0"?><rss version="2.0" xmlns:arxiv="http://arxiv.org/schemas/atom" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>cs.CL updates on arXiv.org</title>'
        f"<lastBuildDate>{dated}</lastBuildDate><pubDate>{dated}</pubDate>{items}</channel></rss>"
    ).encode()


def _oai(content: str) -> bytes:
    return (
        '<?xml version="1.0"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
        f"<responseDate>2026-01-01T00:00:00Z</responseDate>{content}</OAI-PMH>"
    ).encode()


def _record(s: Submission) -> str:
    return (
        f"<record><header><identifier>oai:arXiv.org:{s.arxiv_id}</identifier><datestamp>{s.listed_on}</datestamp>"
        '<setSpec>cs:cs:CL</setSpec></header><metadata><arXiv xmlns="http://arxiv.org/OAI/arXiv/">'
        f"<id>{s.arxiv_id}</id><created>{s.submitted_at.date()}</created>"
        "<authors><author><keyname>Brand</keyname><forenames>Cleo</forenames></author></authors>"
        f"<title>Rivers and their weirs, study {s.arxiv_id}</title><categories>cs.CL</categories>"
        f"<abstract>Study {s.arxiv_id} of a river.</abstract></arXiv></metadata></record>"
    )
