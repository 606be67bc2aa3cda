"""Health: whether the service works, for machines that ask. A check that cannot fail is worth nothing, so each
of these looks at the rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from fastapi import APIRouter, Depends
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from services.runtime import Runtime
from services.storage import archive, deliveries, jobs, reports, schema, service
from workers.web.auth import require_operator_or_token
from workers.web.kit import WebKit

router = APIRouter()

SILENT = timedelta(minutes=2)
"""A worker that has not been heard of for this long counts as gone; work is given as long to be taken."""


@router.get(
    "/healthz", tags=["health"], summary="Whether the service works", responses={503: {"description": "failing"}}
)
def healthz(web: WebKit) -> Response:
    """200 when the database answers and due work is being taken; else 503 with the reasons."""
    reasons = failing(web.rt)
    body = {"status": "failing", "reasons": reasons} if reasons else {"status": "ok"}
    return JSONResponse(body, 503 if reasons else 200, {"Cache-Control": "no-store"})


@router.get(
    "/readyz", tags=["health"], summary="Whether the schema is current", responses={503: {"description": "not"}}
)
def readyz(web: WebKit) -> Response:
    """200 when the database has the schema this program was written for; else 503."""
    reasons = database_trouble(web.rt)
    if not reasons and not schema.is_current(web.rt.engine):
        reasons = ["the database's schema is not this program's; run `broadsheet migrate`"]
    body = {"status": "not ready", "reasons": reasons} if reasons else {"status": "ready"}
    return JSONResponse(body, 503 if reasons else 200, {"Cache-Control": "no-store"})


def database_trouble(rt: Runtime) -> list[str]:
    """Why the database cannot be used; empty when it can."""
    url = make_url(rt.settings.database)
    # SQLite makes a new, empty file where one is missing, and reads on in one that was deleted.
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return ["the database file is gone"]
    try:
        with rt.reading() as session:
            session.connection().execute(text("SELECT count(*) FROM feeds"))
    except SQLAlchemyError as error:
        return [f"the database does not answer ({type(error).__name__})"]
    return []


def failing(rt: Runtime) -> list[str]:
    """What is wrong, in words; empty when all is well."""
    reasons = database_trouble(rt)
    if reasons:
        return reasons
    now = rt.now()
    with rt.reading() as session:
        beats = [beat for beat in reports.newest_heartbeats(session) if beat.role != "web"]
        late = reports.overdue(session, since=now - SILENT)
    if beats and late and now - beats[0].seen_at > SILENT:
        silent = int((now - beats[0].seen_at).total_seconds())
        reasons.append(f"{late} jobs are overdue and no worker has been heard of for {silent} s")
    return reasons


@router.get("/metrics", include_in_schema=False, dependencies=[Depends(require_operator_or_token)])
def metrics(web: WebKit) -> Response:
    """Prometheus' text format, counted from the tables at this moment: true whichever process answers."""
    registry = CollectorRegistry()
    registry.register(Tables(web.rt))
    return Response(
        generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_1_0_0, headers={"Cache-Control": "no-store"}
    )


class Tables(Collector):
    """What the tables say, as metrics."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand, so that registering reads no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Everything, in one transaction."""
        now = self._rt.now()
        with self._rt.reading() as session:
            papers = GaugeMetricFamily("broadsheet_papers", "Papers in the archive.")
            papers.add_metric([], archive.count(session))
            yield papers

            work = GaugeMetricFamily("broadsheet_jobs", "Jobs by stage and state.", labels=["stage", "state"])
            for stage, states in sorted(jobs.counts(session).items()):
                for state, number in sorted(states.items()):
                    work.add_metric([stage, state], number)
            yield work

            age = GaugeMetricFamily(
                "broadsheet_oldest_ready_job_age_seconds", "How long the oldest due job has waited; 0 with none.",
                labels=["stage"],
            )  # fmt: skip
            for queue in reports.queues(session, now):
                waited = (now - queue.oldest_due_at).total_seconds() if queue.oldest_due_at else 0.0
                age.add_metric([queue.stage], max(0.0, waited))
            yield age

            fetched = GaugeMetricFamily("broadsheet_fetches_24h", "Fetches of the last 24 hours.", labels=["state"])
            for state, number in sorted(reports.fetch_states(session, since=now - timedelta(hours=24)).items()):
                fetched.add_metric([state], number)
            yield fetched

            sent = GaugeMetricFamily(
                "broadsheet_deliveries_24h", "Deliveries planned in the last 24 hours.", labels=["channel", "state"]
            )
            for (channel, state), number in sorted(deliveries.counts(session, since=now - timedelta(hours=24)).items()):
                sent.add_metric([channel, state], number)
            yield sent

            beats = GaugeMetricFamily(
                "broadsheet_heartbeat_age_seconds", "Since each process was last heard of.", labels=["process", "role"]
            )
            for beat in reports.newest_heartbeats(session):
                beats.add_metric([beat.name, beat.role], max(0.0, (now - beat.seen_at).total_seconds()))
            yield beats

            left = GaugeMetricFamily("broadsheet_quota_remaining", "Calls an upstream still allows.", labels=["quota"])
            for quota in service.list_quotas(session):
                left.add_metric([quota.name], quota.remaining)
            yield left
