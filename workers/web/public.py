"""Public: the pages for readers. The papers of a day, one paper, an edition in the browser."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import RedirectResponse, Response

from services.domain.errors import InvalidInput, NotFound
from services.domain.identifiers import paper_url, pdf_url
from services.domain.links import LINK_KINDS
from services.domain.organizations import organizations_of
from services.domain.papers import PaperFacts
from services.domain.text import clean, safe_url
from services.pipeline import views
from services.storage import archive, editions, reports, repos, subscribers
from workers.web import charts
from workers.web.cards import byline, card
from workers.web.cite import bibtex
from workers.web.kit import Web, WebKit, paper_path, parse_day
from workers.web.listing import LOOK_BACK, ORDERS, Found, find
from workers.web.security import client_of

router = APIRouter(include_in_schema=False)

PER_PAGE = 50
STRIP_DAYS = 14
STARS_BACK = timedelta(days=400)
MAX_Q = 2_000


# -- a day -----------------------------------------------------------------------------------------------------


@router.get("/")
def day_page(request: Request, web: WebKit, day: str = "", q: str = "", sort: str = "", page: str = "1") -> Response:
    """The papers of a day, or what a query finds."""
    q = q.strip()[: MAX_Q + 1]
    wanted = parse_day(day) if day else None
    if day and wanted is None:
        return web.problem(
            request, 400, "That is no day", f"Write a day as 2026-11-24; “{clean(day, limit=40)}” cannot be read."
        )
    if q and wanted is None:
        wait = web.searches.take(client_of(request))
        if wait:
            return _slow_down(web, request, wait)
    status, problem, sort_shown = 200, "", sort if sort in ORDERS else ORDERS[0]
    with web.rt.reading() as session:
        try:
            found = find(web.rt, session, day=wanted, q=q, sort=sort_shown)
        except InvalidInput as error:
            status, problem = 400, str(error)
            found = Found(papers=(), looked_at=0, cut=False, since=wanted, until=wanted)
        shown_day = wanted or (None if q else found.since)
        frame = _frame(web, session, shown_day)
        empty_archive = frame["newest"] is None
    number = max(1, int(page)) if page.isdigit() and len(page) < 5 else 1
    pages = max(1, -(-len(found.papers) // PER_PAGE))
    number = min(number, pages)
    first = (number - 1) * PER_PAGE
    now = web.rt.now()
    cards = [
        card(paper, number=n, now=now, why=found.why(paper), wide=n == 1 and not q)
        for n, paper in enumerate(found.papers[first : first + PER_PAGE], first + 1)
    ]

    def here(**changes: object) -> str:
        kept = {"day": day, "q": q, "sort": sort_shown if sort_shown != ORDERS[0] else "", **changes}
        query = urlencode({name: value for name, value in kept.items() if value})
        return f"/?{query}" if query else "/"

    return web.page(
        request, "day.html", status=status, day=shown_day, q=q, sort=sort_shown, orders=ORDERS, cards=cards,
        total=len(found.papers), looked_at=found.looked_at, cut=found.cut, since=found.since, until=found.until,
        problem=problem, empty_archive=empty_archive, number=number, pages=pages, here=here, look_back=LOOK_BACK.days,
        **frame,
    )  # fmt: skip


def _frame(web: Web, session: Session, day: date | None) -> dict[str, Any]:
    """What stands around the papers: the strip of days, the neighbours, the sources."""
    newest = reports.newest_day(session)
    now = web.rt.now()
    strip: list[tuple[date, int]] = []
    if newest is not None:
        end = min(newest, day + timedelta(days=9)) if day is not None else newest
        strip = reports.days(session, until=max(end, day or end), span=timedelta(days=60), limit=STRIP_DAYS)
    most = max((count for _, count in strip), default=0)
    current = day == newest or day is None
    return {
        "newest": newest,
        "strip": [(on, count, charts.bar(count, most)) for on, count in strip],
        "before": reports.day_beside(session, day, before=True) if day else None,
        "after": reports.day_beside(session, day, before=False) if day else None,
        "sources": views.source_statuses(session, [], since=now - timedelta(days=1)) if current else [],
        "listed_by": reports.listed_by(session, day, day) if day else [],
    }


def _slow_down(web: Web, request: Request, wait: float) -> Response:
    answer = web.problem(
        request, 429, "A little slower, please", f"That were many searches. Try again in {int(wait) + 1} seconds."
    )
    answer.headers["Retry-After"] = str(int(wait) + 1)
    return answer


# -- a paper ---------------------------------------------------------------------------------------------------

KIND_WORDS = {
    "code": "Code", "model": "Models", "dataset": "Datasets", "space": "Spaces", "project": "Project pages",
    "organization": "Organizations", "demo": "Demos", "video": "Videos", "other": "Other links",
}  # fmt: skip


@router.get("/papers/{key:path}")
def paper_page(request: Request, web: WebKit, key: str) -> Response:
    """One paper with everything known about it."""
    rt = web.rt
    with rt.reading() as session:
        try:
            paper = archive.get(session, key[:2000], now=rt.now())
        except NotFound:
            return web.problem(
                request, 404, "No such paper here",
                "The archive knows no paper by that name. It may not have been listed yet, or the address was cut "
                "short. Search for words of its title, or start from the days.",
                looked_for=clean(key, limit=200),
            )  # fmt: skip
        if paper.key != key:
            return RedirectResponse(paper_path(paper.key), 308)
        repo_rows = reports.repos_of(session, paper.id)
        stars = repos.readings(session, [r.id or 0 for r in repo_rows], since=rt.now() - STARS_BACK)
        sightings = archive.sightings(session, paper.id)
    sparks = {f"https://{r.host}/{r.slug}": charts.sparkline(stars.get(r.id or 0, [])) for r in repo_rows}
    return web.page(
        request, "paper.html", paper=paper, card=card(paper, number=1, now=rt.now(), wide=True),
        byline=byline(paper), organizations=organizations_of(paper), sightings=sightings, sparks=sparks,
        links=_links(paper), citation=bibtex(paper),
        own_page=safe_url(paper_url(paper.key) or ""), pdf=safe_url(pdf_url(paper.key) or ""),
    )  # fmt: skip


def _links(paper: PaperFacts) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Links by kind: (kind in words, [(address, shown text, evidence)]); addresses that are not safe are left out."""
    grouped: dict[str, list[tuple[str, str, str]]] = {}
    for link in paper.links:
        url = safe_url(link.url)
        if url is not None:
            text = link.slug or url.partition("://")[2].rstrip("/")
            grouped.setdefault(link.kind, []).append((url, clean(text, limit=200), link.evidence))
    order = {kind: n for n, kind in enumerate(KIND_WORDS)}
    assert set(order) >= set(LINK_KINDS)
    return [(KIND_WORDS.get(kind, kind), grouped[kind]) for kind in sorted(grouped, key=lambda k: order.get(k, 99))]


# -- an edition ------------------------------------------------------------------------------------------------


@router.get("/editions/{edition_id}")
def edition_page(request: Request, web: WebKit, edition_id: str) -> Response:
    """A sent edition, made anew from its rows, without anybody's own links."""
    rt = web.rt
    with rt.reading() as session:
        try:
            edition = editions.get(session, int(edition_id) if edition_id.isdigit() and len(edition_id) < 16 else 0)
            subscription, _ = subscribers.get_subscription(session, edition.subscription_id)
        except NotFound:
            return web.problem(
                request, 404, "No such edition",
                "It may have been composed by another installation. Start from the days.",
            )  # fmt: skip
        items = editions.items(session, edition.id or 0)
        papers = {p.id: p for p in archive.load(session, [item.paper_id for item in items], now=rt.now())}
    cards = [
        card(papers[item.paper_id], number=n, now=rt.now(), why=item.why, late=item.late)
        for n, item in enumerate((i for i in items if i.paper_id in papers), 1)
    ]
    local = edition.composed_at.astimezone(ZoneInfo(subscription.timezone))
    return web.page(
        request, "edition.html", private=True, edition=edition, name=subscription.name, query=subscription.query,
        day=local.date(), timezone=subscription.timezone, cards=cards,
        archive_day=edition.composed_at.astimezone(UTC).date(),
    )  # fmt: skip
