"""The archive: whoever says it, however often and in whatever order, a paper is one row."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.papers import PaperData, ParsedFeed
from services.pipeline import parse
from services.runtime import Runtime
from services.storage import archive, editions, feeds, repos
from services.storage.sql import table_of
from services.storage.tables import (
    Duplicate,
    Edition,
    EditionItem,
    Event,
    Feed,
    Link,
    Merge,
    Paper,
    Repo,
    Sighting,
    Statement,
    Subscription,
    Title,
)
from services.storage.tables import Identifier as IdentifierRow
from tests.conftest import MakeRuntime
from tests.factories import DAY, add_feed, all_rows, arxiv, code, dump, entry, rows, store
from tests.fakes import Clock

DOI = Identifier("doi", "10.5555/lantern.7")


def names(rt: Runtime) -> set[str]:
    return {f"{i.scheme}:{i.value}" for i in all_rows(rt, IdentifierRow)}


def only_paper(rt: Runtime) -> Paper:
    (paper,) = all_rows(rt, Paper)
    assert isinstance(paper, Paper)
    return paper


# -- one paper, many sources -----------------------------------------------------------------------------------


def test_two_sources_make_one_paper_with_two_sightings(rt: Runtime) -> None:
    hf, api = add_feed(rt, "hf"), add_feed(rt, "api", "arxiv_api")
    first = store(rt, [entry(1, upvotes=7, categories=())], feed=hf)
    second = store(rt, [entry(1, comment="12 pages", authors=())], feed=api)
    assert (first.new, second.new, second.changed) == (1, 0, 1)
    paper = only_paper(rt)
    assert (paper.upvotes, paper.comment, paper.categories) == (7, "12 pages", ["cs.CL", "cs.LG"])
    assert [a["name"] for a in paper.authors] == ["Ada Quill", "Bram Osei"]  # the API's silence undoes nothing
    assert {s.feed_id for s in all_rows(rt, Sighting)} == {hf.id, api.id}
    assert {s.source for s in all_rows(rt, Statement)} == {"hf_papers", "arxiv_api"}


def test_the_better_source_wins_whichever_came_last(rt: Runtime) -> None:
    hf, api = add_feed(rt, "hf"), add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1, title="Sparse Lanterns for Tidal Inference")], feed=api)
    store(rt, [entry(1, title="sparse lanterns for tidal inference!")], feed=hf)
    assert only_paper(rt).title == "Sparse Lanterns for Tidal Inference"


def test_the_same_page_twice_changes_no_row_at_all(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    page = [
        entry(1, upvotes=3, links=(code("quill/lanterns"),)),
        entry(2, identifiers=(arxiv(2), DOI)),
        entry(3, identifiers=(), title="A title without any identifier at all"),
        entry(4, comment="Code at https://github.com/osei/tides"),
        entry(5, announced_on=None, published_at=None),
    ]
    assert store(rt, page, feed=feed).new == 5
    before = dump(rt)
    clock.advance(hours=1)
    again = store(rt, page, feed=feed)
    assert (again.new, again.changed, again.known, again.merged) == (0, 0, 5, 0)
    assert again.new_repo_ids == []
    assert dump(rt) == before


def test_a_page_that_names_a_paper_twice_is_stable_too(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    page = [entry(1, upvotes=3, rank=1), entry(1, upvotes=4, rank=2)]
    stored = store(rt, page, feed=feed)
    assert (stored.new, len(stored.paper_ids)) == (1, 1)
    before = dump(rt)
    clock.advance(hours=1)
    assert store(rt, page, feed=feed).new == 0
    assert dump(rt) == before


def test_a_paper_featured_on_two_days_is_one_paper_with_two_sightings(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, announced_on=date(2026, 11, 20), upvotes=10)], feed=feed)
    store(rt, [entry(1, announced_on=date(2026, 11, 24), upvotes=31)], feed=feed)
    paper = only_paper(rt)
    assert (paper.upvotes, paper.announced_on) == (31, date(2026, 11, 20))
    assert [s.day for s in all_rows(rt, Sighting)] == [date(2026, 11, 20), date(2026, 11, 24)]


def test_what_an_older_page_says_does_not_undo_a_newer_one(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, announced_on=date(2026, 11, 24), upvotes=31)], feed=feed)
    late = store(rt, [entry(1, announced_on=date(2026, 11, 20), upvotes=10)], feed=feed)
    assert late.known == 1
    assert only_paper(rt).upvotes == 31
    assert len(all_rows(rt, Sighting)) == 2


def test_the_day_of_announcement_is_the_first_any_page_names(rt: Runtime) -> None:
    """Also when the earlier day is read later, as a backfill does, and says nothing else."""
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, announced_on=date(2026, 11, 24))], feed=feed)
    store(rt, [entry(1, announced_on=date(2026, 11, 20))], feed=feed)
    assert only_paper(rt).announced_on == date(2026, 11, 20)


def test_counts_move_without_making_a_paper_changed(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, upvotes=3)], feed=feed)
    stored = store(rt, [entry(1, upvotes=4)], feed=feed)
    assert (stored.changed, stored.known) == (0, 1)
    assert only_paper(rt).upvotes == 4


def test_a_new_version_makes_a_paper_changed(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1)], feed=feed)
    began = only_paper(rt)
    clock.advance(days=1)
    stored = store(rt, [entry(1, version=2, abstract="Now with more lanterns.")], feed=feed)
    assert (stored.new, stored.changed) == (0, 1)
    paper = only_paper(rt)
    assert (paper.version, paper.changed_at, paper.first_seen_at) == (2, rt.now(), began.first_seen_at)


# -- identity --------------------------------------------------------------------------------------------------


def test_an_entry_that_names_two_papers_makes_them_one_and_says_so(rt: Runtime) -> None:
    hf, blog = add_feed(rt, "hf"), add_feed(rt, "blog", "rss")
    store(rt, [entry(1, links=(code("quill/lanterns"),))], feed=hf)
    store(
        rt, [entry(7, identifiers=(DOI,), title="Another name for it entirely", links=(code("osei/tides"),))],
        feed=blog, source="rss:blog",
    )  # fmt: skip
    one, two = (p.id for p in all_rows(rt, Paper))
    _put_into_editions(rt, one, two)
    stored = store(rt, [entry(1, identifiers=(arxiv(1), DOI))], feed=hf)
    assert (stored.merged, stored.new) == (1, 0)

    paper = only_paper(rt)
    assert (paper.id, paper.key) == (one, str(arxiv(1)))
    (merge,) = all_rows(rt, Merge)
    assert (merge.kept_paper_id, merge.merged_key) == (one, str(DOI))
    assert str(arxiv(1)) in merge.reason
    assert str(DOI) in merge.reason
    for table in (Sighting, Link, Statement, IdentifierRow, EditionItem):
        assert {row.paper_id for row in all_rows(rt, table)} == {one}, table.__name__
    assert names(rt) == {str(arxiv(1)), str(DOI)}
    assert {s.feed_id for s in all_rows(rt, Sighting)} == {hf.id, blog.id}
    assert {x.slug for x in all_rows(rt, Link)} == {"quill/lanterns", "osei/tides"}
    assert {s.source for s in all_rows(rt, Statement)} == {"hf_papers", "rss:blog"}
    # Subscription 1 had both: one item is left. Subscription 2 had the one that is gone: it keeps it.
    assert [(i.subscription_id, i.edition_id) for i in all_rows(rt, EditionItem)] == [(1, 1), (2, 2)]


def _put_into_editions(rt: Runtime, one: int, two: int) -> None:
    with rt.writing() as session:
        for number, papers in ((1, (one, two)), (2, (two,))):
            session.add(
                Subscription(
                    id=number, subscriber_id=1, name=f"s{number}", created_at=rt.now(), since_at=rt.now(),
                )
            )  # fmt: skip
            session.add(
                Edition(
                    id=number, subscription_id=number, period="2026-11-24", composed_at=rt.now(), due_at=rt.now(),
                    matched=2, considered=2,
                )
            )  # fmt: skip
            session.flush()
            editions.add_items(
                session,
                [
                    {"edition_id": number, "subscription_id": number, "paper_id": paper, "rank": n, "why": [],
                     "late": False}
                    for n, paper in enumerate(papers, 1)
                ],
            )  # fmt: skip


def test_a_merge_keeps_the_strongest_key_and_the_first_day_of_all(rt: Runtime) -> None:
    """The entry that joins them names neither the strongest identifier nor the earliest day."""
    blog, hf = add_feed(rt, "blog", "rss"), add_feed(rt, "hf")
    page = Identifier("url", "lantern.example/post")
    store(rt, [entry(1, identifiers=(page,), title="A post on lanterns and tides")], feed=blog, source="rss:blog")
    store(rt, [entry(1, identifiers=(arxiv(1), DOI), announced_on=date(2026, 11, 2))], feed=hf)
    store(rt, [entry(1, identifiers=(DOI, page), title="A post on lanterns and tides")], feed=blog, source="rss:blog")
    paper = only_paper(rt)
    assert paper.key == str(arxiv(1))
    assert paper.announced_on == date(2026, 11, 2)


def test_a_merge_of_three(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    forum = Identifier("openreview", "aB3dE5gH7j")
    store(rt, [entry(1)], feed=feed)
    store(rt, [entry(2, identifiers=(DOI,))], feed=feed)
    store(rt, [entry(3, identifiers=(forum,))], feed=feed)
    assert store(rt, [entry(1, identifiers=(forum, DOI, arxiv(1)))], feed=feed).merged == 1
    assert only_paper(rt).key == str(arxiv(1))
    assert {m.merged_key for m in all_rows(rt, Merge)} == {str(DOI), str(forum)}


def test_two_entries_of_one_page_joined_by_a_third_are_one_paper(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    page = [entry(1), entry(1, identifiers=(DOI,)), entry(1, identifiers=(arxiv(1), DOI))]
    stored = store(rt, page, feed=feed)
    assert stored.new == 1
    assert names(rt) == {str(arxiv(1)), str(DOI)}
    assert all_rows(rt, Merge) == []  # there was nothing to merge: they became one row at once


def test_a_title_alone_becomes_the_arxiv_paper_when_that_comes(rt: Runtime) -> None:
    blog, api = add_feed(rt, "blog", "rss"), add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1, identifiers=())], feed=blog, source="rss:blog")
    weak = only_paper(rt)
    assert weak.key.startswith("title:")
    store(rt, [entry(1, title="Sparse Lanterns for tidal inference; part 1")], feed=api)
    paper = only_paper(rt)
    assert (paper.id, paper.key) == (weak.id, str(arxiv(1)))
    assert {weak.key, str(arxiv(1))} == names(rt)
    assert all_rows(rt, Merge) == []


def test_a_title_alone_finds_the_arxiv_paper_that_is_there(rt: Runtime) -> None:
    blog, api = add_feed(rt, "blog", "rss"), add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1)], feed=api)
    store(rt, [entry(1, identifiers=(), title="SPARSE LANTERNS for Tidal Inference, part 1")], feed=blog)
    paper = only_paper(rt)
    assert paper.key == str(arxiv(1))
    assert len(all_rows(rt, Sighting)) == 2


def test_equal_titles_of_papers_with_identifiers_stay_two(rt: Runtime) -> None:
    feed = add_feed(rt, "api", "arxiv_api")
    same = "Attention mechanisms: a survey"
    store(rt, [entry(1, title=same), entry(2, title=same)], feed=feed)
    assert len(all_rows(rt, Paper)) == 2


def test_a_title_alone_of_another_decade_is_another_paper(rt: Runtime) -> None:
    feed = add_feed(rt, "blog", "rss")
    old = datetime(2009, 1, 5, tzinfo=UTC)
    store(rt, [entry(1)], feed=feed)
    store(rt, [entry(1, identifiers=(), published_at=old, announced_on=None)], feed=feed)
    assert len(all_rows(rt, Paper)) == 2


def test_short_titles_without_identifiers_are_not_joined(rt: Runtime) -> None:
    """ "Editorial" names no one paper: each day has its own."""
    feed = add_feed(rt, "blog", "rss")
    for day in (date(2026, 11, 2), date(2026, 11, 3)):
        store(rt, [entry(1, identifiers=(), title="Editorial", announced_on=day, published_at=None)], feed=feed)
    assert len(all_rows(rt, Paper)) == 2


# -- links -----------------------------------------------------------------------------------------------------


def test_links_of_fields_and_texts_are_found_once_with_the_strongest_evidence(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    stated = entry(
        1, links=(code("Quill/Lanterns"), LinkData(url="https://lantern.example", kind="project", evidence="hf")),
        abstract="Code: https://github.com/quill/lanterns. Weights: https://huggingface.co/quill/lantern-7b",
    )  # fmt: skip
    stored = store(rt, [stated], feed=feed)
    links = {(x.kind, (x.slug or x.url).lower()): x.evidence for x in all_rows(rt, Link)}
    assert links[("code", "quill/lanterns")] == "abstract"
    assert ("model", "quill/lantern-7b") in links
    assert len(links) == 3
    assert len(stored.new_repo_ids) == 2  # the code and the model


def test_two_papers_may_share_a_repository(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    page = [entry(1, links=(code("quill/lanterns"),)), entry(2, links=(code("Quill/Lanterns"),))]
    stored = store(rt, page, feed=feed)
    (repo,) = all_rows(rt, Repo)
    assert stored.new_repo_ids == [repo.id]
    assert [x.repo_id for x in all_rows(rt, Link)] == [repo.id, repo.id]


def test_a_link_that_comes_later_is_stored_though_nothing_else_has_changed(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, upvotes=3)], feed=feed)
    later = store(rt, [entry(1, upvotes=3, links=(code("quill/lanterns"),))], feed=feed)
    assert [x.slug for x in all_rows(rt, Link)] == ["quill/lanterns"]
    assert len(later.new_repo_ids) == 1
    assert (later.changed, later.known) == (0, 1)


def test_a_link_on_an_older_page_read_later_is_stored(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, announced_on=date(2026, 11, 24), upvotes=9)], feed=feed)
    store(rt, [entry(1, announced_on=date(2026, 11, 20), upvotes=1, links=(code("quill/lanterns"),))], feed=feed)
    assert [x.slug for x in all_rows(rt, Link)] == ["quill/lanterns"]


# -- whatever the order ----------------------------------------------------------------------------------------

WHEN = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)


def _world() -> list[tuple[str, str, list[PaperData]]]:
    """Pages of several sources about three works: (feed, source, entries). Each source speaks of a work at
    several times, each time later in its own terms."""
    a, b, c = arxiv(1), arxiv(2), arxiv(3)
    doi = Identifier("doi", "10.5555/tide.1")
    url = Identifier("url", "lantern.example/post")

    def say(identifiers: Sequence[Identifier], title: str, **more: Any) -> PaperData:
        return PaperData(identifiers=tuple(identifiers), title=title, **more)

    return [
        ("hf", "hf_papers", [
            say([a], "Sparse lanterns for tidal inference", upvotes=4, announced_on=date(2026, 11, 20),
                published_at=WHEN, links=(code("quill/lanterns"),)),
            say([b], "Reading the tide from the shore", upvotes=1, announced_on=date(2026, 11, 20)),
        ]),
        ("hf", "hf_papers", [
            say([a], "Sparse lanterns for tidal inference", upvotes=9, announced_on=date(2026, 11, 23),
                published_at=WHEN),
            say([c], "Moored buoys as memory for agents", upvotes=2, announced_on=date(2026, 11, 23)),
        ]),
        ("hf", "hf_papers", [
            # As it was said on the first day: the count went down again.
            say([a], "Sparse lanterns for tidal inference", upvotes=4, announced_on=date(2026, 11, 24),
                published_at=WHEN),
        ]),
        ("api", "arxiv_api", [
            say([a], "Sparse Lanterns for Tidal Inference", version=1, published_at=WHEN, updated_at=WHEN,
                comment="Code at https://github.com/Quill/Lanterns"),
            say([b, doi], "Reading the Tide from the Shore", version=1, published_at=WHEN, updated_at=WHEN),
        ]),
        ("api", "arxiv_api", [
            say([a], "Sparse Lanterns for Tidal Inference", version=2, published_at=WHEN,
                updated_at=datetime(2026, 11, 23, tzinfo=UTC), abstract="Twice the lanterns."),
        ]),
        ("blog", "rss:blog", [
            say([], "Sparse lanterns for tidal inference", announced_on=date(2026, 11, 21), published_at=WHEN),
            say([doi], "On reading the tide", announced_on=date(2026, 11, 18)),
            say([url], "Agents that remember buoys", published_at=datetime(2026, 11, 12, tzinfo=UTC)),
        ]),
        ("blog", "rss:blog", [
            say([url, c], "Agents that remember buoys", announced_on=date(2026, 11, 25),
                published_at=datetime(2026, 11, 12, tzinfo=UTC)),
        ]),
    ]  # fmt: skip


WORLD = _world()
KEYS = {str(arxiv(1)), str(arxiv(2)), str(arxiv(3))}


def _facts(rt: Runtime) -> dict[str, Any]:
    """Everything the archive holds but what tells of arrival: row ids and times of storing."""
    with rt.reading() as session:
        papers = archive.load(session, archive.ids(session), now=rt.now())
        keys = {p.id: p.key for p in papers}
        feed_names = {f.id: f.name for f in feeds.list_all(session)}
        return {
            "papers": sorted(
                (replace(p, id=0, first_seen_at=rt.now(), links=(), repos=()) for p in papers), key=lambda p: p.key
            ),
            "links": {
                (keys[x.paper_id], x.url_key, x.kind, x.evidence, x.repo_id is not None) for x in rows(session, Link)
            },
            "sightings": {(keys[s.paper_id], feed_names[s.feed_id], s.day) for s in rows(session, Sighting)},
            "statements": {(keys[s.paper_id], s.source, s.as_of, s.content_hash) for s in rows(session, Statement)},
        }


def _told_in(make_runtime: MakeRuntime, order: Sequence[int], *, database_url: str) -> dict[str, Any]:
    rt = make_runtime(database_url=database_url)
    with rt.writing() as session:
        for model in (Paper, IdentifierRow, Statement, Sighting, Link, Repo, Merge, Title, Duplicate, Event):
            session.execute(table_of(model).delete())
        session.execute(repos.RepoName.__table__.delete())  # type: ignore[attr-defined]
    for number in order:
        name, source, page = WORLD[number]
        with rt.writing() as session:
            feed = feeds.find(session, name)
        kind = {"hf": "hf_papers", "api": "arxiv_api", "blog": "rss"}[name]
        store(rt, page, feed=feed or add_feed(rt, name, kind), source=source, day=DAY)
    rt.close()
    return _facts(rt)


@pytest.fixture
def told_straight(make_runtime: MakeRuntime) -> dict[str, Any]:
    return _told_in(make_runtime, range(len(WORLD)), database_url="")


def test_three_works_are_three_papers(told_straight: dict[str, Any]) -> None:
    assert {p.key for p in told_straight["papers"]} == KEYS
    assert [p.upvotes for p in told_straight["papers"]] == [4, 1, 2]


@pytest.mark.timeout(120)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(WORLD))))
def test_the_archive_is_the_same_in_whatever_order_pages_arrive(
    make_runtime: MakeRuntime, told_straight: dict[str, Any], order: list[int]
) -> None:
    assert _told_in(make_runtime, order, database_url="") == told_straight


@pytest.mark.timeout(120)
def test_postgresql_holds_the_same_as_sqlite(
    make_runtime: MakeRuntime, told_straight: dict[str, Any], database_url: str
) -> None:
    order = list(range(len(WORLD)))
    random.Random(4).shuffle(order)
    assert _told_in(make_runtime, order, database_url=database_url) == told_straight


# -- entries the database cannot take --------------------------------------------------------------------------


def _store_parsed(rt: Runtime, page: Sequence[PaperData], feed: Feed) -> Any:
    with rt.writing() as session:
        return parse.store(session, ParsedFeed(papers=tuple(page)), feed=feed, day=DAY, now=rt.now())


POISON: dict[str, dict[str, Any]] = {
    "half a surrogate pair": {"title": "A title that ends in \ud83d"},
    "a nul": {"title": "A title that ends\x00here"},
    "a number beyond 64 bits": {"upvotes": 10**20},
    "a name too long for an index": {
        "identifiers": (Identifier("url", "".join(random.Random(1).choices("abcdefghijklmnop0123456789", k=9000))),)
    },
}
HARMLESS = {("sqlite", "a nul"), ("sqlite", "a name too long for an index")}


@pytest.mark.parametrize("name", POISON)
def test_an_entry_the_database_cannot_take_is_refused_alone(rt: Runtime, name: str) -> None:
    """The parsers clean their texts; what slips through all the same must not take its page along."""
    feed = add_feed(rt, "hf")
    page = [entry(n) for n in range(1, 8)]
    page[4] = msgspec.structs.replace(page[4], **POISON[name])
    stored, rejected = _store_parsed(rt, page, feed)
    if (rt.engine.dialect.name, name) in HARMLESS:
        assert (stored.new, rejected) == (7, [])
        return
    assert stored.new == 6
    assert {p.key for p in all_rows(rt, Paper)} == {str(arxiv(n)) for n in range(1, 8)} - {str(arxiv(5))}
    (one,) = rejected
    assert "the database refuses it" in one.reason
    assert one.position == 5


def test_pages_that_bring_the_same_papers_at_once_lose_none(rt: Runtime) -> None:
    """Two workers find that a paper is new at the same moment: one of them inserts it, both have it."""
    feed_rows = [add_feed(rt, f"feed-{n}", "rss") for n in range(4)]
    pages = [[entry(n) for n in order] for order in ([1, 2, 3], [3, 2, 1], [2], [3])]
    for round_number in range(5):
        shift = 10 * round_number
        begin = threading.Barrier(len(pages))
        results: list[Any] = [None] * len(pages)

        def work(
            number: int, shift: int = shift, begin: threading.Barrier = begin, results: list[Any] = results
        ) -> None:
            page = [entry(int(e.title.rpartition(" ")[2]) + shift) for e in pages[number]]
            begin.wait()
            try:
                results[number] = _store_parsed(rt, page, feed_rows[number])
            except Exception as error:
                results[number] = error

        threads = [threading.Thread(target=work, args=(n,)) for n in range(len(pages))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [r for r in results if isinstance(r, Exception)] == []
        assert [rejected for _, rejected in results] == [[]] * 4
    assert len(all_rows(rt, Paper)) == 15
    assert len(all_rows(rt, Sighting)) == 5 * 8


def test_a_database_that_fails_is_no_reason_to_reject_an_entry(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection, a full disk or a deadlock says nothing of the entry: the job is tried again."""
    from sqlalchemy.exc import OperationalError

    def fails(*_: Any, **__: Any) -> Any:
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    feed = add_feed(rt, "hf")
    monkeypatch.setattr("services.pipeline.parse.papers.store_page", fails)
    with pytest.raises(OperationalError):
        _store_parsed(rt, [entry(1), entry(2)], feed)


def test_a_page_is_stored_with_few_statements_whatever_its_size(make_runtime: MakeRuntime) -> None:
    from sqlalchemy import event

    rt = make_runtime()
    feed = add_feed(rt, "hf")
    counted: list[str] = []
    event.listen(rt.engine, "before_cursor_execute", lambda *a: counted.append(a[2]))
    store(rt, [entry(n, upvotes=n) for n in range(1, 11)], feed=feed)
    ten = len(counted)
    counted.clear()
    store(rt, [entry(n, upvotes=n) for n in range(101, 301)], feed=feed)
    assert len(counted) <= ten + 2
    assert ten < 25
