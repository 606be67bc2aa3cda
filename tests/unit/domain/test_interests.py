"""Interests: two of them both get their papers, each pick says why, and there is always something else."""

from __future__ import annotations

from datetime import UTC, datetime

from services.domain.interests import (
    EXPLORE_EVERY,
    Choice,
    Space,
    clusters_of,
    likeness,
    order_for,
    taste_of,
    words_for,
)
from services.domain.papers import AuthorData, PaperFacts

TOPICS = {
    "tide": ["tide", "harbour", "lantern", "shore", "gauge", "buoy", "brass", "moon", "ebb", "flow", "current"],
    "bees": ["bees", "honey", "hive", "waggle", "dance", "nectar", "swarm", "queen", "drone", "pollen", "comb"],
    "floor": ["parquet", "tiling", "carpenter", "plank", "oak", "varnish", "joint", "floor", "wood", "saw", "grain"],
}


def paper(number: int, topic: str, author: str = "") -> PaperFacts:
    words = TOPICS[topic]
    chosen = [words[(number * step) % len(words)] for step in (1, 2, 3, 5, 7)]
    return PaperFacts(
        id=number, key=f"arxiv:2611.{number:05d}", title=f"{chosen[0]} and {chosen[1]}",
        abstract=f"This is about {' '.join(chosen)} in number", authors=(AuthorData(name=author),) if author else (),
        first_seen_at=datetime(2026, 11, 24, tzinfo=UTC),
    )  # fmt: skip


ARCHIVE = [paper(n, topic) for n, topic in enumerate(["tide", "bees", "floor"] * 20, 1)]
SPACE = Space.of(words_for(p.title, p.abstract) for p in ARCHIVE)
NEW = [paper(n, topic) for n, topic in enumerate(["tide", "bees", "floor"] * 6, 101)]


def order(liked: list[PaperFacts], less: list[PaperFacts] | None = None, **trending: float) -> list[Choice]:
    taste = taste_of(SPACE, liked, less or [])
    return order_for(taste, SPACE, NEW, trending={int(k[1:]): v for k, v in trending.items()}, in_title=frozenset())


def topic_of(found: PaperFacts) -> str:
    return next(t for t, words in TOPICS.items() if any(word in found.title.split() for word in words))


def test_a_word_that_is_everywhere_says_nothing() -> None:
    assert "number" not in SPACE.idf
    vector = SPACE.vector(words_for(NEW[0].title, NEW[0].abstract))
    assert abs(likeness(vector, vector) - 1) < 1e-9
    assert SPACE.vector(words_for("Nothing known here", None)) == {}


def test_saved_papers_of_two_interests_make_two_clusters() -> None:
    liked = [paper(n, topic) for n, topic in enumerate(["tide", "tide", "bees", "tide", "tide", "tide", "bees"], 201)]
    clusters = clusters_of([(p, SPACE.vector(words_for(p.title, p.abstract))) for p in liked])
    assert sorted(len(c.papers) for c in clusters) == [2, 5]


def test_the_smaller_interest_is_served_too_and_the_third_comes_last() -> None:
    liked = [paper(n, "tide") for n in range(201, 211)] + [paper(n, "bees") for n in range(211, 213)]
    chosen = [topic_of(c.paper) for c in order(liked) if not c.explored][:10]
    assert {"tide", "bees"} == set(chosen)
    assert min(chosen.count("tide"), chosen.count("bees")) >= 3


def test_each_pick_by_interest_names_three_words_and_a_saved_paper() -> None:
    first = order([paper(201, "tide"), paper(202, "tide")])[0]
    (why,) = first.why
    words = why.rpartition(": ")[2].split(", ")
    assert len(words) == 3
    assert set(words) <= set(TOPICS["tide"])
    assert why.startswith("like “")


def test_an_author_of_a_saved_paper_is_named() -> None:
    liked = [paper(201, "floor", "Ada Quill")]
    mine = paper(301, "bees", "A. Quill")
    (choice,) = order_for(taste_of(SPACE, liked, []), SPACE, [mine], trending={}, in_title=frozenset())
    assert choice.why == ("by A. Quill, of whom you saved a paper",)


def test_less_of_one_kind_puts_it_last() -> None:
    last = [topic_of(c.paper) for c in order([paper(201, "tide")], [paper(n, "bees") for n in range(202, 208)])[-4:]]
    assert set(last) == {"bees"}


def test_every_sixth_place_explores_what_trends() -> None:
    found = order([paper(201, "tide"), paper(202, "tide")], p103=9.0, p106=8.0)
    assert [n for n, c in enumerate(found, 1) if c.explored] == list(range(EXPLORE_EVERY, len(NEW) + 1, EXPLORE_EVERY))
    sixth = found[EXPLORE_EVERY - 1]
    assert topic_of(sixth.paper) == "floor"
    assert sixth.why[0].startswith("beyond what you saved")
    assert sorted(c.paper.id for c in found) == sorted(p.id for p in NEW)


def test_without_feedback_the_order_is_what_trends() -> None:
    found = order([], p110=3.0, p105=2.0)
    assert [c.paper.id for c in found[:2]] == [110, 105]
    assert not any(c.explored or c.why for c in found)
