"""Cards: a paper as a list shows it, in the words the digest uses. Unknown is left out, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.digests import words
from services.domain.categories import once
from services.domain.identifiers import paper_url, pdf_url
from services.domain.links import COUNTED
from services.domain.organizations import main_organization
from services.domain.papers import PaperFacts, RepoFacts
from services.domain.summaries import telling_sentence
from services.domain.text import clean, excerpt, safe_url
from workers.web.kit import legible, paper_path

SHOWN_REPOS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One repository in a line."""

    slug: str
    url: str | None
    stars: str
    """`★ 412`, or empty."""
    gained: str
    """`+180 in 24 h`, or empty."""
    facts: tuple[str, ...]
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One paper in a list. All texts still need the escaping of the form they go into."""

    number: int
    key: str
    path: str
    title: str
    byline: str
    organization: str
    sentence: str
    label: str
    """Who wrote the sentence: `abstract`, or `HF AI` for a machine."""
    marks: tuple[str, ...]
    name: str
    """`arXiv 2611.01234v1`, or empty."""
    categories: tuple[str, ...]
    upvotes: int | None
    comments: int | None
    code: tuple[Code, ...]
    extras: tuple[str, ...]
    feeds: tuple[str, ...]
    why: tuple[str, ...]
    page_url: str | None
    pdf: str | None


def card(
    paper: PaperFacts, *, number: int, now: datetime, why: Sequence[str] = (), late: bool = False, wide: bool = False
) -> Card:
    """The card of one paper; `wide` takes a longer sentence."""
    limit = 420 if wide else 280
    own = telling_sentence(legible(paper.abstract, 6000), limit=limit) if paper.abstract else None
    machine = legible(paper.ai_summary, limit) if paper.ai_summary else ""
    repos = [r for r in paper.repos if r.state in {"found", "new"}]
    kinds = [link.kind for link in paper.links if link.evidence in COUNTED]
    extras = tuple(words.plural(kinds.count(kind), kind) for kind in ("model", "dataset", "space") if kind in kinds) + (
        ("project page",) if "project" in kinds else ()
    )
    if len(repos) > SHOWN_REPOS:
        extras = (f"{len(repos) - SHOWN_REPOS} more in code", *extras)
    return Card(
        number=number, key=paper.key, path=paper_path(paper.key), title=legible(paper.title, 300) or "Untitled",
        byline=byline(paper), organization=excerpt(clean(main_organization(paper) or "", limit=400), 100),
        sentence=machine or own or "", label="HF AI" if machine else ("abstract" if own else ""),
        marks=("withdrawn",) * paper.withdrawn + ("arrived late",) * late,
        name=words.identifier(paper.key, paper.version), categories=tuple(once(paper.categories)[:3]),
        upvotes=paper.upvotes, comments=paper.comments_count,
        code=tuple(_code(r, now) for r in repos[:SHOWN_REPOS]), extras=extras,
        feeds=paper.feeds, why=tuple(why), page_url=safe_url(paper_url(paper.key) or ""),
        pdf=safe_url(pdf_url(paper.key) or ""),
    )  # fmt: skip


def byline(paper: PaperFacts) -> str:
    """First two authors, the last, how many."""
    people = paper.authors if len(paper.authors) <= 40 else paper.authors[:20] + paper.authors[-20:]
    names = tuple(filter(None, (legible(author.name, 80) for author in people)))
    total = max(paper.authors_count or 0, len(paper.authors))
    return words.people(names, total, all_named=len(paper.authors) >= (paper.authors_count or 0))


def _code(repo: RepoFacts, now: datetime) -> Code:
    gained = repo.stars_gained_24h
    facts = (
        repo.license or "",
        repo.language or "",
        f"pushed {words.age(repo.pushed_at, now)}" if repo.pushed_at else "",
        words.evidence(repo.evidence),
    )
    return Code(
        slug=clean(repo.slug, limit=120), url=safe_url(repo.url),
        stars=f"★ {words.count(repo.stars)}" if repo.stars is not None else "",
        gained=f"{'+' if gained > 0 else ''}{words.count(gained)} in 24 h" if gained else "",
        facts=tuple(fact for fact in facts if fact), archived=repo.archived,
    )  # fmt: skip
