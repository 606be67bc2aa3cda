"""Identity with a history: merges and taking them back, pairs for a person, and what becomes of a paper later."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from services.domain.errors import InvalidInput, NotFound
from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.papers import AuthorData, PaperFacts, RepoFacts
from services.domain.repos import RepoData
from services.domain.users import Actor
from services.pipeline import enrich, operate
from services.pipeline.views import since_you_read
from services.runtime import Runtime
from services.storage import archive, duplicates, events, folding, repos
from services.storage.tables import (
    Duplicate,
    Edition,
    EditionItem,
    Event,
    Link,
    Merge,
    Paper,
    Repo,
    Sighting,
    Statement,
    Subscription,
)
from services.storage.tables import Identifier as IdentifierRow
from tests.factories import add_feed, all_rows, arxiv, code, entry, store
from tests.fakes import Clock

DOI = Identifier("doi", "10.5555/lantern.7")
OTHER = "Moored buoys as memory for agents"
ME = Actor(name="boss", role="admin", origin="command")


def names_of(rt: Runtime) -> dict[str, set[str]]:
    keys = {p.id: p.key for p in all_rows(rt, Paper)}
    found: dict[str, set[str]] = {key: set() for key in keys.values()}
    for row in all_rows(rt, IdentifierRow):
        found[keys[row.paper_id]].add(f"{row.scheme}:{row.value}")
    return found


def told(rt: Runtime) -> list[tuple[str, str]]:
    return [(e.kind, e.key) for e in all_rows(rt, Event)]


# -- merging and taking it back ----------------------------------------------------------------------------------


@pytest.fixture
def merged(rt: Runtime) -> int:
    """Two papers of two feeds, merged by an entry that names both; returns the id of the merge."""
    hf, blog = add_feed(rt, "hf"), add_feed(rt, "blog", "rss")
    store(rt, [entry(1, upvotes=4, links=(code("quill/lanterns"),))], feed=hf)
    store(
        rt,
        [entry(2, identifiers=(DOI,), title=OTHER, announced_on=date(2026, 11, 20), links=(code("osei/buoys"),))],
        feed=blog,
        source="rss:blog",
    )
    store(rt, [entry(1, upvotes=5, identifiers=(arxiv(1), DOI))], feed=hf)
    (merge,) = all_rows(rt, Merge)
    assert len(all_rows(rt, Paper)) == 1
    return int(merge.id)


def test_a_merge_can_be_taken_back(rt: Runtime, merged: int) -> None:
    with rt.writing() as session:
        apart = folding.unmerge(session, merged, now=rt.now())
    papers = {p.key: p for p in all_rows(rt, Paper)}
    assert set(papers) == {str(arxiv(1)), str(DOI)}
    assert papers[str(DOI)].id == apart
    assert (papers[str(DOI)].title, papers[str(DOI)].announced_on) == (OTHER, date(2026, 11, 20))
    assert papers[str(arxiv(1))].title.startswith("Sparse lanterns")
    assert papers[str(arxiv(1))].upvotes == 5
    assert names_of(rt) == {str(arxiv(1)): {str(arxiv(1))}, str(DOI): {str(DOI)}}
    keys = {p.id: p.key for p in papers.values()}
    assert {(keys[s.paper_id], s.source) for s in all_rows(rt, Statement)} == {
        (str(arxiv(1)), "hf_papers"), (str(DOI), "rss:blog"),
    }  # fmt: skip
    assert {(keys[x.paper_id], x.slug) for x in all_rows(rt, Link)} == {
        (str(arxiv(1)), "quill/lanterns"), (str(DOI), "osei/buoys"),
    }  # fmt: skip
    assert len([s for s in all_rows(rt, Sighting) if keys[s.paper_id] == str(DOI)]) == 1


def test_what_was_taken_apart_stays_apart(rt: Runtime, merged: int) -> None:
    """Also when the entry that joined them comes again."""
    with rt.writing() as session:
        folding.unmerge(session, merged, now=rt.now())
    hf = add_feed(rt, "hf-again")
    again = store(rt, [entry(1, upvotes=6, identifiers=(arxiv(1), DOI))], feed=hf)
    assert again.merged == 0
    assert names_of(rt) == {str(arxiv(1)): {str(arxiv(1))}, str(DOI): {str(DOI)}}
    assert next(p for p in all_rows(rt, Paper) if p.key == str(arxiv(1))).upvotes == 6


def test_a_merge_is_taken_back_once(rt: Runtime, merged: int) -> None:
    with rt.writing() as session:
        folding.unmerge(session, merged, now=rt.now())
    with rt.writing() as session, pytest.raises(InvalidInput, match="undone before"):
        folding.unmerge(session, merged, now=rt.now())
    with rt.writing() as session, pytest.raises(NotFound):
        folding.unmerge(session, 999, now=rt.now())


def test_the_first_of_two_merges_can_be_taken_back(rt: Runtime, merged: int) -> None:
    forum = Identifier("openreview", "aB3dE5gH7j")
    hf = add_feed(rt, "more")
    store(rt, [entry(3, identifiers=(forum,), title="A harbour for lost gradients")], feed=hf)
    store(rt, [entry(1, identifiers=(forum, arxiv(1)))], feed=hf)
    assert len(all_rows(rt, Paper)) == 1
    with rt.writing() as session:
        folding.unmerge(session, merged, now=rt.now())
    assert names_of(rt) == {str(arxiv(1)): {str(arxiv(1)), str(forum)}, str(DOI): {str(DOI)}}


def test_the_readers_of_the_folded_paper_keep_it(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1), entry(2, identifiers=(DOI,), title=OTHER)], feed=feed)
    one, two = (p.id for p in all_rows(rt, Paper))
    had(rt, 7, two, at=rt.now())
    store(rt, [entry(1, identifiers=(arxiv(1), DOI))], feed=feed)
    assert [i.paper_id for i in all_rows(rt, EditionItem)] == [one]
    with rt.writing() as session:
        apart = folding.unmerge(session, all_rows(rt, Merge)[0].id, now=rt.now())
    assert [i.paper_id for i in all_rows(rt, EditionItem)] == [apart]


# -- titles --------------------------------------------------------------------------------------------------------


def test_a_listing_finds_a_paper_under_a_title_it_bore_before(rt: Runtime) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    store(rt, [entry(1, title="Lanterns for tides, a first look")], feed=api)
    store(rt, [entry(1, version=2, title=OTHER)], feed=api)
    stored = store(rt, [entry(1, identifiers=(), title="Lanterns for Tides: A First Look")], feed=page)
    assert stored.new == 0
    assert len(all_rows(rt, Paper)) == 1


LISTED = entry(7, identifiers=(), title=OTHER, upvotes=9, links=(code("osei/buoys"),))
NAMELESS = "title:"


def held(rt: Runtime) -> set[tuple[str, int | None, tuple[str, ...], int]]:
    """Papers (a nameless one as `title:`) with upvotes, code and the number of listings."""
    links, seen = all_rows(rt, Link), all_rows(rt, Sighting)
    return {
        (
            NAMELESS if p.key.startswith(NAMELESS) else p.key, p.upvotes,
            tuple(sorted(x.slug or "" for x in links if x.paper_id == p.id)), sum(s.paper_id == p.id for s in seen),
        )
        for p in all_rows(rt, Paper)
    }  # fmt: skip


@pytest.mark.parametrize("order", list(permutations("lab")), ids="".join)
def test_a_listing_that_may_mean_two_papers_joins_neither_whatever_came_first(
    rt: Runtime, order: tuple[str, ...]
) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    for what in (*order, *order):
        match what:
            case "l":
                store(rt, [LISTED], feed=page)
            case "a":
                store(rt, [entry(1, title=OTHER)], feed=api)
            case "b":
                store(rt, [entry(2, title=OTHER)], feed=api)
    assert held(rt) == {
        (str(arxiv(1)), None, (), 1), (str(arxiv(2)), None, (), 1), (NAMELESS, 9, ("osei/buoys",), 1),
    }  # fmt: skip
    nameless = next(p.id for p in all_rows(rt, Paper) if p.key.startswith(NAMELESS))
    asked = [{d.paper_id, d.other_id} for d in all_rows(rt, Duplicate) if d.state == "open"]
    assert sum(nameless in pair for pair in asked) == 2, "a person is asked which of the two is meant"


@pytest.mark.parametrize("turn", [1, -1])
def test_of_both_titles_of_a_paper_on_one_page_the_same_counts_in_either_order(rt: Runtime, turn: int) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    store(rt, [entry(1, title=OTHER)], feed=api)
    store(rt, [entry(1, title="Moored buoys, renamed for the journal", version=2)], feed=api)
    listed = [
        entry(7, identifiers=(), title=OTHER, upvotes=9),
        entry(8, identifiers=(), title="Moored buoys, renamed for the journal", upvotes=4),
    ]
    store(rt, listed[::turn], feed=page)
    (paper,) = all_rows(rt, Paper)
    assert paper.upvotes == 9, "of what one source says on a day, the higher count"


def test_a_listing_joins_two_papers_of_one_name_once_they_are_one(rt: Runtime) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    store(rt, [LISTED], feed=page)
    store(rt, [entry(1, title=OTHER)], feed=api)
    store(rt, [entry(2, title=OTHER)], feed=api)
    store(rt, [entry(1, identifiers=(arxiv(1), arxiv(2)), title=OTHER, announced_on=date(2026, 11, 25))], feed=api)
    assert held(rt) == {(str(arxiv(1)), 9, ("osei/buoys",), 3)}
    with rt.writing() as session:
        folding.unmerge(session, next(m.id for m in all_rows(rt, Merge) if m.merged_key == str(arxiv(2))), now=rt.now())
    assert {row[:3] for row in held(rt)} == {
        (str(arxiv(1)), None, ()), (str(arxiv(2)), None, ()), (NAMELESS, 9, ("osei/buoys",)),
    }  # fmt: skip


@pytest.mark.parametrize("by", ["pair", "names"])
def test_a_listing_joins_the_other_once_a_person_says_which_it_is_not(rt: Runtime, by: str) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    store(rt, [LISTED], feed=page)
    store(rt, [entry(1, title=OTHER), entry(2, title=OTHER)], feed=api)
    (nameless,) = (p for p in all_rows(rt, Paper) if p.key.startswith(NAMELESS))
    (first,) = all_rows(rt, Paper, key=str(arxiv(1)))
    if by == "names":
        operate.keep_apart(rt, ME, nameless.key, first.key)
    else:
        wanted = {nameless.id, first.id}
        (pair,) = (d for d in all_rows(rt, Duplicate) if {d.paper_id, d.other_id} == wanted)
        operate.decide_pair(rt, ME, pair.id, "different")
    assert {row[:3] for row in held(rt)} == {(str(arxiv(1)), None, ()), (str(arxiv(2)), 9, ("osei/buoys",))}
    before = held(rt)
    store(rt, [LISTED], feed=page)
    assert held(rt) == before


def test_a_preprint_is_meant_before_a_post_that_has_its_title(rt: Runtime) -> None:
    api, page, blog = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing"), add_feed(rt, "blog", "rss")
    store(rt, [entry(3, identifiers=(Identifier("url", "https://lantern.example/7"),), title=OTHER)], feed=blog)
    store(rt, [LISTED], feed=page)
    assert {row[0] for row in held(rt)} == {"url:https://lantern.example/7"}
    store(rt, [entry(1, title=OTHER)], feed=api)
    assert {row[:3] for row in held(rt)} == {
        (str(arxiv(1)), 9, ("osei/buoys",)), ("url:https://lantern.example/7", None, ()),
    }  # fmt: skip


def test_what_a_person_said_of_a_listing_is_not_decided_anew(rt: Runtime) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    store(rt, [LISTED], feed=page)
    store(rt, [entry(1, title=OTHER), entry(2, title=OTHER)], feed=api)
    (nameless,) = (p.key for p in all_rows(rt, Paper) if p.key.startswith(NAMELESS))
    with rt.writing() as session:
        folding.merge(session, nameless, str(arxiv(2)), now=rt.now())
    store(rt, [replace(LISTED, upvotes=12)], feed=page)
    store(rt, [entry(3, title=OTHER)], feed=api)
    assert {row[:3] for row in held(rt)} == {
        (str(arxiv(1)), None, ()), (str(arxiv(2)), 12, ("osei/buoys",)), (str(arxiv(3)), None, ()),
    }  # fmt: skip


def test_a_paper_that_its_listing_announced_is_not_new_when_the_api_brings_it(rt: Runtime) -> None:
    api, page = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "page", "listing")
    store(rt, [entry(1, identifiers=(), title=OTHER)], feed=page)
    (before,) = (p.id for p in all_rows(rt, Paper))
    stored = store(rt, [entry(1, title=OTHER, links=(code("osei/buoys"),))], feed=api)
    assert (stored.new, stored.merged, stored.paper_ids) == (0, 0, [before])
    assert told(rt) == [("code_appeared", "osei/buoys")]


def test_an_answer_that_folds_two_rows_tells_of_the_acceptance_it_brings(rt: Runtime) -> None:
    api, doi = add_feed(rt, "api", "arxiv_api"), add_feed(rt, "doi", "crossref")
    store(rt, [entry(1)], feed=api)
    store(rt, [entry(2, identifiers=(DOI,), title=OTHER)], feed=doi)
    store(rt, [entry(1, identifiers=(arxiv(1), DOI), journal_ref="Tides 7 (2026)")], feed=doi)
    assert told(rt) == [("accepted", "")]


def test_a_key_grows_stronger_though_nothing_else_is_new(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, identifiers=(DOI,))], feed=feed)
    again = store(rt, [entry(1, identifiers=(DOI, arxiv(1)))], feed=feed)
    assert (again.changed, again.known) == (0, 1)
    assert [p.key for p in all_rows(rt, Paper)] == [str(arxiv(1))]


# -- pairs for a person ------------------------------------------------------------------------------------------


def test_an_edited_title_under_another_name_is_flagged_and_not_merged(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, title="Sparse lanterns for tidal inference")], feed=feed)
    stored = store(rt, [entry(2, identifiers=(DOI,), title="Sparse Lanterns for Tidal Inferences")], feed=feed)
    assert (stored.new, stored.alike) == (1, 1)
    (pair,) = all_rows(rt, Duplicate)
    assert pair.state == "open"
    assert pair.score > 0.95
    assert "2 of 2 authors shared" in pair.reason
    assert len(all_rows(rt, Paper)) == 2


def test_a_pair_is_asked_about_once_and_the_answer_stays(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    page = [entry(1, title=OTHER), entry(2, title=OTHER)]
    store(rt, page, feed=feed)
    (pair,) = all_rows(rt, Duplicate)
    with rt.writing() as session:
        assert [d.id for d in duplicates.list_open(session)] == [pair.id]
        duplicates.decide(session, pair.id, "different", now=rt.now())
        assert duplicates.list_open(session) == []
    store(rt, [replace(one, upvotes=9) for one in page], feed=feed)
    assert [d.state for d in all_rows(rt, Duplicate)] == ["different"]


def test_a_person_merges_a_pair_and_can_take_it_back(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, title=OTHER), entry(2, title=OTHER, abstract="Another text.")], feed=feed)
    with rt.writing() as session:
        folding.merge(session, str(arxiv(1)), str(arxiv(2)), now=rt.now())
    assert names_of(rt) == {str(arxiv(1)): {str(arxiv(1)), str(arxiv(2))}}
    assert all_rows(rt, Duplicate) == []
    with rt.writing() as session:
        folding.unmerge(session, all_rows(rt, Merge)[0].id, now=rt.now())
    assert set(names_of(rt)) == {str(arxiv(1)), str(arxiv(2))}


def test_a_phrase_of_the_trade_flags_nothing(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    page = [
        entry(n, title=f"Tidal lantern inference in harbour number {'abcdefghijklmnopqrstuvwxyz'[n]}")
        for n in range(20)
    ]
    assert store(rt, page, feed=feed).alike == 0


def test_other_people_under_a_like_title_are_not_flagged(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    page = [entry(1, title=OTHER), entry(2, title=OTHER, authors=(AuthorData(name="Dee Moor"),))]
    assert store(rt, page, feed=feed).alike == 0


# -- late facts ------------------------------------------------------------------------------------------------------


def test_what_becomes_of_a_paper_is_told_once_each(rt: Runtime, clock: Clock) -> None:
    api = add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1)], feed=api)
    assert told(rt) == []
    second = entry(1, version=2, abstract="Now with more lanterns.", comment="Accepted at CONF 2026")
    for _ in range(3):
        clock.advance(days=1)
        store(rt, [second], feed=api)
        store(rt, [entry(1)], feed=api)
    assert sorted(told(rt)) == [("accepted", ""), ("new_version", "v2")]
    store(rt, [replace(second, version=3, withdrawn=True)], feed=api)
    assert sorted(told(rt)) == [("accepted", ""), ("new_version", "v2"), ("new_version", "v3"), ("withdrawn", "")]


def test_code_that_comes_later_is_an_event_and_code_of_the_first_day_is_not(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1), entry(2, title=OTHER, links=(code("osei/buoys"),))], feed=feed)
    assert told(rt) == []
    store(rt, [entry(1, links=(code("Quill/Lanterns"),))], feed=feed)
    store(rt, [entry(1, upvotes=3, links=(code("quill/lanterns"), code("quill/more")))], feed=feed)
    assert told(rt) == [("code_appeared", "quill/lanterns")]


def test_a_guess_at_the_code_is_no_event_and_not_shown_as_code(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1)], feed=feed)
    store(rt, [entry(1, links=(code("guess/lanterns", "hf_auto"),))], feed=feed)
    assert told(rt) == []


def _found(rt: Runtime, slug: str, **changes: object) -> None:
    """Read a repository as the enrich stage does."""
    facts = {"host": "github.com", "host_id": "77", "slug": slug, "stars": 10, "forks": 1, "license": "MIT"}
    data = RepoData(**{**facts, **changes})  # type: ignore[arg-type]
    with rt.writing() as session:
        row = session.execute(sa.select(Repo)).scalars().one()
        before = enrich._state_of(row)
        now = rt.now()
        one = repos.Found(repo_id=row.id or 0, data=data, etag=None, next_check_at=now)
        kept = repos.record_found(session, [one], now=now)
        session.expire_all()
        enrich._tell(session, kept[one.repo_id], before, data, now=now)


def test_what_becomes_of_its_code_is_told_with_the_paper(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, links=(code("quill/lanterns"),))], feed=feed)
    _found(rt, "quill/lanterns")
    assert told(rt) == []
    for changes in ({"stars": 400}, {"stars": 400, "license": "GPL-3.0"}, {"stars": 400, "archived": True}, {}):
        clock.advance(days=1)
        _found(rt, "quill/lanterns", **changes)
    assert told(rt) == [
        ("stars_jumped", "quill/lanterns x20"),
        ("license_changed", "quill/lanterns GPL-3.0"),
        ("license_changed", "quill/lanterns MIT"),
        ("repo_archived", "quill/lanterns"),
    ]


def test_a_repository_that_was_announced_and_is_there_at_last(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, links=(code("quill/lanterns"),))], feed=feed)
    (row,) = all_rows(rt, Repo)
    with rt.writing() as session:
        repos.record_miss(session, row.id, state="missing", error=None, now=rt.now(), next_check_at=rt.now())
    clock.advance(days=3)
    _found(rt, "quill/lanterns")
    assert told(rt) == [("code_appeared", "quill/lanterns")]


def had(rt: Runtime, subscription: int, paper_id: int, *, at: datetime) -> None:
    """A subscription that got a paper in an edition of its own."""
    with rt.writing() as session:
        if session.get(Subscription, subscription) is None:
            session.add(
                Subscription(
                    id=subscription, subscriber_id=subscription, name=f"s{subscription}", created_at=at, since_at=at
                )
            )
        edition = Edition(
            subscription_id=subscription, period=f"{at:%Y-%m-%d}", composed_at=at, due_at=at, matched=1, considered=1
        )
        session.add(edition)
        session.flush()
        session.add(EditionItem(edition_id=edition.id or 0, subscription_id=subscription, paper_id=paper_id, rank=1))


def test_since_you_read_tells_each_reader_of_their_own_papers_once(rt: Runtime, clock: Clock) -> None:
    api = add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1), entry(2, title=OTHER)], feed=api)
    one, two = (p.id for p in all_rows(rt, Paper))
    had(rt, 1, one, at=rt.now())
    had(rt, 2, two, at=rt.now())
    clock.advance(days=1)
    store(
        rt, [entry(1, version=2, abstract="Now with more lanterns."), entry(2, title=OTHER, withdrawn=True)], feed=api
    )
    clock.advance(hours=1)
    with rt.reading() as session:
        first = since_you_read(session, 1, rt.now())
        second = since_you_read(session, 2, rt.now())
        assert since_you_read(session, 3, rt.now()) == ()
    assert first == ("v2 of “Sparse lanterns for tidal inference, part 1” (abstract changed)",)
    assert second == (f"“{OTHER}” was withdrawn",)
    had(rt, 1, two, at=rt.now())
    clock.advance(days=1)
    with rt.reading() as session:
        assert since_you_read(session, 1, rt.now()) == ()


def test_the_archive_knows_how_fast_a_repository_grows(rt: Runtime, clock: Clock) -> None:
    feed = add_feed(rt, "hf")
    store(rt, [entry(1, published_at=rt.now(), links=(code("quill/lanterns"),))], feed=feed)
    for stars in (100, 110, 120, 130):
        _found(rt, "quill/lanterns", stars=stars)
        clock.advance(days=1)
    clock.advance(days=-1)
    with rt.reading() as session:
        (paper,) = archive.load(session, archive.ids(session), now=rt.now())
    assert isinstance(paper, PaperFacts)
    repo: RepoFacts = paper.repos[0]
    assert (repo.stars_gained_24h, repo.stars_gained_since, repo.stars_per_day) == (10, 30, 10.0)


def test_events_of_a_paper_are_listed_in_order(rt: Runtime, clock: Clock) -> None:
    api = add_feed(rt, "api", "arxiv_api")
    store(rt, [entry(1)], feed=api)
    for number in (2, 3):
        clock.advance(days=1)
        store(rt, [entry(1, version=number, abstract=f"Text {number}.")], feed=api)
    with rt.reading() as session:
        found = events.of_paper(session, all_rows(rt, Paper)[0].id)
        assert [(e.key, e.at) for e in found] == [("v2", rt.now() - timedelta(days=1)), ("v3", rt.now())]


def test_links_of_a_merge_keep_the_better_evidence(rt: Runtime) -> None:
    feed = add_feed(rt, "hf")
    guess = LinkData(url="https://github.com/quill/shore", kind="code", slug="quill/shore", evidence="hf_auto")
    store(rt, [entry(1, links=(guess,))], feed=feed)
    store(rt, [entry(2, identifiers=(DOI,), abstract="Code: https://github.com/quill/shore")], feed=feed)
    store(rt, [entry(1, identifiers=(arxiv(1), DOI), announced_on=date(2026, 11, 25))], feed=feed)
    assert [(x.slug, x.evidence) for x in all_rows(rt, Link)] == [("quill/shore", "abstract")]


def test_the_day_a_source_was_asked_settles_what_it_says_of_one_day(rt: Runtime) -> None:
    """Counts may fall, and what is read later is right then."""
    from services.storage import papers

    feed = add_feed(rt, "hf")
    for upvotes, read_on in ((9, date(2026, 11, 24)), (7, date(2026, 11, 26)), (8, date(2026, 11, 25))):
        with rt.writing() as session:
            papers.store_page(
                session, [entry(1, upvotes=upvotes)], feed=feed, source="hf_papers", day=date(2026, 11, 24),
                now=datetime(2026, 11, 26, tzinfo=UTC), read_on=read_on,
            )  # fmt: skip
    assert all_rows(rt, Paper)[0].upvotes == 7
