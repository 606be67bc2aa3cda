"""Admin: the operators' pages. One look, the ledgers beneath it, and acts that are all POSTs."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.domain.deliveries import STATES as DELIVERY_STATES
from services.domain.errors import BroadsheetError, InvalidInput, NotFound
from services.domain.jobs import STAGE_OF, STAGES, STATES
from services.domain.text import clean
from services.pipeline import schedule, send
from services.pipeline.fetch import info
from services.runtime import Runtime
from services.storage import feeds, jobs, reports
from services.storage.tables import Feed
from services.upstreams import kinds
from workers.web.auth import Account, Act, Operator
from workers.web.kit import Web, WebKit
from workers.web.look import calendar, look

log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

PER_PAGE = 50

SAID = {
    "fetching": "{about} is being fetched.",
    "paused": "{about} is paused; what it brought stays.",
    "resumed": "{about} is polled again, next now.",
    "retrying": "{about} will be tried again.",
    "resent": "{about} will be sent to those who did not get it.",
    "nothing": "There was nothing to do for {about}.",
}
"""What an act answers with; the page after it shows the sentence."""


def _page(request: Request, web: Web, template: str, session: str, **values: Any) -> Response:
    said = SAID.get(request.query_params.get("said", ""))
    about = clean(request.query_params.get("about", ""), limit=120)
    return web.page(
        request, f"admin/{template}", private=True, csrf=web.forms.mark("admin", session),
        said=said.format(about=about) if said else "", **values,
    )  # fmt: skip


def _back(to: str, said: str, about: str) -> Response:
    return RedirectResponse(f"{to}?{urlencode({'said': said, 'about': about})}", 303, {"Cache-Control": "no-store"})


# -- pages -----------------------------------------------------------------------------------------------------


@router.get("/admin")
def one_look(request: Request, web: WebKit, admin: Account, session: Operator) -> Response:
    """Everything in one look."""
    with web.rt.reading() as rows:
        seen = look(web.rt, rows)
    return _page(
        request, web, "look.html", session, look=seen, token=admin.token, states=DELIVERY_STATES,
        settings=web.rt.settings, database=web.rt.engine.dialect.name,
    )  # fmt: skip


@router.get("/admin/look")
def fragment(request: Request, web: WebKit, session: Operator) -> Response:
    """The changing part of the page, for its refresh."""
    with web.rt.reading() as rows:
        seen = look(web.rt, rows)
    return _page(request, web, "_look.html", session, look=seen, states=DELIVERY_STATES)


@router.get("/admin/runs")
def run_list(
    request: Request, web: WebKit, session: Operator, state: str = "", stage: str = "", kind: str = "", text: str = "",
    before: str = "",
) -> Response:  # fmt: skip
    """The ledger of work, filtered."""
    chosen = {
        "state": state if state in STATES else "", "stage": stage if stage in STAGES else "",
        "kind": kind if kind in STAGE_OF else "", "text": clean(text, limit=200),
    }  # fmt: skip
    with web.rt.reading() as rows:
        found = reports.runs(rows, **chosen, before=_id(before), limit=PER_PAGE + 1)
    more = found[PER_PAGE - 1].id if len(found) > PER_PAGE else None
    kept = urlencode({name: value for name, value in chosen.items() if value})
    return _page(
        request, web, "runs.html", session, runs=found[:PER_PAGE], chosen=chosen, states=STATES, stages=STAGES,
        kinds=sorted(STAGE_OF), more=f"/admin/runs?{kept}{'&' if kept else ''}before={more}" if more else "",
        first=not before,
    )  # fmt: skip


@router.get("/admin/runs/{run_id}")
def run_page(request: Request, web: WebKit, session: Operator, run_id: str) -> Response:
    """One run: its tries, its payload, what led to it and what followed."""
    with web.rt.reading() as rows:
        job = jobs.get(rows, _known(run_id))
        return _page(
            request, web, "run.html", session, job=job, tries=jobs.attempts(rows, job.id or 0),
            causes=reports.causes(rows, job), effects=reports.effects(rows, job.id or 0),
        )  # fmt: skip


@router.get("/admin/feeds/{name}")
def feed_page(request: Request, web: WebKit, session: Operator, name: str) -> Response:
    """One feed: recent fetches, what was refused, the last 30 days."""
    with web.rt.reading() as rows:
        feed = feeds.get(rows, name)
        return _page(
            request, web, "feed.html", session, feed=feed, fetches=reports.recent_fetches(rows, feed.id or 0),
            rejections=reports.recent_rejections(rows, feed.id or 0),
            weeks=calendar(rows, feed, today=web.rt.now().astimezone(UTC).date()), pollable=_pollable(web.rt, feed),
        )  # fmt: skip


@router.get("/admin/deliveries")
def delivery_list(
    request: Request, web: WebKit, session: Operator, state: str = "", channel: str = "", before: str = ""
) -> Response:
    """The ledger of deliveries, filtered."""
    state = state if state in DELIVERY_STATES else ""
    channel = channel if channel in {"email", "slack", "webhook"} else ""
    with web.rt.reading() as rows:
        found = reports.list_deliveries(
            rows, states=[state] if state else [], channel=channel, before=_id(before), limit=PER_PAGE + 1
        )
        papers = reports.papers_of(rows, [edition.id or 0 for _, _, edition, _ in found])
    more = found[PER_PAGE - 1][0].id if len(found) > PER_PAGE else None
    kept = urlencode({name: value for name, value in (("state", state), ("channel", channel)) if value})
    return _page(
        request, web, "deliveries.html", session, rows=found[:PER_PAGE], papers=papers, state=state, channel=channel,
        states=DELIVERY_STATES, channels=("email", "slack", "webhook"), first=not before,
        more=f"/admin/deliveries?{kept}{'&' if kept else ''}before={more}" if more else "",
    )  # fmt: skip


def _id(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else None


def _known(text: str) -> int:
    number = _id(text)
    if number is None:
        raise NotFound(f"there is no run {clean(text, limit=40)!r}")
    return number


# -- acts ------------------------------------------------------------------------------------------------------


@router.post("/admin/feeds/{name}/fetch", dependencies=[Act])
def fetch_feed(web: WebKit, name: str) -> Response:
    """Fetch one feed at once."""
    hints = schedule.fetch_now(web.rt, name)
    log.info("admin.fetch", feed=name, jobs=len(hints))
    return _back("/admin", "fetching" if hints else "nothing", name)


@router.post("/admin/feeds/{name}/pause", dependencies=[Act])
def pause_feed(web: WebKit, name: str) -> Response:
    """Stop polling one feed."""
    with web.rt.writing() as rows:
        feeds.update_feed(rows, feeds.get(rows, name).id or 0, paused=True)
    log.info("admin.pause", feed=name)
    return _back("/admin", "paused", name)


@router.post("/admin/feeds/{name}/resume", dependencies=[Act])
def resume_feed(web: WebKit, name: str) -> Response:
    """Poll one feed again, beginning now."""
    with web.rt.writing() as rows:
        feed = feeds.get(rows, name)
        if feed.retired:
            raise InvalidInput(f"{name} was removed; add it again first")
        kinds.for_kind(feed.kind).request(info(feed), web.rt.urls)  # a feed of imported files has nothing to ask for
        feeds.update_feed(rows, feed.id or 0, paused=False, next_check_at=web.rt.now())
    log.info("admin.resume", feed=name)
    return _back("/admin", "resumed", name)


@router.post("/admin/runs/{run_id}/retry", dependencies=[Act])
def retry_run(web: WebKit, run_id: str) -> Response:
    """Give one finished or given-up run a fresh set of tries."""
    number = _known(run_id)
    with web.rt.writing() as rows:
        jobs.get(rows, number)
        hints = jobs.revive(rows, [number], now=web.rt.now())
    web.rt.publish(hints)
    log.info("admin.retry", job=number, revived=len(hints))
    return _back(f"/admin/runs/{number}", "retrying" if hints else "nothing", f"Run {number}")


@router.post("/admin/failures/retry", dependencies=[Act])
def retry_group(web: WebKit, signature: Annotated[str, Form(max_length=1000)] = "") -> Response:
    """Retry all given-up runs of one cause."""
    with web.rt.writing() as rows:
        hints = jobs.revive(rows, reports.dead_ids(rows, signature), now=web.rt.now())
    web.rt.publish(hints)
    log.info("admin.retry_group", signature=signature, revived=len(hints))
    about = "1 run" if len(hints) == 1 else f"{len(hints)} runs"
    return _back("/admin", "retrying" if hints else "nothing", about if hints else "these runs")


@router.post("/admin/editions/{edition_id}/resend", dependencies=[Act])
def resend_edition(web: WebKit, edition_id: str) -> Response:
    """Send an edition again to those who did not get it."""
    count = send.resend(web.rt, _known(edition_id))
    log.info("admin.resend", edition=edition_id, deliveries=count)
    return _back("/admin", "resent" if count else "nothing", f"Edition {edition_id}")


def _pollable(rt: Runtime, feed: Feed) -> bool:
    """Whether there is something to ask for: feeds of imported files have no address."""
    try:
        kinds.for_kind(feed.kind).request(info(feed), rt.urls)
    except BroadsheetError:
        return False
    return True
