"""The metadata formats of OAI-PMH records: arXiv's own three and Dublin Core."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from services.domain.identifiers import Identifier, identifiers_from_url, parse_arxiv, parse_doi
from services.domain.papers import AuthorData, PaperData
from services.domain.text import clean, safe_url
from services.upstreams.documents import LOCAL_NAME, tag_of, text_of
from services.upstreams.fields import (
    arxiv_categories,
    author_from,
    authors_from,
    name_entry,
    parse_utc,
    says_withdrawn,
    split_byline,
    with_identifier,
)


def first_text(element: Any, name: str) -> str:
    """The text of the first child of this local name; empty when there is none."""
    for child in element:
        if LOCAL_NAME[child.tag] == name:
            return text_of(child)
    return ""


def identifier_of(header: Any) -> str:
    """The OAI identifier in a record's header; empty when there is none."""
    return first_text(header, "identifier") if header is not None else ""


def _arxiv_record(content: Any, header: Any, rank: int) -> PaperData | tuple[str, str]:
    """`arXiv`, `arXivRaw` and `arXivOld`: the same names, but for authors and dates."""
    texts: dict[str, str] = {}
    authors: tuple[AuthorData, ...] = ()
    versions: list[tuple[int, str, str]] = []
    for child in content:
        name = LOCAL_NAME[child.tag]
        if name == "authors":
            authors = _authors(child)
        elif name == "version":
            number = (child.get("version") or "").removeprefix("v")
            if number.isdecimal() and len(number) < 6:
                versions.append((int(number), first_text(child, "date"), first_text(child, "source_type")))
        elif name not in texts:
            texts[name] = text_of(child) if len(child) else child.text or ""
    arxiv = parse_arxiv(texts.get("id", "")) or parse_arxiv(identifier_of(header))
    title = clean(texts.get("title", ""))
    if arxiv is None:
        return "no arXiv identifier", name_entry(identifier_of(header), title)
    if not title:
        return "no title", name_entry(identifier_of(header), arxiv.base)
    versions.sort()
    comment, abstract = clean(texts.get("comments", "")) or None, clean(texts.get("abstract", "")) or None
    identifiers: tuple[Identifier, ...] = (Identifier("arxiv", arxiv.base),)
    for doi in texts.get("doi", "").split():
        identifiers = with_identifier(identifiers, "doi", parse_doi(doi))
    return PaperData(
        identifiers=identifiers,
        title=title,
        abstract=abstract,
        authors=authors,
        published_at=parse_utc(versions[0][1]) if versions else parse_utc(texts.get("created")),
        updated_at=parse_utc(versions[-1][1]) if versions else parse_utc(texts.get("updated")),
        version=versions[-1][0] if versions else arxiv.version,
        categories=arxiv_categories(texts.get("categories", "").split()),
        comment=comment,
        journal_ref=clean(texts.get("journal-ref", ""), limit=1_000) or None,
        license=safe_url(texts.get("license", "")),
        # Source type I: the newest version is a notice that ignores its sources.
        withdrawn=bool(versions and "I" in versions[-1][2]) or says_withdrawn(comment, abstract),
        rank=rank,
    )


def _authors(element: Any) -> tuple[AuthorData, ...]:
    usual = _usual_names(element)
    if usual is not None:
        return authors_from(usual)
    people = [child for child in element if LOCAL_NAME[child.tag] == "author"]
    if not people:
        return split_byline(text_of(element))
    return tuple([author for author in map(_person, people) if author])


def _usual_names(element: Any) -> list[str] | None:
    """The names where each author is a family name and given names and nothing else; `None` for any other list.

    All is read in one walk: elements are dear, and this is three of them for every author.
    """
    names: list[str] = []
    people = 0
    family = None
    for one in element.iterdescendants():
        tag = LOCAL_NAME[one.tag]
        if tag == "keyname":
            family = one.text
        elif tag == "forenames":
            given = one.text
            if not given or not family:
                return None
            names.append(f"{given} {family}")
            family = None
        elif tag == "author":
            people += 1
        else:
            return None
    return names if names and len(names) == people else None


def _person(element: Any) -> AuthorData | None:
    texts: dict[str, str] = {}
    places: list[str] = []
    for child in element:
        name = LOCAL_NAME[child.tag]
        if name == "affiliation":
            places.append(text_of(child).strip())
        elif name not in texts:
            texts[name] = text_of(child).strip()
    names = [texts[part] for part in ("forenames", "keyname", "suffix") if texts.get(part)]
    return author_from(" ".join(names), "; ".join(places) if places else None)


def _dublin_core(content: Any, header: Any, rank: int) -> PaperData | tuple[str, str]:
    """`oai_dc`, from arXiv or elsewhere. First comes the abstract, in arXiv's case then the comment."""
    identifier = identifier_of(header)
    sets = [text_of(one) for one in header if LOCAL_NAME[one.tag] == "setSpec"] if header is not None else []
    texts: dict[str, list[str]] = {}
    for child in content:
        texts.setdefault(tag_of(child), []).append(clean(text_of(child)))
    title = next((text for text in texts.get("title", []) if text), "")
    if not title:
        return "no title", name_entry(identifier)
    identifiers, journal = _dublin_identifiers([*texts.get("identifier", []), identifier])
    if not identifiers:
        return "no identifier one could find the paper by", name_entry(identifier, title)
    from_arxiv = identifiers[0].scheme == "arxiv"
    descriptions = texts.get("description", [])
    abstract = descriptions[0] if descriptions else None
    comment = descriptions[1] if from_arxiv and len(descriptions) > 1 else None
    dates = sorted(filter(None, map(parse_utc, texts.get("date", []))))
    people = (author_from(_givenfirst_text(name)) for name in texts.get("creator", []))
    return PaperData(
        identifiers=identifiers,
        title=title,
        abstract=abstract or None,
        authors=tuple(author for author in people if author),
        published_at=dates[0] if dates else None,
        updated_at=dates[-1] if len(dates) > 1 else None,
        categories=arxiv_categories(map(_category_of_set, sets)),
        comment=comment or None,
        journal_ref=journal if from_arxiv else None,
        license=next(filter(None, map(safe_url, texts.get("rights", []))), None),
        withdrawn=says_withdrawn(comment, abstract) if from_arxiv else None,
        rank=rank,
    )


def _dublin_identifiers(values: list[str]) -> tuple[tuple[Identifier, ...], str | None]:
    """Every name among `dc:identifier` values, arXiv's first, and the journal reference arXiv puts there."""
    found: tuple[Identifier, ...] = ()
    journal: str | None = None
    pages: tuple[Identifier, ...] = ()
    for value in values:
        arxiv, doi = parse_arxiv(value), parse_doi(value)
        if arxiv:
            found = (Identifier("arxiv", arxiv.base), *(one for one in found if one.scheme != "arxiv"))
        elif doi:
            found = with_identifier(found, "doi", doi)
        elif re.match(r"https?://", value, re.I):
            pages = pages or identifiers_from_url(value)
        elif " " in value:
            journal = journal or value[:1_000]
    return found or pages, journal


def _givenfirst_text(name: str) -> str:
    """`Schlei, B. R.` as `B. R. Schlei`."""
    family, comma, given = name.partition(",")
    return f"{given.strip()} {family.strip()}" if comma and given.strip() else name


def _category_of_set(spec: str) -> str:
    """`cs:cs:CV` is `cs.CV`, `physics:math-ph` is `math-ph`."""
    parts = spec.strip().split(":")
    return ".".join(parts[1:3]) if len(parts) >= 3 else parts[-1]


FORMATS: dict[str, Callable[[Any, Any, int], PaperData | tuple[str, str]]] = {
    "arXiv": _arxiv_record,
    "arXivRaw": _arxiv_record,
    "arXivOld": _arxiv_record,
    "dc": _dublin_core,
}
"""Readers by the local name of the metadata element: element, header and rank in; a paper out, or why there is none and
what names the record."""
