"""What a saved file is: the kind whose parser should read it, decided by its content."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from services.domain.errors import InvalidInput
from services.upstreams import json_feed
from services.upstreams.documents import decode, describe, json_type, local_name, prolog, root_tag
from services.upstreams.listing import looks_like_listing

ACCEPTED = (
    "accepted are copied text or HTML of the Daily Papers page, JSON of its API, Atom, RSS, RDF, CDF, "
    "JSON Feed, OAI-PMH XML, and JSON Lines of records"
)

_HEAD = 40_000
"""Bytes looked at for XML and text; JSON is read whole."""

_LOOSE_ROOT = re.compile(r"<(?:\w+:)?(rss|rdf|feed|channel)[\s>]", re.I)
_RECORD_FIELDS = frozenset({"abs", "pdf", "key", "identifiers", "abstract", "authors_count", "doi", "arxiv_id"})
_HF_FIELDS = frozenset({"upvotes", "publishedAt", "submittedOnDailyAt", "discussionId", "submittedBy", "thumbnailUrl"})
_RECORDER = frozenset({"status_code", "body"})
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f]")


def detect_kind(body: bytes, name: str = "") -> str:
    """The kind of a saved document.

    One of `hf_papers`, `arxiv_api`, `arxiv_rss`, `arxiv_oai`, `rss` (any general feed, JSON Feed included),
    `records` or `listing`.

    `name`, the file's, is used where the content allows two readings (`.jsonl`). Raises `InvalidInput` with
    what was found for anything else.
    """
    text = decode(body, limit=_HEAD).lstrip("\ufeff \t\r\n\x00")
    if not text:
        raise _refusal("an empty document")
    if body.startswith(
        (b"%PDF", b"\x1f\x8b", b"\xfd7zXZ", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"\x89PNG", b"\xff\xd8\xff")
    ):
        raise _refusal(describe(body))
    if name.lower().endswith((".jsonl", ".ndjson")) or text[0] in "[{":
        return _json_kind(body, text)
    if _LOOSE_ROOT.search(text[:4_000]) or text[0] == "<":
        return _xml_kind(body, text)
    if len(_CONTROL.findall(text)) > len(text) // 100:
        raise _refusal("binary data")
    return _listing_kind(body)


def _listing_kind(body: bytes) -> str:
    if looks_like_listing(body):
        return "listing"
    raise _refusal(f"{describe(body)} without Daily Papers on it")


def _refusal(found: str) -> InvalidInput:
    return InvalidInput(f"found {found}; {ACCEPTED}")


# --- XML ---------------------------------------------------------------------------------------------------


def _xml_kind(body: bytes, text: str) -> str:
    tag = root_tag(text)
    root = local_name(tag).lower()
    if root == "oai-pmh":
        return "arxiv_oai"
    if root == "feed":
        return _atom_kind(text)
    if root in ("rss", "rdf", "channel"):
        return "arxiv_rss" if root == "rss" and _is_announcement(text) else "rss"
    if root == "opml":
        raise InvalidInput("found an OPML list of feeds, not papers; add its feeds with `broadsheet feeds import-opml`")
    if root == "html" or re.search(r"<!DOCTYPE\s+html", prolog(text), re.I):
        return _listing_kind(body)
    loose = _LOOSE_ROOT.search(text[:4_000])
    if loose:  # leading junk, or markup too broken to have a root: feedparser may still make sense of it
        return "rss"
    if re.search(r"</?(?:body|head|div|main|article|section|p|a)\b", text[:4_000], re.I) and not text.startswith(
        "<?xml"
    ):
        return _listing_kind(body)
    raise _refusal(describe(body))


def _atom_kind(text: str) -> str:
    head = text[:4_000]
    entry = head.find("<entry")
    about_feed = head if entry < 0 else head[:entry]
    if _is_announcement(about_feed):
        return "arxiv_rss"
    of_arxiv = re.search(r"arxiv\.org/api/|<title[^>]*>\s*ar?xiv (?:query|search results)", about_feed, re.I)
    searched = "a9.com/-/spec/opensearch" in about_feed
    if of_arxiv and searched:
        return "arxiv_api"
    return "rss"


def _is_announcement(text: str) -> bool:
    """arXiv's own daily feeds, by the address they give as theirs."""
    return bool(re.search(r"https?://rss\.arxiv\.org/(?:rss|atom)/", text[:4_000]))


# --- JSON --------------------------------------------------------------------------------------------------


def _json_kind(body: bytes, text: str) -> str:
    first, _, rest = text.partition("\n")
    if text[0] == "{" and rest.strip()[:1] == "{":
        line = _load(first.encode("utf-8", "replace"))
        if isinstance(line, dict) and not json_feed.is_json_feed(line):
            return "records"
    data = _load(body)
    if data is _NOTHING:
        # Lines of which the first is broken, or longer than the head: the parser says which are.
        if any(_starts_record(line) for line in text.split("\n", 20)[:20]):
            return "records"
        raise _refusal(f"{describe(body)} that cannot be read")
    return _shape(data)


_NOTHING = object()


def _load(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return _NOTHING


def _starts_record(line: str) -> bool:
    if not line.startswith("{"):
        return False
    return isinstance(_load(line.encode("utf-8", "replace")), dict) or (
        len(line) > 2_000 and re.match(r"\{\s*\"[\w-]+\"\s*:", line) is not None
    )


def _shape(data: Any) -> str:
    if isinstance(data, list):
        sample = next((item for item in data if isinstance(item, dict)), None)
        if sample is None and data and isinstance(data[0], str) and data[0].lstrip().startswith("{'"):
            raise _refusal("a JSON array of dictionaries as Python prints them, not of objects")
        if sample is None and data:
            raise _refusal(f"a JSON array whose entries are {json_type(data[0])}")
        # An empty array is what the Daily Papers API answers on a day without papers.
        return "hf_papers" if sample is None else _object_kind(sample)
    if not isinstance(data, dict):
        raise _refusal(f"JSON that is {json_type(data)}")
    if json_feed.is_json_feed(data):
        return "rss"
    if data.keys() >= _RECORDER:
        raise _refusal("a recording of an HTTP exchange (status_code, body): save its body as a file of its own")
    if "error" in data and "id" not in data:
        raise _refusal(f"an error answer: {str(data['error'])[:200]!r}")
    if isinstance(data.get("data"), list):
        raise _refusal("a JSON object that wraps its entries in 'data': save the array inside")
    return _object_kind(data)


def _object_kind(item: Mapping[str, Any]) -> str:
    if isinstance(item.get("paper"), dict):
        return "hf_papers"
    if item.keys() & _HF_FIELDS and "id" in item and not item.keys() & (_RECORD_FIELDS - {"abstract"}):
        return "hf_papers"
    if "title" in item and item.keys() & (_RECORD_FIELDS | {"id", "authors"}):
        return "records"
    keys = ", ".join(str(key)[:30] for key in list(item)[:6])
    raise _refusal(f"JSON objects with {keys or 'no fields'}")
