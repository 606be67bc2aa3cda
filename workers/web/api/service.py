"""API: the service itself and its archive. Schedule, quotas, batches, pairs that may be one paper, events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query

from services.domain.text import clean
from services.pipeline import operate
from services.storage import duplicates, events, feeds, quotas, reports, service
from workers.web.api.shape import Answer, Cursor, Done, Id, Limit, Name, Order, Page, page_of, part
from workers.web.auth import Doer
from workers.web.kit import WebKit

router = part("service")


class SlotOut(Answer):
    """One entry of the schedule."""

    name: str
    every_s: int
    last_at: datetime | None
    next_at: datetime
    paused: bool


class QuotaOut(Answer):
    """What an upstream says is left of our allowance."""

    name: str
    limit: int
    remaining: int
    reset_at: datetime | None
    read_at: datetime


class BatchOut(Answer):
    """What one day of a feed has come to."""

    id: int
    feed: str
    batch: str
    state: str
    announced: int | None
    seen: int
    new: int
    rejected: int
    note: str | None
    tries: int
    first_complete_at: datetime | None
    checked_at: datetime


class PairOut(Answer):
    """Two papers that may be one."""

    id: int
    papers: list[str]
    titles: list[str]
    score: float
    reason: str
    state: str
    found_at: datetime
    decided_at: datetime | None


class Verdict(Order):
    """What the two are."""

    state: Literal["open", "same", "different"]


class EventOut(Answer):
    """Something that became of a paper."""

    id: int
    paper: str
    kind: str
    key: str
    at: datetime
    detail: dict[str, Any]


@router.get("/slots", summary="The schedule's recurring work")
def list_slots(web: WebKit) -> Page[SlotOut]:
    """All on one page; empty until the schedule has run once."""
    with web.rt.reading() as session:
        rows = service.list_slots(session)
    return Page(items=[SlotOut.model_validate(row) for row in rows], next=None)


@router.post("/slots/{name}/pause", summary="Let an entry of the schedule rest")
def pause_slot(web: WebKit, me: Doer, name: Name) -> SlotOut:
    """Until it is resumed."""
    return SlotOut.model_validate(operate.pause_slot(web.rt, me, name))


@router.post("/slots/{name}/resume", summary="Let an entry of the schedule run again")
def resume_slot(web: WebKit, me: Doer, name: Name) -> SlotOut:
    """At its next time."""
    return SlotOut.model_validate(operate.resume_slot(web.rt, me, name))


@router.post("/slots/{name}/run", status_code=202, summary="Run an entry of the schedule now")
def run_slot(web: WebKit, me: Doer, name: Name) -> SlotOut:
    """At the schedule's next tick; a paused one is refused."""
    return SlotOut.model_validate(operate.run_slot(web.rt, me, name))


@router.get("/quotas", summary="What upstreams say is left")
def list_quotas(web: WebKit) -> Page[QuotaOut]:
    """All on one page."""
    with web.rt.reading() as session:
        rows = quotas.list_all(session)
    return Page(items=[QuotaOut.model_validate(row) for row in rows], next=None)


@router.get("/batches", summary="What days of feeds have come to, newest first")
def list_batches(
    web: WebKit,
    feed: Annotated[str, Query(max_length=200, description="Only of this feed")] = "",
    state: Literal["", "complete", "partial", "late", "stale", "quiet", "failed"] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[BatchOut]:
    """`next` goes by the order in which they were first seen."""
    with web.rt.reading() as session:
        feed_id = feeds.get(session, clean(feed)).id if feed else None
        rows = reports.batches(session, feed_id=feed_id, state=state, before=cursor, limit=limit + 1)

    def shown(row: Any) -> BatchOut:
        batch, name = row
        return BatchOut(**batch.model_dump(exclude={"feed_id"}), feed=name)

    return Page[BatchOut](**page_of(rows, limit, shown, lambda row: row[0].id))


@router.get("/duplicates", summary="Pairs of papers that may be one, the newest first")
def list_duplicates(
    web: WebKit, state: Literal["open", "different"] = "open", cursor: Cursor = None, limit: Limit = 100
) -> Page[PairOut]:
    """`open` ones wait for a person. Pairs that were merged are one paper, and no pair any more."""
    with web.rt.reading() as session:
        rows = duplicates.page(session, state=state, before=cursor, limit=limit + 1)

    def shown(row: Any) -> PairOut:
        pair, one, other = row
        return PairOut(
            id=pair.id, papers=[one.key, other.key], titles=[one.title, other.title], score=pair.score,
            reason=pair.reason, state=pair.state, found_at=pair.found_at, decided_at=pair.decided_at,
        )  # fmt: skip

    return Page[PairOut](**page_of(rows, limit, shown, lambda row: row[0].id))


@router.post("/duplicates/{duplicate_id}", summary="Say what a pair is")
def decide(web: WebKit, me: Doer, duplicate_id: Id, order: Verdict) -> Done:
    """`same` merges the two, `different` keeps them apart for good, `open` asks again."""
    return Done(done=True, about=" ".join(operate.decide_pair(web.rt, me, duplicate_id, order.state)))


@router.post("/merges/{merge_id}/undo", summary="Take a merge of two papers back")
def undo_merge(web: WebKit, me: Doer, merge_id: Id) -> Done:
    """Each has what it had; the pair is marked as different."""
    operate.unmerge(web.rt, me, merge_id)
    return Done(done=True, about=str(merge_id))


@router.get("/events", summary="What became of papers, newest first")
def list_events(
    web: WebKit,
    kind: Annotated[str, Query(max_length=40)] = "",
    paper: Annotated[str, Query(max_length=2000, description="Only of this paper, by its key")] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[EventOut]:
    """New versions, code that appeared, withdrawals and the like."""
    with web.rt.reading() as session:
        rows = events.page(session, kind=clean(kind), paper=clean(paper), before=cursor, limit=limit + 1)

    def shown(row: Any) -> EventOut:
        event, key = row
        return EventOut(**event.model_dump(exclude={"paper_id"}), paper=key)

    return Page[EventOut](**page_of(rows, limit, shown, lambda row: row[0].id))
