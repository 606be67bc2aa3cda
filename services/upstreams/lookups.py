"""The scholarly services there are, each with how to ask and how to read: the registry of lookups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from services.domain.lookups import Access, AskedPaper, LookupRequest
from services.domain.papers import PaperData
from services.upstreams import crossref, datacite, openalex, openreview, semantic_scholar


class Request(Protocol):
    """How to ask about many papers at once."""

    def __call__(self, asked: Sequence[AskedPaper], access: Access) -> LookupRequest: ...


class Parse(Protocol):
    """How to read the answer: one for each paper asked, `None` for those not known; `MalformedDocument` for bytes
    that are none."""

    def __call__(self, body: bytes, asked: Sequence[AskedPaper]) -> list[PaperData | None]: ...


class Login(Protocol):
    """The request that brings a token, where a service wants one."""

    def __call__(self, access: Access) -> LookupRequest: ...


class ReadToken(Protocol):
    """The token in the answer."""

    def __call__(self, body: bytes) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. `name` is the source of its statements and of its gate; `schemes` are the identifiers it knows
    papers by; `batch` papers go into a request; calls are `interval_s` apart."""

    name: str
    title: str
    schemes: tuple[str, ...]
    batch: int
    interval_s: float
    request: Request
    parse: Parse
    login: tuple[Login, ReadToken] | None = None


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        one.name: one
        for one in (
            Service(
                name=semantic_scholar.NAME, title="Semantic Scholar", schemes=semantic_scholar.SCHEMES,
                batch=semantic_scholar.BATCH, interval_s=1.1,
                request=semantic_scholar.request, parse=semantic_scholar.parse,
            ),
            Service(
                name=openalex.NAME, title="OpenAlex", schemes=openalex.SCHEMES, batch=openalex.BATCH, interval_s=0.5,
                request=openalex.request, parse=openalex.parse,
            ),
            Service(
                name=crossref.NAME, title="Crossref", schemes=crossref.SCHEMES, batch=crossref.BATCH, interval_s=1.0,
                request=crossref.request, parse=crossref.parse,
            ),
            Service(
                name=datacite.NAME, title="DataCite", schemes=datacite.SCHEMES, batch=datacite.BATCH, interval_s=1.0,
                request=datacite.request, parse=datacite.parse,
            ),
            Service(
                name=openreview.NAME, title="OpenReview", schemes=openreview.SCHEMES, batch=openreview.BATCH,
                interval_s=5.0, request=openreview.request, parse=openreview.parse,
                login=(openreview.login, openreview.read_token),
            ),
        )
    }
)  # fmt: skip
"""Every service, by name."""
