"""Feeds out: the archive, or one feed of it, as Atom (RFC 4287), narrowed by a query where one is given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from services.domain.errors import InvalidInput
from services.domain.identifiers import paper_url, pdf_url
from services.domain.papers import PaperFacts
from services.domain.queries import parse_query
from services.domain.text import clean, safe_url
from services.runtime import Runtime
from services.storage import feeds, search
from workers.web.kit import WebKit, legible, paper_path
from workers.web.security import client_of

router = APIRouter(include_in_schema=False)

ENTRIES = 100
ATOM = "http://www.w3.org/2005/Atom"
TYPE = "application/atom+xml; charset=utf-8"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@router.get("/feeds/{name}.atom")
def atom(request: Request, web: WebKit, name: str, q: str = "") -> Response:
    """The newest papers of one feed, or of `all`."""
    rt = web.rt
    q = q.strip()
    if q:
        wait = web.searches.take(client_of(request))
        if wait:
            return PlainTextResponse("Too many searches.\n", 429, {"Retry-After": str(int(wait) + 1)})
    try:
        query = parse_query(q)
    except InvalidInput as error:
        return PlainTextResponse(f"{error}\n", 400)
    with rt.reading() as session:
        feed = None if name == "all" else feeds.find(session, name)
        if feed is None and name != "all":
            return PlainTextResponse(f"There is no feed {clean(name, limit=80)!r}; try /feeds/all.atom\n", 404)
        names = [feed.name] if feed else []
        papers = list(islice(search.find_papers(session, query, now=rt.now(), feeds=names), ENTRIES))
        empty_at = feed.last_success_at or feed.created_at if feed else None
    title = "Broadsheet" if feed is None else f"Broadsheet · {feed.title}"
    own = rt.url(f"/feeds/{quote(name, safe='')}.atom") + (f"?{urlencode({'q': q})}" if q else "")
    body = render(rt, papers, title=f"{title} · {q}" if q else title, own=own, empty_at=empty_at)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin"}
    if tag in [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=TYPE)


def render(rt: Runtime, papers: Sequence[PaperFacts], *, title: str, own: str, empty_at: datetime | None) -> bytes:
    """The feed's bytes. The same papers give the same bytes."""
    ET.register_namespace("", ATOM)
    root = ET.Element(_a("feed"), {"xml:lang": "en"})
    newest = max((updated_at(paper) for paper in papers), default=empty_at or datetime(2026, 1, 1, tzinfo=UTC))
    _add(root, "id", own)
    _add(root, "title", title)
    _add(root, "updated", _time(newest))
    ET.SubElement(root, _a("link"), {"rel": "self", "type": "application/atom+xml", "href": _xml(own)})
    ET.SubElement(root, _a("link"), {"rel": "alternate", "type": "text/html", "href": rt.url("/")})
    _add(root, "generator", "Broadsheet")
    for paper in papers:
        _entry(root, rt, paper)
    ET.indent(root, " ")
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _entry(root: ET.Element, rt: Runtime, paper: PaperFacts) -> None:
    entry = ET.SubElement(root, _a("entry"))
    _add(entry, "id", entry_id(rt, paper.key))
    _add(entry, "title", ("[withdrawn] " if paper.withdrawn else "") + (legible(paper.title, 400) or "Untitled"))
    _add(entry, "updated", _time(updated_at(paper)))
    _add(entry, "published", _time(paper.published_at or paper.first_seen_at))
    for author in paper.authors[:30]:
        name = legible(author.name, 120)
        if name:
            _add(ET.SubElement(entry, _a("author")), "name", name)
    if entry.find(_a("author")) is None:
        _add(ET.SubElement(entry, _a("author")), "name", clean(paper.organization or "", limit=120) or "unknown")
    ET.SubElement(
        entry, _a("link"), {"rel": "alternate", "type": "text/html", "href": _xml(rt.url(paper_path(paper.key)))}
    )
    for url, kind in ((paper_url(paper.key), "text/html"), (pdf_url(paper.key), "application/pdf")):
        safe = safe_url(url or "")
        if safe:
            ET.SubElement(entry, _a("link"), {"rel": "related", "type": kind, "href": _xml(safe)})
    for category in paper.categories:
        ET.SubElement(entry, _a("category"), {"term": _xml(category)})
    text = legible(paper.abstract, 6000) if paper.abstract else ""
    for repo in paper.repos:
        if repo.state in {"found", "new"}:
            stars = f" (★ {repo.stars:,})" if repo.stars is not None else ""
            text += f"{' ' if text else ''}Code: {repo.url}{stars}"
    if text:
        _add(entry, "summary", text)


def entry_id(rt: Runtime, key: str) -> str:
    """A tag URI (RFC 4151): stays when a paper's facts change."""
    host = urlsplit(rt.settings.public_url).hostname or "localhost"
    return f"tag:{host},2026:papers/{quote(key, safe=':/')}"


def updated_at(paper: PaperFacts) -> datetime:
    """When the entry last changed in a way a reader should notice: first seen, or a new version since."""
    return max(paper.first_seen_at, paper.updated_at or paper.first_seen_at)


def _a(name: str) -> str:
    return f"{{{ATOM}}}{name}"


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, _a(name)).text = _xml(text)


def _xml(text: str) -> str:
    return _NOT_XML.sub("", text)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
