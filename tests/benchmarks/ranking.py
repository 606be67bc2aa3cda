"""Which formula finds a reader's papers: `python -m tests.benchmarks.ranking [--readers N] [--seed S] [--json FILE]`.

Readers are made from recorded arXiv records: each has two interests, a large and a small one (the papers whose first
category is a certain one, none of those that most records have), and has saved twelve papers of the one and four of
the other. Of 400 papers they have not seen, twenty of each interest are what they want. The formulas order them, on the
same words (tf-idf of title and abstract, `domain.interests.Space`) and with nothing else to go by:

    ours        `domain.interests`: best likeness to a cluster of saved papers; its exploring picks included
    ours alone  the same without the exploring picks
    centroid    likeness to the mean of all saved papers
    linear      arxiv-sanity-lite's: a linear classifier of saved against all others; its SVM (C = 0.01, balanced) is
                stood in for by logistic regression of our own, balanced, with the same kind of L2 penalty
    recency     zotero-arxiv-daily's: mean likeness to saved papers, each weighted 1 / (1 + log10(n)), newest first;
                its sentence embeddings are stood in for by tf-idf

precision@10 is the share of wanted papers in the first ten ("ours" gives one of them to what trends, drawn at random
here); "both" the share of readers who find at least two papers of each of their interests there.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import os
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.domain.interests import Space, Vector, likeness, order_for, taste_of, words_for
from services.domain.papers import PaperFacts

CORPORA = Path(os.environ.get("BROADSHEET_CORPORA", Path(__file__).parents[3] / "shared" / "corpora"))
RECORDS = CORPORA / "bulk" / "arxiv_records_40000.jsonl.xz"
TOPICS = ("cs.RO", "cs.GR", "cs.IR", "cs.SD", "eess.IV", "cs.HC", "cs.CR", "cs.SE", "cs.CY", "eess.SY")
LARGE, SMALL, WANTED, CANDIDATES, BACKGROUND = 12, 4, 20, 400, 600


@dataclass(frozen=True, slots=True)
class Reader:
    """What a reader saved (newest first), what they have not seen, and what of it they want."""

    topics: tuple[str, str]
    saved: list[PaperFacts]
    unseen: list[PaperFacts]
    background: list[PaperFacts]
    trending: dict[int, float]


def load(others: int = 6_000) -> list[PaperFacts]:
    """Recorded arXiv records as papers: all of the topics, and so many others."""
    found = []
    with lzma.open(RECORDS, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            record = json.loads(line)
            topical = record["categories"][0] in TOPICS
            others -= not topical
            if topical or others >= 0:
                found.append(
                    PaperFacts(
                        id=number, key=f"arxiv:{record['id']}", title=record["title"], abstract=record["summary"],
                        categories=tuple(record["categories"]), first_seen_at=datetime(2026, 11, 25, tzinfo=UTC),
                    )
                )  # fmt: skip
    return found


def make_reader(papers: Sequence[PaperFacts], draw: random.Random) -> Reader:
    """One reader, drawn at random."""
    topics = draw.sample(TOPICS, 2)
    shuffled = draw.sample(papers, len(papers))
    first, second = ([p for p in shuffled if p.categories[0] == topic] for topic in topics)
    rest = [p for p in shuffled if p.categories[0] not in topics]
    saved = first[:LARGE] + second[:SMALL]
    wanted = first[LARGE : LARGE + WANTED] + second[SMALL : SMALL + WANTED]
    others = CANDIDATES - len(wanted)
    draw.shuffle(saved)
    unseen = draw.sample(wanted + rest[:others], CANDIDATES)
    trending = {paper.id: draw.random() for paper in unseen}
    return Reader((topics[0], topics[1]), saved, unseen, rest[others : others + BACKGROUND], trending)


Formula = Callable[[Reader, Space, Mapping[int, Vector]], list[PaperFacts]]


def ours(reader: Reader, space: Space, _: Mapping[int, Vector]) -> list[PaperFacts]:
    """As in a digest."""
    taste = taste_of(space, reader.saved, [])
    chosen = order_for(taste, space, reader.unseen, trending=reader.trending, in_title=frozenset())
    alone = iter(ours_alone(reader, space, _))
    explored = {c.paper.id for c in chosen if c.explored}
    # What trends by chance says nothing about a reader: it chooses the exploring picks, and weighs in nothing else.
    return [c.paper if c.explored else next(p for p in alone if p.id not in explored) for c in chosen]


def ours_alone(reader: Reader, space: Space, _: Mapping[int, Vector]) -> list[PaperFacts]:
    """As in a digest, without the exploring picks."""
    taste = taste_of(space, reader.saved, [])
    chosen = order_for(taste, space, reader.unseen, trending={}, in_title=frozenset())
    return [c.paper for c in sorted(chosen, key=lambda choice: -choice.score)]


def centroid(reader: Reader, _: Space, vectors: Mapping[int, Vector]) -> list[PaperFacts]:
    """Likeness to the mean."""
    mean: dict[str, float] = {}
    for paper in reader.saved:
        for word, weight in vectors[paper.id].items():
            mean[word] = mean.get(word, 0.0) + weight
    return sorted(reader.unseen, key=lambda p: -likeness(vectors[p.id], mean))


def recency(reader: Reader, _: Space, vectors: Mapping[int, Vector]) -> list[PaperFacts]:
    """zotero-arxiv-daily's."""
    weights = [1 / (1 + math.log10(n)) for n in range(1, len(reader.saved) + 1)]

    def score(paper: PaperFacts) -> float:
        mine = vectors[paper.id]
        return sum(w * likeness(mine, vectors[p.id]) for w, p in zip(weights, reader.saved, strict=True))

    return sorted(reader.unseen, key=lambda p: -score(p))


def linear(reader: Reader, _: Space, vectors: Mapping[int, Vector]) -> list[PaperFacts]:
    """arxiv-sanity-lite's, by logistic regression: gradient descent over all, classes balanced, L2."""
    rows = [(vectors[p.id], 1.0) for p in reader.saved] + [
        (vectors[p.id], 0.0) for p in (*reader.background, *reader.unseen)
    ]
    positive = len(reader.saved)
    share = {1.0: len(rows) / (2 * positive), 0.0: len(rows) / (2 * (len(rows) - positive))}
    weights: dict[str, float] = {}
    bias, rate, penalty = 0.0, 4.0, 0.01
    for _round in range(25):
        slope: dict[str, float] = {}
        bias_slope = 0.0
        for vector, label in rows:
            margin = bias + sum(weight * weights.get(word, 0.0) for word, weight in vector.items())
            miss = share[label] * (1 / (1 + math.exp(-max(min(margin, 30.0), -30.0))) - label) / len(rows)
            bias_slope += miss
            for word, weight in vector.items():
                slope[word] = slope.get(word, 0.0) + miss * weight
        for word, value in slope.items():
            weights[word] = weights.get(word, 0.0) * (1 - rate * penalty) - rate * value
        bias -= rate * bias_slope
    return sorted(reader.unseen, key=lambda p: -sum(w * weights.get(word, 0.0) for word, w in vectors[p.id].items()))


FORMULAS: dict[str, Formula] = {
    "ours": ours, "ours alone": ours_alone, "centroid": centroid, "linear": linear, "recency": recency,
}  # fmt: skip


def evaluate(readers: int, seed: int, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """precision@10 and "both" of each formula over that many readers."""
    draw = random.Random(seed)
    papers = load()
    counted = {paper.id: words_for(paper.title, paper.abstract) for paper in papers}
    space = Space.of(counted[p.id] for p in draw.sample(papers, 2_000))
    precision: dict[str, list[float]] = {name: [] for name in FORMULAS}
    both: dict[str, list[float]] = {name: [] for name in FORMULAS}
    chance: list[float] = []
    for number in range(readers):
        reader = make_reader(papers, draw)
        used = (*reader.saved, *reader.unseen, *reader.background)
        vectors = {paper.id: space.vector(counted[paper.id]) for paper in used}
        wanted = {p.id for p in reader.unseen if p.categories[0] in reader.topics}
        chance.append(len(wanted) / len(reader.unseen))
        for name, formula in FORMULAS.items():
            top = formula(reader, space, vectors)[:10]
            precision[name].append(sum(p.id in wanted for p in top) / 10)
            both[name].append(all(sum(topic == p.categories[0] for p in top) >= 2 for topic in reader.topics))
        say(f"reader {number + 1}: {', '.join(f'{n} {precision[n][-1]:.1f}' for n in FORMULAS)}")
    mean = statistics.fmean
    table = {name: {"precision_at_10": mean(precision[name]), "both": mean(both[name])} for name in FORMULAS}
    return table | {"chance": {"precision_at_10": mean(chance), "both": 0.0}}


def main() -> int:
    """The command; 2 where there are no recordings."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ranking", description=__doc__)
    parser.add_argument("--readers", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not RECORDS.exists():
        print(f"no recordings: {RECORDS} is not there", file=sys.stderr)
        return 2
    found = evaluate(given.readers, given.seed, lambda line: print(line, file=sys.stderr))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{'formula':<12} precision@10   both")
    for name, figures in found.items():
        print(f"{name:<12} {figures['precision_at_10']:>12.3f} {figures['both']:>6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
