"""Feeds and their fetches: what is polled, what each poll brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import func, update
from sqlmodel import Session, col, select

from services.domain.errors import InvalidInput, NotFound, there_are
from services.domain.papers import Rejected
from services.domain.urls import whole
from services.storage import seals
from services.storage.sql import insert_ignore, upsert
from services.storage.tables import Feed, Fetch, Rejection, Sighting, Validator


class FeedLike(Protocol):
    """A feed as the catalogue or a person describes it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def interval_minutes(self) -> int: ...
    @property
    def history_days(self) -> int: ...
    @property
    def paused(self) -> bool: ...
    @property
    def params(self) -> Mapping[str, str]: ...
    @property
    def interval_fixed(self) -> bool: ...
    @property
    def fresh_minutes(self) -> int | None: ...
    @property
    def mute_alerts(self) -> bool | None: ...


def sync_catalogue(session: Session, specs: Iterable[FeedLike], *, now: datetime) -> None:
    """Make the feeds of origin `catalogue` what the file says; feeds added by hand are left alone.

    A feed taken out of the file is retired with its history, and comes back with it. `InvalidInput` for an address that
    lacks its key.
    """
    specs = list(specs)
    rows = [
        {
            "name": s.name, "kind": s.kind, "title": s.title, "url": whole(s.url), "params": dict(s.params),
            "interval_minutes": s.interval_minutes, "interval_fixed": s.interval_fixed,
            "fresh_minutes": s.fresh_minutes, "history_days": s.history_days, "origin": "catalogue",
            "paused": s.paused, "retired": False, "next_check_at": now, "failures": 0, "created_at": now,
            "mute_alerts": bool(s.mute_alerts),
        }
        for s in specs
    ]  # fmt: skip
    upsert(
        session,
        Feed,
        rows,
        ["name"],
        update=[
            "kind",
            "title",
            "url",
            "params",
            "interval_minutes",
            "interval_fixed",
            "fresh_minutes",
            "history_days",
            "origin",
            "retired",
        ],
    )
    for said in (True, False):  # what the file leaves open stays as it was set by hand
        names = [s.name for s in specs if s.mute_alerts is said]
        session.execute(update(Feed).where(col(Feed.name).in_(names)).values(mute_alerts=said))
    gone = update(Feed).where(col(Feed.origin) == "catalogue", col(Feed.name).not_in([s.name for s in specs]))
    session.execute(gone.values(retired=True))


def add(session: Session, spec: FeedLike, *, now: datetime) -> Feed:
    """Add one feed; `InvalidInput` when the name is taken, or the address lacks its key."""
    if find(session, spec.name) is not None:
        raise InvalidInput(f"there is a feed {spec.name!r} already; choose another --name")
    feed = Feed(
        name=spec.name, kind=spec.kind, title=spec.title, url=whole(spec.url), params=dict(spec.params),
        interval_minutes=spec.interval_minutes, interval_fixed=spec.interval_fixed, fresh_minutes=spec.fresh_minutes,
        history_days=spec.history_days, paused=spec.paused, mute_alerts=bool(spec.mute_alerts), next_check_at=now,
        created_at=now,
    )  # fmt: skip
    session.add(feed)
    session.flush()
    return feed


def find(session: Session, name: str) -> Feed | None:
    """The feed of that name, or none."""
    return session.exec(select(Feed).where(Feed.name == name)).first()


def get(session: Session, name: str) -> Feed:
    """The feed of that name, or `NotFound` with what may have been meant."""
    feed = find(session, name)
    if feed is None:
        names = session.exec(select(Feed.name).order_by(Feed.name).limit(COMPARED)).all()
        listed = ", ".join(names[:LISTED]) or "none yet"
        more = ", … (`broadsheet feeds list` shows all)" if len(names) > LISTED else ""
        raise NotFound(f"there is no feed {name[:80]!r}; {there_are(name, names)}: {listed}{more}")
    return feed


COMPARED, LISTED = 2000, 20
"""Names that one nobody has is compared with, and that are told of."""


def by_id(session: Session, feed_id: int) -> Feed | None:
    """The feed with that id, or none."""
    return session.get(Feed, feed_id)


def list_all(session: Session, *, retired: bool = False) -> list[Feed]:
    """All feeds by name."""
    query = select(Feed).order_by(Feed.name)
    if not retired:
        query = query.where(col(Feed.retired).is_(False))
    return list(session.exec(query))


def list_due(session: Session, *, now: datetime) -> list[Feed]:
    """Feeds whose next check has come."""
    return list(
        session.exec(
            select(Feed).where(
                Feed.next_check_at <= now,
                col(Feed.paused).is_(False),
                col(Feed.retired).is_(False),
            )
        )
    )


def advance(session: Session, feed: Feed, *, to: datetime) -> bool:
    """Move the feed's next check; False when another scheduler was first."""
    moved = session.execute(
        update(Feed)
        .where(col(Feed.id) == feed.id, col(Feed.next_check_at) == feed.next_check_at)
        .values(next_check_at=to)
    )
    return bool(moved.rowcount)  # type: ignore[attr-defined]


def check_sooner(session: Session, feed_id: int, at: datetime) -> None:
    """Bring the feed's next check forward to `at`, unless it comes before that anyway."""
    session.execute(update(Feed).where(col(Feed.id) == feed_id, col(Feed.next_check_at) > at).values(next_check_at=at))


def update_feed(session: Session, feed_id: int, **values: Any) -> None:
    """Set columns of one feed."""
    session.execute(update(Feed).where(col(Feed.id) == feed_id).values(**values))


def record_fetch(session: Session, row: Mapping[str, Any]) -> int:
    """Write a fetch's ledger row, or bring the one there up to date (a fetch tried again); returns its id."""
    full = {
        "via": "", "url": "", "status": None, "document_id": None, "parsed_at": None, "announced": None, "seen": 0,
        "new": 0, "changed": 0, "known": 0, "rejected": 0, "next_cursor": None, "error": None, "notes": [], **row,
    }  # fmt: skip
    full["url"] = seals.shown_url(session, full["url"], make=True)
    key = ["feed_id", "slot", "batch", "cursor"]
    upsert(session, Fetch, [full], key, update=[c for c in full if c not in key])
    found = session.exec(
        select(Fetch.id).where(
            Fetch.feed_id == row["feed_id"], Fetch.slot == row["slot"], Fetch.batch == row["batch"],
            Fetch.cursor == row["cursor"],
        )
    ).one()  # fmt: skip
    assert found is not None
    return found


def get_fetch(session: Session, fetch_id: int) -> Fetch:
    """One ledger row, or `NotFound`."""
    fetch = session.get(Fetch, fetch_id)
    if fetch is None:
        raise NotFound(f"there is no fetch {fetch_id}")
    return fetch


def last_parsed(session: Session, document_id: int) -> Fetch | None:
    """The newest parsed fetch of a document: what a 304 repeats."""
    return session.exec(
        select(Fetch)
        .where(Fetch.document_id == document_id, Fetch.state == "parsed")
        .order_by(col(Fetch.id).desc())
        .limit(1)
    ).first()


def complete_fetch(session: Session, fetch_id: int, refused: Sequence[Rejected], **values: Any) -> None:
    """Write what parsing a document brought, with every rejected entry."""
    session.execute(update(Fetch).where(col(Fetch.id) == fetch_id).values(**values))
    rows = {
        r.position: {"fetch_id": fetch_id, "position": r.position, "reason": r.reason[:500], "entry": r.entry[:500]}
        for r in refused
    }
    upsert(session, Rejection, list(rows.values()), ["fetch_id", "position"], update=["reason", "entry"])


def keep_validators(
    session: Session, url: str, *, etag: str | None, last_modified: str | None, document_id: int, now: datetime
) -> None:
    """Remember what makes the next GET of `url` conditional."""
    if etag is None and last_modified is None:
        return
    row = {
        "url": seals.shown_url(session, url, make=True), "etag": etag, "last_modified": last_modified,
        "document_id": document_id, "updated_at": now,
    }  # fmt: skip
    upsert(session, Validator, [row], ["url"], update=["etag", "last_modified", "document_id", "updated_at"])


def pages(session: Session, feed_id: int, *, batch: str | None = None, slot: str | None = None) -> list[Fetch]:
    """The ledger rows of a batch, or of a slot."""
    query = select(Fetch).where(Fetch.feed_id == feed_id)
    if batch is not None:
        query = query.where(Fetch.batch == batch)
    if slot is not None:
        query = query.where(Fetch.slot == slot)
    return list(session.exec(query.order_by(col(Fetch.id))))


def latest_slot(session: Session, feed_id: int) -> str | None:
    """The slot of the feed's newest fetch."""
    return session.exec(
        select(Fetch.slot).where(Fetch.feed_id == feed_id).order_by(col(Fetch.id).desc()).limit(1)
    ).first()


def rejections(session: Session, fetch_ids: Sequence[int]) -> list[Rejection]:
    """The rejected entries of some fetches."""
    return list(
        session.exec(
            select(Rejection)
            .where(col(Rejection.fetch_id).in_(fetch_ids))
            .order_by(col(Rejection.fetch_id), col(Rejection.position))
        )
    )


def papers_by_day(session: Session, feed_id: int, *, since: date) -> dict[date, int]:
    """How many papers the feed listed, by day."""
    rows = session.execute(
        sa.select(col(Sighting.day), func.count())
        .where(col(Sighting.feed_id) == feed_id, col(Sighting.day) >= since)
        .group_by(col(Sighting.day))
    )
    found: Any = rows.all()  # pairs; what SQLAlchemy calls them, dict() does not know
    return dict(found)


def remove(session: Session, feed: Feed) -> None:
    """Retire a feed: its papers and history stay."""
    update_feed(session, feed.id or 0, retired=True, paused=True)


def ensure_import_feed(session: Session, *, name: str, kind: str, now: datetime) -> Feed:
    """The feed imported files are filed under; made paused when there is none of that name."""
    row = {
        "name": name, "kind": kind, "title": name, "url": "", "params": {}, "interval_minutes": 60,
        "interval_fixed": False, "history_days": 0,
        "origin": "added", "paused": True, "retired": False, "next_check_at": now, "failures": 0, "created_at": now,
    }  # fmt: skip
    insert_ignore(session, Feed, [row], ["name"])
    return get(session, name)
