"""Admin: the operators' pages. One look, the ledgers beneath it, and acts that are all POSTs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from services.domain.addresses import CHANNELS
from services.domain.deliveries import STATES as DELIVERY_STATES
from services.domain.errors import BroadsheetError, NotFound
from services.domain.jobs import STAGE_OF, STAGES, STATES
from services.domain.text import clean
from services.pipeline import acts, operate, redrive
from services.pipeline.bundle import bundle_name, make_bundle
from services.pipeline.fetch import info
from services.runtime import Runtime
from services.storage import feeds, jobs, reports
from services.storage.tables import Feed
from services.upstreams import kinds
from workers.web.auth import Act, Doer, Known, Who
from workers.web.kit import Web, WebKit
from workers.web.look import calendar, look

router = APIRouter(include_in_schema=False)

PER_PAGE = 50

R = TypeVar("R")

SAID = {
    "fetching": "{about} is being fetched.",
    "paused": "{about} is paused; what it brought stays.",
    "resumed": "{about} is polled again, next now.",
    "retrying": "{about} will be tried again.",
    "resent": "{about} will be sent to those who did not get it.",
    "slot_paused": "{about} rests until it is resumed.",
    "slot_resumed": "{about} runs again.",
    "slot_run": "{about} runs at the next tick of the schedule.",
    "reader_paused": "{about} is paused.",
    "reader_resumed": "{about} is sent again.",
    "reader_confirmed": "{about} is confirmed.",
    "reader_removed": "{about} is removed; its editions stay on record.",
    "lifted": "{about} is written to again.",
    "pair_merged": "{about} are one paper now.",
    "pair_apart": "{about} stay two papers.",
    "pair_open": "{about} wait for a decision again.",
    "merge_undone": "{about} is taken back.",
    "user_added": "{about} may log in.",
    "user_changed": "{about} is changed.",
    "token_revoked": "{about} is worth nothing any more.",
    "nothing": "There was nothing to do for {about}.",
}
"""What an act answers with; the page after it shows the sentence."""


def desk(request: Request, web: Web, template: str, who: Who, **values: Any) -> Response:
    """A page for operators. Whoever may only look finds no buttons on it: `csrf`, which they need, is empty."""
    said = SAID.get(request.query_params.get("said", ""))
    about = clean(request.query_params.get("about", ""), limit=120)
    mark = web.forms.mark("admin", who.bound_to)
    return web.page(
        request, f"admin/{template}", private=True, csrf=mark if who.actor.may("operator") else "", leave=mark,
        me=who.actor, said=said.format(about=about) if said else "", **values,
    )  # fmt: skip


def back(to: str, said: str, about: str) -> Response:
    """To the page that shows what an act came to."""
    return RedirectResponse(f"{to}?{urlencode({'said': said, 'about': about})}", 303, {"Cache-Control": "no-store"})


def more_after(found: Sequence[R], id_of_row: Callable[[R], int | None]) -> int | None:
    """Where the next page begins, for rows of which one more than a page was asked for; `None` on the last."""
    return id_of_row(found[PER_PAGE - 1]) if len(found) > PER_PAGE else None


# -- pages -----------------------------------------------------------------------------------------------------


@router.get("/admin")
def one_look(request: Request, web: WebKit, who: Known) -> Response:
    """Everything in one look."""
    with web.rt.reading() as rows:
        seen = look(web.rt, rows)
    return desk(
        request, web, "look.html", who, look=seen, states=DELIVERY_STATES,
        settings=web.rt.settings, database=web.rt.engine.dialect.name,
    )  # fmt: skip


@router.get("/admin/look")
def fragment(request: Request, web: WebKit, who: Known) -> Response:
    """The changing part of the page, for its refresh."""
    with web.rt.reading() as rows:
        seen = look(web.rt, rows)
    return desk(request, web, "_look.html", who, look=seen, states=DELIVERY_STATES)


@router.get("/admin/runs")
def run_list(
    request: Request, web: WebKit, who: Known, state: str = "", stage: str = "", kind: str = "", text: str = "",
    before: str = "",
) -> Response:  # fmt: skip
    """The ledger of work, filtered."""
    chosen = {
        "state": state if state in STATES else "", "stage": stage if stage in STAGES else "",
        "kind": kind if kind in STAGE_OF else "", "text": clean(text, limit=200),
    }  # fmt: skip
    with web.rt.reading() as rows:
        found = reports.runs(rows, **chosen, before=id_of(before), limit=PER_PAGE + 1)
    more = more_after(found, lambda row: row.id)
    kept = urlencode({name: value for name, value in chosen.items() if value})
    return desk(
        request, web, "runs.html", who, runs=found[:PER_PAGE], chosen=chosen, states=STATES, stages=STAGES,
        kinds=sorted(STAGE_OF), more=f"/admin/runs?{kept}{'&' if kept else ''}before={more}" if more else "",
        first=not before,
    )  # fmt: skip


@router.get("/admin/runs/{run_id}")
def run_page(request: Request, web: WebKit, who: Known, run_id: str) -> Response:
    """One run: its tries, its payload, what led to it and what followed."""
    with web.rt.reading() as rows:
        job = jobs.get(rows, known_id(run_id))
        return desk(
            request, web, "run.html", who, job=job, tries=jobs.attempts(rows, job.id or 0),
            causes=reports.causes(rows, job), effects=reports.effects(rows, job.id or 0),
        )  # fmt: skip


@router.get("/admin/runs/{run_id}/bundle")
def run_bundle(web: WebKit, me: Doer, run_id: str) -> Response:
    """All that is known of one run, as a ZIP file without secrets."""
    number = known_id(run_id)
    with acts.noting(web.rt, me, "run.bundle", number):
        packed = make_bundle(web.rt, number)
    return Response(
        packed, media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{bundle_name(number)}"', "Cache-Control": "no-store"},
    )  # fmt: skip


@router.get("/admin/feeds/{name}")
def feed_page(request: Request, web: WebKit, who: Known, name: str) -> Response:
    """One feed: recent fetches, what was refused, the last 30 days."""
    with web.rt.reading() as rows:
        feed = feeds.get(rows, name)
        return desk(
            request, web, "feed.html", who, feed=feed, fetches=reports.recent_fetches(rows, feed.id or 0),
            rejections=reports.recent_rejections(rows, feed.id or 0),
            weeks=calendar(rows, feed, today=web.rt.now().astimezone(UTC).date()), pollable=_pollable(web.rt, feed),
        )  # fmt: skip


@router.get("/admin/deliveries")
def delivery_list(
    request: Request, web: WebKit, who: Known, state: str = "", channel: str = "", before: str = ""
) -> Response:
    """The ledger of deliveries, filtered."""
    state = state if state in DELIVERY_STATES else ""
    channel = channel if channel in CHANNELS else ""
    with web.rt.reading() as rows:
        found = reports.list_deliveries(
            rows, states=[state] if state else [], channel=channel, before=id_of(before), limit=PER_PAGE + 1
        )
        papers = reports.papers_of(rows, [edition.id or 0 for _, _, edition, _ in found])
    more = more_after(found, lambda row: row[0].id)
    kept = urlencode({name: value for name, value in (("state", state), ("channel", channel)) if value})
    return desk(
        request, web, "deliveries.html", who, rows=found[:PER_PAGE], papers=papers, state=state, channel=channel,
        states=DELIVERY_STATES, channels=CHANNELS, first=not before,
        more=f"/admin/deliveries?{kept}{'&' if kept else ''}before={more}" if more else "",
    )  # fmt: skip


def id_of(text: str) -> int | None:
    """A row's number as an address has it; `None` for what is none."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else None


def known_id(text: str) -> int:
    """The number in an address; `NotFound` for what is none."""
    number = id_of(text)
    if number is None:
        raise NotFound(f"there is nothing of the number {clean(text, limit=40)!r}")
    return number


# -- acts ------------------------------------------------------------------------------------------------------


@router.post("/admin/feeds/{name}/fetch", dependencies=[Act])
def fetch_feed(web: WebKit, me: Doer, name: str) -> Response:
    """Fetch one feed at once."""
    return back("/admin", "fetching" if operate.fetch_feed(web.rt, me, name) else "nothing", name)


@router.post("/admin/feeds/{name}/pause", dependencies=[Act])
def pause_feed(web: WebKit, me: Doer, name: str) -> Response:
    """Stop polling one feed."""
    operate.pause_feed(web.rt, me, name)
    return back("/admin", "paused", name)


@router.post("/admin/feeds/{name}/resume", dependencies=[Act])
def resume_feed(web: WebKit, me: Doer, name: str) -> Response:
    """Poll one feed again, beginning now."""
    operate.resume_feed(web.rt, me, name)
    return back("/admin", "resumed", name)


@router.post("/admin/runs/{run_id}/retry", dependencies=[Act])
def retry_run(web: WebKit, me: Doer, run_id: str) -> Response:
    """Give one finished or given-up run a fresh set of tries."""
    number = known_id(run_id)
    retried = redrive.retry(web.rt, me, number)
    return back(f"/admin/runs/{number}", "retrying" if retried else "nothing", f"Run {number}")


@router.post("/admin/failures/retry", dependencies=[Act])
def retry_group(
    web: WebKit, me: Doer, signature: Annotated[str, Form(max_length=1000)] = "",
    step: Annotated[str, Form(max_length=10)] = "rest",
) -> Response:  # fmt: skip
    """Retry the oldest given-up run of one cause (`step` one), or all of them."""
    if step == "one":
        done = redrive.redrive(web.rt, me, signature, "one")
        return back(f"/admin/runs/{done.retried[0]}", "retrying", f"Run {done.retried[0]}")
    count = len(redrive.retry_all(web.rt, me, signature))
    about = "1 run" if count == 1 else f"{count} runs"
    return back("/admin", "retrying" if count else "nothing", about if count else "these runs")


@router.post("/admin/editions/{edition_id}/resend", dependencies=[Act])
def resend_edition(web: WebKit, me: Doer, edition_id: str) -> Response:
    """Send an edition again to those who did not get it."""
    count = operate.resend(web.rt, me, known_id(edition_id))
    return back("/admin", "resent" if count else "nothing", f"Edition {edition_id}")


def _pollable(rt: Runtime, feed: Feed) -> bool:
    """Whether there is something to ask for: feeds of imported files have no address."""
    try:
        kinds.for_kind(feed.kind).request(info(feed), rt.urls)
    except BroadsheetError:
        return False
    return True
