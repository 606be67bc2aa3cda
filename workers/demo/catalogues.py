"""The scholarly catalogues of the replay: Semantic Scholar, OpenAlex, Crossref, DataCite, OpenReview.

What they say follows from the papers of the content, as late as in life: papers of the newest day are known to none.
Each wants what its original wants (a key, a login), and answers 403 without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from workers.demo.content import Content, DemoPaper
from workers.demo.exchange import Answer, Ask, json_answer

ROR = "https://ror.org/0demo0023"
_TOKEN = "token-of-the-replay"  # noqa: S105 - lets nobody in anywhere


def citations_of(paper: DemoPaper) -> int:
    """How often a paper is cited, as Semantic Scholar counts; OpenAlex finds one less, Crossref half."""
    return paper.upvotes // 3 + paper.version


def orcid_of(name: str) -> str:
    """An ORCID iD with a right check digit, made from a name."""
    digits = f"0009{sum(ord(c) * (n + 7) for n, c in enumerate(name)) % 10**11:011d}"
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    whole = digits + ("X" if check == 10 else str(check))
    return "-".join(whole[n : n + 4] for n in range(0, 16, 4))


def forum_of(paper: DemoPaper) -> str:
    """The paper's forum at OpenReview."""
    return f"Fo{paper.arxiv_id.replace('.', '')}"


def answer(ask: Ask, content: Content) -> Answer:
    """The answer of the catalogue that the path begins with."""
    known = {paper.arxiv_id: paper for paper in content.papers if paper.announced_on < content.today}
    match ask.path.split("/", 2)[1:]:
        case ["s2", "graph/v1/paper/batch"]:
            return _semantic_scholar(ask, known)
        case ["openalex", "works"]:
            return _openalex(ask, known)
        case ["crossref", "works"]:
            return _crossref(ask, known)
        case ["datacite", "dois"]:
            return _datacite(ask, known)
        case ["openreview", "login"]:
            return json_answer({"token": _TOKEN, "user": {"id": "~Reader1"}})
        case ["openreview", "notes/search"]:
            return _openreview(ask, known)
    return json_answer({"error": "not found"}, 404)


def _asked(ask: Ask) -> list[str]:
    try:
        ids = json.loads(ask.body)["ids"]
    except (ValueError, KeyError, TypeError):
        return []
    return [one for one in ids if isinstance(one, str)]


def _semantic_scholar(ask: Ask, known: Mapping[str, DemoPaper]) -> Answer:
    if not ask.headers.get("x-api-key"):
        return json_answer({"message": "Forbidden"}, 403)
    ids = _asked(ask)
    if not 0 < len(ids) <= 500:
        return json_answer({"error": "No valid paper ids given"}, 400)
    return json_answer([_s2_paper(known.get(one.removeprefix("ARXIV:"))) for one in ids])


def _s2_paper(paper: DemoPaper | None) -> dict[str, Any] | None:
    if paper is None:
        return None
    names: dict[str, Any] = {"ArXiv": paper.arxiv_id, "CorpusId": int(paper.arxiv_id.replace(".", ""))}
    return {
        "paperId": f"{names['CorpusId']:040x}", "externalIds": names | ({"DOI": paper.doi} if paper.doi else {}),
        "title": paper.title, "abstract": paper.abstract, "venue": "arXiv.org", "year": paper.published_at.year,
        "journal": {"name": "ArXiv", "volume": f"abs/{paper.arxiv_id}"}, "publicationVenue": None,
        "citationCount": citations_of(paper),
        "authors": [{"authorId": None, "name": name} for name in paper.authors],
    }  # fmt: skip


def _openalex(ask: Ask, known: Mapping[str, DemoPaper]) -> Answer:
    if not ask.param("api_key"):
        return json_answer({"error": "Forbidden", "message": "API key required"}, 403)
    dois = ask.param("filter").removeprefix("doi:").split("|")
    found = [paper for paper in known.values() if f"10.48550/arxiv.{paper.arxiv_id}" in dois or paper.doi in dois]
    return json_answer({"meta": {"count": len(found)}, "results": [_work(paper) for paper in reversed(found)]})


def _work(paper: DemoPaper) -> dict[str, Any]:
    doi = paper.doi or f"10.48550/arxiv.{paper.arxiv_id}"
    place = [{"display_name": paper.organization, "ror": ROR}] if paper.organization else []
    source = (
        {"display_name": paper.journal_ref.partition(",")[0], "type": "journal"}
        if paper.journal_ref
        else {"display_name": "arXiv (Cornell University)", "type": "repository"}
    )
    number = paper.arxiv_id.replace(".", "")
    return {
        "id": f"https://openalex.org/W{number}", "doi": f"https://doi.org/{doi}", "title": paper.title,
        "ids": {"openalex": f"https://openalex.org/W{number}", "doi": f"https://doi.org/{doi}"},
        "publication_year": paper.published_at.year, "primary_location": {"source": source},
        "locations": [{"landing_page_url": f"http://arxiv.org/abs/{paper.arxiv_id}"}],
        "authorships": [
            {"author": {"display_name": name, "orcid": f"https://orcid.org/{orcid_of(name)}"}, "institutions": place}
            for name in paper.authors
        ],
        "cited_by_count": max(citations_of(paper) - 1, 0), "is_retracted": False, "biblio": {"volume": None},
    }  # fmt: skip


def _crossref(ask: Ask, known: Mapping[str, DemoPaper]) -> Answer:
    dois = re.findall(r"doi:([^,]+)", ask.param("filter"))
    found = [paper for paper in known.values() if paper.doi in dois]
    items = [
        {
            "DOI": paper.doi, "title": [paper.title], "type": "journal-article",
            "container-title": [paper.journal_ref.partition(",")[0]] if paper.journal_ref else [],
            "author": [{"given": n.rpartition(" ")[0], "family": n.rpartition(" ")[2]} for n in paper.authors],
            "published": {"date-parts": [[paper.published_at.year, 1]]},
            "is-referenced-by-count": citations_of(paper) // 2,
        }
        for paper in found
    ]  # fmt: skip
    body = {"status": "ok", "message-type": "work-list", "message": {"total-results": len(items), "items": items}}
    return json_answer(body).with_headers(x_api_pool="polite" if ask.param("mailto") else "public")


def _datacite(ask: Ask, known: Mapping[str, DemoPaper]) -> Answer:
    ids = re.findall(r'"10\.48550/arxiv\.([^"]+)"', ask.param("query"))
    data = [
        {
            "id": f"10.48550/arxiv.{paper.arxiv_id}", "type": "dois",
            "attributes": {
                "doi": f"10.48550/arxiv.{paper.arxiv_id}", "titles": [{"title": paper.title}],
                "creators": [{"name": name, "nameIdentifiers": [], "affiliation": []} for name in paper.authors],
                "relatedIdentifiers": [
                    {"relationType": "IsVersionOf", "relatedIdentifier": paper.doi, "relatedIdentifierType": "DOI"}
                ] if paper.doi else [],
            },
        }
        for one in ids
        if (paper := known.get(one)) is not None
    ]  # fmt: skip
    return json_answer({"data": data, "meta": {"total": len(data)}})


def _openreview(ask: Ask, known: Mapping[str, DemoPaper]) -> Answer:
    if ask.headers.get("authorization") != f"Bearer {_TOKEN}":
        return json_answer({"name": "ChallengeRequiredError", "message": "Challenge required"}, 403)
    asked = set(_asked(ask))
    notes = [
        {
            "id": forum_of(paper), "forum": forum_of(paper),
            "content": {
                "title": {"value": paper.title}, "authors": {"value": list(paper.authors)},
                "venue": {"value": f"ICLR {content_year(paper)} Poster"},
                "venueid": {"value": f"ICLR.cc/{content_year(paper)}/Conference"},
            },
        }
        for paper in known.values()
        if forum_of(paper) in asked
    ]  # fmt: skip
    return json_answer({"notes": notes, "count": len(notes)})


def content_year(paper: DemoPaper) -> int:
    """The year of the conference that took a paper."""
    return paper.published_at.year + 1
