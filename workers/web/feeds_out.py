"""Feeds out: the archive, or one feed of it, narrowed by a query where one is given, as Atom, RSS and JSON Feed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from services.digests.feed import FORMS, Channel, Item
from services.domain.errors import InvalidInput
from services.domain.identifiers import paper_url, pdf_url
from services.domain.papers import PaperFacts
from services.domain.queries import parse_query
from services.domain.text import clean, safe_url
from services.runtime import Runtime
from services.storage import feeds, search
from workers.web.auth import guarded
from workers.web.kit import WebKit, legible, paper_path
from workers.web.security import client_of

router = guarded(include_in_schema=False)

ENTRIES, MOST = 100, 1000


@router.get("/feeds/{name}.{form}")
def feed_out(request: Request, web: WebKit, name: str, form: str, q: str = "", limit: str = "") -> Response:
    """The latest papers of one feed, or of `all`: `limit` of them, 100 if it is not said."""
    rt = web.rt
    q = q.strip()
    wanted = FORMS.get(form)
    if wanted is None:
        return PlainTextResponse(f"There is no such form of a feed; use one of {', '.join(FORMS)}\n", 404)
    number = int(limit) if limit.isdecimal() and len(limit) < 5 else 0 if limit else ENTRIES
    if not 1 <= number <= MOST:
        return PlainTextResponse(f"limit is a number from 1 to {MOST}\n", 400)
    if q:
        wait = web.searches.take(client_of(request))
        if wait:
            return PlainTextResponse("Too many searches.\n", 429, {"Retry-After": str(int(wait) + 1)})
    try:
        query = parse_query(q, rt.now().date())
    except InvalidInput as error:
        return PlainTextResponse(f"{error}\n", 400)
    with rt.reading() as session:
        feed = None if name == "all" else feeds.find(session, name)
        if feed is None and name != "all":
            return PlainTextResponse(f"There is no feed {clean(name, limit=80)!r}; try /feeds/all.{form}\n", 404)
        papers = search.latest(session, query, now=rt.now(), limit=number, feed_id=feed.id if feed else None)
        empty_at = (feed.last_success_at or feed.created_at) if feed else datetime(2026, 1, 1, tzinfo=UTC)
    title = "Broadsheet" if feed is None else f"Broadsheet · {feed.title}"
    asked = {"q": q} if q else {}
    named = {**asked, "limit": str(number)} if limit else asked
    here = rt.url(f"/feeds/{quote(name, safe='')}.{form}") + (f"?{urlencode(named)}" if named else "")
    home = " ".join(part for part in (f"({q})" if q and feed else q, f"feed:{feed.name}" if feed else "") if part)
    channel = Channel(
        title=f"{title} · {q}" if q else title, own_url=here,
        home_url=rt.url("/") + (f"?{urlencode({'q': home})}" if home else ""),
        updated_at=max((updated_at(paper) for paper in papers), default=empty_at),
        items=[item_of(rt, paper) for paper in papers],
    )  # fmt: skip
    return _answer(request, wanted.render(channel), channel.updated_at, wanted.media_type)


def _answer(request: Request, body: bytes, modified_at: datetime, media_type: str) -> Response:
    """The body, or 304 to who has it (RFC 9110: the entity tag decides where one is given, else the date)."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    modified_at = modified_at.astimezone(UTC).replace(microsecond=0)
    headers = {
        "ETag": tag, "Last-Modified": format_datetime(modified_at, usegmt=True),
        "Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin",
    }  # fmt: skip
    held, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since", "")
    if held is not None:
        fresh = tag in [part.strip().removeprefix("W/") for part in held.split(",")] or held.strip() == "*"
    else:
        fresh = _has_since(since, modified_at)
    if fresh:
        return Response(status_code=304, headers=headers)
    return Response(body, headers={**headers, "Content-Type": f"{media_type}; charset=utf-8"})


def _has_since(said: str, modified_at: datetime) -> bool:
    try:
        since = parsedate_to_datetime(said)
    except ValueError:
        return False
    return since.tzinfo is not None and since >= modified_at


def item_of(rt: Runtime, paper: PaperFacts) -> Item:
    """One paper as feeds show it; of its addresses those that are safe to follow."""
    authors = [name for author in paper.authors[:30] if (name := legible(author.name, 120))]
    related = [
        (safe, kind)
        for url, kind in ((paper_url(paper.key), "text/html"), (pdf_url(paper.key), "application/pdf"))
        if (safe := safe_url(url or ""))
    ]
    return Item(
        id=entry_id(rt, paper.key), url=rt.url(paper_path(paper.key)),
        title=("[withdrawn] " if paper.withdrawn else "") + (legible(paper.title, 400) or "Untitled"),
        text=" ".join(_told(paper)), published_at=paper.published_at or paper.first_seen_at,
        updated_at=updated_at(paper), categories=paper.categories, related=related,
        authors=authors or [clean(paper.organization or "", limit=120) or "unknown"],
    )  # fmt: skip


def _told(paper: PaperFacts) -> Sequence[str]:
    text = [legible(paper.abstract, 6000)] if paper.abstract else []
    return text + [
        f"Code: {repo.url}" + (f" (★ {repo.stars:,})" if repo.stars is not None else "")
        for repo in paper.repos
        if repo.state in {"found", "new"}
    ]


def entry_id(rt: Runtime, key: str) -> str:
    """A tag URI (RFC 4151): stays when a paper's facts change."""
    host = urlsplit(rt.settings.public_url).hostname or "localhost"
    return f"tag:{host},2026:papers/{quote(key, safe=':/')}"


def updated_at(paper: PaperFacts) -> datetime:
    """When the entry last changed in a way a reader should notice: first seen, or a new version since."""
    return max(paper.first_seen_at, paper.updated_at or paper.first_seen_at)
