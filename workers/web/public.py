"""Public: the pages for readers. The papers of a day, one paper, an edition in the browser."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from sqlmodel import Session
from starlette.responses import RedirectResponse, Response

from services.domain.cite import bibtex, citation_tags
from services.domain.errors import InvalidInput, NotFound
from services.domain.events import describe
from services.domain.identifiers import paper_url, pdf_url
from services.domain.links import LINK_KINDS
from services.domain.organizations import organizations_of
from services.domain.papers import PaperFacts
from services.domain.text import clean, safe_url
from services.pipeline import views
from services.pipeline.messages import status_from_json
from services.storage import archive, editions, events, reports, repos, search, subscribers
from services.storage.facets import facets
from workers.web import charts
from workers.web.auth import guarded
from workers.web.cards import byline, card
from workers.web.kit import Web, WebKit, paper_path, parse_day
from workers.web.links import GONE, BadLink, check_version, signed
from workers.web.listing import ORDERS, RELEVANCE, Found, find
from workers.web.security import client_of
from workers.web.spans import SPANS, Span, beside, span_of

router = guarded(include_in_schema=False)

PER_PAGE = 50
STRIP_DAYS = 14
SIMILAR = 6
"""Papers shown beside one that are most like it."""
MOST_EVENTS = 20
THIS = "this paper"
STARS_BACK = timedelta(days=400)
MAX_Q = 2_000


# -- some days -------------------------------------------------------------------------------------------------


@router.get("/")
def day_page(
    request: Request, web: WebKit, day: str = "", span: str = "", q: str = "", sort: str = "", page: str = "1"
) -> Response:
    """The papers of a day, a week, a month, those that trend, or what a query finds."""
    q = q.strip()[: MAX_Q + 1]
    on = parse_day(day) if day else None
    if day and on is None:
        return web.problem(
            request, 400, "That is no day", f"Write a day as 2026-11-24; “{clean(day, limit=40)}” cannot be read."
        )
    if q:
        wait = web.searches.take(client_of(request))
        if wait:
            return _slow_down(web, request, wait)
    number = max(1, int(page)) if page.isdecimal() and len(page) < 5 else 1
    first = (number - 1) * PER_PAGE
    asked_span, sort = span if span in SPANS else "", sort if sort in (*ORDERS, RELEVANCE) else ""
    with web.rt.reading() as session:
        newest = reports.newest_day(session)
        wanted = None
        if newest is not None and (on or asked_span or not q):
            wanted = span_of(asked_span, on or newest)
        status, problem, found = 200, "", Found()
        try:
            found = find(web.rt, session, span=wanted, q=q, sort=sort, start=first, limit=PER_PAGE)
        except InvalidInput as error:
            status, problem = 400, str(error)
        counted = facets(session, found.ids) if found.ids and (q or wanted) else None
        frame = _frame(web, session, wanted, newest, plain=not q)
    pages = max(1, -(-found.within // PER_PAGE))
    now = web.rt.now()
    cards = [
        card(paper, number=n, now=now, why=found.why(paper), wide=n == 1 and not q)
        for n, paper in enumerate(found.papers, first + 1)
    ]
    orders = ORDERS if wanted is not None or not q else (("newest", RELEVANCE, *ORDERS[:1], *ORDERS[2:]))
    asked = {"span": asked_span, "day": day, "q": q, "sort": sort if sort != orders[0] else ""}

    def here(**changes: object) -> str:
        query = urlencode({name: value for name, value in {**asked, **changes}.items() if value})
        return f"/?{query}" if query else "/"

    return web.page(
        request, "day.html", status=status, span=wanted, spans=SPANS, q=q, sort=sort or orders[0], orders=orders,
        cards=cards, found=found, facets=counted, narrow=partial(_narrow, q), problem=problem, here=here,
        number=number, pages=pages, asked=asked, turn=_turn, quoted=_quoted, **frame,
    )  # fmt: skip


def _turn(span: Span) -> str:
    """The address of a span."""
    return f"/?day={span.since}" if span.name == "day" else f"/?span={span.name}&day={span.since}"


def _quoted(value: str) -> str:
    """A value as a query takes it."""
    return value if value.replace(".", "").replace("-", "").isalnum() else '"' + value.replace('"', "") + '"'


def _narrow(q: str, term: str) -> str:
    """A query with one more term; the term alone where it was asked for already."""
    return f"{q} {term}" if q and term not in q else q or term


def _frame(web: Web, session: Session, span: Span | None, newest: date | None, *, plain: bool) -> dict[str, Any]:
    """What stands around the papers: the strip of days, the neighbours, the sources."""
    frame: dict[str, Any] = {"newest": newest, "strip": [], "before": None, "after": None, "sources": []}
    if newest is None or span is None:
        return {**frame, "listed_by": []}
    if span.name in {"day", "week"}:
        rows = reports.days(session, until=min(newest, span.until + timedelta(days=9)), limit=STRIP_DAYS)
        most = max((count for _, count in rows), default=0)
        frame["strip"] = [(on, count, charts.bar(count, most)) for on, count in rows]
    if span.name == "day":
        around = [reports.day_beside(session, span.since, before=before) for before in (True, False)]
        frame["before"], frame["after"] = (span_of("day", on) if on else None for on in around)
    else:
        first = reports.first_day(session) or newest
        frame["before"], frame["after"] = beside(span, first=first, last=newest)
    today = span.name == "day" and span.since == newest
    if today and plain:
        frame["sources"] = views.source_statuses(session, [], since=web.rt.now() - timedelta(days=1), now=web.rt.now())
    return {**frame, "listed_by": reports.listed_by(session, span.since, span.until) if span.name == "day" else []}


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
        happened = events.of_paper(session, paper.id)[-MOST_EVENTS:]
        alike = archive.load(session, search.more_like(session, paper.id, limit=SIMILAR), now=rt.now())
    sparks = {f"https://{r.host}/{r.slug}": charts.sparkline(stars.get(r.id or 0, [])) for r in repo_rows}
    return web.page(
        request, "paper.html", paper=paper, card=card(paper, number=1, now=rt.now(), wide=True),
        byline=byline(paper), organizations=organizations_of(paper), sightings=sightings, sparks=sparks,
        happened=[(event.at, _of_this(describe(event.kind, event.detail, THIS))) for event in happened],
        alike=[(one, byline(one)) for one in alike],
        links=_links(paper), citation=bibtex(paper), cited=citation_tags(paper),
        own_page=safe_url(paper_url(paper.key) or ""), pdf=safe_url(pdf_url(paper.key) or ""),
    )  # fmt: skip


def _of_this(words: str) -> str:
    """What happened, on the page of the paper it happened to."""
    said = words.replace(f"“{THIS}”", THIS)
    return said[:1].upper() + said[1:]


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


@router.get("/edition/{token}")
def shared_edition(request: Request, web: WebKit, token: str) -> Response:
    """An edition for whoever has the link that its message carries."""
    number, version, _ = signed(web.rt, "edition", token)
    return _edition_page(request, web, number, version)


@router.get("/editions/{edition_id}")
def edition_page(request: Request, web: WebKit, edition_id: str) -> Response:
    """An edition by its number, for operators."""
    return _edition_page(request, web, int(edition_id) if edition_id.isdecimal() and len(edition_id) < 16 else 0)


def _edition_page(request: Request, web: Web, number: int, version: int | None = None) -> Response:
    """A sent edition, made anew from its rows, without anybody's own links; `version` is its link's."""
    rt = web.rt
    with rt.reading() as session:
        try:
            edition = editions.get(session, number)
            subscription, subscriber = subscribers.get_subscription(session, edition.subscription_id)
            if not subscriber.address:
                raise NotFound("its reader's data was wiped")
        except NotFound as error:
            if version is not None:
                raise BadLink(GONE) from error
            return web.problem(
                request, 404, "No such edition",
                "It may have been composed by another installation. Start from the days.",
            )  # fmt: skip
        if version is not None:
            check_version(subscriber, version)
        items = editions.items(session, edition.id or 0)
        papers = {p.id: p for p in archive.load(session, [item.paper_id for item in items], now=rt.now())}
    cards = [
        card(papers[item.paper_id], number=n, now=rt.now(), why=item.why, late=item.late)
        for n, item in enumerate((i for i in items if i.paper_id in papers), 1)
    ]
    wanted = partial(views.archive_path, subscription, edition.composed_at, edition.since_at)
    return web.page(
        request, "edition.html", private=True, edition=edition, name=subscription.name, query=subscription.query,
        day=views.local_day(subscription.timezone, edition.composed_at), cards=cards,
        sources=[status_from_json(status) for status in edition.sources],
        all_path=wanted(query=""), matched_path=wanted(query=subscription.query),
    )  # fmt: skip
