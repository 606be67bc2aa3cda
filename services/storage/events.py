"""Events of papers: written in the transaction that stores the change, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from services.domain.events import EventData, code_appeared
from services.domain.links import LinkData, is_verified
from services.storage.sql import insert_ignore
from services.storage.tables import Edition, EditionItem, Event, Link, Paper


def record(session: Session, found: Iterable[tuple[int, EventData]], *, now: datetime) -> int:
    """Record events of papers (row id, event); those told of before are left out. Returns how many are new."""
    rows = [
        {"paper_id": paper_id, "kind": event.kind, "key": event.key, "at": now, "detail": dict(event.detail)}
        for paper_id, event in found
    ]
    return len(insert_ignore(session, Event, rows, ["paper_id", "kind", "key"], returning=["id"]))


def record_of_repo(session: Session, repo_id: int, found: Sequence[EventData], *, now: datetime) -> int:
    """Record what happened to a repository with every paper whose code it verifiably is."""
    if not found:
        return 0
    papers = {
        link.paper_id
        for link in session.exec(select(Link).where(Link.repo_id == repo_id))
        if is_verified(link.evidence)
    }
    return record(session, [(paper_id, event) for paper_id in sorted(papers) for event in found], now=now)


def record_code_appeared(session: Session, repo_id: int, *, now: datetime) -> int:
    """A repository that was announced and not there can be read now: told of with the papers that name it."""
    links = session.exec(select(Link).where(Link.repo_id == repo_id, Link.kind == "code")).all()
    found = [
        (x.paper_id, code_appeared(LinkData(url=x.url, kind=x.kind, slug=x.slug, evidence=x.evidence)))
        for x in links
        if is_verified(x.evidence)
    ]
    return record(session, found, now=now)


def of_paper(session: Session, paper_id: int) -> list[Event]:
    """What happened to a paper, oldest first."""
    return list(session.exec(select(Event).where(Event.paper_id == paper_id).order_by(col(Event.at), col(Event.id))))


def page(
    session: Session, *, kind: str = "", paper: str = "", before: int | None = None, limit: int = 50
) -> list[tuple[Event, str]]:
    """Events with the keys of their papers, newest first."""
    query = select(Event, Paper.key).join(Paper, col(Paper.id) == col(Event.paper_id))
    if kind:
        query = query.where(Event.kind == kind)
    if paper:
        query = query.where(Paper.key == paper)
    if before is not None:
        query = query.where(col(Event.id) < before)
    return [(event, key) for event, key in session.exec(query.order_by(col(Event.id).desc()).limit(limit))]


def since_read(
    session: Session, subscription_id: int, *, after: datetime, until: datetime, limit: int = 50
) -> list[tuple[Event, str]]:
    """Events (with the paper's title) in the papers a subscription has had before they happened, oldest first."""
    return [
        (event, title)
        for event, title in session.exec(
            select(Event, Paper.title)
            .join(Paper, col(Paper.id) == col(Event.paper_id))
            .join(EditionItem, col(EditionItem.paper_id) == col(Event.paper_id))
            .join(Edition, col(Edition.id) == col(EditionItem.edition_id))
            .where(
                EditionItem.subscription_id == subscription_id,
                Event.at > after,
                Event.at <= until,
                col(Edition.composed_at) < col(Event.at),
            )
            .order_by(col(Event.at), col(Event.id))
            .limit(limit)
        )
    ]
