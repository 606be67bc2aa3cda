"""The tables. One class a table; every identity is a UNIQUE constraint, every time is aware UTC.

Reading order is the walk of a paper: feeds → fetches and documents → papers (identifiers, statements,
sightings, links) → repos (names, readings) → subscribers, subscriptions → editions, items, deliveries.
Beside them `jobs` and `attempts` (the ledger of work), `slots`, `gates`, `heartbeats` (the service itself).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from services.domain.urls import has_keys
from services.storage.sealed import Sealed, always, is_url

BIG = BigInteger().with_variant(Integer, "sqlite")
"""SQLite only gives row ids to plain INTEGER keys."""


def _id() -> Any:
    return Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))


def _long(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Text, nullable=kwargs.pop("nullable", False)), **kwargs)


def _json(factory: Any) -> Any:
    return Field(default_factory=factory, sa_column=Column(JSON, nullable=False))


OPEN_BATCH = "state IN ('stale', 'partial', 'late') AND accepted_at IS NULL"
"""Batches that something is missing of, and that nobody took as they are."""


class Row(SQLModel):
    """A row of any table. What would check it as input is not made before somebody asks for it, which nobody does:
    making it for all tables takes a tenth of the start."""

    model_config = {"defer_build": True}


class Feed(Row, table=True):
    """One URL or query polled on a schedule."""

    __tablename__ = "feeds"

    id: int | None = _id()
    name: str = Field(unique=True)
    kind: str
    title: str
    url: str = Field(default="", sa_column=Column(Sealed(has_keys), nullable=False))
    params: dict[str, str] = _json(dict)
    interval_minutes: int = 60
    interval_fixed: bool = False
    """Whether somebody chose the interval: then it is kept to, else it follows the feed's own rhythm."""
    fresh_minutes: int | None = None
    """The objective: how old our last sure knowledge of its newest batch may be. `None`: none is set."""
    ttl_minutes: int | None = None
    """How long the feed itself asks to be left alone."""
    history_days: int = 3
    origin: str = "added"
    """`catalogue` (written in feeds.toml) or `added` (by a person)."""
    paused: bool = False
    retired: bool = False
    """410 Gone, or taken out of the catalogue: kept for its history, never fetched."""
    next_check_at: datetime = Field(index=True)
    complete_until: date | None = None
    """The last day whose batch is known to be complete, for sources that list by day."""
    failures: int = 0
    """In a row; 0 after a success."""
    last_error: str | None = Field(default=None, sa_column=Column(Text))
    alerted_at: datetime | None = None
    """When the operators were told of its failures; empty again once they were told that it is well."""
    mute_alerts: bool = False
    """Whether what is told of it is written down only, and sent to nobody."""
    last_success_at: datetime | None = None
    last_fetched_at: datetime | None = None
    created_at: datetime


class Validator(Row, table=True):
    """What makes the next GET of one address conditional."""

    __tablename__ = "validators"

    url: str = Field(sa_column=Column(Text, primary_key=True))
    """As `storage.seals.shown_url` names it, like that of a fetch."""
    etag: str | None = Field(default=None, sa_column=Column(Text))
    last_modified: str | None = None
    document_id: int | None = Field(default=None, sa_column=Column(BIG))
    updated_at: datetime


class Document(Row, table=True):
    """The bytes one fetch brought: zstandard-compressed, content-addressed."""

    __tablename__ = "documents"
    # The sum of the sizes is read from the index: the rows hold the bytes themselves.
    __table_args__ = (Index("ix_documents_size", "size"),)

    id: int | None = _id()
    sha256: str = Field(unique=True)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    size: int
    """Bytes before compression."""
    content_type: str = ""
    created_at: datetime = Field(index=True)


class Fetch(Row, table=True):
    """The ledger row of one page of one batch: what was announced, and what became of it."""

    __tablename__ = "fetches"
    __table_args__ = (
        UniqueConstraint("feed_id", "slot", "batch", "cursor"),
        Index("ix_fetches_feed_batch", "feed_id", "batch"),
        Index("ix_fetches_feed_time", "feed_id", "fetched_at"),
        Index("ix_fetches_state", "state", "fetched_at", "feed_id"),
    )

    id: int | None = _id()
    feed_id: int = Field(sa_column=Column(BIG, nullable=False))
    slot: str
    """The scheduled time this fetch belongs to; `import` rows carry the file's hash."""
    batch: str = ""
    """The day, for sources that list by day."""
    cursor: str = ""
    via: str = ""
    """The kind of upstream asked in place of the feed's own, when a day it no longer shows is made up."""
    url: str = _long(default="")
    state: str = "fetched"
    """fetched, parsed, not_modified, failed."""
    status: int | None = None
    document_id: int | None = Field(default=None, sa_column=Column(BIG, index=True))
    fetched_at: datetime = Field(index=True)
    parsed_at: datetime | None = None
    announced: int | None = None
    seen: int = 0
    new: int = 0
    changed: int = 0
    known: int = 0
    rejected: int = 0
    next_cursor: str | None = None
    error: str | None = Field(default=None, sa_column=Column(Text))
    notes: list[str] = _json(list)


class Batch(Row, table=True):
    """What one batch of a feed has come to: the sum of its ledger rows, kept up as they are written."""

    __tablename__ = "batches"
    __table_args__ = (
        UniqueConstraint("feed_id", "batch"),
        Index("ix_batches_open", "checked_at", sqlite_where=text(OPEN_BATCH), postgresql_where=text(OPEN_BATCH)),
    )

    id: int | None = _id()
    feed_id: int = Field(sa_column=Column(BIG, nullable=False))
    batch: str
    """The day it is of (`2026-11-24`; a week or a month for sources that list by those)."""
    state: str
    """complete, partial, late, stale, quiet, failed (see `domain.batches`)."""
    announced: int | None = None
    """The source's own total, where it gives one."""
    seen: int = 0
    new: int = 0
    rejected: int = 0
    note: str | None = Field(default=None, sa_column=Column(Text))
    """Why it is not complete, or by which way it was made up."""
    tries: int = 0
    """Looks in a row that did not find it complete."""
    first_complete_at: datetime | None = None
    checked_at: datetime = Field(index=True)
    accepted_at: datetime | None = None
    """When a person took it as it is, so that nobody waits for the rest."""
    accepted_by: str | None = None


class Rejection(Row, table=True):
    """One entry that could not be used, and why."""

    __tablename__ = "rejections"
    __table_args__ = (UniqueConstraint("fetch_id", "position"),)

    id: int | None = _id()
    fetch_id: int = Field(sa_column=Column(BIG, nullable=False))
    position: int
    reason: str = _long()
    entry: str = _long()


class Paper(Row, table=True):
    """A work, once. Its facts are composed from its statements (`domain.merging`)."""

    __tablename__ = "papers"
    __table_args__ = (
        # With what was noticed: the best of a month are found without reading its papers.
        Index("ix_papers_announced", "announced_on", "id", "upvotes", "comments_count"),
        Index("ix_papers_published", "published_at"),
    )

    id: int | None = _id()
    key: str = Field(unique=True)
    title: str = _long()
    title_key: str = ""
    """Fingerprint of the normalised title; empty when the title is too short to identify."""
    abstract: str | None = Field(default=None, sa_column=Column(Text))
    authors: list[dict[str, str]] = _json(list)
    authors_count: int | None = None
    organization: str | None = Field(default=None, sa_column=Column(Text))
    published_at: datetime | None = None
    updated_at: datetime | None = None
    announced_on: date | None = None
    """First day any feed listed it."""
    version: int | None = None
    categories: list[str] = _json(list)
    comment: str | None = Field(default=None, sa_column=Column(Text))
    journal_ref: str | None = Field(default=None, sa_column=Column(Text))
    license: str | None = None
    comments_count: int | None = None
    upvotes: int | None = None
    citations: int | None = None
    ai_summary: str | None = Field(default=None, sa_column=Column(Text))
    ai_keywords: list[str] = _json(list)
    thumbnail_url: str | None = Field(default=None, sa_column=Column(Text))
    withdrawn: bool = False
    content_hash: str
    past_hashes: list[str] = _json(list)
    """Content hashes it had before, newest last: a source that goes back and forth makes no news."""
    first_seen_at: datetime = Field(index=True)
    changed_at: datetime


class Identifier(Row, table=True):
    """A name for a paper; no two papers share one."""

    __tablename__ = "identifiers"
    __table_args__ = (UniqueConstraint("scheme", "value"),)

    id: int | None = _id()
    scheme: str
    value: str = _long()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))


class Statement(Row, table=True):
    """What one source last said of one paper."""

    __tablename__ = "statements"
    __table_args__ = (UniqueConstraint("paper_id", "source"),)

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    source: str
    """`hf_papers`, `arxiv_api`, … ; `rss:NAME` for a feed of the wild."""
    as_of: str
    """Orders what one source says over time: version, then day."""
    content_hash: str
    data: dict[str, Any] = _json(dict)
    first_on: date
    """The first day on which it listed the paper."""
    said_at: datetime


class TitleEntry(Row, table=True):
    """An entry that carries no identifier, as it came: what it says counts for the one paper of its title, or, while
    there are several, for a row of its own. Kept because that answer changes when papers of its title come or go."""

    __tablename__ = "title_entries"
    __table_args__ = (UniqueConstraint("value", "source", "feed_id", "content_hash"),)

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    """The paper it counts for at present."""
    value: str = _long()
    """Its name: the value of its `title` identifier."""
    title_key: str = Field(index=True)
    source: str
    feed_id: int = Field(sa_column=Column(BIG, nullable=False))
    """0: nobody listed it."""
    day: date
    read_on: date | None = None
    content_hash: str
    data: dict[str, Any] = _json(dict)
    seen_at: datetime


class Merge(Row, table=True):
    """Two rows that turned out to be one paper: what was folded into what, and why."""

    __tablename__ = "merges"

    id: int | None = _id()
    kept_paper_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    merged_key: str
    reason: str = _long()
    merged_at: datetime
    folded: dict[str, Any] = _json(dict)
    """The rows as they were before, by table: what taking the two apart again needs."""
    undone_at: datetime | None = None


class Title(Row, table=True):
    """What a paper is, or was once, called: fingerprints by which equal and similar titles are found."""

    __tablename__ = "titles"
    __table_args__ = (
        UniqueConstraint("title_key", "paper_id"),
        # With the paper in them, since rows that share a key lie far apart: the table itself is not looked into.
        Index("ix_titles_head", "head_key", "paper_id"),
        Index("ix_titles_body", "body_key", "paper_id"),
    )

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    title_key: str
    head_key: str
    """How the title begins, and (below) its longest words: one of them survives most edits."""
    body_key: str


class Duplicate(Row, table=True):
    """Two papers that may be one: for a person to decide, never merged by itself."""

    __tablename__ = "duplicates"
    __table_args__ = (UniqueConstraint("paper_id", "other_id"), Index("ix_duplicates_state", "state", "score"))

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    """The older row of the two."""
    other_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    score: float
    """How alike they are: 1 is the same title by the same people."""
    reason: str = _long()
    state: str = "open"
    """open, same (merged), different (never to be merged)."""
    found_at: datetime
    decided_at: datetime | None = None


class Event(Row, table=True):
    """Something that became of a paper after its first day; each thing once."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("paper_id", "kind", "key"), Index("ix_events_at", "at"))

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    kind: str
    """One of `domain.events.KINDS`."""
    key: str = _long(default="")
    """Which of its kind: the version, the repository, the licence."""
    at: datetime
    detail: dict[str, Any] = _json(dict)


class Sighting(Row, table=True):
    """The fact that a feed listed a paper, on which day, at which rank."""

    __tablename__ = "sightings"
    __table_args__ = (
        UniqueConstraint("paper_id", "feed_id", "day"),
        Index("ix_sightings_feed_day", "feed_id", "day"),
        Index("ix_sightings_feed_seen", "feed_id", "seen_at"),
        Index("ix_sightings_day", "day", "paper_id"),
    )

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    feed_id: int = Field(sa_column=Column(BIG, nullable=False))
    day: date
    rank: int | None = None
    announce_type: str | None = None
    seen_at: datetime
    by_title: bool = False
    """Known from entries that name the paper by its title alone."""


class Link(Row, table=True):
    """One thing a paper points at, with the evidence for it."""

    __tablename__ = "links"
    __table_args__ = (UniqueConstraint("paper_id", "url_key"),)

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    url: str = _long()
    url_key: str = _long()
    """The address folded for comparison: one link per thing."""
    kind: str
    slug: str | None = Field(default=None, sa_column=Column(Text))
    evidence: str
    repo_id: int | None = Field(default=None, sa_column=Column(BIG, index=True))
    found_at: datetime
    by_title: bool = False
    """Known from entries that name the paper by its title alone."""


class PaperCheck(Row, table=True):
    """When a source's own record of a young paper is read again, for what comes late."""

    __tablename__ = "paper_checks"
    __table_args__ = (UniqueConstraint("paper_id", "source"), Index("ix_paper_checks_due", "next_check_at"))

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    source: str
    feed_id: int = Field(sa_column=Column(BIG, nullable=False))
    """The feed that listed it."""
    since_at: datetime
    """What its age is counted from: the day it was listed."""
    next_check_at: datetime | None = None
    """`None`: no more."""
    checked_at: datetime | None = None
    misses: int = 0
    """Times in a row it could not be read."""
    error: str | None = Field(default=None, sa_column=Column(Text))


class Repo(Row, table=True):
    """A repository of code, or a model, data set or space, known by its host's own id once we have asked."""

    __tablename__ = "repos"
    __table_args__ = (UniqueConstraint("host", "host_id"), Index("ix_repos_due", "host", "next_check_at"))

    id: int | None = _id()
    host: str
    kind: str = "code"
    """code, model, dataset, space: a hub has one of each under the same name."""
    host_id: str | None = None
    slug: str = _long()
    """Its present `owner/name`."""
    state: str = "new"
    """new, found, missing, blocked."""
    description: str | None = Field(default=None, sa_column=Column(Text))
    homepage: str | None = Field(default=None, sa_column=Column(Text))
    stars: int | None = None
    """Likes, of a model, data set or space."""
    forks: int | None = None
    downloads: int | None = None
    """In the last 30 days, where the host counts them."""
    gated: bool = False
    """To be had after its owners' consent only."""
    open_issues: int | None = None
    language: str | None = None
    license: str | None = None
    topics: list[str] = _json(list)
    archived: bool = False
    fork: bool = False
    created_at: datetime | None = None
    pushed_at: datetime | None = None
    release: str | None = None
    """The tag of the newest release we know of."""
    released_at: datetime | None = None
    releases_etag: str | None = Field(default=None, sa_column=Column(Text))
    """What its feed of releases is asked again with."""
    etag: str | None = Field(default=None, sa_column=Column(Text))
    checked_at: datetime | None = None
    next_check_at: datetime
    misses: int = 0
    """Times in a row it was not there or could not be read."""
    error: str | None = Field(default=None, sa_column=Column(Text))


class RepoName(Row, table=True):
    """An `owner/name` a repository has, or had."""

    __tablename__ = "repo_names"
    __table_args__ = (UniqueConstraint("host", "kind", "slug_key"),)

    id: int | None = _id()
    host: str
    kind: str = "code"
    slug_key: str = _long()
    """Lower-cased: hosts compare without case."""
    repo_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    since_at: datetime


class Reading(Row, table=True):
    """A repository's counts at one time."""

    __tablename__ = "readings"
    __table_args__ = (UniqueConstraint("repo_id", "read_at"),)

    id: int | None = _id()
    repo_id: int = Field(sa_column=Column(BIG, nullable=False))
    read_at: datetime
    stars: int
    forks: int


class Subscriber(Row, table=True):
    """A person, or a Slack channel, that receives."""

    __tablename__ = "subscribers"

    id: int | None = _id()
    channel: str
    address: str = Field(sa_column=Column(Sealed(is_url), nullable=False))
    """Empty once it was wiped."""
    address_key: str = Field(unique=True)
    """Channel and address folded, or hashed (`storage.seals`), so that one address subscribes once."""
    state: str = "pending"
    """pending (opt-in not confirmed), active, unsubscribed, suppressed."""
    token_version: int = 1
    created_at: datetime
    confirmed_at: datetime | None = None


class Seal(Row, table=True):
    """A key that the service made for itself, sealed with the secret key."""

    __tablename__ = "seals"

    name: str = Field(primary_key=True)
    value: str = Field(sa_column=Column(Sealed(always), nullable=False))


class Subscription(Row, table=True):
    """What a subscriber wants: query, cadence, time zone, budget."""

    __tablename__ = "subscriptions"
    __table_args__ = (UniqueConstraint("subscriber_id", "name"), Index("ix_subscriptions_due", "next_edition_at"))

    id: int | None = _id()
    subscriber_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    name: str
    query: str = _long(default="")
    feeds: list[str] = _json(list)
    cadence: str = "daily"
    at: str = "08:00"
    timezone: str = "UTC"
    budget: int = 12
    ranking: str = "personal"
    """What comes first: one of `domain.ranking.RANKINGS`."""
    news_alone: bool = False
    """Whether an edition without new papers is sent when there is news of papers they have had."""
    state: str = "active"
    """active, paused, pending (opt-in not confirmed), removed."""
    paused_until: date | None = None
    origin: str = "added"
    created_at: datetime
    since_at: datetime
    """Papers first seen before this are not news to the subscriber."""
    next_edition_at: datetime | None = None


class Edition(Row, table=True):
    """One issue of a digest: unique by subscription and period."""

    __tablename__ = "editions"
    __table_args__ = (UniqueConstraint("subscription_id", "period"),)

    id: int | None = _id()
    subscription_id: int = Field(sa_column=Column(BIG, nullable=False))
    period: str
    """The local date (`2026-11-24`), or the paper's key for an alert."""
    composed_at: datetime = Field(index=True)
    due_at: datetime
    since_at: datetime | None = None
    """From when on papers were looked at, where that is longer than the usual time between two editions."""
    matched: int
    considered: int
    sources: list[dict[str, Any]] = _json(list)
    skipped: str | None = None
    """Why nothing was sent (`empty`, `expired`), else nothing."""


class EditionItem(Row, table=True):
    """A paper in an edition. A subscription gets a paper once, ever, and once more each time its reader snoozes it."""

    __tablename__ = "edition_items"
    __table_args__ = (
        UniqueConstraint("subscription_id", "paper_id", "again"),
        UniqueConstraint("edition_id", "rank"),
        Index("ix_edition_items_paper", "paper_id", "id"),
    )

    id: int | None = _id()
    edition_id: int = Field(sa_column=Column(BIG, nullable=False))
    subscription_id: int = Field(sa_column=Column(BIG, nullable=False))
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    rank: int
    why: list[str] = _json(list)
    late: bool = False
    again: int = 0
    """How many of the reader's snoozes of the paper had ended by then."""


SETTLED_AND_KEPT = "message IS NOT NULL AND state NOT IN ('planned', 'sending', 'deferred', 'unknown')"
"""Written out, since an index is used only where the condition is its own; and by what it is not, since SQLite would
else look it up by the state, and sort all there are."""


class Delivery(Row, table=True):
    """One edition to one subscriber by one channel, and what became of it."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("edition_id", "subscriber_id", "channel"),
        Index("ix_deliveries_state", "state", "id"),
        Index("ix_deliveries_reader", "subscriber_id", "id"),
        Index("ix_deliveries_planned", "planned_at"),
        Index(
            "ix_deliveries_sent",
            "sent_at",
            sqlite_where=text("sent_at IS NOT NULL"),
            postgresql_where=text("sent_at IS NOT NULL"),
        ),
        # What the retention of messages looks at: those of settled deliveries that are still kept.
        Index(
            "ix_deliveries_kept",
            "updated_at",
            sqlite_where=text(SETTLED_AND_KEPT),
            postgresql_where=text(SETTLED_AND_KEPT),
        ),
    )

    id: int | None = _id()
    edition_id: int = Field(sa_column=Column(BIG, nullable=False))
    subscriber_id: int = Field(sa_column=Column(BIG, nullable=False))
    channel: str
    state: str = "planned"
    """planned, sending, accepted, deferred, failed, suppressed, expired, unknown."""
    message_id: str = Field(unique=True)
    message: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """The rendered message, compressed: every try sends the same bytes."""
    parts: dict[str, Any] = _json(dict)
    """What of it has been begun and taken, as `domain.deliveries.parts_from_json` reads it."""
    attempts: int = 0
    code: str | None = None
    detail: str | None = Field(default=None, sa_column=Column(Text))
    planned_at: datetime
    sent_at: datetime | None = None
    expires_at: datetime
    updated_at: datetime


class Bounce(Row, table=True):
    """One report that mail to an address came back, or was complained of; the same report counts once."""

    __tablename__ = "bounces"
    __table_args__ = (UniqueConstraint("report", "address_key"), Index("ix_bounces_address", "address_key", "at"))

    id: int | None = _id()
    report: str
    """Hash of the report's bytes."""
    address_key: str = _long()
    kind: str
    """hard, soft, complaint."""
    code: str = ""
    detail: str = _long(default="")
    message_id: str = _long(default="")
    at: datetime


class Suppression(Row, table=True):
    """An address nothing is sent to any more, whoever subscribes it."""

    __tablename__ = "suppressions"

    id: int | None = _id()
    address_key: str = Field(sa_column=Column(Text, unique=True, nullable=False))
    reason: str
    """hard, soft (too many), complaint, or by_hand."""
    detail: str = _long(default="")
    at: datetime


class SuppressionEvent(Row, table=True):
    """That an address was suppressed, or let be written to again: what the list of today no longer tells."""

    __tablename__ = "suppression_events"
    __table_args__ = (Index("ix_suppression_events_address", "address_key", "at"),)

    id: int | None = _id()
    address_key: str = _long()
    act: str
    """suppressed, lifted."""
    reason: str = ""
    detail: str = _long(default="")
    by: str = ""
    """Who said so: a report, the command line, an operator."""
    at: datetime


class Vote(Row, table=True):
    """What one member of a team says of a paper, by a reaction in the thread of an edition; the last word counts."""

    __tablename__ = "votes"
    __table_args__ = (
        UniqueConstraint("subscription_id", "paper_id", "voter"),
        Index("ix_votes_paper", "paper_id", "at"),
    )

    id: int | None = _id()
    subscription_id: int = Field(sa_column=Column(BIG, nullable=False))
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    voter: str
    """The member's id at the channel (`slack:U012AB3CD`), hashed."""
    value: int
    """1 or -1."""
    at: datetime


class Feedback(Row, table=True):
    """What a reader said of a paper, for one subscription; each thing once."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("subscription_id", "paper_id", "act", "target"),)

    id: int | None = _id()
    subscription_id: int = Field(sa_column=Column(BIG, nullable=False))
    paper_id: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    """The paper it was said at; 0 for none."""
    act: str
    """One of `domain.feedback.ACTS`."""
    target: str = _long(default="")
    """What a mute shuts out, as a query: `author:"Ada Quill"`, `cat:cs.CV`; until when a snooze holds, as a date."""
    at: datetime


class Sentence(Row, table=True):
    """What a language model said of one version of a paper, or that it said nothing of use; asked once."""

    __tablename__ = "sentences"
    __table_args__ = (UniqueConstraint("paper_id", "version", "model"), Index("ix_sentences_at", "at"))

    id: int | None = _id()
    paper_id: int = Field(sa_column=Column(BIG, nullable=False))
    version: str
    """Fingerprint of the title and abstract it was asked about."""
    model: str
    text: str | None = Field(default=None, sa_column=Column(Text))
    """`None` where the answer could not be used."""
    refused: str = ""
    """Why it could not."""
    tokens: int = 0
    """What the question and its answer cost."""
    at: datetime


class Job(Row, table=True):
    """A row of work. The table is the truth; a Celery message only says "look at this job"."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("kind", "key"),
        Index(
            "ix_jobs_ready",
            "stage",
            "priority",
            "due_at",
            "id",
            sqlite_where=text("state = 'ready'"),
            postgresql_where=text("state = 'ready'"),
        ),
        Index(
            "ix_jobs_leased",
            "lease_until",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index("ix_jobs_finished", "state", "finished_at"),
        # For counting alone: were it of all states, PostgreSQL would claim by it where its statistics are old.
        Index(
            "ix_jobs_over",
            "state",
            "stage",
            sqlite_where=text("state IN ('done', 'dead')"),
            postgresql_where=text("state IN ('done', 'dead')"),
        ),
        Index("ix_jobs_state", "state", "id"),
        Index("ix_jobs_kind", "kind", "id"),
        Index(
            "ix_jobs_signature",
            "signature",
            sqlite_where=text("signature IS NOT NULL"),
            postgresql_where=text("signature IS NOT NULL"),
        ),
    )

    id: int | None = _id()
    kind: str
    key: str = _long()
    stage: str
    """fetch, parse, enrich, notify: the queue it belongs to."""
    payload: dict[str, Any] = _json(dict)
    """Ids only; the data is in the tables."""
    state: str = "ready"
    """ready, running, done, dead."""
    priority: int = 0
    """Lower first: alerts before backfills."""
    due_at: datetime
    lease_until: datetime | None = None
    token: str | None = None
    attempts: int = 0
    """Tries so far; each has its row in `attempts`."""
    spared: int = 0
    """Tries that do not count against the limit: waits for a host, hand-backs, those before a person revived it."""
    last_error: str | None = Field(default=None, sa_column=Column(Text))
    signature: str | None = None
    """Groups failures of the same cause: why the last try that failed did, also once a later one was good."""
    cause_id: int | None = Field(default=None, sa_column=Column(BIG, index=True))
    """The job that led to this one."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Attempt(Row, table=True):
    """One try of a job."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("job_id", "number"), Index("ix_attempts_outcome", "outcome", "started_at"))

    id: int | None = _id()
    job_id: int = Field(sa_column=Column(BIG, nullable=False))
    number: int
    worker: str = ""
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = "running"
    """running, done, retry, waited (a host asked us to), released (the worker was told to stop), dead, lost (its
    lease ran out)."""
    error: str | None = Field(default=None, sa_column=Column(Text))
    traceback: str | None = Field(default=None, sa_column=Column(Text))


class PausedStage(Row, table=True):
    """A stage whose jobs nobody takes until an operator lets it go on."""

    __tablename__ = "paused_stages"

    stage: str = Field(primary_key=True)
    by: str
    at: datetime
    told_at: datetime
    """When the operators were last told of it."""


class MailRate(Row, table=True):
    """How many messages an hour a channel is held to until an operator lets it go at its setting again."""

    __tablename__ = "mail_rates"

    channel: str = Field(primary_key=True)
    per_hour: int
    by: str
    at: datetime


class Slot(Row, table=True):
    """One entry of the schedule: when it last ran, when it runs next."""

    __tablename__ = "slots"

    name: str = Field(primary_key=True)
    every_s: int
    last_at: datetime | None = None
    next_at: datetime
    paused: bool = False


class Gate(Row, table=True):
    """When one host may be called next, for all workers together."""

    __tablename__ = "gates"

    name: str = Field(primary_key=True)
    free_at: datetime
    held_until: datetime | None = None
    """Somebody is inside and wants to be alone; at the latest until then."""
    holder: str = ""
    calls: int = 0
    failures: int = 0
    """Calls in a row that got no answer at all; from a number on the gate closes for ever longer times."""


class Heartbeat(Row, table=True):
    """A process that is, or was, alive."""

    __tablename__ = "heartbeats"

    name: str = Field(primary_key=True)
    role: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    busy: int = 0
    """Jobs that it, or a child of it, was at when it was last heard of: in its slots, and beside them those its search
    for overdue work had found."""
    slots: int = 0
    memory_mb: float = 0


class Quota(Row, table=True):
    """What an upstream says is left of our allowance; `name` is the host's, with a token the token's, too."""

    __tablename__ = "quotas"

    name: str = Field(primary_key=True)
    limit: int
    remaining: int
    reserved: int = 0
    """Calls begun of which `remaining` does not know yet."""
    reset_at: datetime | None = None
    read_at: datetime


class User(Row, table=True):
    """A person who looks after the service, and how much they may do."""

    __tablename__ = "users"

    id: int | None = _id()
    name: str = Field(unique=True)
    role: str
    """viewer, operator, admin: one of `domain.users.ROLES`."""
    password_hash: str = _long()
    disabled: bool = False
    created_at: datetime
    last_login_at: datetime | None = None


class Login(Row, table=True):
    """An open session of a person at the pages for operators."""

    __tablename__ = "logins"

    key: str = Field(primary_key=True)
    """Hash of what the cookie holds: who reads this table cannot come in with it."""
    user: str
    mark: str
    """Fingerprint of the password it was opened with, or of the provider that vouched; another one ends it."""
    role: str = ""
    """What the provider gave them to do; empty for who came with a password."""
    created_at: datetime
    expires_at: datetime = Field(index=True)


class ApiToken(Row, table=True):
    """What a program shows to be let in, and how much it may do."""

    __tablename__ = "api_tokens"

    id: int | None = _id()
    name: str = Field(unique=True)
    scope: str
    """read, operate, admin: one of `domain.users.SCOPES`."""
    key: str = Field(unique=True)
    """Hash of the token."""
    hint: str = ""
    """How the token begins, so that a person can tell which it is."""
    made_by: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class Audit(Row, table=True):
    """One act of a person or a program, and how it ended."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_at", "at"),
        Index("ix_audit_act", "act", "id"),
        Index("ix_audit_who", "who", "id"),
    )

    id: int | None = _id()
    at: datetime
    who: str
    role: str
    origin: str
    """web, api, command."""
    address: str = ""
    """Where a request came from; the host for the command line."""
    act: str
    """`feed.pause`, `run.retry`, `user.add`, …"""
    subject: str = _long(default="")
    before: dict[str, Any] = _json(dict)
    after: dict[str, Any] = _json(dict)
    outcome: str = "done"
    """done, failed, denied."""
    detail: str = _long(default="")


class Allowance(Row, table=True):
    """How often something may still be tried: one row a key, for all processes together."""

    __tablename__ = "allowances"

    key: str = Field(primary_key=True)
    free_at: datetime = Field(index=True)
    """When all that was used of it will have come back."""


class Notice(Row, table=True):
    """Something the operators are told once: a feed that keeps failing, one that is well again, one that is gone."""

    __tablename__ = "notices"
    __table_args__ = (Index("ix_notices_subject", "subject", "id"),)

    id: int | None = _id()
    key: str = Field(unique=True)
    """What makes it one: the kind, the thing and the moment it began."""
    kind: str
    """failing, healed, retired, host_down, host_up, stage_paused."""
    subject: str
    """The feed's, the host's or the stage's name."""
    text: str = _long()
    made_at: datetime = Field(index=True)
    sent_at: datetime | None = None
