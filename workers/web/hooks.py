"""Hooks: where mail services post what came back and who complained. Off for each whose secret is not set."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Request
from starlette.responses import JSONResponse, Response

from services.domain.errors import InvalidInput, NotFound, UpstreamError
from services.pipeline.bounce_hooks import NotGenuine, take_report
from workers.web.auth import guarded
from workers.web.kit import WebKit
from workers.web.security import client_of

log = structlog.get_logger(__name__)

router = guarded(include_in_schema=False)


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post("/hooks/bounces/{service}")
def bounces(request: Request, web: WebKit, service: str, body: Annotated[bytes, Depends(_body)]) -> Response:
    """A report of `ses` (through SNS), `postmark` or `mailgun`: 200 when it is taken, also when it is known."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    client = client_of(request)
    if web.false_reports.full(client):
        return JSONResponse({"detail": "too many reports that were not genuine"}, 429, {"Retry-After": "60"})
    try:
        noted = take_report(web.rt, service, headers, body)
    except NotFound as error:
        return JSONResponse({"detail": str(error)}, 404)
    except NotGenuine as error:
        web.false_reports.take(client)
        log.warning("bounces.not_genuine", service=service, why=str(error))
        return JSONResponse({"detail": str(error)}, 403)
    except InvalidInput as error:
        web.false_reports.take(client)
        return JSONResponse({"detail": str(error)}, 400)
    except UpstreamError as error:
        log.warning("bounces.unchecked", service=service, error=str(error))
        return JSONResponse({"detail": "it cannot be checked just now; post it again"}, 503)
    return JSONResponse({"reports": len(noted), "known": sum(one.known for one in noted)})
