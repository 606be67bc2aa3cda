"""Views: rows put together into the edition a renderer, a preview or a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlmodel import Session

from services.domain.batches import COMPLETE, worth_showing
from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus
from services.domain.events import KINDS, describe
from services.domain.identifiers import paper_url, pdf_url
from services.domain.links import is_verified
from services.domain.momentum import is_stale
from services.domain.papers import PaperFacts
from services.domain.summaries import telling_sentence
from services.domain.tokens import make_token
from services.runtime import Runtime
from services.storage import batches, editions, events, feeds
from services.storage.tables import Feed, Subscriber, Subscription

LONG = 24 * 60
"""Minutes: a feed asked more seldom than daily may well be silent for two days."""

CADENCE_WORDS = {
    "instant": "as soon as a paper matches", "daily": "daily at {at}", "weekdays": "Monday to Friday at {at}",
    "weekly": "every Monday at {at}", "monthly": "on the first of the month at {at}",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A paper chosen for an edition, with the reasons."""

    paper: PaperFacts
    why: tuple[str, ...]
    late: bool = False


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
    since_you_read: Sequence[str] = (),
) -> EditionView:
    """The edition as data, with this subscriber's own links."""
    checked = [r.checked_at for p in picks for r in p.paper.repos if r.checked_at and r.state == "found"]
    links = own_links(rt, subscription, subscriber)
    day = local_day(subscription.timezone, composed_at)
    return EditionView(
        name=subscription.name,
        query=subscription.query or None,
        edition_date=day,
        timezone=subscription.timezone,
        composed_at=composed_at,
        items=tuple(_item(rt, pick, composed_at) for pick in picks),
        matched=matched,
        considered=considered,
        since_you_read=tuple(since_you_read),
        sources=tuple(sources),
        facts_checked_at=min(checked, default=None),
        cadence=CADENCE_WORDS[subscription.cadence].format(at=subscription.at),
        web_url=rt.url(f"/editions/{edition_id}") if edition_id else rt.url("/"),
        all_url=rt.url(f"/?day={day}"),
        feed_url=rt.url(f"/feeds/{subscription.feeds[0] if len(subscription.feeds) == 1 else 'all'}.atom"),
        preferences_url=links.get("preferences"),
        pause_url=links.get("pause"),
        unsubscribe_url=links.get("unsubscribe"),
        one_click_url=links.get("unsubscribe") if subscriber.channel == "email" else None,
    )


def own_links(rt: Runtime, subscription: Subscription, subscriber: Subscriber) -> dict[str, str]:
    """The signed links of one subscription, by purpose. A machine at the other end has no use for them."""
    if subscriber.channel == "webhook":
        return {}
    return {
        purpose: rt.url(f"/{purpose}/{make_token(rt.secret, purpose, subscription.id or 0, subscriber.token_version)}")
        for purpose in ("preferences", "pause", "unsubscribe")
    }


def since_you_read(session: Session, subscription_id: int, until: datetime) -> tuple[str, ...]:
    """What became of papers a subscription had, between its last edition that went out and `until`."""
    last = editions.sent_before(session, subscription_id, until)
    if last is None:
        return ()
    found = events.since_read(session, subscription_id, after=last.composed_at, until=until)
    found.sort(key=lambda one: KINDS.index(one[0].kind) if one[0].kind in KINDS else len(KINDS))
    return tuple(dict.fromkeys(describe(event.kind, event.detail, title) for event, title in found))


def _item(rt: Runtime, pick: Pick, now: datetime) -> EditionItem:
    paper = pick.paper
    sentence = telling_sentence(paper.abstract) if paper.abstract else None
    return EditionItem(
        key=paper.key, title=paper.title, url=own_page(rt, paper), web_url=web_page(rt, paper.key),
        pdf_url=pdf_url(paper.key), authors=tuple(a.name for a in paper.authors),
        authors_count=paper.authors_count or len(paper.authors), organization=paper.organization, why=pick.why,
        sentence=paper.ai_summary or sentence,
        sentence_source="HF AI" if paper.ai_summary else ("abstract" if sentence else None),
        abstract=paper.abstract, published_at=paper.published_at, announced_on=paper.announced_on,
        version=paper.version, categories=paper.categories, upvotes=paper.upvotes,
        comments_count=paper.comments_count, withdrawn=paper.withdrawn, late=pick.late,
        code=tuple(
            CodeFacts(
                slug=r.slug, url=r.url, stars=r.stars, stars_gained_24h=r.stars_gained_24h,
                stars_gained_7d=r.stars_gained_7d, stale=is_stale(r.pushed_at, now), license=r.license,
                language=r.language, pushed_at=r.pushed_at, archived=r.archived, evidence=r.evidence,
                checked_at=r.checked_at,
            )
            for r in paper.repos
            # A wrong repository is worse than none: only what speaks for the paper is shown as its code.
            if r.state in {"found", "new"} and is_verified(r.evidence)
        ),
        project_urls=tuple(x.url for x in paper.links if x.kind == "project"),
        models=_many(paper, "model"), datasets=_many(paper, "dataset"), spaces=_many(paper, "space"),
        feeds=paper.feeds,
    )  # fmt: skip


def _many(paper: PaperFacts, kind: str) -> int:
    return sum(link.kind == kind for link in paper.links)


def own_page(rt: Runtime, paper: PaperFacts) -> str:
    """Where a paper lives: arXiv, its DOI, its page; ours when it is known by its title alone."""
    return paper_url(paper.key) or web_page(rt, paper.key)


def web_page(rt: Runtime, key: str) -> str:
    """A paper's page with us; a key may hold anything an address may."""
    return rt.url(f"/papers/{quote(key, safe=':/')}")


def source_statuses(session: Session, names: Sequence[str], *, since: datetime) -> list[SourceStatus]:
    """The honest header: for each feed, what its newest batch announced, and what of it we hold."""
    found = []
    for feed in feeds.list_all(session):
        if (names and feed.name not in names) or (not names and (feed.paused or feed.interval_minutes <= 0)):
            continue
        found.append(source_status(session, feed, since=since))
    return found


def source_status(session: Session, feed: Feed, *, since: datetime) -> SourceStatus:
    """One feed's newest batch that lists anything or is in trouble (else its newest): what came of it.

    A feed of which nothing has been heard since a day before `since` is late, whatever was known of it then.
    """
    rows = {row.batch: row for row in batches.newest(session, feed.id or 0)}
    name = worth_showing((row.batch, row.state, row.seen) for row in rows.values())
    if name is None:
        return _imported(session, feed)
    row = rows[name]
    state, note = row.state, row.note
    heard_at = max(row.checked_at for row in rows.values())
    if state in COMPLETE and heard_at < since - timedelta(days=1) and feed.interval_minutes <= LONG and not feed.paused:
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
