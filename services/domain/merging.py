"""Merging: from what the sources say to what we hold to be true.

Each source's latest words about a paper are kept as one *statement*. A paper's facts are a pure function of
its statements (`compose`), so the order in which documents arrive does not matter, and no source can undo
what a better one knows.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from services.domain.authors import parse_name
from services.domain.papers import PaperData

SOURCES = (
    "arxiv_api", "arxiv_oai", "arxiv_rss", "biorxiv", "hf_papers", "records",
    "crossref", "openreview", "datacite", "openalex", "semantic_scholar", "listing", "rss",
)  # fmt: skip
"""Whom to believe, best first, where two sources state the same field. arXiv keeps the authors' own record;
its API and OAI-PMH carry more fields than its RSS; Hugging Face copies arXiv's metadata. Of the catalogues Crossref
has what the publisher registered, OpenReview what the venue decided, DataCite what arXiv registered, while OpenAlex
and Semantic Scholar gather by machine. A saved listing shows an extract; a feed of the wild may say anything."""

PREFERRED: Mapping[str, tuple[str, ...]] = {
    # Counts and machine summaries are Hugging Face's own, whoever else repeats them.
    "upvotes": ("hf_papers", "records", "listing"),
    "comments_count": ("hf_papers", "records", "listing"),
    "organization": ("hf_papers", "records", "listing"),
    "ai_summary": ("hf_papers",),
    "ai_keywords": ("hf_papers",),
    "thumbnail_url": ("hf_papers",),
    # Semantic Scholar counts a preprint and its article as one; OpenAlex often, Crossref always as two.
    "citations": ("semantic_scholar", "openalex", "crossref"),
}

FIELDS = (
    "title", "abstract", "authors", "authors_count", "organization", "published_at", "updated_at", "version",
    "categories", "comment", "journal_ref", "license", "comments_count", "upvotes", "citations", "ai_summary",
    "ai_keywords", "thumbnail_url", "withdrawn",
)  # fmt: skip
"""What a paper's row takes from its statements."""

_UNKNOWN: Mapping[str, Any] = dict.fromkeys(FIELDS)

_MEANINGFUL = (
    "abstract", "authors", "categories", "comment", "journal_ref", "organization", "published_at", "title", "version",
    "withdrawn",
)  # fmt: skip
"""What makes a paper CHANGED. Counts move all day and are no news; of the authors, their names are."""

AUTHOR_FIELDS = ("affiliation", "orcid", "hf_user", "ror")
"""What may be known of an author beyond the name."""

_TIMES = ("published_at", "updated_at")
_LISTS = ("categories", "ai_keywords")
_KEPT_ELSEWHERE = tuple(name for name in PaperData.__struct_fields__ if name not in FIELDS)
_MEANINGFUL_OF = itemgetter(*_MEANINGFUL)


class StatementData(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says of one paper, ready to be stored."""

    source: str
    as_of: str
    content_hash: str
    data: Mapping[str, Any]
    first_on: date
    """The first day on which the source listed the paper; where it names none, its publication, else when it came."""


def state(paper: PaperData, *, source: str, fallback_day: date, read_on: date | None = None) -> StatementData:
    """The statement `paper` makes; unset fields are left out, since a source's silence says nothing.

    `read_on` is the day the source itself was asked, where it was: of two answers about one day the later counts.
    Links are kept elsewhere, but count as content: a source that only adds one has said something new.
    """
    data = msgspec.to_builtins(paper, builtin_types=(datetime, date))
    for name in _KEPT_ELSEWHERE:
        data.pop(name, None)
    if paper.authors:
        data["authors"] = [
            author if len(author) == 1 else {name: said for name, said in author.items() if said}
            for author in data["authors"]
        ]
    for name in _LISTS:
        if name in data:
            data[name] = list(data[name])
    for name in _TIMES:
        if name in data:
            data[name] = data[name].isoformat()
    day = (paper.announced_on or (paper.updated_at.date() if paper.updated_at else None) or fallback_day).isoformat()
    read = f" {read_on.isoformat()}" if read_on else ""
    links = sorted(f"{link.kind} {link.url}" for link in paper.links)
    return StatementData(
        source=source, as_of=f"{paper.version or 0:04d} {day}{read}", data=data,
        content_hash=fingerprint({**data, "links": links} if links else data),
        first_on=paper.announced_on or (paper.published_at.date() if paper.published_at else fallback_day),
    )  # fmt: skip


BY_TITLE = ":title"
"""Ends the name of a source where it speaks of a paper known to it by the title alone: such words are held apart from
those of entries that carry an identifier, so that they can go to another paper when the title turns out to be its."""


def together(new: StatementData, old: StatementData | None) -> StatementData:
    """What a source says, of two things it said: the words that count, since the first day of both."""
    if old is None:
        return new
    first_on = min(new.first_on, old.first_on)
    if new.content_hash == old.content_hash:  # the same words once more
        as_of = max(new.as_of, old.as_of)
        return old if (as_of, first_on) == (old.as_of, old.first_on) else replace(new, as_of=as_of, first_on=first_on)
    kept = new if supersedes(new, old) else old
    return kept if kept.first_on == first_on else replace(kept, first_on=first_on)


def supersedes(new: StatementData, old: StatementData) -> bool:
    """Whether `new` replaces what the same source said before.

    What is of a later day does, even when it says the same: what was said in between and is read last is then out
    of date. Of one day, the statement with the higher counts does (they grow), then the one that says more, then
    one chosen by its hash: a total order, so that it does not matter which is read first.
    """
    return _order(new) > _order(old)


def _order(words: StatementData) -> tuple[str, int, int, int, int, str]:
    data = words.data
    upvotes, comments, citations = (data.get(name) or 0 for name in ("upvotes", "comments_count", "citations"))
    return (words.as_of, upvotes, comments, citations, len(data), words.content_hash)


def compose(statements: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The facts that follow from `statements` (source → data), every name of `FIELDS` present.

    Field by field the best source that says anything wins (`PREFERRED`, else `SOURCES`). Exceptions with a
    reason: the number of authors follows the names where there are any; what is known of an author beyond the name
    is taken from whoever knows it (`with_details`); a paper is withdrawn as soon as any source says so; the first
    publication is the earliest day stated by a source of the best rank.
    """
    ranked = sorted(statements, key=_rank) if len(statements) > 1 else list(statements)
    facts: dict[str, Any] = dict(_UNKNOWN)
    for source in reversed(ranked):
        facts |= statements[source]
    if len(ranked) > 1:
        for name, order in PREFERRED.items():
            sources = sorted(ranked, key=lambda s: order.index(_family(s)) if _family(s) in order else len(order))
            facts[name] = next((statements[s][name] for s in sources if name in statements[s]), None)
    facts["withdrawn"] = any(statements[s].get("withdrawn") for s in ranked)
    if facts["authors"]:
        facts["authors_count"] = len(facts["authors"])
        others = [statements[s]["authors"] for s in ranked if "authors" in statements[s]]
        if len(others) > 1:
            facts["authors"] = with_details(facts["authors"], [said for said in others if said is not facts["authors"]])
    for name in ("authors", "categories", "ai_keywords"):
        facts[name] = facts[name] or []
    for name in _TIMES:
        facts[name] = datetime.fromisoformat(facts[name]) if facts[name] else None
    return facts


def with_details(
    authors: Sequence[Mapping[str, str]], others: Iterable[Sequence[Mapping[str, str]]]
) -> list[Mapping[str, str]]:
    """Authors with what the lists of `others` (best source first) say of them beyond the name.

    It is the same author where the names agree at the same place of lists of one length, or where the name is one
    of a kind in both lists: of two people of one name nothing is guessed.
    """
    found: list[dict[str, str]] = [dict(author) for author in authors]
    keys: list[str] | None = None
    for other in others:
        told = [n for n, author in enumerate(other) if len(author) > 1]
        if not told:
            continue
        keys = keys if keys is not None else [parse_name(author["name"]).key for author in authors]
        theirs = [parse_name(author["name"]).key for author in other]
        once, once_there, place = Counter(keys), Counter(theirs), {key: n for n, key in enumerate(keys)}
        for n in told:
            key = theirs[n]
            same_place = len(other) == len(keys) and keys[n] == key
            if not key or not (same_place or (once[key] == 1 and once_there[key] == 1)):
                continue
            mine = found[n if same_place else place[key]]
            for name in AUTHOR_FIELDS:
                # An organisation's id goes with the name of the same source.
                if name in other[n] and name not in mine and (name != "ror" or _goes_with(mine, other[n])):
                    mine[name] = other[n][name]
    return list(found)


def _goes_with(mine: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    return mine.get("affiliation") == theirs.get("affiliation")


def meaning(facts: Mapping[str, Any]) -> str:
    """Content hash of the fields whose change is news."""
    said = dict(zip(_MEANINGFUL, _MEANINGFUL_OF(facts), strict=True))
    said["authors"] = [author["name"] for author in said["authors"]]
    if said["published_at"]:
        said["published_at"] = said["published_at"].isoformat()
    return fingerprint(said)


def fingerprint(data: Mapping[str, Any]) -> str:
    """A short stable hash of JSON-able data."""
    try:
        written = _ENCODER.encode(data)
    except UnicodeEncodeError:  # half a surrogate pair is no UTF-8, but text that can be told apart
        written = json.dumps(data, sort_keys=True, default=str).encode()
    return hashlib.blake2b(written, digest_size=16).hexdigest()


_ENCODER = msgspec.json.Encoder(order="sorted")


def _family(source: str) -> str:
    return source.partition(":")[0]


def _rank(source: str) -> tuple[int, str]:
    family = _family(source)
    return (SOURCES.index(family) if family in SOURCES else len(SOURCES), source)
