"""Interests: which papers come first for one reader, learned from what they saved, and said in words.

    what a paper is     its words, weighted by how rare they are in the archive (tf-idf), as a direction
    what a reader likes the papers they saved, gathered into clusters of alike ones: who has two interests gets both,
                        where the mean of all would be near neither
    score = 0.6 likeness to all of it, the nearest new papers among it + 0.4 best likeness to a cluster
                        + 0.15 known author + 0.1 match in the title + 0.15 trending (best = 1)
                        - 0.8 best likeness to a paper they want less of
    likeness            the cosine, what everything in the archive has in common taken off what the reader likes
    one pick in six     goes to the most trending of what lies a little further off (the nearest sixteenth of all): a
                        reader is shown what they have not told of yet

All of it is arithmetic on words, on this machine. Without feedback the order is that of the query and `trending`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.domain.authors import parse_name
from services.domain.papers import PaperFacts
from services.domain.words import compounds, fold

VOCABULARY = 20_000
"""Words the archive is known by, the most frequent ones."""
LONGEST = 80
"""Words a paper is known by, the most telling ones."""
ALIKE = 0.045
"""From this likeness on two saved papers are of one interest."""
KEPT = 5_000
"""Directions of papers kept at hand."""
EXPLORE_EVERY = 6
"""Every so many picks one is not chosen by interest."""
TITLE_WEIGHT = 3

WHOLE, PART = 0.6, 0.4
AUTHOR, TITLE, TRENDING, LESS = 0.15, 0.1, 0.15, 0.8
STRETCH = 20
"""One new paper in so many, the nearest ones, is taken for liked when the others are compared: few saved papers
have few words, and new papers on the same thing bring the rest of them."""
EXPLORE_AMONG = 16
"""One paper in so many, the nearest ones, may be an exploring pick."""
COMMON_TO_ALL = 2.0
"""How much of the archive's mean is taken off what a reader likes."""

_COMMON = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "based",
        "be",
        "been",
        "between",
        "both",
        "but",
        "by",
        "can",
        "could",
        "do",
        "does",
        "each",
        "et",
        "for",
        "from",
        "further",
        "has",
        "have",
        "how",
        "however",
        "i",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "method",
        "methods",
        "more",
        "most",
        "new",
        "not",
        "of",
        "on",
        "one",
        "only",
        "or",
        "other",
        "our",
        "over",
        "paper",
        "propose",
        "proposed",
        "results",
        "show",
        "shows",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "two",
        "under",
        "use",
        "used",
        "using",
        "via",
        "was",
        "we",
        "well",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "will",
        "with",
        "within",
    ]
)

Vector = Mapping[str, float]


def words_for(title: str, abstract: str | None) -> Counter[str]:
    """The words of a paper with their numbers, those of the title counted threefold."""
    counted: Counter[str] = Counter()
    for text, weight in ((title, TITLE_WEIGHT), (abstract or "", 1)):
        for parts in compounds(fold(text)):
            word = "".join(parts) if len(parts) == 2 else ""
            for one in (*parts, word):
                if len(one) > 2 and one not in _COMMON and not one.isdigit():
                    counted[one] += weight
    return counted


@dataclass(frozen=True, slots=True)
class Space:
    """How rare each word is, and what the archive is about on the whole; what makes papers comparable."""

    idf: Mapping[str, float]
    mean: Vector = field(default_factory=dict)
    _known: dict[tuple[str, str | None], dict[str, float]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, papers: Iterable[Counter[str]]) -> Space:
        """The space of an archive; a word must be in two papers at least, and not in every third."""
        held = list(papers)
        number, known = len(held), Counter[str]()
        for counted in held:
            known.update(counted.keys())
        most = max(number // 3, 2)
        kept = [(word, df) for word, df in known.most_common() if 2 <= df <= most or number < 6][:VOCABULARY]
        space = cls({word: math.log((1 + number) / (1 + df)) + 1 for word, df in kept})
        return cls(space.idf, _mean([space.vector(counted) for counted in held]))

    def vector(self, counted: Counter[str]) -> dict[str, float]:
        """A paper as a direction of length 1 (or nothing, for one without known words)."""
        weights = {
            word: (1 + math.log(number)) * self.idf[word] for word, number in counted.items() if word in self.idf
        }
        if len(weights) > LONGEST:
            weights = dict(sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))[:LONGEST])
        return _unit(weights)

    def of_paper(self, paper: PaperFacts) -> dict[str, float]:
        """A paper's direction, kept: every reader's edition of a day asks for the same papers."""
        if not self.idf:
            return {}  # nobody's taste is known: no word would count
        key = (paper.title, paper.abstract)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = self._known[key] = self.vector(words_for(*key))
        return found


def _unit(weights: Mapping[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(weight * weight for weight in weights.values()))
    return {word: weight / length for word, weight in weights.items()} if length else {}


def _mean(vectors: Sequence[Vector]) -> dict[str, float]:
    total: dict[str, float] = {}
    for vector in vectors:
        for word, weight in vector.items():
            total[word] = total.get(word, 0.0) + weight
    return {word: weight / len(vectors) for word, weight in total.items()}


def _aim(mean: Vector, space: Space) -> dict[str, float]:
    """What papers of that mean have that the archive on the whole has not."""
    aim = dict(mean)
    for word, weight in space.mean.items():
        aim[word] = aim.get(word, 0.0) - COMMON_TO_ALL * weight
    return _unit(aim)


def likeness(one: Vector, other: Vector) -> float:
    """The cosine: 0 nothing in common, 1 the same words in the same measure."""
    if len(other) < len(one):
        one, other = other, one
    return sum(weight * other[word] for word, weight in one.items() if word in other)


@dataclass(slots=True)
class Cluster:
    """One interest: saved papers that are alike."""

    papers: list[tuple[PaperFacts, Vector]] = field(default_factory=list)
    centre: Vector = field(default_factory=dict)
    aim: Vector = field(default_factory=dict)
    """The centre without what the archive has in common."""

    def add(self, paper: PaperFacts, vector: Vector) -> None:
        """Take a paper in."""
        self.papers.append((paper, vector))
        self.centre = _unit(_mean([one for _, one in self.papers]))


def clusters_of(papers: Sequence[tuple[PaperFacts, Vector]]) -> list[Cluster]:
    """Interests: each paper joins the cluster it is most like, or begins one; then clusters that are alike join."""
    found: list[Cluster] = []
    for paper, vector in papers:
        best = max(found, key=lambda cluster: likeness(vector, cluster.centre), default=None)
        if best is None or likeness(vector, best.centre) < ALIKE:
            best = Cluster()
            found.append(best)
        best.add(paper, vector)
    merged = True
    while merged:
        merged = False
        for n, one in enumerate(found):
            other = next((o for o in found[n + 1 :] if likeness(one.centre, o.centre) >= 2 * ALIKE), None)
            if other is not None:
                for paper, vector in other.papers:
                    one.add(paper, vector)
                found.remove(other)
                merged = True
                break
    return found


@dataclass(frozen=True, slots=True)
class Taste:
    """What is known of a reader: clusters of what they like, what they want less of, authors they saved."""

    clusters: tuple[Cluster, ...]
    mean: Vector
    """All they like together."""
    less: tuple[Vector, ...]
    authors: Mapping[str, str]
    """Author key → the name as it stands in a saved paper."""


def taste_of(space: Space, liked: Sequence[PaperFacts], less: Sequence[PaperFacts]) -> Taste:
    """The taste that follows from papers saved (or "more like this") and papers of which less is wanted."""
    authors: dict[str, str] = {}
    for paper in liked:
        if len(paper.authors) <= 30:  # of a collaboration of hundreds, none is whom the reader follows
            for author in paper.authors:
                authors.setdefault(parse_name(author.name).key, author.name)
    authors.pop("", None)
    saved = [(paper, space.of_paper(paper)) for paper in liked]
    clusters = clusters_of(saved)
    for cluster in clusters:
        cluster.aim = _aim(_mean([one for _, one in cluster.papers]), space)
    return Taste(
        clusters=tuple(clusters),
        mean=_mean([one for _, one in saved]) if saved else {},
        less=tuple(space.of_paper(paper) for paper in less),
        authors=authors,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A paper in a reader's order, with its score and what speaks for it."""

    paper: PaperFacts
    score: float
    why: tuple[str, ...]
    explored: bool = False


def order_for(
    taste: Taste, space: Space, papers: Sequence[PaperFacts], *, trending: Mapping[int, float], in_title: frozenset[int]
) -> list[Choice]:
    """All of `papers`, best first for this reader, the exploring picks among them.

    `trending` are figures by paper id (see `domain.ranking.score`), `in_title` the ids of papers whose title the
    query matched.
    """
    most = max(trending.values(), default=0.0) or 1.0
    known = bool(taste.clusters)
    whole = _whole(taste, space, papers) if known else {}
    scored = []
    for paper in papers:
        liking, why = _liking(taste, whole, space, paper)
        score = liking + TRENDING * trending.get(paper.id, 0.0) / most + TITLE * (paper.id in in_title)
        scored.append(Choice(paper=paper, score=round(score, 9), why=why))
    scored.sort(key=lambda choice: (-choice.score, choice.paper.key))
    if not known:
        return scored
    return _explored(scored, trending)


def _whole(taste: Taste, space: Space, papers: Sequence[PaperFacts]) -> dict[str, float]:
    """What a reader likes on the whole, stretched by the new papers that are nearest to it."""
    aim = _aim(taste.mean, space)
    own = [space.of_paper(paper) for paper in sorted(papers, key=lambda paper: paper.key)]
    own.sort(key=lambda vector: -_near(taste, aim, vector))
    nearest = own[: len(own) // STRETCH]
    return _aim(_mean([taste.mean, _mean(nearest)]), space) if nearest else aim


def _near(taste: Taste, whole: Vector, vector: Vector) -> float:
    return WHOLE * likeness(vector, whole) + PART * max(likeness(vector, cluster.aim) for cluster in taste.clusters)


def _liking(taste: Taste, whole: Vector, space: Space, paper: PaperFacts) -> tuple[float, tuple[str, ...]]:
    vector = space.of_paper(paper)
    why: list[str] = []
    liking = 0.0
    best = max(taste.clusters, key=lambda cluster: likeness(vector, cluster.aim), default=None)
    if best is not None:
        near = likeness(vector, best.aim)
        liking = WHOLE * likeness(vector, whole) + PART * near
        if near >= ALIKE:
            why.append(_words_said(vector, best))
    author = next((a for a in paper.authors if parse_name(a.name).key in taste.authors), None)
    if author is not None:
        liking += AUTHOR
        why.insert(0, f"by {author.name}, of whom you saved a paper")
    if taste.less:
        liking -= LESS * max(likeness(vector, one) for one in taste.less)
    return liking, tuple(why)


def _words_said(vector: Vector, cluster: Cluster) -> str:
    shared = sorted(
        ((weight * cluster.aim[word], word) for word, weight in vector.items() if word in cluster.centre),
        reverse=True,
    )
    words = ", ".join(word for _, word in shared[:3])
    nearest, _ = max(cluster.papers, key=lambda pair: (likeness(vector, pair[1]), pair[0].key))
    title = nearest.title if len(nearest.title) <= 60 else nearest.title[:59].rstrip() + "…"
    return f"like “{title}”, which you saved: {words}"


def _explored(scored: Sequence[Choice], trending: Mapping[int, float]) -> list[Choice]:
    """Every `EXPLORE_EVERY`th place goes to the most trending of the nearer papers that interest alone would not have
    shown yet; where none is left of those, of all."""
    near = max(len(scored) // EXPLORE_AMONG, 4 * EXPLORE_EVERY)
    further = {choice.paper.id: place >= near for place, choice in enumerate(scored)}
    by_trend = sorted(
        scored, key=lambda c: (further[c.paper.id], -trending.get(c.paper.id, 0.0), -c.score, c.paper.key)
    )
    placed: set[int] = set()
    result: list[Choice] = []
    own, other = iter(scored), iter(by_trend)
    for place in range(1, len(scored) + 1):
        exploring = place % EXPLORE_EVERY == 0
        choice = next(c for c in (other if exploring else own) if c.paper.id not in placed)
        placed.add(choice.paper.id)
        if exploring:
            choice = Choice(
                paper=choice.paper, score=choice.score, explored=True,
                why=("beyond what you saved: much noticed now", *choice.why),
            )  # fmt: skip
        result.append(choice)
    return result
