"""API: the ledger of work. Runs, their failures by cause, and guarded tries again; deliveries, and sending again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field, StrictBool
from starlette.responses import Response

from services.domain.deliveries import STATES as DELIVERY_STATES
from services.domain.text import clean
from services.domain.users import Actor
from services.pipeline import acts, operate, redrive
from services.pipeline.bundle import bundle_name, make_bundle
from services.storage import deliveries, editions, jobs, reports
from services.storage.tables import Attempt, Job, Subscriber
from workers.web.api.shape import Answer, Cursor, Done, Id, Limit, Order, Page, page_of, part
from workers.web.auth import Doer
from workers.web.kit import WebKit, for_eyes, shown_address

router = part("runs")


class Run(Answer):
    """One job."""

    id: int
    kind: str
    key: str
    stage: str
    state: str
    attempts: int
    priority: int
    due_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    signature: str | None
    cause: Annotated[int | None, Field(validation_alias="cause_id")]
    payload: dict[str, Any]


class Try(Answer):
    """One try of a job."""

    number: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    error: str | None
    traceback: str | None


class RunDetail(Run):
    """A job with its tries, and the jobs before and after it."""

    tries: list[Try]
    causes: list[int]
    effects: list[int]


class Failure(Answer):
    """Jobs that failed for one cause: given up, being tried again, come right since."""

    signature: str
    kinds: list[str]
    dead: int
    trying: int
    solved: int
    first_at: datetime | None
    last_at: datetime | None
    sample_id: int
    sample: str


class Redrive(Order):
    """Which cause, and how far to go."""

    signature: Annotated[str, Field(min_length=1, max_length=1000)]
    step: Literal["dry_run", "one", "rest"] = "dry_run"
    proof: Annotated[
        int | None,
        Field(strict=True, ge=1, le=2**63 - 1, description="For `rest`: the run that `one` tried, come right since"),
    ] = None
    force: Annotated[StrictBool, Field(description="Try the rest all the same")] = False


class Redriven(Answer):
    """What a step did, or would do."""

    signature: str
    step: str
    dead: list[int]
    retried: list[int]


class Delivery(Answer):
    """One edition to one subscriber."""

    id: int
    edition: int
    to: str
    channel: str
    state: str
    message_id: str
    attempts: int
    code: str | None
    detail: str | None
    subscription: str
    planned_at: datetime
    sent_at: datetime | None
    papers: list[str]


OF_READER = "Only of this subscription (its number); for whoever may act, of this address as well"
IN_TEXT = "Part of the kind or the key; for whoever may act, of the arguments or the last error as well"


@router.get("/runs", summary="Jobs with state, tries and last error, newest first")
def list_runs(
    web: WebKit,
    me: Doer,
    state: Literal["", "ready", "running", "done", "dead"] = "",
    stage: Literal["", "fetch", "parse", "enrich", "notify"] = "",
    kind: Annotated[str, Query(max_length=40)] = "",
    text: Annotated[str, Query(max_length=200, description=IN_TEXT)] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[Run]:
    """The ledger of work."""
    with web.rt.reading() as session:
        rows = reports.runs(
            session, state=state, stage=stage, kind=clean(kind), text=clean(text), in_texts=me.may("operator"),
            before=cursor, limit=limit + 1,
        )  # fmt: skip
    return Page[Run](**page_of(rows, limit, lambda job: _run(job, me), lambda job: job.id))


def _run(job: Job, me: Actor) -> Run:
    """A job as somebody may see it: an error may quote an address."""
    run = Run.model_validate(job)
    run.last_error = for_eyes(job.last_error or "", me) or None
    return run


def _try(attempt: Attempt, me: Actor) -> Try:
    told = Try.model_validate(attempt)
    told.error, told.traceback = (for_eyes(said or "", me) or None for said in (attempt.error, attempt.traceback))
    return told


@router.get("/runs/{run_id}", summary="One job with its tries")
def get_run(web: WebKit, me: Doer, run_id: Id) -> RunDetail:
    """Every try with outcome, worker and traceback; what led to it, what followed."""
    with web.rt.reading() as session:
        job = jobs.get(session, run_id)
        return RunDetail(
            **_run(job, me).model_dump(exclude={"cause"}), cause_id=job.cause_id,
            tries=[_try(one, me) for one in jobs.attempts(session, run_id)],
            causes=[one.id or 0 for one in reports.causes(session, job)],
            effects=[one.id or 0 for _, one in reports.effects(session, run_id)],
        )  # fmt: skip


@router.get(
    "/runs/{run_id}/bundle", summary="All that is known of a run, as a ZIP file without secrets",
    response_class=Response, responses={200: {"content": {"application/zip": {}}}},
)  # fmt: skip
def get_bundle(web: WebKit, me: Doer, run_id: Id) -> Response:
    """To be shown to whoever looks into it."""
    with acts.noting(web.rt, me, "run.bundle", run_id):
        packed = make_bundle(web.rt, run_id)
    return Response(
        packed, media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{bundle_name(run_id)}"', "Cache-Control": "no-store"},
    )  # fmt: skip


@router.post("/runs/{run_id}/retry", status_code=202, summary="Give a run another set of tries, now")
def retry_run(web: WebKit, me: Doer, run_id: Id) -> Done:
    """What is done already is not done twice. `done` is false for one that is running."""
    return Done(done=bool(redrive.retry(web.rt, me, run_id)), about=str(run_id))


@router.get("/failures", summary="What fails, by cause, worst first")
def list_failures(web: WebKit, me: Doer) -> Page[Failure]:
    """All jobs given up, and those of the last 30 days that wait for another try or came right later; on one page."""
    with web.rt.reading() as session:
        groups = reports.failure_groups(session, since=web.rt.now() - operate.A_MONTH)
    return Page(
        items=[
            Failure(
                signature=g.signature,
                kinds=sorted(g.kinds),
                dead=g.dead,
                trying=g.trying,
                solved=g.solved,
                first_at=g.first_at,
                last_at=g.last_at,
                sample_id=g.sample_id,
                sample=for_eyes(g.sample, me),
            )
            for g in groups
        ],
        next=None,
    )


@router.post("/failures/redrive", summary="Try what was given up for one cause again, guarded")
def redrive_failures(web: WebKit, me: Doer, order: Redrive) -> Redriven:
    """First `dry_run` counts, then `one` tries the oldest; when it has come right, `rest` with it as `proof`."""
    return Redriven.model_validate(
        redrive.redrive(
            web.rt, me, clean(order.signature, limit=1000), order.step, proof=order.proof, force=order.force
        )
    )


# -- deliveries ------------------------------------------------------------------------------------------------

DeliveryState = Literal["", "planned", "sending", "accepted", "deferred", "failed", "suppressed", "expired", "unknown"]
assert set(DELIVERY_STATES) <= set(DeliveryState.__args__)  # type: ignore[attr-defined]


@router.get("/deliveries", summary="Deliveries, newest first")
def list_deliveries(
    web: WebKit,
    me: Doer,
    state: DeliveryState = "",
    channel: Literal["", "email", "slack", "webhook", "apprise"] = "",
    reader: Annotated[str, Query(max_length=2000, description=OF_READER)] = "",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[Delivery]:
    """Each with its edition's papers."""
    reader = clean(reader, limit=2000).strip()
    if reader and not reader.isdecimal() and not me.may("operator"):
        return Page(items=[], next=None)
    with web.rt.reading() as session:
        rows = reports.list_deliveries(
            session, states=[state] if state else [], channel=channel, reader=reader, before=cursor, limit=limit + 1
        )
        papers = reports.papers_of(session, [edition.id or 0 for _, _, edition, _ in rows])
    return Page[Delivery](
        **page_of(
            rows,
            limit,
            lambda row: _delivery(row[0], row[1], row[3].name, papers.get(row[0].edition_id, ()), me),
            lambda row: row[0].id,
        )
    )


@router.get("/deliveries/{delivery_id}", summary="One delivery")
def get_delivery(web: WebKit, me: Doer, delivery_id: Id) -> Delivery:
    """With the papers of its edition."""
    with web.rt.reading() as session:
        row, person, edition = deliveries.get(session, delivery_id)
        papers = reports.papers_of(session, [edition.id or 0])
        name = reports.subscription_name(session, edition.subscription_id)
    return _delivery(row, person, name, papers.get(row.edition_id, ()), me)


def _delivery(row: Any, person: Subscriber, subscription: str, papers: Any, me: Actor) -> Delivery:
    return Delivery(
        id=row.id, edition=row.edition_id, to=shown_address(person, me), channel=row.channel, state=row.state,
        message_id=row.message_id, attempts=row.attempts, code=row.code, detail=for_eyes(row.detail or "", me) or None,
        subscription=subscription, planned_at=row.planned_at, sent_at=row.sent_at, papers=list(papers),
    )  # fmt: skip


@router.post("/editions/{edition_id}/resend", status_code=202, summary="Send an edition to those who did not get it")
def resend(web: WebKit, me: Doer, edition_id: Id) -> Done:
    """Failed, expired, suppressed and unknown deliveries; whoever has it gets no second one."""
    with web.rt.reading() as session:
        editions.get(session, edition_id)
    return Done(done=operate.resend(web.rt, me, edition_id) > 0, about=str(edition_id))
