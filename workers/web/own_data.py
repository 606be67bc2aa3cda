"""Own data: a reader's signed link to all that is held of them: to take along, or to have wiped."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi.encoders import jsonable_encoder
from starlette.responses import Response

from services.domain.addresses import Address
from services.domain.users import Actor
from services.pipeline import personal
from workers.web.auth import guarded
from workers.web.kit import WebKit
from workers.web.links import bearer, opened, own_form, reader_page
from workers.web.security import client_of

router = guarded(include_in_schema=False)

TICK_FIRST = "Tick the box first: what is wiped cannot be brought back."


def as_file(found: dict[str, Any]) -> Response:
    """What is held of somebody, to be kept as a file."""
    return Response(
        json.dumps(jsonable_encoder(found), ensure_ascii=False, indent=2), media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="broadsheet-data.json"', "Cache-Control": "no-store",
                 "X-Robots-Tag": "noindex"},
    )  # fmt: skip


@router.get("/data/{token}")
def data_form(request: Request, web: WebKit, token: str) -> Response:
    """What may be done, and the buttons."""
    return reader_page(web, request, "data.html", opened(web, "data", token), token, "data", wiped=False, error="")


@router.post("/data/{token}")
def data(
    request: Request, web: WebKit, token: str, act: Annotated[str, Form()] = "", sure: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Give all that is held, or (`act` is `wipe`, and the box is ticked) wipe it."""
    own_form(request, web, csrf, "data", token)
    with web.rt.reading() as session:
        who = bearer(web.rt, session, "data", token)
    me = Actor(name="reader", role="none", origin="web", address=client_of(request))
    to = str(Address(who.subscriber.channel, who.subscriber.address))
    if act != "wipe":
        return as_file(personal.export(web.rt, me, to))
    if not sure:
        return reader_page(
            web, request, "data.html", who, token, "data", status=400, wiped=False,
            error=TICK_FIRST,
        )  # fmt: skip
    personal.wipe(web.rt, me, to)
    return reader_page(web, request, "data.html", who, token, "data", wiped=True, error="")
