"""The kinds of feed there are, each with how to ask and how to read: the registry of upstream modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Protocol

from services.domain.errors import InvalidInput
from services.domain.feeds import DocumentInfo, FeedInfo, FeedRequest, UpstreamUrls
from services.domain.papers import ParsedFeed
from services.upstreams import arxiv_api, arxiv_oai, arxiv_rss, biorxiv, feeds, hf_papers, json_feed, listing, records
from services.upstreams.detect import detect_kind
from services.upstreams.documents import decode

__all__ = ["KINDS", "Upstream", "detect_kind", "for_kind"]


class Request(Protocol):
    """How to ask for one page: see `services.domain.feeds.FeedRequest`."""

    def __call__(
        self, feed: FeedInfo, urls: UpstreamUrls, *, batch: str = "", cursor: str | None = None
    ) -> FeedRequest: ...


class Parse(Protocol):
    """How to read one document; raises `MalformedDocument` when it is not what the kind promises."""

    def __call__(self, body: bytes, about: DocumentInfo) -> ParsedFeed: ...


class Elsewhere(Protocol):
    """The same list of a past day as another kind can give it."""

    def __call__(self, feed: FeedInfo, day: date) -> FeedInfo: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One kind of feed.

    `by_day`: it can be asked for any single day and keeps its past, so missed days can be made up.
    `settles_days`: for how many days after a day entries may still be added to it. `elsewhere`: how a day that it
    no longer shows can be asked of another kind.
    """

    kind: str
    title: str
    request: Request
    parse: Parse
    by_day: bool = False
    settles_days: int = 0
    elsewhere: Elsewhere | None = None


def _parse_feed(body: bytes, about: DocumentInfo) -> ParsedFeed:
    """A general feed in XML or JSON, whatever its address or type says."""
    if decode(body, limit=400).lstrip("\ufeff \t\r\n")[:1] == "{":
        return json_feed.parse(body, about)
    return feeds.parse(body, about)


KINDS: Mapping[str, Upstream] = MappingProxyType(
    {
        one.kind: one
        for one in (
            Upstream(
                kind="hf_papers",
                title="Hugging Face Daily Papers",
                request=hf_papers.request,
                parse=hf_papers.parse,
                by_day=True,
            ),
            Upstream(
                kind="arxiv_api",
                title="arXiv query",
                request=arxiv_api.request,
                parse=arxiv_api.parse,
                by_day=True,
                settles_days=5,  # days are of submission; what was sent in on a Friday is announced on Monday
            ),
            Upstream(
                kind="arxiv_rss",
                title="arXiv announcements",
                request=arxiv_rss.request,
                parse=arxiv_rss.parse,
                elsewhere=arxiv_rss.elsewhere,
            ),
            Upstream(
                kind="arxiv_oai",
                title="arXiv harvest",
                request=arxiv_oai.request,
                parse=arxiv_oai.parse,
                by_day=True,
            ),
            Upstream(
                kind="biorxiv",
                title="bioRxiv and medRxiv",
                request=biorxiv.request,
                parse=biorxiv.parse,
                by_day=True,
                settles_days=2,  # rows carry the day they were sent to the server, and appear after a look at them
            ),
            Upstream(kind="rss", title="RSS, Atom or JSON feed", request=feeds.request, parse=_parse_feed),
            Upstream(kind="records", title="Records as JSON", request=records.request, parse=records.parse),
            Upstream(kind="listing", title="Saved Daily Papers page", request=listing.request, parse=listing.parse),
        )
    }
)
"""Every kind, by name."""


def for_kind(kind: str) -> Upstream:
    """The kind of this name. Raises `InvalidInput` that lists the known ones."""
    try:
        return KINDS[kind]
    except KeyError:
        raise InvalidInput(f"there is no kind {kind!r}; known are {', '.join(KINDS)}") from None
