"""Exports: papers as files for reference managers, and the way Zotero takes them from a page by itself (unAPI)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from services.digests.export import FORMATS, Format, format_named
from services.domain.errors import InvalidInput, NotFound
from services.domain.papers import PaperFacts
from services.storage import archive
from workers.web.auth import guarded
from workers.web.kit import WebKit, parse_day
from workers.web.listing import find
from workers.web.security import client_of
from workers.web.spans import span_of

router = guarded(include_in_schema=False)

CITED = ("bibtex", "ris", "csl")
"""Formats of reference managers, as unAPI offers them."""


def as_file(papers: Iterable[PaperFacts], form: Format, name: str) -> Response:
    """Papers as a file to keep."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{form.suffix}"',
        "Content-Type": f"{form.media_type}; charset=utf-8",
    }
    return Response("".join(form.write(papers)).encode("utf-8", "replace"), headers=headers)


@router.get("/export/{form}")
def export(request: Request, web: WebKit, form: str, q: str = "", day: str = "", key: str = "") -> Response:
    """One paper by its key, the papers of a day, or what a query finds, as the page of them lists it."""
    try:
        wanted = format_named(form)
    except InvalidInput as error:
        return PlainTextResponse(f"{error}\n", 404)
    on = parse_day(day)
    if day and on is None:
        return PlainTextResponse("Write a day as 2026-11-24.\n", 400)
    wait = web.searches.take(client_of(request))
    if wait:
        return PlainTextResponse("Too many files at once.\n", 429, {"Retry-After": str(int(wait) + 1)})
    with web.rt.reading() as session:
        try:
            if key:
                papers: Iterable[PaperFacts] = [archive.get(session, key[:2000], now=web.rt.now())]
            else:
                papers = find(web.rt, session, span=span_of("day", on) if on else None, q=q.strip()).papers
        except NotFound as error:
            return PlainTextResponse(f"{error}\n", 404)
        except InvalidInput as error:
            return PlainTextResponse(f"{error}\n", 400)
    return as_file(papers, wanted, "paper" if key else "papers")


@router.get("/unapi")
def unapi(web: WebKit, id: str = "", format: str = "") -> Response:
    """unAPI (revision 1): the formats there are, those of one paper, or the paper in one of them."""
    if format and format not in CITED:
        return PlainTextResponse(f"There is no format {format[:40]!r}; use one of {', '.join(CITED)}\n", 406)
    if not id:
        if format:
            return PlainTextResponse("Say of which paper: id=arxiv:2601.01234\n", 400)
        return _formats("")
    with web.rt.reading() as session:
        try:
            paper = archive.get(session, id[:2000], now=web.rt.now())
        except NotFound as error:
            return PlainTextResponse(f"{error}\n", 404)
    return as_file([paper], FORMATS[format], "paper") if format else _formats(paper.key, 300)


def _formats(of: str, status: int = 200) -> Response:
    root = ET.Element("formats", {"id": of} if of else {})
    for name in CITED:
        ET.SubElement(root, "format", {"name": name, "type": FORMATS[name].media_type})
    return Response(ET.tostring(root, encoding="utf-8", xml_declaration=True), status, media_type="application/xml")
