"""Search: the database gives the answer that the query has in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col

from services.domain.identifiers import Identifier
from services.domain.links import COUNTED, EVIDENCE, LinkData
from services.domain.matching import PaperSet
from services.domain.papers import AuthorData, PaperData, PaperFacts
from services.domain.queries import Query, QueryError
from services.pipeline import views
from services.runtime import Runtime
from services.storage import archive, folding, reports, search, search_index
from services.storage.facets import Facets, facets
from services.storage.search_index import TABLE
from services.storage.tables import Paper, Repo
from tests.factories import DAY, add_feed, arxiv, asked_of, code, entry, parse_query, store
from workers.web.cards import card

WORDS = (
    "large",
    "language",
    "models",
    "model",
    "pre-training",
    "pretraining",
    "training",
    "C++",
    "c",
    "C#",
    "GPT-4",
    "gpt4",
    "Itō",
    "ito",
    "大規模言語モデル",
    "言語",
    "state-of-the-art",
    "of",
    "the",
    "art",
    "R&D",
    "don't",
    "Straße",
    "strasse",
    "$\\mathcal{O}(n)$",
    "naïve",
    "naive",
    "ガ",
    "カ",
    "हिन्दी",
    "2601.01234",
    "x",
    "quantized",
    "quantization",
    "ﬁne",
)
NAMES = ("Kenji Itō", "K. Ito", "Bram Osei", "Jean-Pierre Serre", "J. P. Serre", "山田 太郎", "Ada Quill", "Osei Bram")
PLACES = ("ETH Zürich", "Łódź Labs", "State of the Art Institute", "language models")
CATEGORIES = ("cs.CL", "cs.LG", "math.NA", "cs.NA", "Künstliche Intelligenz", "q-bio", "csx.Q", "CS.AI")
SLUGS = ("ethz/nodraft", "ada/Tide", "tide/ada", "a-b/c.d")


def _papers(number: int, seed: int) -> list[PaperData]:
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, most)))

    def perhaps(value: Any, odds: float = 0.5) -> Any:
        return value if draw.random() < odds else None

    found = []
    for n in range(number):
        day = DAY - timedelta(days=draw.randint(0, 40))
        names = draw.sample(NAMES, draw.randint(0, 3))
        links = [code(slug) for slug in SLUGS if draw.random() < 0.25]
        if draw.random() < 0.2:
            links.append(LinkData(url=f"https://huggingface.co/o/m{n}", kind="model", slug=f"o/m{n}", evidence="hf"))
        if draw.random() < 0.2:
            links.append(LinkData(url=f"https://p{n}.example/", kind="project", evidence="hf"))
        found.append(
            entry(
                n,
                identifiers=(arxiv(n), *([Identifier("doi", f"10.1000/{n}")] if draw.random() < 0.3 else [])),
                title=words(6), abstract=perhaps(words(25), 0.8),
                authors=tuple(AuthorData(name=name, affiliation=perhaps(draw.choice(PLACES))) for name in names),
                authors_count=None if names else perhaps(draw.randint(1, 9)),
                organization=perhaps(draw.choice(PLACES), 0.3), comment=perhaps(words(5), 0.3),
                journal_ref=perhaps(words(4), 0.2), license=perhaps(draw.choice(["cc-by-4.0", "Apache-2.0"]), 0.3),
                categories=tuple(draw.sample(CATEGORIES, draw.randint(0, 3))),
                published_at=perhaps(datetime(day.year, day.month, day.day, draw.randint(0, 23), 30, tzinfo=UTC), 0.7),
                updated_at=perhaps(datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC), 0.3),
                announced_on=day, upvotes=perhaps(draw.randint(0, 30)), comments_count=perhaps(draw.randint(0, 3)),
                withdrawn=perhaps(True, 0.1), links=tuple(links),
            )
        )  # fmt: skip
    return found


def _fill(rt: Runtime, number: int = 120, seed: int = 7) -> list[PaperFacts]:
    """An archive of odd papers, with repositories in every state; returns what it holds."""
    papers = _papers(number, seed)
    half = number // 2
    store(rt, papers[:half], feed=add_feed(rt, "daily-papers"))
    store(rt, papers[half:], feed=add_feed(rt, "blog-künstlich", "rss"), source="rss:blog-künstlich")
    draw = random.Random(seed)
    with rt.writing() as session:
        for repo in session.execute(sa.select(Repo)).scalars():
            repo.state = draw.choice(["found", "found", "missing", "new"])
            repo.stars = draw.choice([None, 0, 5, 412])
            repo.language = draw.choice([None, "Python", "C++"])
            repo.license = draw.choice([None, "MIT", "Apache-2.0"])
            repo.topics = draw.choice([[], ["large-language-models"], ["nlp"]])
        # Days are not always known.
        ids = list(session.execute(sa.select(col(Paper.id)).order_by(col(Paper.id))).scalars())
        for paper_id in ids[::7]:
            session.execute(sa.update(Paper).where(col(Paper.id) == paper_id).values(announced_on=None))
    with rt.reading() as session:
        return archive.load(session, ids, now=rt.now())


def _answers(rt: Runtime, query: Query, held: Sequence[PaperFacts]) -> tuple[set[int], set[int]]:
    with rt.reading() as session:
        return set(search.find(session, query, now=rt.now())), {paper.id for paper in held if query.matches(paper)}


_word = st.sampled_from(
    [*WORDS, "mod*", "quanti*", "qu?nti*", "*ing", "modl~", "model?", "lang*", "言*", "GPT-*", "c*"]
)
_text = st.one_of(
    _word.filter(lambda w: "$" not in w),
    st.lists(st.sampled_from(WORDS), min_size=2, max_size=4).map(lambda ws: '"' + " ".join(ws) + '"'),
    st.lists(st.sampled_from(WORDS), min_size=2, max_size=3).map(lambda ws: '"' + " ".join(ws) + '"~3'),
)
_field = st.sampled_from(["", "title:", "abstract:", "author:", "organization:", "comment:", "venue:"])
_fact = st.sampled_from(
    [
        "cat:cs.CL",
        "cat:cs.*",
        "cat:cs",
        "cat:math.NA",
        "cat:q-bio",
        "cat:k*",
        "cat:*lg",
        'cat:"kunstliche intelligenz"',
        "has:code",
        "has:model",
        "has:project",
        "has:stars",
        "has:abstract",
        "upvotes:>=10",
        "upvotes:[5 TO 20}",
        "stars:>4",
        "stars:0",
        "comments:0",
        "authors_count:>2",
        "authors_count:[1 TO 2]",
        "date:2026-11",
        "date:>=2026-11-10",
        "announced:[2026-10-20 TO 2026-11-05]",
        "published:<2026-11-01",
        "updated:2026-11",
        "seen:2026",
        "published:>now-7d",
        "published:[now-30d TO now]",
        "announced:{now-2w TO now-3d]",
        "date:<now-1m",
        "updated:[now-10d TO *]",
        "seen:[now-1y TO now+1y]",
        "feed:daily-papers",
        "feed:*kunst*",
        "feed:blog-künstlich",
        "repo:ethz/nodraft",
        "repo:ada",
        "repo:a*",
        "repo:*/tide",
        "language:python",
        "language:c*",
        "license:apache",
        "license:cc-by",
        "license:mit",
        'topic:"large language models"',
        "topic:n*",
        "withdrawn:true",
        "withdrawn:false",
        "arxiv:2611.90003",
        "arxiv:2611.9000*",
        "doi:10.1000/5",
        "key:2611.90007",
        "*",
        "title:*",
        "author:*",
        "venue:*",
        'author:"ito kenji"',
        "author:k",
        'author:"kenji ito"',
        'author:"ito k"',
        'author:"jean-paul serre"',
        'author:"kenji m ito"',
        'author:"b osei kenji"',
        'author:"山田 k"',
        "author:serre",
        'author:"jean-pierre serre"',
        "stars:>=99999999999",
    ]
)
_leaf = st.one_of(st.tuples(_field, _text).map("".join), _fact)


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        several.map(lambda parts: "(" + " AND ".join(parts) + ")"),
        several.map(lambda parts: "(" + " OR ".join(parts) + ")"),
        inner.map(lambda part: f"(NOT {part})"),
    )


_query = st.recursive(st.one_of(_leaf, _leaf.map(lambda leaf: f"-{leaf}")), _combined, max_leaves=5)


@pytest.fixture
def filled(rt: Runtime) -> tuple[Runtime, list[PaperFacts]]:
    return rt, _fill(rt)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_query)
def test_the_database_finds_what_the_query_finds_in_memory(filled: tuple[Runtime, list[PaperFacts]], text: str) -> None:
    rt, held = filled
    try:
        query = parse_query(text)
    except QueryError:
        return
    found, wanted = _answers(rt, query, held)
    assert found == wanted


@pytest.mark.parametrize(
    "text", ["", "*", "-*", "cat:cs.CL -title:model", "x" * 200, '"of the art"', "author:k -author:kenji"]
)
def test_plain_queries_have_the_same_answer(filled: tuple[Runtime, list[PaperFacts]], text: str) -> None:
    rt, held = filled
    found, wanted = _answers(rt, parse_query(text), held)
    assert found == wanted


def test_the_newest_come_first_and_as_many_as_are_asked_for(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    store(rt, [entry(n, announced_on=DAY - timedelta(days=n)) for n in range(1, 9)], feed=feed)
    with rt.reading() as session:
        exact = list(islice(search.find_papers(session, parse_query("lanterns"), now=rt.now()), 3))
        checked = search.find(session, parse_query("lantrens~"), now=rt.now())
        days = [paper.announced_on for paper in exact]
        since = search.find(session, parse_query("lanterns"), now=rt.now(), since=DAY - timedelta(days=2))
        none = search.find(session, parse_query("lanterns"), now=rt.now(), feeds=["another"])
    assert [paper.id for paper in exact] == checked[:3]
    assert len(checked) == 8
    assert days == [DAY - timedelta(days=n) for n in (1, 2, 3)]
    assert len(since) == 2
    assert none == []


def test_what_fits_best_comes_first_by_relevance(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    papers = [
        entry(
            1, title="On shores", abstract="One lantern far away, among many other words about the sea and its tides."
        ),
        entry(2, title="Lantern after lantern", abstract="A lantern."),
        entry(3, title="Nothing of the kind", abstract="Dark."),
    ]
    store(rt, papers, feed=feed)
    with rt.reading() as session:
        ids = archive.ids(session)
        scores = search.relevance(session, parse_query("lantern"), ids)
        found = sorted(scores, key=lambda paper_id: -scores[paper_id])
        titles = [paper.title for paper in archive.load(session, found, now=rt.now())]
        assert search.relevance(session, parse_query("upvotes:>1"), ids) == {}
        assert search.relevance(session, parse_query("lantern"), found[1:]).keys() == {found[1]}
    assert titles == ["Lantern after lantern", "On shores"]


def test_a_changed_text_is_found_anew_and_an_unchanged_one_is_not_written_again(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    store(rt, [entry(1)], feed=feed)
    with rt.writing() as session:
        ids = list(session.execute(sa.select(col(Paper.id)).order_by(col(Paper.id))).scalars())
        assert search_index.refresh(session, ids) == 0
    store(rt, [entry(1, upvotes=50)], feed=feed)
    store(rt, [entry(1, upvotes=51, title="Brass weather", version=2)], feed=feed)
    with rt.reading() as session:
        assert search.find(session, parse_query("title:brass upvotes:51"), now=rt.now()) == ids
        assert search.find(session, parse_query("title:lanterns"), now=rt.now()) == []


def test_a_paper_with_more_words_than_can_be_indexed_is_still_found(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "MAX_BYTES", 200)
    store(rt, [entry(1, abstract="lantern " * 300 + "harbour"), entry(2, title="Short", abstract=None)],
          feed=add_feed(rt, "daily-papers"))  # fmt: skip
    with rt.reading() as session:
        held = archive.load(session, archive.ids(session), now=rt.now())
    for text in ("harbour", "short", "harbour -tide", "-harbour", '"lantern harbour"'):
        found, wanted = _answers(rt, parse_query(text), held)
        assert found == wanted, text


def test_a_phrase_is_found_behind_a_word_that_stands_more_often_than_the_database_counts(rt: Runtime) -> None:
    store(rt, [entry(1, abstract="the " * 400 + "the harbour")], feed=add_feed(rt, "daily-papers"))
    with rt.reading() as session:
        assert len(search.find(session, parse_query('"the harbour"'), now=rt.now())) == 1


def test_the_index_is_made_and_filled_where_it_is_missing(rt: Runtime) -> None:
    store(rt, [entry(n) for n in range(1, 4)], feed=add_feed(rt, "daily-papers"))
    with rt.engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {TABLE}"))
        connection.execute(
            sa.text(
                "CREATE VIRTUAL TABLE paper_words_0 USING fts5(title)"
                if connection.dialect.name == "sqlite"
                else "CREATE TABLE paper_words_0 (paper_id bigint)"
            )
        )
        assert not search_index.is_there(connection)
        assert search_index.ensure(connection)
        assert not search_index.ensure(connection)
        assert search_index._tables(connection) == [TABLE]
    with rt.reading() as session:
        assert len(search.find(session, parse_query("lanterns"), now=rt.now())) == 3


def test_housekeeping_mends_the_index(rt: Runtime) -> None:
    store(rt, [entry(n) for n in range(1, 4)], feed=add_feed(rt, "daily-papers"))
    with rt.writing() as session:
        ids = list(session.execute(sa.select(col(Paper.id)).order_by(col(Paper.id))).scalars())
        key = "rowid" if rt.engine.dialect.name == "sqlite" else "paper_id"
        session.execute(sa.text(f"DELETE FROM {TABLE} WHERE {key} = :id"), {"id": ids[0]})
        session.execute(sa.delete(Paper).where(col(Paper.id) == ids[1]))
        assert search_index.catch_up(session) == (1, 1)
        assert search_index.catch_up(session) == (0, 0)
        assert search.find(session, parse_query("lanterns"), now=rt.now()) == [ids[0], ids[2]]


def test_papers_merged_and_taken_apart_are_found_as_they_are(rt: Runtime) -> None:
    store(rt, [entry(1, title="Brass weather"), entry(2, title="Copper rain")], feed=add_feed(rt, "daily-papers"))
    with rt.writing() as session:
        folding.merge(session, str(arxiv(1)), str(arxiv(2)), now=rt.now())
        assert len(search.find(session, parse_query("lanterns OR brass OR copper"), now=rt.now())) == 1
        folding.unmerge(session, 1, now=rt.now())
        assert len(search.find(session, parse_query("title:copper"), now=rt.now())) == 1


def test_facets_count_what_was_found(rt: Runtime) -> None:
    feed = add_feed(rt, "daily-papers")
    papers = [entry(1, links=(code("a/b"),)), entry(2, categories=("cs.CL",)), entry(3, title="Else", abstract="Else")]
    store(rt, papers, feed=feed)
    with rt.reading() as session:
        found = facets(session, search.find(session, parse_query("lanterns"), now=rt.now()))
    assert found == Facets(
        total=2, categories={"cs.CL": 2, "cs.LG": 1}, feeds={"daily-papers": 2}, years={2026: 2}, with_code=1
    )


def test_similar_papers_share_the_telling_words(rt: Runtime) -> None:
    papers = [
        entry(1, title="Tidal lanterns", abstract="Lanterns and tides"),
        entry(2, title="Lanterns for tidal flats", abstract="Lanterns"),
        entry(3, title="Brass weather", abstract="Copper"),
        entry(4, title="Tidal brass", abstract="Of the sea"),
    ]
    store(rt, papers, feed=add_feed(rt, "daily-papers"))
    with rt.reading() as session:
        first = search.find(session, parse_query("title:tidal title:lanterns -title:flats"), now=rt.now())[0]
        found = search.similar(session, ["lanterns", "tidal"], but=first)
        titles = [paper.title for paper in archive.load(session, found, now=rt.now())]
        assert search.more_like(session, first)[:2] == found
        assert search.more_like(session, 99) == []
        assert search.frequencies(session, ["lanterns", "copper", "nowhere"], most=9) == {
            "lanterns": 2,
            "copper": 1,
            "nowhere": 0,
        }
    assert titles == ["Lanterns for tidal flats", "Tidal brass"]


def test_words_that_are_surely_common_are_not_counted(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL reads the rows it counts: a word of nearly every paper is told by the newest ones."""
    monkeypatch.setattr(search, "_SAMPLE", 4)
    papers = [entry(n, title="Lanterns", abstract="Brass." if n % 4 == 0 else "Copper.") for n in range(1, 25)]
    store(rt, papers, feed=add_feed(rt, "daily-papers"))
    with rt.reading() as session, asked_of(rt, "SELECT count(*) AS count_1") as asked:
        found = search.frequencies(session, ["lanterns", "brass", "copper", "nowhere"], most=3)
    assert found == {"lanterns": 3, "brass": 3, "copper": 3, "nowhere": 0}
    assert len(asked) == (4 if rt.engine.dialect.name == "sqlite" else 2)


def test_days_are_days_of_utc(rt: Runtime) -> None:
    moment = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    store(rt, [entry(1, published_at=moment)], feed=add_feed(rt, "daily-papers"))
    with rt.reading() as session:
        on = search.find(session, parse_query("published:2026-11-20"), now=rt.now())
        after = search.find(session, parse_query("published:2026-11-21"), now=rt.now())
    assert (len(on), after) == (1, [])
    assert date(2026, 11, 20) == moment.date()


def test_code_is_counted_by_one_rule_wherever_it_is_counted(filled: tuple[Runtime, list[PaperFacts]]) -> None:
    rt, held = filled
    feed = add_feed(rt, "claims")
    claims = [
        entry(500 + n, title=f"Claimed lanterns {n}", links=(code(f"claims/repo{n}", evidence=evidence),))
        for n, evidence in enumerate(EVIDENCE)
    ]
    store(rt, claims, feed=feed)
    with rt.reading() as session:
        held = archive.load(
            session, list(session.execute(sa.select(col(Paper.id)).order_by(col(Paper.id))).scalars()), now=rt.now()
        )
        query = parse_query("has:code")
        wanted = {paper.id for paper in held if query.matches(paper)}
        assert {one.paper.id for one in PaperSet(held).match(query)} == wanted
        assert set(search.find(session, query, now=rt.now())) == wanted
        assert facets(session, [paper.id for paper in held]).with_code == len(wanted)
        since = max(paper.announced_on or date.min for paper in held) - reports.CODE_DAYS
        recent = [paper for paper in held if paper.id in wanted and (paper.announced_on or date.min) >= since]
        assert reports.totals(session).with_code == len(recent) > 0
        shown = {paper.id for n, paper in enumerate(held) if card(paper, number=n, now=rt.now()).code}
        assert shown == wanted
        assert len(search.find(session, parse_query("has:code claimed"), now=rt.now())) == len(COUNTED)


@pytest.mark.parametrize("asked", ["has:model", "has:dataset", "has:space", "repo:claims/*", "repo:repo7"])
def test_what_is_named_in_passing_is_not_the_papers_own(filled: tuple[Runtime, list[PaperFacts]], asked: str) -> None:
    rt, _ = filled
    named = [
        entry(600 + n, title=f"Passing lanterns {n}", links=tuple(
            LinkData(url=f"https://host.example/{kind}/{n}", kind=kind, slug="claims/repo7", evidence=evidence)
            for kind in ("code", "model", "dataset", "space")
        ))
        for n, evidence in enumerate(EVIDENCE)
    ]  # fmt: skip
    store(rt, named, feed=add_feed(rt, "passing"))
    with rt.reading() as session:
        query = parse_query(f"{asked} title:passing")
        found = set(search.find(session, query, now=rt.now()))
        ids = list(session.execute(sa.select(col(Paper.id)).order_by(col(Paper.id))).scalars())
        held = archive.load(session, ids, now=rt.now())
    assert found == {paper.id for paper in held if query.matches(paper)}
    assert len(found) == len(COUNTED)
    (passing,) = [paper for paper in held if {link.evidence for link in paper.links} == {"in_passing"}]
    assert not card(passing, number=1, now=rt.now()).extras
    assert views._many(passing, "dataset") == 0
