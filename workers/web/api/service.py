"""API: the service itself and its archive. Schedule, quotas, batches, pairs that may be one paper, events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from services.domain.text import clean
from services.pipeline import operate
from services.storage import duplicates, events, feeds, quotas, reports, service
from workers.web.api.shape import Answer, Cursor, Done, Id, Limit, Name, Order, Page, page_of, part
from workers.web.auth import Doer
from workers.web.health import SILENT
from workers.web.kit import WebKit

router = part("service")


class SlotOut(Answer):
    """One entry of the schedule."""

    name: str
    every_s: int
    last_at: datetime | None
    next_at: datetime
    paused: bool


class WorkerOut(Answer):
    """A process that is, or was, alive."""

    name: str
    role: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    alive: bool = Field(description="Heard of within two minutes")
    busy: int = Field(description="Jobs it was at when last heard of; overdue ones are taken beside the slots")
    slots: int = Field(description="Jobs it can be at; 0: it takes none")
    memory_mb: float


class StageOut(Answer):
    """One stage's work."""

    stage: str
    due: int = Field(description="Waiting for a worker")
    later: int
    running: int
    lost: int = Field(description="Running by name; their worker's lease ran out")
    dead: int
    oldest_due_at: datetime | None
    done_last_hour: int
    paused_at: datetime | None = Field(description="Since when nobody takes its jobs; null: it is not paused")
    paused_by: str | None


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
    accepted_at: datetime | None = Field(description="When a person took it as it is; its state stays what it was")
    accepted_by: str | None


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


@router.get("/workers", summary="The processes of the service")
def list_workers(web: WebKit) -> Page[WorkerOut]:
    """Those heard of within a day, all on one page."""
    now = web.rt.now()
    with web.rt.reading() as session:
        rows = service.list_heartbeats(session, since=now - timedelta(days=1))
    items = [WorkerOut(**row.model_dump(), alive=now - row.seen_at <= SILENT) for row in rows]
    return Page(items=items, next=None)


@router.get("/stages", summary="The stages and the work of each, in the order of the pipeline")
def list_stages(web: WebKit) -> Page[StageOut]:
    """All on one page."""
    with web.rt.reading() as session:
        rows = reports.queues(session, web.rt.now())

    def shown(row: reports.Queue) -> StageOut:
        told = {name: getattr(row, name) for name in StageOut.model_fields if not name.startswith("paused")}
        rests = row.paused
        return StageOut(**told, paused_at=rests.at if rests else None, paused_by=rests.by if rests else None)

    return Page(items=[shown(row) for row in rows], next=None)


@router.post("/stages/{stage}/pause", summary="Let nobody take a stage's jobs")
def pause_stage(web: WebKit, me: Doer, stage: Name) -> Done:
    """Until it is resumed. What runs is finished."""
    return Done(done=operate.pause_stage(web.rt, me, stage), about=stage)


@router.post("/stages/{stage}/resume", summary="Let a stage's jobs be taken again")
def resume_stage(web: WebKit, me: Doer, stage: Name) -> Done:
    """What waited is taken within seconds."""
    return Done(done=operate.resume_stage(web.rt, me, stage), about=stage)


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
