"""Lookups: scholarly catalogues are asked about papers, many at a time, and none of them can hold anything up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.domain.identifiers import Identifier
from services.domain.papers import PaperFacts
from services.pipeline import drain, schedule
from services.pipeline.fetch import page_job
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import archive
from services.storage.tables import Delivery, Event, Gate, Job, Merge, Paper, PaperCheck, Sighting, Statement
from services.upstreams.lookups import SERVICES
from tests.conftest import MakeRuntime
from tests.factories import DAY, add_feed, all_rows, entry, store
from tests.fakes import Clock
from workers.demo.catalogues import citations_of, forum_of, orcid_of
from workers.demo.content import DemoPaper
from workers.demo.replay import Replay

ALL: dict[str, Any] = {
    "semantic_scholar_key": "a key", "openalex_key": "a key & more", "catalogues_contact": "papers@example.org",
    "openreview_user": "papers@example.org", "openreview_password": "a password",
}  # fmt: skip
ASKED = {"semantic_scholar": "s2", "openalex": "openalex", "crossref": "crossref", "datacite": "datacite"}


def archive_of(make_runtime: MakeRuntime, replay: Replay, clock: Clock, **settings: Any) -> Runtime:
    """A day of Daily Papers, held for two days: old enough to be asked about."""
    rt = make_runtime(replay=replay, paper_recheck=True, repo_recheck=False, **settings)
    feed = add_feed(rt, "daily-papers", "hf_papers", paused=True)
    days = {day for paper in replay.content.papers for day in paper.hf_days if day < clock.today}
    rt.add_jobs([page_job(feed.id or 0, feed.name, slot="s1", batch=max(days).isoformat())])
    drain.run_until_idle(rt, stages=("fetch", "parse"), ticking=False)
    clock.advance(days=2)
    return rt


def look_up(rt: Runtime, clock: Clock) -> dict[str, int]:
    """Everything due at the catalogues; the other recurring work of the stage is left out."""
    clock.advance(minutes=11)
    counted: dict[str, int] = {}
    for _ in range(40):
        schedule.tick(rt)
        waiting = [j for j in all_rows(rt, Job, kind="look_up_papers") if j.state == "ready" and j.due_at <= rt.now()]
        if not waiting:
            return counted
        for job in waiting:
            claim = drain.claim_next(rt, job_id=job.id)
            if claim is not None:
                outcome = drain.run_job(rt, claim)
                counted[outcome] = counted.get(outcome, 0) + 1
    raise AssertionError("there is no end to the lookups")


def facts(rt: Runtime, key: str) -> PaperFacts:
    with rt.reading() as session:
        return archive.get(session, key, now=rt.now())


def demo(replay: Replay, rt: Runtime) -> dict[str, DemoPaper]:
    held = {row.key for row in all_rows(rt, Paper)}
    return {p.arxiv_id: p for p in replay.content.papers if f"arxiv:{p.arxiv_id}" in held}


def test_without_their_settings_nobody_is_asked(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock)
    assert look_up(rt, clock) == {}
    assert replay.count("/catalogues") == 0
    assert {check.source for check in all_rows(rt, PaperCheck)} == {"hf_papers"}


def test_one_request_a_catalogue_tells_of_all_papers(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    published = next(iter(demo(replay, rt)))
    replay.update_paper(published, doi="10.5555/tides.1", journal_ref="Journal of Tides, 2026")
    known = demo(replay, rt)
    assert len(known) > 10
    sightings = len(all_rows(rt, Sighting))
    look_up(rt, clock)
    assert replay.count("/catalogues/crossref") == 0, "it knows papers by a DOI, which the others told of just now"
    look_up(rt, clock)
    assert {name: replay.count(f"/catalogues/{path}") for name, path in ASKED.items()} == {
        "semantic_scholar": 1, "openalex": 1, "datacite": 1, "crossref": 1,
    }  # fmt: skip
    said = all_rows(rt, Statement)
    for arxiv_id, paper in known.items():
        found = facts(rt, f"arxiv:{arxiv_id}")
        assert found.citations == citations_of(paper)
        assert found.title == paper.title
        assert [author.name for author in found.authors] == list(paper.authors)
        assert {author.orcid for author in found.authors} == {orcid_of(name) for name in paper.authors}
        assert {author.affiliation for author in found.authors} == {paper.organization}
        assert Identifier("s2", arxiv_id.replace(".", "")) in found.identifiers
        assert {s.source for s in said if s.paper_id == found.id} >= {"semantic_scholar", "openalex", "datacite"}
        if paper.doi:
            assert Identifier("doi", paper.doi) in found.identifiers
    assert len(all_rows(rt, Paper)) == len(known)
    assert len(all_rows(rt, Sighting)) == sightings, "nobody listed them"
    assert {str(row.announced_on) for row in all_rows(rt, Paper)} == {
        str(row.day) for row in all_rows(rt, Sighting)
    }  # fmt: skip


def test_asking_again_the_same_changes_nothing(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    look_up(rt, clock)
    held = [(row.key, row.content_hash, row.changed_at) for row in all_rows(rt, Paper)]
    events = len(all_rows(rt, Event))
    clock.advance(days=3)
    look_up(rt, clock)
    assert replay.count("/catalogues/s2") == 2, "asked again at the next age"
    assert [(row.key, row.content_hash, row.changed_at) for row in all_rows(rt, Paper)] == held
    assert len(all_rows(rt, Event)) == events


def test_looks_fade_and_end(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock, semantic_scholar_key="a key")
    for _ in range(20):
        look_up(rt, clock)
        clock.advance(days=20)
    assert {c.next_check_at for c in all_rows(rt, PaperCheck, source="semantic_scholar")} == {None}
    assert 5 <= replay.count("/catalogues/s2") <= 7  # six ages


def test_an_acceptance_is_told_of_once_by_whoever_names_it(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    paper = next(p for p in demo(replay, rt).values() if not p.journal_ref and not (p.comment or ""))
    feed = add_feed(rt, "reviewed", "rss", paused=True)
    store(
        rt,
        [entry(1, title=paper.title, identifiers=(
            Identifier("arxiv", paper.arxiv_id), Identifier("openreview", forum_of(paper))))],
        feed=feed, source="rss:reviewed",
    )  # fmt: skip
    look_up(rt, clock)
    found = facts(rt, f"arxiv:{paper.arxiv_id}")
    assert found.journal_ref == f"ICLR {paper.published_at.year + 1} Poster"
    accepted = [e for e in all_rows(rt, Event, kind="accepted") if e.paper_id == found.id]
    assert [e.detail["venue"] for e in accepted] == [found.journal_ref]
    for _ in range(3):
        clock.advance(days=40)
        look_up(rt, clock)
    assert len([e for e in all_rows(rt, Event, kind="accepted") if e.paper_id == found.id]) == 1


def test_the_journal_version_and_its_preprint_become_one(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, catalogues_contact="papers@example.org")
    paper = next(p for p in demo(replay, rt).values() if not p.doi)
    replay.update_paper(paper.arxiv_id, doi="10.5555/tides.77")
    journal = add_feed(rt, "journal", "rss", paused=True)
    store(rt, [entry(1, title=f"{paper.title} (reprint)", identifiers=(Identifier("doi", "10.5555/tides.77"),),
                     announced_on=DAY + timedelta(days=1))], feed=journal, source="rss:journal")  # fmt: skip
    before = len(all_rows(rt, Paper))
    look_up(rt, clock)
    assert len(all_rows(rt, Paper)) == before - 1
    (merge,) = all_rows(rt, Merge)
    assert merge.merged_key == "doi:10.5555/tides.77"
    assert facts(rt, "doi:10.5555/tides.77").key == f"arxiv:{paper.arxiv_id}"


# -- trouble -------------------------------------------------------------------------------------------------------


def test_one_that_is_down_stops_no_other_and_comes_back(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    replay.is_down("/catalogues/openalex")
    look_up(rt, clock)
    assert {s.source for s in all_rows(rt, Statement)} >= {"semantic_scholar", "datacite"}
    assert not all_rows(rt, Statement, source="openalex")
    for _ in range(25):  # until its job is given up, and further ones begun
        clock.advance(hours=5)
        look_up(rt, clock)
    waiting = [j for j in all_rows(rt, Job, kind="look_up_papers") if j.state == "ready"]
    assert len(waiting) <= 1, "one at a time: what is not answered does not pile up"
    replay.is_up("/catalogues/openalex")
    clock.advance(days=20)
    look_up(rt, clock)
    assert all_rows(rt, Statement, source="openalex")


def test_a_digest_goes_out_at_its_time_though_no_catalogue_answers(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    with rt.writing() as session:
        subscription, _ = subscribe(rt, session, to="ada@example.org", confirmed=True)
        due_at = subscription.next_edition_at
    assert due_at is not None
    store(rt, [entry(1)], feed=add_feed(rt, "journal", "rss", paused=True), source="rss:journal")
    replay.drop_next("/catalogues", 10_000)
    clock.advance(to=due_at)
    drain.run_until_idle(rt)
    assert [j.state for j in all_rows(rt, Job, kind="compose_edition")] == ["done"]
    assert [(d.state, d.sent_at == rt.now()) for d in all_rows(rt, Delivery)] == [("accepted", True)]
    assert {j.state for j in all_rows(rt, Job, kind="look_up_papers")} == {"ready"}
    assert not [gate for gate in all_rows(rt, Gate) if gate.failures and gate.name not in SERVICES]


def test_too_many_closes_its_own_gate_and_counts_as_no_failure(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    replay.fail_next("/catalogues/s2", 429, 1, {"Content-Type": "application/json"}, b'{"code":"429"}')
    counted = look_up(rt, clock)
    assert counted["waited"] == 1
    assert not all_rows(rt, Statement, source="semantic_scholar")
    assert all_rows(rt, Statement, source="openalex")
    clock.advance(minutes=20)
    look_up(rt, clock)
    assert all_rows(rt, Statement, source="semantic_scholar")
    assert not [j for j in all_rows(rt, Job) if j.state == "dead"]


@pytest.mark.parametrize(
    "body",
    [b"<html>busy</html>", b'[null, {"title": 3}]'],
)
def test_an_answer_that_is_none_changes_nothing_and_is_asked_for_again(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock, body: bytes
) -> None:
    rt = archive_of(make_runtime, replay, clock, **ALL)
    held = [(row.key, row.content_hash) for row in all_rows(rt, Paper)]
    for path in ASKED.values():
        replay.fail_next(f"/catalogues/{path}", 200, 1, {"Content-Type": "application/json"}, body)
    look_up(rt, clock)
    assert [(row.key, row.content_hash) for row in all_rows(rt, Paper)] == held
    assert all(c.next_check_at and c.misses for c in all_rows(rt, PaperCheck) if c.source != "hf_papers")
    clock.advance(hours=2)
    look_up(rt, clock)
    assert {s.source for s in all_rows(rt, Statement)} >= {"semantic_scholar", "openalex", "datacite"}


def test_holes_are_asked_about_again_at_the_next_age(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock, semantic_scholar_key="a key")
    known = demo(replay, rt)
    hole = next(iter(known))
    removed = known[hole]
    replay.update_paper(hole, announced_on=replay.content.today)
    look_up(rt, clock)
    assert facts(rt, f"arxiv:{hole}").citations is None
    assert sum(facts(rt, f"arxiv:{one}").citations is not None for one in known) == len(known) - 1
    check = next(c for c in all_rows(rt, PaperCheck, source="semantic_scholar")
                 if c.paper_id == facts(rt, f"arxiv:{hole}").id)  # fmt: skip
    assert (check.misses, check.error) == (0, None)
    replay.update_paper(hole, announced_on=removed.announced_on)
    clock.advance(days=3)
    look_up(rt, clock)
    assert facts(rt, f"arxiv:{hole}").citations == citations_of(removed)


def test_an_answer_about_another_paper_is_not_taken(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock, semantic_scholar_key="a key", openalex_key="a key")
    mixed = next(iter(demo(replay, rt)))
    row = facts(rt, f"arxiv:{mixed}")
    replay.update_paper(mixed, title="Grain prices of the Baltic, 1600 to 1750", doi="10.5555/grain")
    look_up(rt, clock)
    after = facts(rt, f"arxiv:{mixed}")
    assert (after.title, after.identifiers, after.citations) == (row.title, row.identifiers, None)
    check = next(c for c in all_rows(rt, PaperCheck, source="openalex") if c.paper_id == row.id)
    assert check.error == "answered with another paper: Grain prices of the Baltic, 1600 to 1750"


def test_a_request_refused_as_a_whole_is_made_in_halves(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, semantic_scholar_key="a key")
    replay.fail_next("/catalogues/s2", 400, 2, {"Content-Type": "application/json"}, b'{"error":"No valid ids"}')
    look_up(rt, clock)
    assert len(all_rows(rt, Statement, source="semantic_scholar")) == len(demo(replay, rt))
    assert replay.count("/catalogues/s2", status=200) == 3


def test_a_key_that_is_refused_is_named_and_nothing_else_stops(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock
) -> None:
    rt = archive_of(make_runtime, replay, clock, semantic_scholar_key="a key", openalex_key="the secret of it")
    replay.is_down("/catalogues/openalex", 401)
    look_up(rt, clock)
    (dead,) = [j for j in all_rows(rt, Job) if j.state == "dead"]
    assert "check BROADSHEET_OPENALEX_KEY" in dead.last_error
    assert "secret" not in dead.last_error
    assert all_rows(rt, Statement, source="semantic_scholar")


def test_a_service_switched_off_meanwhile_is_not_asked(make_runtime: MakeRuntime, replay: Replay, clock: Clock) -> None:
    rt = archive_of(make_runtime, replay, clock, semantic_scholar_key="a key")
    clock.advance(minutes=11)
    schedule.tick(rt)
    (job,) = all_rows(rt, Job, kind="look_up_papers")
    off = make_runtime(replay=replay)
    claim = drain.claim_next(off, job_id=job.id)
    assert claim is not None
    assert drain.run_job(off, claim) == "done"
    assert replay.count("/catalogues") == 0


def test_both_databases_hold_what_the_catalogues_say(
    make_runtime: MakeRuntime, replay: Replay, clock: Clock, database_url: str
) -> None:
    rt = archive_of(make_runtime, replay, clock, database_url=database_url, **ALL)
    look_up(rt, clock)
    paper = next(iter(demo(replay, rt).values()))
    found = facts(rt, f"arxiv:{paper.arxiv_id}")
    assert found.citations == citations_of(paper)
    assert found.authors[0].orcid == orcid_of(paper.authors[0])
