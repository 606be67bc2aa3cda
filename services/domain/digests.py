"""An edition as data: everything a renderer needs, nothing it must look up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFacts:
    """A repository as shown beside a paper. `checked_at` gives the facts their age."""

    slug: str
    url: str
    kind: str = "code"
    """code, model, dataset, space."""
    stars: int | None = None
    """Likes, of a model, data set or space."""
    downloads: int | None = None
    """In the last 30 days."""
    gated: bool = False
    """To be had after its owners' consent only."""
    release: str | None = None
    released_at: datetime | None = None
    stars_gained_24h: int | None = None
    stars_gained_7d: int | None = None
    stale: bool = False
    """Nothing was pushed for a year."""
    license: str | None = None
    language: str | None = None
    pushed_at: datetime | None = None
    archived: bool = False
    evidence: str | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionItem:
    """One paper of an edition, in the order what, why me, is it real, can I use it."""

    key: str
    """The paper's canonical identifier (`arxiv:2601.01234`)."""
    title: str
    url: str
    """The paper's own page (arXiv abs page, publisher)."""
    web_url: str
    """The paper's page in our web archive."""
    pdf_url: str | None = None
    authors: tuple[str, ...] = ()
    authors_count: int = 0
    organization: str | None = None
    why: tuple[str, ...]
    """Reasons, at least one, plain text: `matches "speculative decoding"`, `listed by daily-papers`."""
    sentence: str | None = None
    sentence_source: str | None = None
    """`abstract`, or `HF AI` / `AI` for machine-written text, which is labelled as such."""
    abstract: str | None = None
    published_at: datetime | None = None
    announced_on: date | None = None
    version: int | None = None
    categories: tuple[str, ...] = ()
    upvotes: int | None = None
    comments_count: int | None = None
    team_votes: str = ""
    """What members of teams think of it, in words; empty where nobody voted."""
    withdrawn: bool = False
    late: bool = False
    """It should have been in an earlier edition."""
    code: tuple[CodeFacts, ...] = ()
    project_urls: tuple[str, ...] = ()
    artifacts: tuple[CodeFacts, ...] = ()
    """Models, data sets and spaces whose facts are known."""
    models: int = 0
    """How many are linked to, those whose facts are known included."""
    datasets: int = 0
    spaces: int = 0
    feeds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """One line of the honest header: what a feed announced and what of it we hold."""

    feed: str
    title: str
    state: str
    """complete, partial, late, stale, quiet, failed, accepted (see `domain.batches`)."""
    announced: int | None = None
    stored: int = 0
    as_of: datetime | None = None
    note: str | None = None
    feeds: int = 1
    """How many feeds it tells of: more than one where it stands for all that are not told of one by one."""

    @property
    def troubled(self) -> bool:
        """What it should have brought is not all there."""
        return self.state in {"partial", "late", "stale", "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionView:
    """One edition for one subscriber, ready to render."""

    name: str
    """The subscription's name: "Daily Papers", "efficient LLM inference"."""
    query: str | None = None
    edition_date: date
    """The reader's local date."""
    timezone: str
    composed_at: datetime
    items: tuple[EditionItem, ...]
    feedback: tuple[tuple[tuple[str, str], ...], ...] = ()
    """What this reader may say of each of the items, as (act, signed link); empty where nobody can say anything."""
    matched: int
    """How many papers matched before the budget."""
    considered: int
    """How many new papers there were in all."""
    since_date: date | None = None
    """The day from which papers were looked at, where that is longer ago than usual: after a pause, say."""
    since_you_read: tuple[str, ...] = ()
    """What became of papers this subscription had before, a sentence each, the most telling first."""
    sources: tuple[SourceStatus, ...] = ()
    facts_checked_at: datetime | None = None
    """Age of the oldest repository fact shown."""
    cadence: str
    """Words: "daily at 08:00"."""
    web_url: str
    """This edition in the browser."""
    all_url: str
    """All papers it was chosen from, in the archive."""
    matched_url: str | None = None
    """Those of them that matched."""
    feed_url: str | None = None
    preferences_url: str | None = None
    pause_url: str | None = None
    saved_url: str | None = None
    unsubscribe_url: str | None = None
    one_click_url: str | None = None
    """RFC 8058 target of the `List-Unsubscribe` header; HTTPS in production."""
    ai_labels: frozenset[str] = field(default=frozenset({"HF AI", "AI"}))
