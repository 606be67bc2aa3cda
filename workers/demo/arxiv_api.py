"""arXiv's Atom API, replayed in the shape it has had since 2026: `/api/query`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from html import escape
from urllib.parse import parse_qs, urlencode

from workers.demo.arxiv_query import QueryError, parse_query
from workers.demo.content import Content, DemoPaper
from workers.demo.exchange import Answer, Ask, digest, iso, text_answer

MAX_PAGE = 2000
MAX_WINDOW = 30_000
_ID = re.compile(r"(?P<base>\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v(?P<version>[1-9]\d*))?")
_ATOM = "application/atom+xml; charset=utf-8"
_OPEN = (
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
    'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">\n'
)
SortKey = Callable[[DemoPaper], tuple[datetime, str]]
_SORT_KEYS: dict[str, SortKey] = {
    "relevance": lambda paper: (paper.published_at, paper.arxiv_id),
    "submittedDate": lambda paper: (paper.published_at, paper.arxiv_id),
    "lastUpdatedDate": lambda paper: (paper.updated_at, paper.arxiv_id),
}


class _BadRequest(Exception):
    """`name` is the fragment of the error's address, `message` its text."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def answer(ask: Ask, content: Content) -> Answer:
    """The answer to a request under `/arxiv/api`; the path is relative to it."""
    if ask.path != "/query":
        return text_answer("<html><body><h1>Not Found</h1></body></html>", 404, "text/html")
    if ask.method == "POST":
        ask = replace(ask, query={**ask.query, **parse_qs(ask.body.decode("utf-8", "replace"))})
    try:
        return _answer_query(ask, content)
    except _BadRequest as error:
        return text_answer(_error_feed(ask, error), 400, _ATOM)


def _answer_query(ask: Ask, content: Content) -> Answer:
    start = _whole_number(ask, "start", 0)
    size = _whole_number(ask, "max_results", 10)
    if size > MAX_PAGE or start + size > MAX_WINDOW:
        raise _BadRequest("max_results_too_large", f"max_results must be at most {MAX_PAGE} a page")
    found = _find(ask, content)
    found.sort(key=_sort_key(ask), reverse=_descending(ask))
    query = {name: ask.param(name) for name in ("search_query", "id_list")}
    query |= {"start": str(start), "max_results": str(size)}
    title = "&".join(f"{name}={value}" for name, value in query.items())
    link = f"https://arxiv.org/api/query?{urlencode(query)}"
    head = (
        f"  <id>https://arxiv.org/api/{digest(title.encode())[:27]}</id>\n"
        f"  <title>arXiv Query: {escape(title)}</title>\n"
        f"  <updated>{iso(ask.now)}</updated>\n"
        f'  <link href="{escape(link)}" type="application/atom+xml"/>\n'
        f"{_totals(size, len(found), start)}"
    )
    entries = "".join(_entry(paper) for paper in found[start : start + size])
    return text_answer(f"{_OPEN}{head}{entries}</feed>\n", 200, _ATOM)


def _find(ask: Ask, content: Content) -> list[DemoPaper]:
    query, ids = ask.param("search_query").strip(), ask.param("id_list").strip()
    papers = list(content.arxiv)
    if ids:
        papers = _named(ids, content)
    elif not query:
        return []
    if query:
        try:
            matches = parse_query(query)
        except QueryError as error:
            raise _BadRequest("malformed_query", f"malformed query: {error}") from error
        papers = [paper for paper in papers if matches(paper)]
    return papers


def _named(ids: str, content: Content) -> list[DemoPaper]:
    held = {paper.arxiv_id: paper for paper in content.arxiv}
    named: dict[str, DemoPaper] = {}
    for text in ids.split(","):
        name = text.strip()
        match = _ID.fullmatch(name)
        if match is None:
            raise _BadRequest(f"incorrect_id_format_for_{name}", f"incorrect id format for {name}")
        paper = held.get(match["base"])
        version = int(match["version"] or 0)
        if paper is None or version > paper.version:
            continue
        named[name] = _at_version(paper, version) if version else paper
    return list(named.values())


def _at_version(paper: DemoPaper, version: int) -> DemoPaper:
    if version == paper.version:
        return paper
    return replace(paper, version=version, updated_at=paper.published_at, comment=None)


def _sort_key(ask: Ask) -> SortKey:
    name = ask.param("sortBy", "relevance")
    if name not in _SORT_KEYS:
        raise _BadRequest("sortBy_must_be_in", f"sortBy must be in: {', '.join(_SORT_KEYS)}")
    return _SORT_KEYS[name]


def _descending(ask: Ask) -> bool:
    order = ask.param("sortOrder", "descending")
    if order not in ("ascending", "descending"):
        raise _BadRequest("sortOrder_must_be_in", "sortOrder must be in: ascending, descending")
    return order == "descending"


def _whole_number(ask: Ask, name: str, default: int) -> int:
    text = ask.param(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise _BadRequest(f"{name}_must_be_an_integer", f"{name} must be an integer")
    return int(text)


def _totals(size: int, total: int, start: int) -> str:
    return (
        f"  <opensearch:itemsPerPage>{size}</opensearch:itemsPerPage>\n"
        f"  <opensearch:totalResults>{total}</opensearch:totalResults>\n"
        f"  <opensearch:startIndex>{start}</opensearch:startIndex>\n"
    )


def _entry(paper: DemoPaper) -> str:
    name = f"{paper.arxiv_id}v{paper.version}"
    lines = [
        f"<id>http://arxiv.org/abs/{name}</id>",
        f"<title>{escape(paper.title)}</title>",
        f"<updated>{iso(paper.updated_at)}</updated>",
        f'<link href="https://arxiv.org/abs/{name}" rel="alternate" type="text/html"/>',
        f'<link href="https://arxiv.org/pdf/{name}" rel="related" type="application/pdf" title="pdf"/>',
        f"<summary>{escape(paper.abstract)}</summary>",
        *(f'<category term="{category}" scheme="http://arxiv.org/schemas/atom"/>' for category in paper.categories),
        f"<published>{iso(paper.published_at)}</published>",
    ]
    if paper.comment:
        lines.append(f"<arxiv:comment>{escape(paper.comment)}</arxiv:comment>")
    lines.append(f'<arxiv:primary_category term="{paper.categories[0]}"/>')
    if paper.journal_ref:
        lines.append(f"<arxiv:journal_ref>{escape(paper.journal_ref)}</arxiv:journal_ref>")
    lines += [_author(paper, author) for author in paper.authors]
    if paper.doi:
        lines.append(f"<arxiv:doi>{escape(paper.doi)}</arxiv:doi>")
        lines.append(f'<link rel="related" href="https://doi.org/{escape(paper.doi)}" title="doi"/>')
    return "  <entry>\n" + "".join(f"    {line}\n" for line in lines) + "  </entry>\n"


def _author(paper: DemoPaper, name: str) -> str:
    affiliation = ""
    if paper.organization and name == paper.authors[0]:
        affiliation = f"<arxiv:affiliation>{escape(paper.organization)}</arxiv:affiliation>"
    return f"<author><name>{escape(name)}</name>{affiliation}</author>"


def _error_feed(ask: Ask, error: _BadRequest) -> str:
    address = f"https://arxiv.org/api/errors#{escape(error.name.replace(' ', '_'))}"
    return (
        f"{_OPEN}  <id>https://arxiv.org/</id>\n  <title>arXiv Search Results</title>\n"
        f"  <updated>{iso(ask.now)}</updated>\n{_totals(1, 1, 0)}"
        f"  <entry>\n    <id>{address}</id>\n    <title>Error</title>\n"
        f"    <updated>{iso(ask.now)}</updated>\n"
        f'    <link href="{address}" rel="alternate" type="text/html"/>\n'
        f"    <summary>{escape(str(error))}</summary>\n"
        "    <author>\n      <name>arXiv api core</name>\n    </author>\n  </entry>\n</feed>\n"
    )
