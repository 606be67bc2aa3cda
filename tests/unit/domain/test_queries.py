"""Queries: what they match, what they say, and what they refuse."""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import pickle
import random
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.errors import InvalidInput
from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.papers import AuthorData, PaperFacts, RepoFacts
from services.domain.queries import FIELDS, MAX_QUERY, Indexed, Query, QueryError
from tests.factories import parse_query

CORPORA = Path(os.environ.get("BROADSHEET_CORPORA", Path(__file__).parents[4] / "shared" / "corpora"))


def paper(**facts: Any) -> PaperFacts:
    known: dict[str, Any] = {
        "id": 1,
        "key": "arxiv:2611.01234",
        "title": "Speculative Decoding Without a Draft Model",
        "abstract": "We pre-train LLaMA-2 in C++ and solve Navier–Stokes in $\\mathcal{O}(n)$. See 大規模言語モデル.",
        "authors": (AuthorData(name="Kenji Itō", affiliation="ETH Zürich"), AuthorData(name="B. Chen")),
        "organization": "Łódź Labs",
        "categories": ("cs.CL", "math.NA"),
        "published_at": datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
        "announced_on": date(2026, 11, 24),
        "first_seen_at": datetime(2026, 11, 24, 3, tzinfo=UTC),
        "upvotes": 87,
        "comments_count": 1,
        "identifiers": (Identifier("arxiv", "2611.01234"), Identifier("doi", "10.1000/xyz")),
        "comment": "Accepted at ICML'26, 12 pages",
        "journal_ref": "Proc. of Things 7 (2026)",
        "links": (
            LinkData(url="https://github.com/ethz/nodraft", kind="code", slug="ethz/nodraft", evidence="abstract"),
            LinkData(url="https://huggingface.co/ethz/nodraft-7b", kind="model", slug="ethz/nodraft-7b", evidence="hf"),
        ),
        "repos": (
            RepoFacts(
                slug="ethz/nodraft",
                url="https://github.com/ethz/nodraft",
                state="found",
                stars=412,
                license="Apache-2.0",
                language="C++",
                topics=("large-language-models",),
            ),
        ),
        "feeds": ("daily-papers", "arxiv-cs.CL"),
    }
    return PaperFacts(**(known | facts))


PAPER = paper()
BARE = PaperFacts(id=2, key="title:0", title="Tiny", first_seen_at=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "*",
        "*:*",
        # words and phrases
        "speculative decoding",
        "SPECULATIVE dÉcoding",
        '"speculative decoding"',
        "“speculative decoding”",
        "decoding navier",
        "pretrain",
        "pre-train",
        "llama2",
        "Navier-Stokes",
        "c++",
        "言語",
        '"言語モデル"',
        "decoding/speculative OR draft",
        "'draft'",
        "decoding & draft",
        # Boolean
        "speculative AND decoding",
        "speculative && decoding",
        "medusa OR draft",
        "medusa || draft",
        "speculative NOT medusa",
        "speculative -medusa",
        "speculative !medusa",
        "+speculative +decoding",
        "(medusa OR draft) AND (model OR x)",
        "-medusa",
        "NOT (medusa OR survey)",
        "NOT NOT speculative",
        "--speculative",
        "medusa OR -survey",
        "speculative - decoding",
        # a space binds looser than OR
        "medusa OR speculative draft",
        # prefixes, wildcards, spellings, weights
        "specul*",
        "*coding",
        "dec?ding",
        "d*g",
        "decodign~",
        "decodign~1",
        "decoding~0.8",
        '"draft speculative"~3',
        "decoding^4 (draft)^2.5",
        # fields
        "title:draft",
        "TITLE:draft",
        "title:(draft AND speculative)",
        'title:"draft model"',
        "title: draft",
        "abstract:llama*",
        "author:ito",
        'author:"Kenji Itō"',
        'authors:"Ito, K."',
        "organization:zurich",
        'org:"lodz labs"',
        "zurich",
        "ito lodz decoding",
        "comment:icml",
        "venue:icml",
        "venue:things",
        "cat:cs.CL",
        "category:CS.cl",
        "cat:cs.*",
        "cat:cs",
        "cat:cs.NA",
        "cat:(cs.LG OR cs.CL)",
        "feed:daily-papers",
        "feed:arxiv-*",
        "language:C++",
        "license:apache-2.0",
        "license:Apache",
        "repo:ethz/nodraft",
        "code:ETHZ",
        "repo:nodraft",
        "repo:ethz/*",
        "topic:large-language-models",
        'topic:"Large Language Models"',
        # keys
        "2611.01234",
        "2611.01234v3",
        "arxiv:2611.01234",
        "key:arxiv:2611.01234",
        "id:2611.01234",
        'key:"arxiv:2611.01234"',
        "id:(doi:10.1000/xyz OR arxiv:2601.00001)",
        "doi:10.1000/XYZ",
        "key:2611.*",
        "https://arxiv.org/abs/2611.01234v2",
        "key:https://doi.org/10.1000/xyz",
        # things
        "has:code",
        "has:model has:stars has:abstract",
        "has:models",
        "-has:dataset",
        # numbers
        "upvotes:87",
        "upvotes:[10 TO *]",
        "upvotes:{86 TO 88}",
        "upvotes:[* TO 87]",
        "upvotes:>=87",
        "upvotes:>86",
        "upvotes:<88",
        "upvotes:<=87",
        "upvotes>86",
        "stars>=412 stars<413",
        "comments:1",
        "authors_count:2",
        "stars:[1 TO 1,000]",
        "stars:*",
        "upvotes:[-5 TO 100]",
        # dates
        "date:2026-11-24",
        "date:2026-11",
        "date:2026",
        "announced:>2026-10",
        "announced:>=2026-11",
        "announced:<=2026-11",
        "announced:[2026-11-01 TO 2026-11-24]",
        "announced:{2026-11-23 TO 2026-11-25}",
        "announced:[2026-10 TO 2026-11]",
        "announced:[2026-11-24 TO *]",
        "published:2026-11-20",
        "published<2026-11-21",
        "announced:now",
        "announced:today",
        "announced:NOW-0D",
        "published:>now-7d",
        "published:>=now-4d",
        "published:[now-30d TO now]",
        "published:{now-1w TO now}",
        "published<now-3d",
        "published>now-5d",
        "date:[now-1m TO *]",
        "date:[* TO now+1y]",
        "date:[now-1y TO 2026-11-24]",
        "seen:2026-11-24",
        "withdrawn:false",
    ],
)
def test_a_query_finds_the_paper(query: str) -> None:
    assert parse_query(query).matches(PAPER)


@pytest.mark.parametrize(
    "query",
    [
        "medusa",
        "speculative medusa",
        "medusa OR speculative quantum",
        '"decoding speculative"',
        '"Kenji Chen"',
        '"model we"',  # not across title and abstract
        "decod",
        "量子",
        "speculative -draft",
        "-speculative",
        "NOT (medusa OR draft)",
        "-(speculative AND decoding)",
        "mode?l",
        "xecodign~1",
        '"model speculative"~1',
        "title:llama",
        "abstract:draft",
        'author:"Kenji Chen"',
        'author:"Chen, K."',
        'author:"Kenji M. Chen"',
        'author:"Chen J."',
        "author:M",
        "comment:neurips",
        "icml",  # the comment is not part of the default text
        "cat:cs.LG",
        "cat:c",
        "cat:cs.C",
        "feed:daily",
        "language:C",
        "license:mit",
        "repo:draft",
        "topic:language",
        "2611.0123",
        "arxiv:2611.99999",
        "has:dataset",
        "has:space",
        "has:project",
        "upvotes:>87",
        "upvotes:{87 TO *]",
        "upvotes:[* TO 87}",
        "upvotes<87",
        "stars:[413 TO *]",
        "announced:>2026-11",
        "announced:<2026-11",
        "announced:{2026-11-24 TO *]",
        "published:2026-11-21",
        "withdrawn:true",
        "-*",
    ],
)
def test_a_query_passes_the_paper_over(query: str) -> None:
    assert not parse_query(query).matches(PAPER)


def test_unknown_facts_match_neither_a_range_nor_its_opposite() -> None:
    for query in (
        "upvotes:>=0",
        "upvotes:<0",
        "stars:*",
        "announced:*",
        "published:<2030",
        "authors_count:*",
        "has:code",
    ):
        assert not parse_query(query).matches(BARE)
        assert parse_query(f"-{query}").matches(BARE)
    assert parse_query("date:2026-11-01").matches(BARE)


def test_repositories_that_are_gone_are_no_code() -> None:
    gone = RepoFacts(slug="ETHZ/nodraft", url="x", state="missing", stars=3, language="Rust")
    assert not parse_query("has:code").matches(paper(repos=(gone,)))
    assert not parse_query("language:rust").matches(paper(repos=(gone,)))
    assert parse_query("has:code").matches(paper(repos=()))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ('"speculative decoding"', ('matches "speculative decoding" in the title',)),
        ("draft decoding llama*", ('matches "draft" and "decoding" in the title', 'matches "llama*" in the abstract')),
        ("Ito", ("by Kenji Itō",)),
        ("org:zurich", ("from ETH Zürich",)),
        ("cat:(cs.LG OR cs.CL) has:code -survey", ("in cs.CL", "has code")),
        ("feed:daily-* upvotes>10 stars:*", ("listed by daily-papers", "87 upvotes", "412 stars")),
        ("comments:1 authors_count:2", ("1 comment", "2 authors")),
        ("date:2026-11 published:2026", ("announced 2026-11-24", "published 2026-11-20")),
        ("venue:icml venue:things", ('matches "icml" in the comment', 'matches "things" in the journal reference')),
        ("draft OR (medusa has:code)", ('matches "draft" in the title',)),
        ("draft draft DRAFT", ('matches "draft" and "DRAFT" in the title',)),
        (
            "language:c++ license:apache topic:large* repo:ethz",
            ("code in C++", "licence Apache-2.0", "topic large-language-models", "code at ethz/nodraft"),
        ),
        ("2611.01234", ("is arxiv:2611.01234",)),
        ("has:model has:abstract has:stars abstract:*", ("has a model", "has an abstract", "has a star count")),
        ("", ()),
        ("-survey", ()),
        ("medusa", ()),
    ],
)
def test_reasons_are_told_in_plain_words(query: str, told: tuple[str, ...]) -> None:
    assert parse_query(query).explain(PAPER) == told


@pytest.mark.parametrize(
    ("query", "cut"),
    [
        ("speculative -draft", 'matches "draft" in the title'),
        ("speculative NOT cat:cs.CL", "in cs.CL"),
        ("speculative -(survey OR draft OR has:code)", 'matches "draft" in the title and has code'),
        ("-(draft AND llama*)", 'matches "draft" in the title and matches "llama*" in the abstract'),
        ("-*", "every paper"),
        ("(medusa -x) OR (decoding -draft)", 'matches "draft" in the title'),
        ("speculative -survey", None),  # wanted
        ("medusa -draft", None),  # not wanted anyway
        ("medusa", None),
        ("", None),
    ],
)
def test_what_cut_a_paper_is_named(query: str, cut: str | None) -> None:
    assert parse_query(query).excluded_by(PAPER) == cut


@pytest.mark.parametrize(
    ("query", "position", "said"),
    [
        ("autor:Ito", 0, "Did you mean author"),
        ("a b nofield:x", 4, "there is no field 'nofield'"),
        ("Mamba: Linear-Time", 0, "put it in quotes"),
        ('foo "bar', 4, "never closed"),
        ("foo (bar", 4, "never closed"),
        ("foo) bar", 3, "closes nothing"),
        ("foo AND", 7, "ends too early"),
        ("title:", 6, "ends too early"),
        ("title:   ", 6, "ends too early"),
        ("foo OR AND bar", 7, "'AND' cannot stand here"),
        ("OR foo", 0, "'OR' cannot stand here"),
        ("upvotes:[10 to 20]", 12, "TO in capitals"),
        ("upvotes:[10 TO", 14, "ends too early"),
        ("stars:lots", 6, "no whole number"),
        ("stars:[1 TO x]", 12, "no whole number"),
        ("stars:" + "9" * 30, 6, "no whole number"),
        ("stars:10k", 6, "no whole number"),
        ("stars:[20 TO 10]", 6, "nothing lies in this range"),
        ("date:2026-13", 5, "no day, month or year"),
        ("date:2026-02-30", 5, "no day, month or year"),
        ("date:yesterday", 5, "no day, month or year"),
        ("date:now-7", 5, "as far back as now-7d"),
        ("draft published:>now-7h", 17, "no day, month or year"),
        ("date:now-99999d", 5, "no day, month or year"),
        ("date:>now-9999y", 6, "no day, month or year"),
        ("date:[now-1w TO now-1fortnight]", 16, "no day, month or year"),
        ("date:[now TO now-7d]", 5, "nothing lies in this range"),
        ("date:2026-11-24T08:00", 5, "no day, month or year"),
        ("date:٢٠٢٦", 5, "no day, month or year"),
        ("date:[2026-12 TO 2026-11]", 5, "nothing lies in this range"),
        ("has:wings", 4, "code, model, dataset"),
        ("withdrawn:perhaps", 10, "true or false"),
        ("key:nonsense", 4, "names no paper"),
        ("title:[a TO b]", 6, "takes no range"),
        ("x > 5", 2, "needs a field"),
        ("cat:cs~", 4, "no similar spellings"),
        ("title:(author:x)", 7, "cannot stand inside"),
        ("title:&", 0, "nothing to look for after title"),
        ("&", 0, "no word"),
        ("x~1.2.3", 1, "not a nearness"),
        ("x~7", 1, "not a nearness"),
        ('"x y"~0.5', 5, "not a nearness"),
        ("x^1.2.3", 1, "not a weight"),
        ("(" * 21 + "x" + ")" * 21, 20, "parentheses inside one another"),
        ("-" * 100 + "x", 60, "levels inside one another"),
        ("NOT " * 100 + "x", 240, "levels inside one another"),
        ("x" * (MAX_QUERY + 1), MAX_QUERY, "longer than 2,000"),
        (" " * (MAX_QUERY + 1), MAX_QUERY, "longer than 2,000"),
        (" ".join(f"w{n}*" for n in range(21)), 90, "more than 20 words with"),
        ('"' + "word " * 51 + '"', 0, "more than 50 words"),
    ],
)
def test_a_query_that_cannot_be_understood_is_refused_at_the_place(query: str, position: int, said: str) -> None:
    with pytest.raises(QueryError) as refused:
        parse_query(query)
    assert said in str(refused.value)
    assert refused.value.position == position
    assert isinstance(refused.value, InvalidInput)


def test_the_message_points_at_the_character_and_says_what_to_do() -> None:
    with pytest.raises(QueryError) as refused:
        parse_query("has:code stars:lots")
    lines = str(refused.value).split("\n")
    assert lines[0] == "'lots' is no whole number"
    assert lines[1] == "  has:code stars:lots"
    assert lines[2] == "                 ^"
    assert lines[3].startswith("Write a number")


def test_an_unknown_field_lists_all_fields() -> None:
    with pytest.raises(QueryError) as refused:
        parse_query("zzz:x")
    assert all(name in str(refused.value) for name in FIELDS)


def test_the_caret_stands_right_under_wide_characters_and_in_long_texts() -> None:
    with pytest.raises(QueryError) as refused:
        parse_query("言語 zzz:x")
    assert str(refused.value).split("\n")[2] == "  \u3000\u3000 ^"
    with pytest.raises(QueryError) as refused:
        parse_query("word " * 60 + "zzz:x" + " word" * 60)
    _, line, caret, _ = str(refused.value).split("\n")
    assert line[caret.index("^") :].startswith("zzz:x")
    assert len(line) < 90


def test_control_characters_of_a_query_do_not_reach_the_message() -> None:
    with pytest.raises(QueryError) as refused:
        parse_query("\x1b[31m zzz:\u202ex")
    assert "\x1b" not in str(refused.value)
    assert "\u202e" not in str(refused.value)


def test_the_error_survives_pickling() -> None:
    with pytest.raises(QueryError) as refused:
        parse_query("a zzz:x")
    copy = pickle.loads(pickle.dumps(refused.value))
    assert (type(copy), str(copy), copy.position) == (QueryError, str(refused.value), 2)


# --- whatever is typed ------------------------------------------------------------------------------------

PIECES = [
    "draft", "medusa", "specul*", "dec?ding", "decodign~", "x~2", '"speculative decoding"', '"a b"~3', "title:",
    "author:ito", "cat:cs.*", "has:code", "stars:>1", "[1 TO 2]", "date:2026", "date:>now-7d", "now-7d", "key:",
    "arxiv:2611.01234",
    "AND", "OR", "NOT", "TO", "(", ")", "-", "+", "!", "&&", "||", "~", "^", "^2", '"', "'", "/", "\\", ":",
    "[", "]", "{", "}", "<", ">", "=", "*", "?", "言語", "https://arxiv.org/abs/2611.01234", "\t", "\n", "\x00",
    "\ud800", "\u202e", "$x^2$", "a:b:c", "1.5", "“", "（",
]  # fmt: skip
soups = st.lists(st.sampled_from(PIECES), max_size=14).flatmap(
    lambda pieces: st.sampled_from([" ".join(pieces), "".join(pieces)])
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(soups, st.text(max_size=60)))
def test_any_text_is_either_a_query_or_a_query_error(text: str) -> None:
    query = _parsed(text)
    if isinstance(query, QueryError):
        assert 0 <= query.position <= len(text)
        assert len(str(query).split("\n")) == 4
        return
    for facts in (PAPER, BARE):
        wanted = query.matches(facts)
        cut = query.excluded_by(facts)
        assert not (wanted and cut is not None)
        assert wanted or query.explain(facts) == ()
        assert cut is None or cut


def queries() -> st.SearchStrategy[str]:
    words = st.sampled_from(
        ["draft", "medusa", "llama*", "has:code", "cat:cs.LG", "stars>1", "author:ito", '"a draft"', "tiny"]
    )
    return st.recursive(
        words,
        lambda inner: st.one_of(
            st.builds("({} AND {})".format, inner, inner),
            st.builds("({} OR {})".format, inner, inner),
            st.builds("({} {})".format, inner, inner),
            st.builds("(NOT {})".format, inner),
        ),
        max_leaves=8,
    )


@given(queries(), queries())
def test_operators_mean_what_logic_says(one: str, other: str) -> None:
    for facts in map(Indexed, (PAPER, BARE)):
        a, b = parse_query(one).matches(facts), parse_query(other).matches(facts)
        assert parse_query(f"{one} AND {other}").matches(facts) is (a and b)
        assert parse_query(f"{one} {other}").matches(facts) is (a and b)
        assert parse_query(f"{one} OR {other}").matches(facts) is (a or b)
        assert parse_query(f"NOT {one}").matches(facts) is (not a)
        assert parse_query(f"-({one} OR {other})").matches(facts) is (not (a or b))
        assert parse_query(f"-({one} AND {other})").matches(facts) is (not (a and b))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2_000,
        ")" * 2_000,
        "-" * 1_999 + "x",
        "NOT " * 499 + "x",
        "a:" * 999 + "b",
        "key:" * 499 + "b",
        '"' * 1_999,
        "\\" * 1_999,
        "[" * 2_000,
        "~" * 2_000,
        "x~" * 1_000,
        "x^" * 1_000,
        "x OR " * 399 + "x",
        "a " * 1_000,
        "+-" * 1_000,
        "*" * 2_000,
        "*a" * 1_000,
        "?" * 2_000,
        "a-" * 999,
        "x" * 2_000,
        " ".join(f"x{n}" for n in range(330)),
        "https://" + "/" * 1_900,
    ],
)
def test_hostile_texts_end_quickly(text: str) -> None:
    facts = paper(abstract="a-" * 3_000 + "x " * 3_000)
    began = time.thread_time()
    with contextlib.suppress(QueryError):
        query = parse_query(text)
        query.matches(facts)
        query.explain(facts)
    assert time.thread_time() - began < 2


def test_queries_are_parsed_by_many_threads_at_once() -> None:
    texts = ["draft -medusa", "title:(a OR b)", '"x y"~3 z*', "stars:[1 TO *]", "bad (", "nofield:x"]
    alone = {text: _outcome(text) for text in texts}
    wrong: list[str] = []

    def work(seed: int) -> None:
        order = random.Random(seed)
        for _ in range(60):
            text = order.choice(texts)
            if _outcome(text) != alone[text]:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _outcome(text: str) -> Query | str:
    outcome = _parsed(text)
    return outcome if isinstance(outcome, Query) else str(outcome)


def _parsed(text: str) -> Query | QueryError:
    try:
        return parse_query(text)
    except QueryError as error:
        return error


def test_equal_texts_make_equal_queries() -> None:
    assert parse_query("draft -medusa has:code") == parse_query("draft -medusa has:code")
    assert parse_query("draft") != parse_query("medusa")


def test_an_indexed_paper_answers_as_the_paper_does_and_saves_time() -> None:
    indexed = Indexed(PAPER)
    texts = ["draft", "llama*", "author:ito -medusa", "medusa", "has:code cat:cs", "speculative -draft"]
    for text in texts:
        query = parse_query(text)
        assert query.matches(indexed) is query.matches(PAPER)
        assert query.explain(indexed) == query.explain(PAPER)
        assert query.excluded_by(indexed) == query.excluded_by(PAPER)
    assert indexed.texts("title") is indexed.texts("title")


@pytest.mark.corpora
def test_many_queries_over_real_papers_agree_with_a_plain_search() -> None:
    found = sorted((CORPORA / "bulk").glob("*.jsonl.xz")) if CORPORA.is_dir() else []
    if not found:
        pytest.skip(f"no recorded papers under {CORPORA}")
    with lzma.open(found[0], "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for _, line in zip(range(500), lines, strict=False)]
    papers = [
        Indexed(
            paper(
                title=record["title"],
                abstract=record["summary"],
                authors=tuple(AuthorData(name=name) for name in record["authors"]),
                categories=tuple(record["categories"]),
            )
        )
        for record in records
    ]
    assert len(papers) == 500
    began = time.thread_time()
    counts = {
        text: sum(parse_query(text).matches(one) for one in papers)
        for text in ("diffusion", "transformer*", "cat:cs.CV", "-the")
    }
    first = time.thread_time() - began
    plain = sum("diffusion" in _plain_words(record["title"] + " " + record["summary"]) for record in records)
    assert counts["cat:cs.CV"] == sum("cs.CV" in record["categories"] for record in records)
    assert abs(counts["diffusion"] - plain) <= 3  # authors' names and TeX aside
    many = [
        parse_query(text)
        for text in ("reasoning -survey", '"large language model*"', "author:wang has:code", "attention~ OR rl") * 25
    ]
    began = time.thread_time()
    total = sum(query.matches(one) for query in many for one in papers)
    again = time.thread_time() - began
    assert total > 0
    assert first < 30
    assert again < 30


def _plain_words(text: str) -> set[str]:
    return set("".join(char if char.isalnum() else " " for char in text.lower()).split())
