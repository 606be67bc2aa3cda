"""OAI-PMH 2.0, as arXiv speaks it: harvesting by day of change, in any of its four metadata formats.

Protocol errors come with HTTP 200. The datestamp of a record is the day its metadata last changed, not that
of its submission or announcement. Records are never marked deleted; withdrawals are new versions.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from services.domain.errors import InvalidInput, MalformedDocument
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.papers import PaperData, ParsedFeed, Rejected
from services.domain.text import clean
from services.upstreams.documents import LOCAL_NAME, load_xml, tag_of, text_of
from services.upstreams.fields import name_entry, parse_day
from services.upstreams.oai_formats import FORMATS, identifier_of

GATE = "arxiv.org"
INTERVAL_S = 3.0
PREFIXES = ("arXiv", "arXivRaw", "oai_dc", "arXivOld")

EXPECTED = "an OAI-PMH answer with records"

_WITHOUT_RECORDS = ("Identify", "ListSets", "ListMetadataFormats", "ListIdentifiers")
_PHYSICS = frozenset(
    {
        "astro-ph",
        "cond-mat",
        "gr-qc",
        "hep-ex",
        "hep-lat",
        "hep-ph",
        "hep-th",
        "math-ph",
        "nlin",
        "nucl-ex",
        "nucl-th",
        "physics",
        "quant-ph",
    }
)


# --- asking ------------------------------------------------------------------------------------------------


def request(feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None) -> FeedRequest:
    """A page of ListRecords; `cursor` is a resumption token as it was received.

    `params`: `set` (`cs:cs:LG`, or the category `cs.LG`, which is translated), `prefix` (one of `PREFIXES`).
    A `batch` day asks for what changed on that day and the next, since a day is usually harvested before it
    is over; `2026-11-20/2026-11-24` asks for just these days, both included. Raises `InvalidInput` for
    anything else.
    """
    prefix = feed.params.get("prefix", "arXiv")
    if prefix not in PREFIXES:
        raise InvalidInput(f"feed {feed.name!r}: prefix {prefix!r} is none of {', '.join(PREFIXES)}")
    if cursor:
        # Nothing may stand beside the token. It is already URL-encoded, and is encoded once more as a value.
        query = {"verb": "ListRecords", "resumptionToken": cursor}
    else:
        query = {"verb": "ListRecords", "metadataPrefix": prefix}
        if feed.params.get("set"):
            query["set"] = _set_spec(feed)
        if batch:
            query["from"], query["until"] = _days(feed, batch)
    return FeedRequest(
        url=f"{urls.arxiv_oai}?{urlencode(query, safe=':')}", gate=GATE, interval_s=INTERVAL_S, alone=True
    )


def _set_spec(feed: FeedInfo) -> str:
    given = feed.params["set"].strip()
    if not re.fullmatch(r"[A-Za-z-]+(?:[:.][A-Za-z-]+){0,2}", given):
        raise InvalidInput(f"feed {feed.name!r}: set {given!r} is not an OAI set (cs:cs:LG)")
    archive, dot, part = given.partition(".")
    if ":" in given or not (dot or archive in _PHYSICS):
        return given
    group = "physics" if archive in _PHYSICS else archive
    # An archive without subdivisions (hep-th) stands under its group alone; a category under its archive.
    return f"{group}:{archive}:{part}" if dot else f"{group}:{archive}" if archive != group else group


def _days(feed: FeedInfo, batch: str) -> tuple[str, str]:
    first, slash, last = batch.partition("/")
    start, end = parse_day(first), parse_day(last if slash else first)
    if start is None or end is None or end < start:
        raise InvalidInput(f"feed {feed.name!r}: {batch!r} is not a day (2026-11-24) or two joined by a slash")
    return start.isoformat(), (end if slash else end + timedelta(days=1)).isoformat()


# --- reading -----------------------------------------------------------------------------------------------


def parse(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """A ListRecords page or a GetRecord answer. `noRecordsMatch` is a quiet day.

    Raises `MalformedDocument` for other protocol errors (with code and words), for answers of verbs that hold
    no records, and for what is no OAI-PMH.
    """
    del about
    root = load_xml(body, expected=EXPECTED)
    if tag_of(root) != "OAI-PMH":
        raise MalformedDocument(f"expected {EXPECTED}, found the root element <{clean(tag_of(root), limit=60)}>")
    parts = {tag_of(child): child for child in root}
    if "error" in parts:
        return _error(parts["error"])
    listing = parts.get("ListRecords", parts.get("GetRecord"))
    if listing is None:
        verb = next((name for name in _WITHOUT_RECORDS if name in parts), None)
        raise MalformedDocument(
            f"the answer holds no records ({verb})" if verb else f"expected {EXPECTED}, found no verb"
        )
    papers: list[PaperData] = []
    rejected: list[Rejected] = []
    token: str | None = None
    position = 0
    for child in listing:
        match tag_of(child):
            case "record":
                position += 1
                found = _record(child, rank=position)
                if isinstance(found, PaperData):
                    papers.append(found)
                else:
                    rejected.append(Rejected(reason=found[0], entry=found[1], position=position))
            case "resumptionToken":
                token = text_of(child).strip() or None
            case _:
                continue
    return ParsedFeed(papers=tuple(papers), rejected=tuple(rejected), next_cursor=token, quiet=position == 0)


def _error(element: Any) -> ParsedFeed:
    code, words = clean(element.get("code") or "", limit=60), clean(text_of(element), limit=400)
    if code == "noRecordsMatch":
        return ParsedFeed(quiet=True)
    raise MalformedDocument(f"the server answered with {code or 'an error without a code'}: {words}")


def _record(record: Any, *, rank: int) -> PaperData | tuple[str, str]:
    """A paper, or why there is none and what names the record."""
    header: Any = None
    content: Any = None
    for child in record:
        name = LOCAL_NAME[child.tag]
        if name == "header":
            header = child
            if child.get("status") == "deleted":
                return "deleted by the source", name_entry(identifier_of(child))
        elif name == "metadata":
            content = next((one for one in child if tag_of(one)), None)
    if content is None:
        return "no metadata", name_entry(identifier_of(header))
    reader = FORMATS.get(tag_of(content))
    if reader is None:
        return f"metadata in the unknown format <{clean(tag_of(content), limit=60)}>", name_entry(identifier_of(header))
    return reader(content, header, rank)
