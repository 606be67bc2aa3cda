"""Papers: what a source says of one, and what we hold to be true of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from urllib.parse import quote

import msgspec

from services.domain.identifiers import Identifier
from services.domain.links import LinkData


class AuthorData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One author as a source names them. `name` is "Given Family"; the rest only where stated."""

    name: str
    affiliation: str | None = None
    """The organisations they wrote for, several apart by `; `."""
    orcid: str | None = None
    hf_user: str | None = None
    ror: str | None = None
    """The first organisation's id at ror.org: `03yrm5c26`."""

    @property
    def pages(self) -> tuple[tuple[str, str], ...]:
        """Where more is known of the author, as (what it is called, address)."""
        known = (
            ("ORCID", "https://orcid.org/", self.orcid),
            (f"@{self.hf_user}", "https://huggingface.co/", self.hf_user),
        )
        return tuple((name, base + quote(value, safe="")) for name, base, value in known if value)


class PaperData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one entry of one document says about one paper. `None` and `()` mean: it does not say.

    It and what it holds are structures of msgspec: a page makes thousands of them, each in a tenth of the time that a
    frozen dataclass takes. `msgspec.structs.replace` makes changed copies.

    Texts are plain (no markup, whitespace collapsed, see `domain.text.clean`); times are aware UTC.
    """

    identifiers: tuple[Identifier, ...] = ()
    title: str
    abstract: str | None = None
    authors: tuple[AuthorData, ...] = ()
    authors_count: int | None = None
    """How many authors there are, where the source gives a number but no names."""
    organization: str | None = None
    published_at: datetime | None = None
    """First version submitted or published."""
    updated_at: datetime | None = None
    """This version submitted."""
    announced_on: date | None = None
    """The day the source listed it (Daily Papers day, arXiv announcement day, feed entry's date)."""
    version: int | None = None
    categories: tuple[str, ...] = ()
    """Primary first."""
    comment: str | None = None
    journal_ref: str | None = None
    license: str | None = None
    comments_count: int | None = None
    upvotes: int | None = None
    citations: int | None = None
    """Works known to cite it."""
    links: tuple[LinkData, ...] = ()
    """Links the source states as such (`githubRepo`, `projectPage`, an entry's own page);
    those inside abstract and comment are found by `domain.links.find_links`."""
    ai_summary: str | None = None
    ai_keywords: tuple[str, ...] = ()
    thumbnail_url: str | None = None
    withdrawn: bool | None = None
    announce_type: str | None = None
    """arXiv's: new, cross, replace, replace-cross."""
    rank: int | None = None
    """Position in the listing, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An entry that could not be used, and why; kept in the ledger so that no loss is silent."""

    reason: str
    entry: str
    """An excerpt (at most 500 characters) or name that lets a person find it."""
    position: int
    """Its position among the entries received, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFeed:
    """What one document holds. `seen` = `len(papers) + len(rejected)`, always."""

    papers: tuple[PaperData, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    announced: int | None = None
    """The source's own total for the whole batch (arXiv's totalResults), where it gives one."""
    next_cursor: str | None = None
    """Where the next page starts, in the upstream's own terms; `None` on the last page."""
    title: str | None = None
    """The feed's own title."""
    day: date | None = None
    """The day the document says it is of, for lists that show one day only."""
    ttl: timedelta | None = None
    """How long the feed itself asks to be left alone (RSS `ttl`, `sy:updatePeriod`)."""
    quiet: bool = False
    """True when the source says by its own means that there is nothing this time."""
    notes: tuple[str, ...] = field(default=())
    """Oddities worth showing to an operator."""

    @property
    def seen(self) -> int:
        """Entries received in this document."""
        return len(self.papers) + len(self.rejected)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoFacts:
    """A repository as we know it, beside the paper it belongs to."""

    slug: str
    url: str
    kind: str = "code"
    """code, model, dataset, space."""
    state: str
    """new, found, missing, blocked."""
    stars: int | None = None
    """Likes, of a model, data set or space."""
    stars_gained_24h: int | None = None
    stars_gained_7d: int | None = None
    stars_gained_since: int | None = None
    """Since the paper came out."""
    stars_per_day: float | None = None
    """The typical speed of the last week."""
    forks: int | None = None
    downloads: int | None = None
    """In the last 30 days."""
    gated: bool = False
    """To be had after its owners' consent only."""
    license: str | None = None
    language: str | None = None
    description: str | None = None
    topics: tuple[str, ...] = ()
    pushed_at: datetime | None = None
    release: str | None = None
    """The tag of the newest release."""
    released_at: datetime | None = None
    archived: bool = False
    checked_at: datetime | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFacts:
    """What we hold to be true of one paper, with its sightings, links and repositories: the thing that is
    matched, ranked, listed and shown."""

    id: int
    key: str
    title: str
    abstract: str | None = None
    authors: tuple[AuthorData, ...] = ()
    authors_count: int | None = None
    organization: str | None = None
    published_at: datetime | None = None
    updated_at: datetime | None = None
    announced_on: date | None = None
    first_seen_at: datetime
    version: int | None = None
    categories: tuple[str, ...] = ()
    comment: str | None = None
    journal_ref: str | None = None
    license: str | None = None
    comments_count: int | None = None
    upvotes: int | None = None
    citations: int | None = None
    ai_summary: str | None = None
    ai_keywords: tuple[str, ...] = ()
    thumbnail_url: str | None = None
    withdrawn: bool = False
    identifiers: tuple[Identifier, ...] = ()
    links: tuple[LinkData, ...] = ()
    repos: tuple[RepoFacts, ...] = ()
    """Repositories of code."""
    artifacts: tuple[RepoFacts, ...] = ()
    """Models, data sets and spaces on a hub."""
    feeds: tuple[str, ...] = ()
    """Names of the feeds that listed it."""
    votes: tuple[int, int] = (0, 0)
    """For and against it, by members of teams that read here."""
