"""Records: JSON Lines (or one JSON array) of papers, one object each.

Read are the shape of `papers list --json`, which makes an archive's own export importable, and the shape
that tools built on the arXiv API write (`id`, `title`, `authors`, `categories`, `comment`, `summary`, `abs`,
`pdf`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.identifiers import Identifier, parse_arxiv, parse_doi, parse_key
from services.domain.links import EVIDENCE, LINK_KINDS, LinkData, link_from_url
from services.domain.papers import AuthorData, PaperData, ParsedFeed, Rejected
from services.domain.text import clean, safe_url
from services.upstreams.documents import describe, json_type, load_json
from services.upstreams.fields import (
    arxiv_categories,
    author_from,
    name_entry,
    parse_day,
    parse_utc,
    says_withdrawn,
)

EXPECTED = "records (JSON Lines, or a JSON array of objects)"

_NOT_JSON = "is not JSON"


class _Unusable(Exception):
    """Why one record cannot be used; becomes a `Rejected`."""


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """The file at the feed's `url`. Raises `InvalidInput` without a usable one."""
    del urls, batch, cursor
    url = safe_url(feed.url)
    if url is None:
        raise InvalidInput(f"feed {feed.name!r}: {feed.url[:200]!r} is not an http or https address")
    return FeedRequest(url=url, gate=url.split("/")[2])


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """All records. A line that is no usable record is rejected with its line number.

    Raises `MalformedDocument` when not a single line is JSON.
    """
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    for position, (where, value) in enumerate(_values(body), 1):
        if isinstance(value, _Broken):
            rejected.append(
                Rejected(reason=f"{where} {_NOT_JSON}: {value.reason}", entry=value.text, position=position)
            )
            continue
        try:
            papers.append(_paper(value, about, rank=position))
        except _Unusable as reason:
            rejected.append(Rejected(reason=f"{where}: {reason}", entry=_name(value), position=position))
    if not papers and rejected and all(_NOT_JSON in one.reason for one in rejected):
        raise MalformedDocument(f"expected {EXPECTED}, found {describe(body)}; {rejected[0].reason}")
    return ParsedFeed(papers=tuple(papers), rejected=tuple(rejected), quiet=not papers and not rejected)


class _Broken:
    """A line that is no JSON."""

    def __init__(self, line: str, reason: str) -> None:
        self.text = name_entry(line[:2_000])
        self.reason = reason


def _values(body: bytes) -> Iterator[tuple[str, Any]]:
    """Each record with the words that say where it is."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        body = body.decode("utf-16", "replace").encode("utf-8", "replace")
    if body.lstrip()[:1] == b"[":
        data = load_json(body, expected=EXPECTED)
        yield from ((f"record {number}", value) for number, value in enumerate(data, 1))
        return
    # Cut at line feeds only: U+2028 inside a text is no end of line.
    for number, raw in enumerate(body.split(b"\n"), 1):
        if raw.strip():
            yield f"line {number}", _load_line(raw)


def _load_line(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except RecursionError:
        return _Broken(raw[:2_000].decode("utf-8", "replace"), "nested too deeply")
    except ValueError as error:
        return _Broken(raw[:2_000].decode("utf-8", "replace"), clean(str(error), limit=150))


def _name(value: object) -> str:
    if not isinstance(value, dict):
        return name_entry(value)
    return name_entry(value.get("key"), value.get("id"), value.get("title"), value)


# --- one record --------------------------------------------------------------------------------------------


def _paper(record: object, about: DocumentInfo, *, rank: int) -> PaperData:
    if not isinstance(record, dict):
        raise _Unusable(f"the record is {json_type(record)}, not an object")
    title = _text(record, "title")
    if not title:
        raise _Unusable("no title")
    identifiers, version = _identifiers(record)
    comment, abstract = _text(record, "comment"), _text(record, "abstract", "summary")
    of_arxiv = any(one.scheme == "arxiv" for one in identifiers)
    return PaperData(
        identifiers=identifiers,
        title=title,
        abstract=abstract,
        authors=_authors(record),
        authors_count=_count(record, "authors_count"),
        organization=_text(record, "organization"),
        published_at=parse_utc(_text(record, "published_at", "published")),
        updated_at=parse_utc(_text(record, "updated_at", "updated")),
        announced_on=_day(record) or about.as_of,
        version=_count(record, "version") or version,
        categories=_categories(record),
        comment=comment,
        journal_ref=_text(record, "journal_ref"),
        license=safe_url(_text(record, "license") or ""),
        comments_count=_count(record, "comments_count"),
        upvotes=_count(record, "upvotes"),
        links=_links(record),
        ai_summary=_text(record, "ai_summary"),
        ai_keywords=tuple(dict.fromkeys(_texts(record, "ai_keywords"))),
        thumbnail_url=safe_url(_text(record, "thumbnail_url") or ""),
        withdrawn=_withdrawn(record, comment if of_arxiv else None, abstract if of_arxiv else None),
        rank=rank,
    )


def _text(record: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that holds text, cleaned."""
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise _Unusable(f"'{name}' is {json_type(value)}, not text")
        if cleaned := clean(value):
            return cleaned
    return None


def _items(record: Mapping[str, Any], name: str) -> list[Any]:
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Unusable(f"'{name}' is {json_type(value)}, not an array")
    return value


def _texts(record: Mapping[str, Any], name: str) -> list[str]:
    return [text for one in _items(record, name) if isinstance(one, str) and (text := clean(one, limit=300))]


def _count(record: Mapping[str, Any], name: str) -> int | None:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise _Unusable(f"'{name}' is not a count")
    return value


def _day(record: Mapping[str, Any]) -> date | None:
    return parse_day(_text(record, "announced_on"))


def _identifiers(record: Mapping[str, Any]) -> tuple[tuple[Identifier, ...], int | None]:
    """Every identifier the record states, strongest kinds as they come, and the version of an arXiv id."""
    found: list[Identifier] = []
    version: int | None = None
    stated = [
        *_texts(record, "identifiers"),
        _text(record, "key"),
        _text(record, "id"),
        _text(record, "arxiv_id"),
    ]
    for value in stated:
        if not value:
            continue
        arxiv = parse_arxiv(value)
        if arxiv:
            version = version or arxiv.version
        try:
            found.append(parse_key(value))
        except InvalidInput:
            continue  # another tool's own number; what identifies the paper may stand elsewhere
    doi = _text(record, "doi")
    if doi and (parsed := parse_doi(doi)):
        found.append(Identifier("doi", parsed))
    if not any(one.scheme not in ("url", "title") for one in found):
        for value in (_text(record, "abs"), _text(record, "url"), _text(record, "pdf")):
            try:
                found.extend([parse_key(value)] if value else [])
            except InvalidInput:
                continue
    # A fingerprint is worked out anew from the title; it is only worth keeping where there is nothing else.
    strong = [one for one in found if one.scheme != "title"]
    if not strong and not found and record.get("id") is None and record.get("key") is None:
        return (), None
    if not found:
        raise _Unusable("no identifier that names a paper")
    return tuple(dict.fromkeys(strong or found)), version


def _authors(record: Mapping[str, Any]) -> tuple[AuthorData, ...]:
    authors = record.get("authors")
    if isinstance(authors, str):
        authors = [authors]
    elif authors is not None and not isinstance(authors, list):
        raise _Unusable(f"'authors' is {json_type(authors)}, not an array")
    return tuple(filter(None, map(_author, authors or [])))


def _author(value: object) -> AuthorData | None:
    if isinstance(value, str):
        return author_from(value)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    author = author_from(value["name"], value["affiliation"] if isinstance(value.get("affiliation"), str) else None)
    if author is None:
        return None
    return AuthorData(
        name=author.name,
        affiliation=author.affiliation,
        orcid=_plain(value.get("orcid")),
        hf_user=_plain(value.get("hf_user")),
    )


def _plain(value: object) -> str | None:
    return clean(value, limit=100) or None if isinstance(value, str) else None


def _categories(record: Mapping[str, Any]) -> tuple[str, ...]:
    """arXiv's categories; MSC and ACM classes, which the API lists among them, are left out."""
    terms = _texts(record, "categories")
    of_arxiv = arxiv_categories(terms)
    own_shape = "key" in record or "identifiers" in record
    return of_arxiv if of_arxiv or not own_shape else tuple(dict.fromkeys(terms))


def _links(record: Mapping[str, Any]) -> tuple[LinkData, ...]:
    found: dict[str, LinkData] = {}
    for entry in _items(record, "links"):
        if isinstance(entry, str):
            entry = {"url": entry}
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            continue
        kind, evidence = entry.get("kind"), entry.get("evidence")
        link = link_from_url(
            entry["url"],
            evidence=evidence if evidence in EVIDENCE else "feed",
            default_kind=kind if kind in LINK_KINDS else "other",
        )
        if link:
            found.setdefault(link.url, link)
    return tuple(found.values())


def _withdrawn(record: Mapping[str, Any], comment: str | None, abstract: str | None) -> bool | None:
    stated = record.get("withdrawn")
    if isinstance(stated, bool):
        return stated
    return True if says_withdrawn(comment, abstract) else None
