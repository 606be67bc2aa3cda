"""The archive read back: by any name, by day, by feed, with what belongs to each paper."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.domain.errors import NotFound
from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.repos import RepoData
from services.runtime import Runtime
from services.storage import archive, editions, repos
from services.storage.tables import Edition, Repo, Subscription
from tests.factories import add_feed, all_rows, arxiv, code, entry, store
from tests.fakes import Clock

DOI = Identifier("doi", "10.5555/lantern.7")


def keys(rt: Runtime, ids: list[int]) -> list[str]:
    with rt.reading() as session:
        return [p.key for p in archive.load(session, ids, now=rt.now())]


@pytest.mark.parametrize(
    "name",
    [
        "arxiv:2611.90001", "2611.90001", "2611.90001v2", "https://arxiv.org/abs/2611.90001v1",
        "https://arxiv.org/pdf/2611.90001", "https://huggingface.co/papers/2611.90001", "doi:10.5555/lantern.7",
        "10.5555/LANTERN.7", "https://doi.org/10.5555/lantern.7", "  arXiv:2611.90001 ",
    ],
)  # fmt: skip
def test_a_paper_is_found_by_any_of_its_names(rt: Runtime, name: str) -> None:
    store(rt, [entry(1, identifiers=(arxiv(1), DOI))], feed=add_feed(rt, "hf"))
    with rt.reading() as session:
        assert archive.get(session, name, now=rt.now()).key == "arxiv:2611.90001"


@pytest.mark.parametrize("name", ["arxiv:2611.99999", "nonsense", "", "title:", "https://example.org/x"])
def test_an_unknown_name_is_said_to_be_unknown(rt: Runtime, name: str) -> None:
    with pytest.raises(NotFound, match="no paper is known as"), rt.reading() as session:
        archive.get(session, name, now=rt.now())


def test_a_paper_comes_back_with_everything_that_was_said_of_it(rt: Runtime, clock: Clock) -> None:
    hf, blog = add_feed(rt, "hf"), add_feed(rt, "blog", "rss")
    project = LinkData(url="https://lantern.example", kind="project", evidence="hf")
    said = entry(
        1, identifiers=(arxiv(1), DOI), links=(code("quill/lanterns"), project), organization="Shore Lab", upvotes=9,
        comments_count=2, comment="12 pages", journal_ref="Tides 4", license="https://example.org/licence",
        ai_summary="Lanterns help.", ai_keywords=("lanterns",), thumbnail_url="https://example.org/t.png",
        updated_at=datetime(2026, 11, 24, 1, tzinfo=UTC),
    )  # fmt: skip
    store(rt, [said], feed=hf)
    store(rt, [entry(1)], feed=blog, source="rss:blog")
    with rt.reading() as session:
        (facts,) = archive.load(session, archive.ids(session), now=rt.now())
    for name in (
        "title", "abstract", "authors", "organization", "published_at", "updated_at", "announced_on", "version",
        "categories", "comment", "journal_ref", "license", "comments_count", "upvotes", "ai_summary", "ai_keywords",
        "thumbnail_url",
    ):  # fmt: skip
        assert getattr(facts, name) == getattr(said, name), name
    assert facts.authors_count == 2
    assert facts.first_seen_at == clock.now()
    assert facts.identifiers == (arxiv(1), DOI)
    assert {(x.kind, x.evidence) for x in facts.links} == {("code", "hf"), ("project", "hf")}
    assert [(r.slug, r.state, r.stars) for r in facts.repos] == [("quill/lanterns", "new", None)]
    assert facts.feeds == ("blog", "hf")
    assert not facts.withdrawn


def test_stars_gained_in_a_day_are_read_off_the_readings(rt: Runtime, clock: Clock) -> None:
    store(rt, [entry(1, links=(code("quill/lanterns"),))], feed=add_feed(rt, "hf"))
    (repo,) = all_rows(rt, Repo)
    for stars in (100, 130):
        with rt.writing() as session:
            data = RepoData(host="github.com", host_id="7", slug="quill/lanterns", stars=stars, forks=3)
            again = rt.now() + timedelta(hours=6)
            one = repos.Found(repo_id=repo.id, data=data, etag=None, next_check_at=again)
            repos.record_found(session, [one], now=rt.now())
        clock.advance(days=1)
    clock.advance(days=-1)
    with rt.reading() as session:
        (facts,) = archive.load(session, archive.ids(session), now=rt.now())
    assert (facts.repos[0].stars, facts.repos[0].stars_gained_24h) == (130, 30)


def test_papers_are_listed_newest_day_first(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(n, announced_on=date(2026, 11, 20 + n)) for n in (1, 3, 2)], feed=feed)
    with rt.reading() as session:
        ids = archive.ids(session)
    assert keys(rt, ids) == [str(arxiv(3)), str(arxiv(2)), str(arxiv(1))]
    assert keys(rt, ids[::-1]) == [str(arxiv(1)), str(arxiv(2)), str(arxiv(3))]  # in the order asked
    assert keys(rt, [ids[0], 999]) == [str(arxiv(3))]


def test_days_and_feeds_narrow_the_list_and_both_ends_count(rt: Runtime) -> None:
    hf, blog = add_feed(rt, "hf"), add_feed(rt, "blog", "rss")
    for n in (1, 2, 3):
        store(rt, [entry(n, announced_on=date(2026, 11, 20 + n))], feed=hf)
    store(rt, [entry(1, announced_on=date(2026, 11, 24))], feed=blog, source="rss:blog")
    with rt.reading() as session:
        between = archive.ids(session, since=date(2026, 11, 22), until=date(2026, 11, 23))
        of_blog = archive.ids(session, feeds=["blog"])
        late = archive.ids(session, since=date(2026, 11, 24))
        nobody = archive.ids(session, feeds=["hf"], since=date(2026, 11, 24))
        assert archive.count(session) == 3
        assert archive.days(session) == [(date(2026, 11, 20 + n), 1) for n in (4, 3, 2, 1)]
    assert keys(rt, between) == [str(arxiv(3)), str(arxiv(2))]
    assert keys(rt, of_blog) == keys(rt, late) == [str(arxiv(1))]
    assert nobody == []


def test_what_a_subscription_has_had_and_what_was_seen_before_are_left_out(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1)], feed=feed)
    before = clock.now()
    clock.advance(hours=1)
    store(rt, [entry(2), entry(3)], feed=feed)
    with rt.reading() as session:
        second = archive.find_id(session, str(arxiv(2)))
    with rt.writing() as session:
        session.add(Subscription(id=1, subscriber_id=1, name="s", created_at=rt.now(), since_at=rt.now()))
        session.add(
            Edition(id=1, subscription_id=1, period="x", composed_at=rt.now(), due_at=rt.now(), matched=1, considered=1)
        )
        session.flush()
        item: dict[str, Any] = {
            "edition_id": 1,
            "subscription_id": 1,
            "paper_id": second,
            "rank": 1,
            "why": [],
            "late": False,
        }
        editions.add_items(session, [item])
    with rt.reading() as session:
        assert keys(rt, archive.ids(session, first_seen_after=before, not_had_by=1)) == [str(arxiv(3))]
        assert len(archive.ids(session, first_seen_after=before, not_had_by=2)) == 2


def test_sightings_tell_which_feed_listed_a_paper_when(rt: Runtime) -> None:
    hf, blog = add_feed(rt, "hf"), add_feed(rt, "blog", "rss")
    store(rt, [entry(1, announced_on=date(2026, 11, 24), rank=4)], feed=hf)
    store(rt, [entry(1, announced_on=date(2026, 11, 20))], feed=blog, source="rss:blog")
    with rt.reading() as session:
        paper = archive.find_id(session, str(arxiv(1)))
        assert paper is not None
        found = archive.sightings(session, paper)
    assert [(name, day, rank) for name, day, rank, _ in found] == [
        ("blog", date(2026, 11, 20), None), ("hf", date(2026, 11, 24), 4)
    ]  # fmt: skip


def test_more_papers_than_fit_one_statement_are_loaded(rt: Runtime) -> None:
    store(rt, [entry(n, links=(code(f"quill/lantern-{n}"),)) for n in range(1, 1102)], feed=add_feed(rt, "hf"))
    with rt.reading() as session:
        papers = archive.load(session, archive.ids(session), now=rt.now())
    assert len(papers) == 1101
    assert all(len(p.repos) == 1 for p in papers)
