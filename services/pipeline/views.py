"""Views: rows put together into the edition a renderer, a preview or a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import Session

from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus
from services.domain.feeds import batch_state
from services.domain.identifiers import paper_url, pdf_url
from services.domain.papers import PaperFacts
from services.domain.summaries import telling_sentence
from services.domain.tokens import make_token
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Feed, Fetch, Subscriber, Subscription

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
) -> EditionView:
    """The edition as data, with this subscriber's own links."""
    checked = [r.checked_at for p in picks for r in p.paper.repos if r.checked_at and r.state == "found"]
    links = _own_links(rt, subscription, subscriber)
    day = local_day(subscription.timezone, composed_at)
    return EditionView(
        name=subscription.name,
        query=subscription.query or None,
        edition_date=day,
        timezone=subscription.timezone,
        composed_at=composed_at,
        items=tuple(_item(rt, pick) for pick in picks),
        matched=matched,
        considered=considered,
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


def _own_links(rt: Runtime, subscription: Subscription, subscriber: Subscriber) -> dict[str, str]:
    """The signed links of one subscription, by purpose. A machine at the other end has no use for them."""
    if subscriber.channel == "webhook":
        return {}
    return {
        purpose: rt.url(f"/{purpose}/{make_token(rt.secret, purpose, subscription.id or 0, subscriber.token_version)}")
        for purpose in ("preferences", "pause", "unsubscribe")
    }


def _item(rt: Runtime, pick: Pick) -> EditionItem:
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
                slug=r.slug, url=r.url, stars=r.stars, stars_gained_24h=r.stars_gained_24h, license=r.license,
                language=r.language, pushed_at=r.pushed_at, archived=r.archived, evidence=r.evidence,
                checked_at=r.checked_at,
            )
            for r in paper.repos
            if r.state in {"found", "new"}
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
    """A paper's page with us."""
    return rt.url(f"/papers/{key}")


def source_statuses(session: Session, names: Sequence[str], *, since: datetime) -> list[SourceStatus]:
    """The honest header: for each feed, what its newest batch announced, and what of it we hold."""
    found = []
    for feed in feeds.list_all(session):
        if (names and feed.name not in names) or (not names and (feed.paused or feed.interval_minutes <= 0)):
            continue
        found.append(source_status(session, feed, since=since))
    return found


def source_status(session: Session, feed: Feed, *, since: datetime) -> SourceStatus:
    """One feed's newest slot: its batches summed up, its worst state named."""
    slot = feeds.latest_slot(session, feed.id or 0)
    rows = feeds.pages(session, feed.id or 0, slot=slot) if slot else []
    rows = [row for row in rows if row.fetched_at >= since - timedelta(days=1)] or rows
    today = _newest_batch(rows)
    state = batch_state([_row(r) for r in today])
    note = feed.last_error if state in {"failed", "late"} else None
    if state == "late" and feed.failures:
        state = "failed"
    return SourceStatus(
        feed=feed.name, title=feed.title, state=state,
        announced=max((r.announced for r in today if r.announced is not None), default=None),
        stored=sum(r.seen - r.rejected for r in today if r.state == "parsed"),
        as_of=max((r.fetched_at for r in today), default=None), note=note,
    )  # fmt: skip


def _newest_batch(rows: Sequence[Fetch]) -> list[Fetch]:
    """Of a slot that covers several days, the newest day that lists anything (else the newest)."""
    days = sorted({r.batch for r in rows})
    for day in reversed(days):
        here = [r for r in rows if r.batch == day]
        if any(r.seen for r in here) or any(r.state != "parsed" for r in here):
            return here
    return [r for r in rows if r.batch == days[-1]] if days else []


def _row(fetch: Fetch) -> tuple[str, int | None, int, int, str | None, str]:
    return (fetch.state, fetch.announced, fetch.seen, fetch.rejected, fetch.next_cursor, fetch.cursor)


def local_day(timezone: str, at: datetime) -> date:
    """The reader's date at a moment."""
    return at.astimezone(ZoneInfo(timezone)).date()
