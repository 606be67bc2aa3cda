"""Admin: the operators' pages. One look, the ledgers beneath it, and acts that are all POSTs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from services.domain.addresses import CHANNELS
from services.domain.deliveries import STATES as DELIVERY_STATES
from services.domain.errors import NotFound
from services.domain.text import clean
from services.pipeline import operate, rates
from services.storage import reports
from workers.web.auth import Act, Doer, Known, Who, guarded
from workers.web.kit import Web, WebKit
from workers.web.look import look

router = guarded(include_in_schema=False)

PER_PAGE = 50

R = TypeVar("R")

SAID = {
    "feed_added": "{about} is added; its first fetch is under way.",
    "feed_removed": "{about} is polled no more; its papers stay.",
    "feed_edited": "{about} is read at its new address from now on; its papers and history stay.",
    "batch_accepted": "{about} is taken as it is; nobody waits for the rest.",
    "batch_reopened": "{about} is waited for again.",
    "fetching": "{about} is being fetched.",
    "paused": "{about} is paused; what it brought stays.",
    "resumed": "{about} is polled again, next now.",
    "retrying": "{about} will be tried again.",
    "resent": "{about} will be sent to those who did not get it.",
    "stage_paused": "{about} is paused; what is due there waits.",
    "stage_resumed": "{about} goes on.",
    "rate_lowered": "{about}, from the next message on.",
    "rate_restored": "{about} goes at its own rate again.",
    "slot_paused": "{about} rests until it is resumed.",
    "slot_resumed": "{about} runs again.",
    "slot_run": "{about} runs at the next tick of the schedule.",
    "reader_paused": "{about} is paused.",
    "reader_resumed": "{about} is sent again.",
    "reader_confirmed": "{about} is confirmed.",
    "reader_removed": "{about} is removed; its editions stay on record.",
    "lifted": "{about} is written to again.",
    "person_wiped": "All that told who somebody is was wiped: {about}.",
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


def desk(request: Request, web: Web, template: str, who: Who, *, status: int = 200, **values: Any) -> Response:
    """A page for operators. Whoever may only look finds no buttons on it: `csrf`, which they need, is empty."""
    said = SAID.get(request.query_params.get("said", ""))
    about = clean(request.query_params.get("about", ""), limit=120)
    mark = web.forms.mark("admin", who.bound_to)
    return web.page(
        request, f"admin/{template}", status=status, private=True, leave=mark, me=who.actor,
        csrf=mark if who.actor.may("operator") else "", said=said.format(about=about) if said else "", **values,
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


@router.get("/admin/deliveries")
def delivery_list(
    request: Request, web: WebKit, who: Known, state: str = "", channel: str = "", reader: str = "", before: str = ""
) -> Response:
    """The ledger of deliveries, filtered. Whoever may not see addresses finds no reader by one."""
    state = state if state in DELIVERY_STATES else ""
    channel = channel if channel in CHANNELS else ""
    reader = clean(reader, limit=2000).strip()
    if not who.actor.may("operator") and not reader.isdecimal():
        reader = ""
    with web.rt.reading() as rows:
        found = reports.list_deliveries(
            rows, states=[state] if state else [], channel=channel, reader=reader, before=id_of(before),
            limit=PER_PAGE + 1,
        )  # fmt: skip
        papers = reports.papers_of(rows, [edition.id or 0 for _, _, edition, _ in found])
    more = more_after(found, lambda row: row[0].id)
    chosen = {"state": state, "channel": channel, "reader": reader}
    kept = urlencode({name: value for name, value in chosen.items() if value})
    return desk(
        request, web, "deliveries.html", who, rows=found[:PER_PAGE], papers=papers, chosen=chosen,
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


@router.post("/admin/stages/{stage}/pause", dependencies=[Act])
def pause_stage(web: WebKit, me: Doer, stage: str) -> Response:
    """Let nobody take a stage's jobs."""
    return back("/admin", "stage_paused" if operate.pause_stage(web.rt, me, stage) else "nothing", stage)


@router.post("/admin/stages/{stage}/resume", dependencies=[Act])
def resume_stage(web: WebKit, me: Doer, stage: str) -> Response:
    """Let a stage's jobs be taken again."""
    return back("/admin", "stage_resumed" if operate.resume_stage(web.rt, me, stage) else "nothing", stage)


@router.post("/admin/rates", dependencies=[Act])
def slow_down(
    web: WebKit, me: Doer, channel: Annotated[str, Form(max_length=40)] = "",
    per_hour: Annotated[str, Form(max_length=10)] = "",
) -> Response:  # fmt: skip
    """Hold a channel to fewer messages an hour."""
    rates.slow_down(web.rt, me, channel, id_of(per_hour) or 0)
    return back("/admin", "rate_lowered", f"{channel} is held to {per_hour} an hour")


@router.post("/admin/rates/{channel}/restore", dependencies=[Act])
def restore_rate(web: WebKit, me: Doer, channel: str) -> Response:
    """Let a channel go at its setting again."""
    return back("/admin", "rate_restored" if rates.restore(web.rt, me, channel) else "nothing", channel)


@router.post("/admin/editions/{edition_id}/resend", dependencies=[Act])
def resend_edition(web: WebKit, me: Doer, edition_id: str) -> Response:
    """Send an edition again to those who did not get it."""
    count = operate.resend(web.rt, me, known_id(edition_id))
    return back("/admin", "resent" if count else "nothing", f"Edition {edition_id}")
