"""Health: whether the service works, for machines that ask. A check that cannot fail is worth nothing, so each
of these looks at the rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from services.runtime import Runtime
from services.storage import reports, schema, service
from workers.web.auth import guarded
from workers.web.kit import WebKit

router = guarded()

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
        beats = [beat for beat in reports.newest_heartbeats(session) if beat.role in service.WORKING]
        late = reports.overdue(session, since=now - SILENT)
    if beats and late and now - beats[0].seen_at > SILENT:
        silent = int((now - beats[0].seen_at).total_seconds())
        reasons.append(f"{late} jobs are overdue and no worker has been heard of for {silent} s")
    return reasons


@router.get("/metrics", include_in_schema=False)
def metrics(web: WebKit) -> Response:
    """Prometheus' text format, counted from the tables at this moment: true whichever process answers."""
    from workers.web.metrics import CONTENT_TYPE, exposed  # a service that nobody watches needs none of it

    return Response(exposed(web.rt), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
