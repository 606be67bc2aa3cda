"""Makers of what tests need many of, with defaults that are complete and true to life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import event, inspect, select
from sqlmodel import Session, SQLModel

from services.domain.identifiers import Identifier
from services.domain.links import LinkData
from services.domain.papers import AuthorData, PaperData
from services.domain.queries import Query
from services.domain.queries import parse_query as parse_query_on
from services.pipeline import notify
from services.pipeline.send import send_job
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import feeds, papers, subscribers
from services.storage.papers import Stored
from services.storage.tables import Feed

DAY = date(2026, 11, 24)


def arxiv(number: int) -> Identifier:
    """The identifier of a paper that cannot exist: arXiv gives out no such numbers."""
    return Identifier("arxiv", f"2611.{90000 + number:05d}")


def entry(number: int = 1, **changes: Any) -> PaperData:
    """What a source says of paper `number`; `changes` are fields of `PaperData`."""
    values: dict[str, Any] = {
        "identifiers": (arxiv(number),),
        "title": f"Sparse lanterns for tidal inference, part {number}",
        "abstract": f"We light {number} lanterns along a shore and read the tide from them.",
        "authors": (AuthorData(name="Ada Quill"), AuthorData(name="Bram Osei")),
        "published_at": datetime(2026, 11, 23, 17, 0, tzinfo=UTC),
        "announced_on": DAY,
        "version": 1,
        "categories": ("cs.CL", "cs.LG"),
    }
    return PaperData(**{**values, **changes})


def parse_query(text: str, today: date = DAY) -> Query:
    """A query as it is read on the day everything in the tests happens."""
    return parse_query_on(text, today)


def code(slug: str, evidence: str = "hf") -> LinkData:
    """A link to a repository on GitHub."""
    return LinkData(url=f"https://github.com/{slug}", kind="code", slug=slug, evidence=evidence)


@dataclass(frozen=True, kw_only=True)
class FeedSpec:
    """A feed as `storage.feeds.add` takes it."""

    name: str
    kind: str = "hf_papers"
    title: str = "A feed"
    url: str = ""
    interval_minutes: int = 60
    interval_fixed: bool = True
    fresh_minutes: int | None = None
    history_days: int = 3
    paused: bool = False
    mute_alerts: bool | None = None
    params: Mapping[str, str] = field(default_factory=dict)


def add_feed(rt: Runtime, name: str, kind: str = "hf_papers", **changes: Any) -> Feed:
    """A feed, added; due at once."""
    with rt.writing() as session:
        return feeds.add(session, FeedSpec(name=name, kind=kind, **changes), now=rt.now())


def store(
    rt: Runtime, entries: Sequence[PaperData], *, feed: Feed, source: str | None = None, day: date = DAY
) -> Stored:
    """Store a page of entries in a transaction of its own."""
    with rt.writing() as session:
        return papers.store_page(session, entries, feed=feed, source=source or feed.kind, day=day, now=rt.now())


def plan_edition(rt: Runtime, to: str, *, priority: int = -1) -> int:
    """One edition for a new subscriber, on its way, and none to follow soon; the subscription's id."""
    with rt.writing() as session:
        made, who = subscribe(rt, session, to=to, confirmed=True)
        subscribers.update_subscription(session, made.id or 0, next_edition_at=rt.now() + timedelta(days=99))
        session.refresh(made)
        edition, _ = notify.plan_edition(rt, session, made, who, "2026-11-25", rt.now())
    assert edition is not None
    rt.add_jobs([replace(send_job(edition), priority=priority)])
    return made.id or 0


def dump(rt: Runtime, *, but: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table (`but` those named), for telling whether anything changed."""
    with rt.reading() as session:
        return {
            table.name: [dict(row._mapping) for row in session.execute(select(table).order_by(*table.primary_key))]
            for table in SQLModel.metadata.sorted_tables
            if table.name not in but
        }


def rows(session: Session, model: type[SQLModel], **equal: Any) -> list[Any]:
    """The rows of `model` with these values, by primary key."""
    query = select(model).order_by(*inspect(model).primary_key)
    for name, value in equal.items():
        query = query.where(getattr(model, name) == value)
    return list(session.execute(query).scalars())


def all_rows(rt: Runtime, model: type[SQLModel], **equal: Any) -> list[Any]:
    """As `rows`, in a session of its own; the rows may be looked at afterwards."""
    with rt.reading() as session:
        found = rows(session, model, **equal)
        session.expunge_all()
        return found


@contextmanager
def asked_of(rt: Runtime, begins: str = "") -> Iterator[list[tuple[str, Any]]]:
    """The statements that begin so, with what was bound to them."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> None:
        if statement.startswith(begins):
            asked.append((statement, parameters))

    event.listen(rt.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(rt.engine, "before_cursor_execute", note)
