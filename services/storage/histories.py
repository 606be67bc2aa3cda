"""Histories: what became of one paper here, from the first fetch that brought it to the last mail that carried it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from services.domain.events import describe
from services.storage.tables import (
    Delivery,
    Edition,
    EditionItem,
    Event,
    Feed,
    Fetch,
    Link,
    Merge,
    Paper,
    RepoName,
    Sighting,
    Statement,
    Subscription,
)

MOST = 200
"""Lines of one kind."""
OWN = "it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened."""

    at: datetime
    kind: str
    """listed, said, merged, changed, chosen, delivered."""
    words: str
    about: str = ""
    """What more is known of it."""
    href: str = ""
    """Where more is told."""


def of_paper(session: Session, paper_id: int) -> list[Line]:
    """All that is on record, oldest first; of each kind the newest `MOST`."""
    lines = [*_listed(session, paper_id), *_said(session, paper_id), *_sent(session, paper_id)]
    for merge in session.exec(select(Merge).where(Merge.kept_paper_id == paper_id).limit(MOST)):
        undone = "; taken back" if merge.undone_at else ""
        words = f"{merge.merged_key} was merged into it"
        lines.append(Line(at=merge.merged_at, kind="merged", words=words, about=f"{merge.reason}{undone}"))
    for event in session.exec(select(Event).where(Event.paper_id == paper_id).limit(MOST)):
        words = describe(event.kind, event.detail, OWN).replace(f"“{OWN}”", OWN)
        lines.append(Line(at=event.at, kind="changed", words=words))
    return sorted(lines, key=lambda line: (line.at, line.kind))


def _listed(session: Session, paper_id: int) -> Sequence[Line]:
    before = aliased(Fetch)
    newest = (
        select(before.id)
        .where(before.feed_id == Sighting.feed_id, col(before.fetched_at) <= Sighting.seen_at)
        .order_by(col(before.fetched_at).desc())
        .limit(1)
        .correlate(Sighting)
    )
    # Sources that list by day are asked for several in one go: that day's own fetch is the one.
    of_the_day = newest.where(col(before.batch) == cast(Sighting.day, Text))
    brought = func.coalesce(of_the_day.scalar_subquery(), newest.scalar_subquery())
    found = session.exec(
        select(Sighting, Feed.name, Fetch)
        .join(Feed, col(Feed.id) == col(Sighting.feed_id))
        .outerjoin(Fetch, col(Fetch.id) == brought)
        .where(Sighting.paper_id == paper_id)
        .order_by(col(Sighting.seen_at).desc())
        .limit(MOST)
    )
    lines: list[Line] = []
    for sighting, name, fetch in found:
        rank = f" at rank {sighting.rank}" if sighting.rank is not None else ""
        about = ""
        if fetch is not None:
            answer = f", HTTP {fetch.status}" if fetch.status else ""
            about = f"fetched {fetch.fetched_at:%Y-%m-%d %H:%M:%S} from {fetch.url}{answer}"
        words = f"listed by {name} for {sighting.day}{rank}"
        lines.append(Line(at=sighting.seen_at, kind="listed", words=words, about=about, href=f"/admin/feeds/{name}"))
    return lines


def _said(session: Session, paper_id: int) -> Sequence[Line]:
    return [
        Line(at=row.said_at, kind="said", words=f"{row.source} said what holds now", about=", ".join(sorted(row.data)))
        for row in session.exec(select(Statement).where(Statement.paper_id == paper_id).limit(MOST))
    ]


def _sent(session: Session, paper_id: int) -> Sequence[Line]:
    rows = session.exec(
        select(EditionItem, Edition, Subscription.name)
        .join(Edition, col(Edition.id) == col(EditionItem.edition_id))
        .join(Subscription, col(Subscription.id) == col(EditionItem.subscription_id))
        .where(EditionItem.paper_id == paper_id)
        .order_by(col(EditionItem.id).desc())
        .limit(MOST)
    ).all()
    lines = [
        Line(
            at=edition.composed_at, kind="chosen", words=f"chosen for “{name}”, edition of {edition.period}",
            about=f"rank {item.rank} of {edition.matched}; {'; '.join(item.why)}".rstrip("; "),
            href=f"/editions/{edition.id}",
        )
        for item, edition, name in rows
    ]  # fmt: skip
    named = {edition.id: name for _, edition, name in rows}
    for sent in session.exec(select(Delivery).where(col(Delivery.edition_id).in_(named))):
        words = f"to “{named[sent.edition_id]}” by {sent.channel}: {sent.state}"
        about = " ".join(part for part in (sent.code, sent.detail, sent.message_id) if part)
        lines.append(Line(at=sent.sent_at or sent.planned_at, kind="delivered", words=words, about=about))
    return lines


# -- finding -----------------------------------------------------------------------------------------------------


def paper_of_merged(session: Session, key: str) -> int | None:
    """The paper that a key was merged into, the last time."""
    merged = select(Merge.kept_paper_id).where(Merge.merged_key == key, col(Merge.undone_at).is_(None))
    return session.exec(merged.order_by(col(Merge.id).desc()).limit(1)).first()


def papers_with_repo(session: Session, slug: str) -> list[tuple[str, str]]:
    """The papers (key, title) that link to a repository of this name, present or past."""
    repos = select(RepoName.repo_id).where(
        col(RepoName.host).in_(("github.com", "gitlab.com", "codeberg.org", "huggingface.co")),
        col(RepoName.kind).in_(("code", "model", "dataset", "space")),
        RepoName.slug_key == slug.lower(),
    )
    found = session.exec(
        select(Paper.key, Paper.title)
        .join(Link, col(Link.paper_id) == col(Paper.id))
        .where(col(Link.repo_id).in_(repos))
        .distinct()
        .limit(MOST)
    )
    return [(key, title) for key, title in found]


def papers_of_message(session: Session, message_id: str) -> tuple[Delivery, list[tuple[str, str]]] | None:
    """The delivery that a Message-ID is of, and its papers (key, title) by rank."""
    sent = session.exec(select(Delivery).where(Delivery.message_id == message_id)).first()
    if sent is None:
        return None
    held = session.exec(
        select(Paper.key, Paper.title)
        .join(EditionItem, col(EditionItem.paper_id) == col(Paper.id))
        .where(EditionItem.edition_id == sent.edition_id)
        .order_by(col(EditionItem.rank))
    )
    return sent, [(key, title) for key, title in held]
