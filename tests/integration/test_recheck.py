"""Rechecks: young papers are read again at Hugging Face on a fading schedule, politely."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

import pytest

from services.pipeline import drain
from services.pipeline.fetch import page_job
from services.runtime import Runtime
from services.storage.tables import Link, Paper, PaperCheck, Quota
from tests.conftest import MakeRuntime
from tests.factories import add_feed, all_rows
from tests.fakes import Clock
from workers.demo.exchange import Answer, Ask, json_answer
from workers.demo.faults import Faults
from workers.demo.server import LoopbackServer

TODAY = date(2026, 11, 25)


@dataclass(slots=True)
class HuggingFace:
    """A day's list of papers and the papers' own records, which grow."""

    papers: int = 3
    late: dict[str, Any] = field(default_factory=dict)
    """What the records say beyond the list."""
    left: int = 400
    faults: Faults = field(default_factory=Faults)
    asked: list[str] = field(default_factory=list)
    _server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        self._server = LoopbackServer(0, self._handle, self.faults.meet, lambda *_: None)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.stop()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.port}"

    def _handle(self, ask: Ask) -> Answer:
        self.asked.append(ask.path)
        self.left -= 1
        if ask.path == "/api/daily_papers":
            reply = json_answer([{"paper": self._record(n), "numComments": 7} for n in range(self.papers)])
        else:
            number = int(ask.path.rpartition(".")[2]) - 90000
            reply = json_answer(self._record(number) | self.late)
        return reply.with_headers(
            RateLimit=f'"api";r={self.left};t=200', RateLimit_Policy='"fixed window";"api";q=500;w=300'
        )

    def _record(self, number: int) -> dict[str, Any]:
        return {
            "id": f"2611.{90000 + number}", "title": f"Lanterns over a tide, part {number}", "summary": "Lanterns.",
            "authors": [{"name": "Ada Quill"}], "upvotes": 2,
            "publishedAt": "2026-11-24T00:00:00.000Z", "submittedOnDailyAt": f"{TODAY}T00:00:00.000Z",
        }  # fmt: skip


@pytest.fixture
def site() -> Iterator[HuggingFace]:
    with HuggingFace() as site:
        yield site


@pytest.fixture
def rt(make_runtime: MakeRuntime, site: HuggingFace) -> Runtime:
    rt = make_runtime(hf_url=site.url)
    feed = add_feed(rt, "daily-papers", "hf_papers", interval_minutes=40_000)
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1", batch=TODAY.isoformat())])
    drain.run_until_idle(rt, stages=("fetch", "parse"), ticking=False)
    with rt.writing() as session:
        from services.storage import feeds

        feeds.update_feed(session, feed.id or 0, paused=True)
    return rt


def records(site: HuggingFace) -> list[str]:
    return [path for path in site.asked if path.startswith("/api/papers/")]


def test_each_paper_is_read_again_at_each_age(rt: Runtime, site: HuggingFace, clock: Clock) -> None:
    began = rt.now()
    looks: list[float] = []
    for _ in range(24 * 70):
        before = len(records(site))
        drain.run_until_idle(rt, stages=("enrich",))
        if len(records(site)) > before:
            assert len(records(site)) - before == site.papers
            looks.append(round((rt.now() - began) / timedelta(hours=1)))
        clock.advance(to=min(c.next_check_at for c in all_rows(rt, PaperCheck)) + timedelta(minutes=10)) if any(
            c.next_check_at for c in all_rows(rt, PaperCheck)
        ) else clock.advance(days=1)
        if rt.now() - began > timedelta(days=70):
            break
    assert looks == [6, 24, 72, 168, 504, 1440]
    assert {c.next_check_at for c in all_rows(rt, PaperCheck)} == {None}


def test_what_comes_late_is_taken_and_what_the_record_lacks_is_kept(
    rt: Runtime, site: HuggingFace, clock: Clock
) -> None:
    site.late = {
        "upvotes": 40, "ai_summary": "Lanterns tell the tide.", "ai_keywords": ["tide"],
        "linkedModels": [{"id": "quill/lantern-7b"}], "linkedSpaces": [{"id": "quill/tide"}],
    }  # fmt: skip
    clock.advance(hours=7)
    drain.run_until_idle(rt, stages=("enrich",))
    paper = all_rows(rt, Paper)[0]
    assert (paper.upvotes, paper.comments_count, paper.ai_summary) == (40, 7, "Lanterns tell the tide.")
    links = {(link.kind, link.slug, link.evidence) for link in all_rows(rt, Link, paper_id=paper.id)}
    assert {("model", "quill/lantern-7b", "hf"), ("space", "quill/tide", "hf")} <= links
    (quota,) = all_rows(rt, Quota, name="huggingface.co")
    assert (quota.limit, quota.remaining) == (500, site.left)


def test_a_record_that_is_not_there_waits_for_the_next_age_and_stops_nobody(
    rt: Runtime, site: HuggingFace, clock: Clock
) -> None:
    site.faults.fail_next("/api/papers/2611.90001", 404, 1, {}, b'{"error":"Paper not found"}')
    clock.advance(hours=7)
    drain.run_until_idle(rt, stages=("enrich",))
    checks = all_rows(rt, PaperCheck)
    assert [c.misses for c in checks] == [0, 1, 0]
    assert len({c.next_check_at for c in checks}) == 1


def test_an_allowance_that_is_nearly_spent_stops_us_before_they_do(
    rt: Runtime, site: HuggingFace, clock: Clock
) -> None:
    site.left = 102
    clock.advance(hours=7)
    drain.run_until_idle(rt, stages=("enrich",))
    assert len(records(site)) == 2  # a fifth is left to others
    waiting = [c for c in all_rows(rt, PaperCheck) if c.checked_at is None]
    assert len(waiting) == 1
    assert timedelta(0) < waiting[0].next_check_at - rt.now() <= timedelta(seconds=220)
    site.left = 400
    clock.advance(minutes=20)
    drain.run_until_idle(rt, stages=("enrich",))
    assert len(records(site)) == 3


def test_old_papers_are_left_alone(make_runtime: MakeRuntime, site: HuggingFace, clock: Clock) -> None:
    rt = make_runtime(hf_url=site.url)
    feed = add_feed(rt, "daily-papers", "hf_papers", paused=True)
    clock.advance(to=datetime(2027, 3, 1, tzinfo=UTC))
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1", batch=TODAY.isoformat())])
    drain.run_until_idle(rt, stages=("fetch", "parse"), ticking=False)
    assert len(all_rows(rt, Paper)) == 3
    assert all_rows(rt, PaperCheck) == []
    assert json.dumps(site.asked)
