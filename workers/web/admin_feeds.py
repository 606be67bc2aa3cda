"""Admin, feeds: how each is, what it brought day by day, adding one after a look at it, and what is done to it."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

from fastapi import Form, Request
from starlette.responses import Response

from services.domain.errors import BroadsheetError, InvalidInput
from services.pipeline import operate
from services.pipeline.about_feed import about_feed
from services.pipeline.add_feed import Wanted, add_feed, prepare
from services.pipeline.edit_feed import as_edited, edit_feed
from services.pipeline.fetch import info
from services.runtime import Runtime
from services.storage import feeds
from services.storage.tables import Feed
from services.upstreams import kinds
from workers.web.admin import back, desk, id_of
from workers.web.auth import Act, Doer, Known, Who, guarded
from workers.web.kit import Web, WebKit
from workers.web.look import calendar, source_lines

router = guarded(include_in_schema=False)

SHOWN = 8
"""Papers of a feed that is looked at before it is added."""


@router.get("/admin/feeds")
def feed_list(request: Request, web: WebKit, who: Known) -> Response:
    """All feeds, and a form for another."""
    return _list_page(request, web, who, wanted=None)


def _list_page(request: Request, web: Web, who: Who, **values: Any) -> Response:
    with web.rt.reading() as rows:
        lines = source_lines(rows, web.rt.now())
    return desk(request, web, "feeds.html", who, lines=lines, **values)


@router.post("/admin/feeds", dependencies=[Act])
def new_feed(
    request: Request, web: WebKit, who: Known, url: Annotated[str, Form(max_length=2000)] = "",
    name: Annotated[str, Form(max_length=50)] = "", interval: Annotated[str, Form(max_length=6)] = "",
    step: Annotated[str, Form(max_length=10)] = "look",
) -> Response:  # fmt: skip
    """Look at a feed, or (`step` add) add it. What is wrong with it stands beside the form."""
    wanted = Wanted(url=url.strip(), name=name.strip(), params={}, interval_minutes=id_of(interval))
    error, spec, found = "", None, None
    try:
        if step == "add":
            feed, _ = add_feed(web.rt, who.actor, wanted, check=False)
            return back(f"/admin/feeds/{feed.name}", "feed_added", feed.name)
        spec, found = prepare(web.rt, wanted, check=True)
    except BroadsheetError as failed:
        error = str(failed)
    return _list_page(
        request, web, who, status=400 if error else 200, wanted=wanted, error=error, spec=spec, found=found, shown=SHOWN
    )


@router.get("/admin/feeds/{name}")
def feed_page(request: Request, web: WebKit, who: Known, name: str) -> Response:
    """One feed: when it is read next and why then, what waits, recent fetches, what was refused, the last 30 days."""
    return _feed_page(request, web, who, name, url="", error="", spec=None)


def _feed_page(request: Request, web: Web, who: Who, name: str, **values: Any) -> Response:
    now = web.rt.now()
    with web.rt.reading() as rows:
        feed = feeds.get(rows, name)
        weeks = calendar(rows, feed, today=now.astimezone(UTC).date())
        return desk(
            request, web, "feed.html", who, feed=feed, about=about_feed(rows, feed, now),
            pollable=_pollable(web.rt, feed), weeks=weeks,
            short=[day for week in reversed(weeks) for day in reversed(week) if day.is_short], **values,
        )  # fmt: skip


@router.post("/admin/feeds/{name}/edit", dependencies=[Act])
def edit_address(
    request: Request, web: WebKit, who: Known, name: str, url: Annotated[str, Form(max_length=2000)] = "",
    step: Annotated[str, Form(max_length=10)] = "look",
) -> Response:  # fmt: skip
    """Look at another address of a feed, or (`step` edit) have it read there from now on."""
    error, spec, found = "", None, None
    try:
        if step == "edit":
            edit_feed(web.rt, who.actor, name, url.strip(), check=False)
            return back(f"/admin/feeds/{name}", "feed_edited", name)
        spec, found = as_edited(web.rt, name, url.strip(), check=True)
    except InvalidInput as failed:
        error = str(failed)
    return _feed_page(
        request, web, who, name, status=400 if error else 200, url=url.strip(), error=error, spec=spec, found=found,
        shown=SHOWN,
    )  # fmt: skip


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


@router.post("/admin/feeds/{name}/accept", dependencies=[Act])
def accept_batch(
    web: WebKit, me: Doer, name: str, batch: Annotated[str, Form(max_length=40)],
    step: Annotated[str, Form(max_length=10)] = "accept",
) -> Response:  # fmt: skip
    """Take one batch as it is, or (`step` reopen) take that back."""
    accepted = step != "reopen"
    operate.accept_batch(web.rt, me, name, batch, accepted=accepted)
    return back(f"/admin/feeds/{name}", "batch_accepted" if accepted else "batch_reopened", f"{batch} of {name}")


@router.post("/admin/feeds/{name}/remove", dependencies=[Act])
def remove_feed(web: WebKit, me: Doer, name: str) -> Response:
    """Retire one feed; its papers stay."""
    operate.remove_feed(web.rt, me, name)
    return back("/admin/feeds", "feed_removed", name)


def _pollable(rt: Runtime, feed: Feed) -> bool:
    """Whether there is something to ask for: feeds of imported files have no address."""
    try:
        kinds.for_kind(feed.kind).request(info(feed), rt.urls)
    except BroadsheetError:
        return False
    return True
