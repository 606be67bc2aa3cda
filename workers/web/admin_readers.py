"""Admin, readers and the schedule: who gets what and when, whom nothing is sent to, what runs by itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import Response

from services.domain.errors import InvalidInput
from services.domain.text import clean
from services.pipeline import operate, personal
from services.storage import feeds, reports, service, subscribers, suppressions
from workers.web.admin import PER_PAGE, back, desk, id_of, known_id, more_after
from workers.web.auth import Act, Doer, Known, guarded
from workers.web.kit import WebKit, parse_day
from workers.web.own_data import TICK_FIRST, as_file

router = guarded(include_in_schema=False)


# -- the schedule ----------------------------------------------------------------------------------------------


@router.get("/admin/schedule")
def schedule_page(request: Request, web: WebKit, who: Known) -> Response:
    """What runs by itself, and when next: the recurring work, the feeds, the editions."""
    with web.rt.reading() as session:
        return desk(
            request, web, "schedule.html", who, slots=service.list_slots(session), words=SLOT_WORDS,
            feeds=[feed for feed in feeds.list_all(session) if feed.url or feed.last_fetched_at or not feed.paused],
            editions=reports.next_editions(session, limit=50),
        )  # fmt: skip


SLOT_WORDS = {
    "repos": "code repositories are read again",
    "lookups": "catalogues are asked where papers appeared",
    "papers": "young papers are read again, for what comes late",
    "housekeeping": "what has outlived its retention is dropped",
}


@router.post("/admin/slots/{name}/pause", dependencies=[Act])
def pause_slot(web: WebKit, me: Doer, name: str) -> Response:
    """Let one entry rest."""
    return back("/admin/schedule", "slot_paused", operate.pause_slot(web.rt, me, name).name)


@router.post("/admin/slots/{name}/resume", dependencies=[Act])
def resume_slot(web: WebKit, me: Doer, name: str) -> Response:
    """Let one entry run again."""
    return back("/admin/schedule", "slot_resumed", operate.resume_slot(web.rt, me, name).name)


@router.post("/admin/slots/{name}/run", dependencies=[Act])
def run_slot(web: WebKit, me: Doer, name: str) -> Response:
    """Run one entry at the next tick."""
    return back("/admin/schedule", "slot_run", operate.run_slot(web.rt, me, name).name)


# -- subscriptions ---------------------------------------------------------------------------------------------


@router.get("/admin/subscriptions")
def subscription_list(request: Request, web: WebKit, who: Known, text: str = "", before: str = "") -> Response:
    """Who gets what, newest first. Whoever may not see addresses finds nobody by one."""
    text = clean(text, limit=200).strip()
    with web.rt.reading() as session:
        rows = subscribers.page(
            session, text=text, in_addresses=who.actor.may("operator"), before=id_of(before),
            limit=PER_PAGE + 1,
        )  # fmt: skip
        blocked = suppressions.count(session)
    more = more_after(rows, lambda row: row[0].id)
    return desk(
        request, web, "subscriptions.html", who, rows=rows[:PER_PAGE], text=text, more=more,
        first=not before, blocked=blocked,
    )  # fmt: skip


@router.post("/admin/subscriptions/{subscription_id}/pause", dependencies=[Act])
def pause_subscription(web: WebKit, me: Doer, subscription_id: str, until: Annotated[str, Form()] = "") -> Response:
    """Send nothing, for ever or until a day."""
    day = parse_day(until)
    if until and day is None:
        raise InvalidInput("write the day as 2026-11-24")
    subscription, _ = operate.pause_subscription(web.rt, me, known_id(subscription_id), until=day)
    return back("/admin/subscriptions", "reader_paused", subscription.name)


@router.post("/admin/subscriptions/{subscription_id}/resume", dependencies=[Act])
def resume_subscription(web: WebKit, me: Doer, subscription_id: str) -> Response:
    """End a pause."""
    subscription, _ = operate.resume_subscription(web.rt, me, known_id(subscription_id))
    return back("/admin/subscriptions", "reader_resumed", subscription.name)


@router.post("/admin/subscriptions/{subscription_id}/confirm", dependencies=[Act])
def confirm_subscription(web: WebKit, me: Doer, subscription_id: str) -> Response:
    """The owner of the address agreed."""
    subscription, _ = operate.confirm_subscription(web.rt, me, known_id(subscription_id))
    return back("/admin/subscriptions", "reader_confirmed", subscription.name)


@router.post("/admin/subscriptions/{subscription_id}/remove", dependencies=[Act])
def remove_subscription(web: WebKit, me: Doer, subscription_id: str) -> Response:
    """Remove one."""
    subscription, _ = operate.remove_subscription(web.rt, me, known_id(subscription_id))
    return back("/admin/subscriptions", "reader_removed", subscription.name)


# -- personal data ---------------------------------------------------------------------------------------------


@router.post("/admin/subscribers/export", dependencies=[Act])
def export_person(web: WebKit, me: Doer, to: Annotated[str, Form(max_length=2000)] = "") -> Response:
    """All that is held of one address, as a file."""
    return as_file(personal.export(web.rt, me, to))


@router.post("/admin/subscribers/wipe", dependencies=[Act])
def wipe_person(
    web: WebKit, me: Doer, to: Annotated[str, Form(max_length=2000)] = "", sure: Annotated[str, Form(max_length=5)] = ""
) -> Response:
    """Wipe it; the address has to be typed whole, and the box ticked."""
    if not sure:
        raise InvalidInput(TICK_FIRST)
    done = personal.wipe(web.rt, me, to)
    return back("/admin/subscriptions", "person_wiped", f"{sum(done.rows.values())} rows, {done.files} files")


# -- suppressions ----------------------------------------------------------------------------------------------


@router.get("/admin/suppressions")
def suppression_list(request: Request, web: WebKit, who: Known, text: str = "", before: str = "") -> Response:
    """Addresses nothing is sent to, and why, newest first. Whoever may not see addresses finds none by it."""
    text = clean(text, limit=200).strip()
    with web.rt.reading() as session:
        rows = suppressions.page(
            session, text=text, in_addresses=who.actor.may("operator"), before=id_of(before),
            limit=PER_PAGE + 1,
        )  # fmt: skip
    more = more_after(rows, lambda row: row.id)
    return desk(
        request, web, "suppressions.html", who, rows=rows[:PER_PAGE], text=text, more=more,
        first=not before,
    )  # fmt: skip


@router.post("/admin/suppressions/lift", dependencies=[Act])
def lift(web: WebKit, me: Doer, key: Annotated[str, Form(max_length=2000)] = "") -> Response:
    """Write to an address again."""
    operate.lift(web.rt, me, key)
    return back("/admin/suppressions", "lifted", key)
