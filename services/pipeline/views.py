"""Views: rows put together into the edition a renderer, a preview or a page shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlmodel import Session

from services.domain.batches import ACCEPTED, CLOSED, counts_as, worth_showing
from services.domain.categories import once
from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus
from services.domain.events import KINDS, describe
from services.domain.identifiers import paper_url, pdf_url
from services.domain.links import COUNTED, is_verified
from services.domain.momentum import is_stale
from services.domain.organizations import main_organization
from services.domain.papers import PaperFacts, RepoFacts
from services.domain.queries import MAX_QUERY
from services.domain.ranking import votes_in_words
from services.domain.summaries import telling_sentence
from services.domain.tokens import PAPER_PURPOSES, make_paper_token, make_token
from services.runtime import Runtime
from services.storage import batches, editions, events, feeds
from services.storage.tables import Batch, Feed, Subscriber, Subscription

LONG = 24 * 60
"""Minutes: a feed asked more seldom than daily may well be silent for two days."""

CADENCE_WORDS = {
    "instant": "as soon as a paper matches", "daily": "daily at {at}", "weekdays": "Monday to Friday at {at}",
    "weekly": "every Monday at {at}", "monthly": "on the first of the month at {at}",
}  # fmt: skip
REACH = {
    "instant": timedelta(days=1), "daily": timedelta(days=1), "weekdays": timedelta(days=3),
    "weekly": timedelta(days=7), "monthly": timedelta(days=31),
}  # fmt: skip
"""The usual time between two editions, at its longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A paper chosen for an edition, with the reasons."""

    paper: PaperFacts
    why: tuple[str, ...]
    late: bool = False
    again: int = 0
    """How many of the reader's snoozes of it have ended."""
    sentence: str | None = None
    """What a language model of ours said of it."""


def edition_view(
    rt: Runtime,
    subscription: Subscription,
    subscriber: Subscriber,
    *,
    picks: Sequence[Pick],
    matched: int,
    considered: int,
    sources: Sequence[SourceStatus],
    composed_at: datetime,
    edition_id: int | None,
    since_at: datetime | None = None,
    since_you_read: Sequence[str] = (),
    item_of: Callable[[Runtime, Pick, datetime], EditionItem] | None = None,
) -> EditionView:
    """The edition as data, with this subscriber's own links. `item_of` stands in for `edition_item`."""
    checked = [r.checked_at for p in picks for r in p.paper.repos if r.checked_at and r.state == "found"]
    links = own_links(rt, subscription, subscriber)
    day = local_day(subscription.timezone, composed_at)
    matched_path = archive_path(subscription, composed_at, since_at, query=subscription.query)
    return EditionView(
        name=subscription.name,
        query=subscription.query or None,
        edition_date=day,
        timezone=subscription.timezone,
        composed_at=composed_at,
        items=tuple((item_of or edition_item)(rt, pick, composed_at) for pick in picks),
        feedback=tuple(paper_links(rt, subscription, subscriber, pick.paper) for pick in picks),
        matched=matched,
        considered=considered,
        since_date=local_day(subscription.timezone, since_at) if since_at else None,
        since_you_read=tuple(since_you_read),
        sources=tuple(sources),
        facts_checked_at=min(checked, default=None),
        cadence=CADENCE_WORDS[subscription.cadence].format(at=subscription.at),
        web_url=edition_url(rt, edition_id, subscriber) if edition_id else rt.url("/"),
        all_url=rt.url(archive_path(subscription, composed_at, since_at, query="") or "/"),
        matched_url=rt.url(matched_path) if matched_path else None,
        feed_url=rt.url(feed_path(subscription)),
        preferences_url=links.get("preferences"),
        pause_url=links.get("pause"),
        saved_url=links.get("saved"),
        unsubscribe_url=links.get("unsubscribe"),
        one_click_url=links.get("unsubscribe") if subscriber.channel == "email" else None,
    )


def archive_path(
    subscription: Subscription, composed_at: datetime, since_at: datetime | None, *, query: str
) -> str | None:
    """The search that finds what an edition was chosen from; with `query`, what of it matched. It asks for whole days,
    so that it finds some papers of the edition before, too; and of all feeds, where their names make it longer than a
    query may be. `None` where it is too long all the same.
    """
    first = (since_at or composed_at - REACH[subscription.cadence]).astimezone(UTC).date()
    matching, days = f"({query})" if query else "", f"seen:[{first} TO {composed_at.astimezone(UTC).date()}]"
    named = f"feed:({' OR '.join(subscription.feeds)})" if subscription.feeds else ""
    for parts in ((matching, named, days), (matching, days)):
        asked = " ".join(part for part in parts if part)
        if len(asked) <= MAX_QUERY:
            return f"/?{urlencode({'q': asked})}"
    return None


def feed_path(subscription: Subscription) -> str:
    """The feed that brings what the subscription brings."""
    name = subscription.feeds[0] if len(subscription.feeds) == 1 else "all"
    asked = f"({subscription.query})" if subscription.query and len(subscription.feeds) > 1 else subscription.query
    if len(subscription.feeds) > 1:
        asked = f"{asked} feed:({' OR '.join(subscription.feeds)})".strip()
    return f"/feeds/{quote(name, safe='')}.atom" + (f"?{urlencode({'q': asked})}" if asked else "")


def edition_url(rt: Runtime, edition_id: int, subscriber: Subscriber) -> str:
    """Where an edition is read in a browser by whoever has the link: nobody finds it by counting."""
    return rt.url(f"/edition/{make_token(rt.secret, 'edition', edition_id, subscriber.token_version)}")


def own_links(rt: Runtime, subscription: Subscription, subscriber: Subscriber) -> dict[str, str]:
    """The signed links of one subscription, by purpose. A machine at the other end has no use for them."""
    if subscriber.channel == "webhook":
        return {}
    return {
        purpose: rt.url(f"/{purpose}/{make_token(rt.secret, purpose, subscription.id or 0, subscriber.token_version)}")
        for purpose in ("saved", "preferences", "pause", "unsubscribe")
    }


def paper_links(
    rt: Runtime, subscription: Subscription, subscriber: Subscriber, paper: PaperFacts
) -> tuple[tuple[str, str], ...]:
    """What a reader may say of one paper, as (act, signed link)."""
    if subscriber.channel == "webhook":
        return ()
    row, version = subscription.id or 0, subscriber.token_version
    return tuple(
        (act, rt.url(f"/{act}/{make_paper_token(rt.secret, act, row, version, paper.id)}")) for act in PAPER_PURPOSES
    )


def since_you_read(session: Session, subscription_id: int, until: datetime) -> tuple[str, ...]:
    """What became of papers a subscription had, between its last edition that went out and `until`."""
    last = editions.sent_before(session, subscription_id, until)
    if last is None:
        return ()
    found = events.since_read(session, subscription_id, after=last, until=until)
    found.sort(key=lambda one: KINDS.index(one[0].kind) if one[0].kind in KINDS else len(KINDS))
    return tuple(dict.fromkeys(describe(event.kind, event.detail, title) for event, title in found))


def edition_item(rt: Runtime, pick: Pick, now: datetime) -> EditionItem:
    """A paper as its edition tells of it."""
    paper = pick.paper
    sentence = telling_sentence(paper.abstract) if paper.abstract else None
    return EditionItem(
        key=paper.key, title=paper.title, url=own_page(rt, paper), web_url=web_page(rt, paper.key),
        pdf_url=pdf_url(paper.key), authors=tuple(a.name for a in paper.authors),
        authors_count=paper.authors_count or len(paper.authors), organization=main_organization(paper), why=pick.why,
        sentence=pick.sentence or paper.ai_summary or sentence,
        sentence_source=(
            "AI" if pick.sentence else "HF AI" if paper.ai_summary else ("abstract" if sentence else None)
        ),
        abstract=paper.abstract, published_at=paper.published_at, announced_on=paper.announced_on,
        version=paper.version, categories=tuple(once(paper.categories)), upvotes=paper.upvotes,
        comments_count=paper.comments_count, team_votes=votes_in_words(paper.votes),
        withdrawn=paper.withdrawn, late=pick.late,
        code=tuple(_code_facts(r, now) for r in paper.repos if _is_shown(r)),
        artifacts=tuple(_code_facts(r, now) for r in paper.artifacts if r.state == "found" and _is_shown(r)),
        project_urls=tuple(x.url for x in paper.links if x.kind == "project"),
        models=_many(paper, "model"), datasets=_many(paper, "dataset"), spaces=_many(paper, "space"),
        feeds=paper.feeds,
    )  # fmt: skip


def _is_shown(repo: RepoFacts) -> bool:
    """A wrong repository is worse than none: only what speaks for the paper is shown as its own."""
    return repo.state in {"found", "new"} and is_verified(repo.evidence)


def _code_facts(repo: RepoFacts, now: datetime) -> CodeFacts:
    return CodeFacts(
        slug=repo.slug, url=repo.url, kind=repo.kind, stars=repo.stars, downloads=repo.downloads, gated=repo.gated,
        release=repo.release, released_at=repo.released_at, stars_gained_24h=repo.stars_gained_24h,
        stars_gained_7d=repo.stars_gained_7d, stale=repo.kind == "code" and is_stale(repo.pushed_at, now),
        license=repo.license, language=repo.language, pushed_at=repo.pushed_at, archived=repo.archived,
        evidence=repo.evidence, checked_at=repo.checked_at,
    )  # fmt: skip


def _many(paper: PaperFacts, kind: str) -> int:
    return sum(link.kind == kind and link.evidence in COUNTED for link in paper.links)


def own_page(rt: Runtime, paper: PaperFacts) -> str:
    """Where a paper lives: arXiv, its DOI, its page; ours when it is known by its title alone."""
    return paper_url(paper.key) or web_page(rt, paper.key)


def web_page(rt: Runtime, key: str) -> str:
    """A paper's page with us; a key may hold anything an address may."""
    return rt.url(f"/papers/{quote(key, safe=':/')}")


def source_statuses(session: Session, names: Sequence[str], *, since: datetime, now: datetime) -> list[SourceStatus]:
    """The honest header: for each feed, what its newest batch announced, and what of it we hold.

    Of more than `FEW_SOURCES` it is what was seen in the minute of `now`, for whoever asked first: those in trouble
    come first, and one line or two stand for all beyond `MOST_SOURCES`.
    """
    asked, minute = (tuple(names), _minute(since)), _minute(now)
    with _looking:
        when, known = _looked.get(session.get_bind().engine, (None, {}))
        if when == minute and asked in known:
            return known[asked]
    wanted = [
        feed for feed in feeds.list_all(session)
        if (feed.name in names if names else not feed.paused and feed.interval_minutes > 0)
    ]  # fmt: skip
    if len(wanted) <= FEW_SOURCES:
        return [source_status(session, feed, since=since) for feed in wanted]
    newest = batches.newest_of(session, [feed.id or 0 for feed in wanted])
    found = _summed([_status(session, feed, newest.get(feed.id or 0, []), since) for feed in wanted])
    with _looking:
        when, known = _looked.get(session.get_bind().engine, (None, {}))
        if when != minute or len(known) >= MOST_LOOKED:
            known = {}
        _looked[session.get_bind().engine] = minute, {**known, asked: found}
    return found


FEW_SOURCES, MOST_SOURCES, MOST_LOOKED = 20, 50, 100
_Looks = dict[tuple[tuple[str, ...], datetime], list[SourceStatus]]
_looked: WeakKeyDictionary[Engine, tuple[datetime | None, _Looks]] = WeakKeyDictionary()
"""The looks of one minute: an edition never tells of the states of a minute before."""
_looking = threading.Lock()


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _summed(found: Sequence[SourceStatus]) -> list[SourceStatus]:
    ordered = sorted(found, key=lambda one: not one.troubled)  # else as they are, by name
    told, rest = ordered[:MOST_SOURCES], ordered[MOST_SOURCES:]
    return told + [
        SourceStatus(
            feed="", title="1 other" if len(group) == 1 else f"{len(group):,} others",
            state=group[0].state if troubled else "complete",
            stored=sum(one.stored for one in group), feeds=len(group),
            as_of=max((one.as_of for one in group if one.as_of), default=None),
        )
        for troubled in (True, False)
        if (group := [one for one in rest if one.troubled is troubled])
    ]  # fmt: skip


def source_status(session: Session, feed: Feed, *, since: datetime) -> SourceStatus:
    """One feed's newest batch that lists anything or is in trouble (else its newest): what came of it.

    A feed of which nothing has been heard since a day before `since` is late, whatever was known of it then.
    """
    return _status(session, feed, batches.newest(session, feed.id or 0), since)


def _status(session: Session, feed: Feed, newest: Sequence[Batch], since: datetime) -> SourceStatus:
    rows = {row.batch: row for row in newest}
    name = worth_showing((row.batch, row.state, row.seen) for row in rows.values())
    if name is None:
        return _imported(session, feed)
    row = rows[name]
    state = counts_as(row.state, row.accepted_at)
    note = None if state == ACCEPTED else row.note
    heard_at = max(row.checked_at for row in rows.values())
    if state in CLOSED and heard_at < since - timedelta(days=1) and feed.interval_minutes <= LONG and not feed.paused:
        state, note = ("failed" if feed.failures else "late"), feed.last_error
    elif state in {"failed", "late"}:
        state, note = ("failed" if feed.failures else state), feed.last_error or note
    return SourceStatus(
        feed=feed.name, title=feed.title, state=state, announced=row.announced, stored=row.seen - row.rejected,
        as_of=row.checked_at, note=note,
    )  # fmt: skip


def _imported(session: Session, feed: Feed) -> SourceStatus:
    """A feed that was never asked: what files brought under its name, if any did."""
    rows = feeds.pages(session, feed.id or 0, slot="import")
    state = "late" if not rows else "complete" if any(row.seen for row in rows) else "quiet"
    if state == "late" and feed.failures:
        state = "failed"
    return SourceStatus(
        feed=feed.name, title=feed.title, state=state, stored=sum(row.seen - row.rejected for row in rows),
        as_of=max((row.fetched_at for row in rows), default=None),
        note=feed.last_error if state in {"failed", "late"} else None,
    )  # fmt: skip


def local_day(timezone: str, at: datetime) -> date:
    """The reader's date at a moment."""
    return at.astimezone(ZoneInfo(timezone)).date()
