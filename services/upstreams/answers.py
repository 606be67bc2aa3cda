"""Answers of upstreams: what came back, and which error a status stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from services.domain.errors import RateLimited, UpstreamRejected, UpstreamUnavailable
from services.domain.text import clean
from services.upstreams.headers import parse_links, parse_max_age, parse_wait

MAX_VALIDATOR = 1_024
"""Longer validators are not kept: sent back, they would only make our own requests fail."""

_PASSING = frozenset({408, 425})
NOT_A_DOCUMENT = frozenset({202, 206})
"""Successful, but not what was asked for: 202 says "later", 206 is a part of it."""

_SECONDARY_LIMIT = (b"secondary rate limit", b"abuse detection mechanism")
"""GitHub's words for "too fast" in a 403; without a time to come back it asks for a minute at least."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What an answer may be asked again with, exactly as it was sent (arXiv's RSS sends unquoted ETags)."""

    etag: str | None = None
    last_modified: str | None = None

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)


@dataclass(frozen=True, slots=True)
class _Answer:
    url: str
    """As asked."""
    final_url: str
    """After redirects."""
    status: int
    headers: Mapping[str, str]
    """Lower-case names; repeated headers are joined by a comma."""
    body: bytes = b""
    """Decoded. Empty is allowed: whether that is a document is the parser's question."""
    validators: Validators = field(default_factory=Validators)
    permanent_url: str | None = None
    """Where the resource has moved for good, when every redirect up to there said so."""

    def header(self, name: str) -> str | None:
        """A header by name, whatever its case."""
        return self.headers.get(name.lower())

    def max_age(self) -> timedelta | None:
        """How long the answer stays fresh by Cache-Control; `None` when they do not say."""
        return parse_max_age(self.headers)

    def links(self) -> dict[str, str]:
        """The Link header: relation to absolute URL; `links().get("next")` is the next page."""
        return parse_links(self.headers, base=self.final_url)


@dataclass(frozen=True, slots=True)
class Fetched(_Answer):
    """A complete answer with its decoded body."""


@dataclass(frozen=True, slots=True)
class NotModified(_Answer):
    """A 304: what we hold is still what they have. `validators` are those to ask with next time."""


def read_validators(found: Mapping[str, str]) -> Validators:
    """What an answer offers to be asked again with."""
    etag, last_modified = found.get("etag") or None, found.get("last-modified") or None
    return Validators(
        etag if etag and len(etag) <= MAX_VALIDATOR else None,
        last_modified if last_modified and len(last_modified) <= MAX_VALIDATOR else None,
    )


def raise_status(status: int, found: Mapping[str, str], body: bytes, shown: str, url: str) -> NoReturn:
    """Raises what a status other than success means."""
    now = datetime.now(UTC)
    wait = parse_wait(found, now=now)
    message = f"{shown} answered {status}"
    if said := _excerpt(body, found):
        message += f": {said}"
    if is_rate_limit(status, found, body):
        if wait is None and any(words in body.lower() for words in _SECONDARY_LIMIT):
            wait = timedelta(minutes=1)
        raise RateLimited(message, url=url, status=status, retry_after=wait)
    if status >= 500 or status in _PASSING or status in NOT_A_DOCUMENT:
        raise UpstreamUnavailable(message, url=url, status=status, retry_after=wait if "retry-after" in found else None)
    raise UpstreamRejected(message, url=url, status=status)


def is_rate_limit(status: int, found: Mapping[str, str], body: bytes) -> bool:
    """429, or a 403 that means the same: the quota is spent, or we are told when to come back."""
    if status != 403:
        return status == 429
    spent = found.get("x-ratelimit-remaining", "").strip() == "0"
    return spent or "retry-after" in found or any(words in body.lower() for words in _SECONDARY_LIMIT)


def _excerpt(body: bytes, found: Mapping[str, str]) -> str:
    """What they say about it, when it is text for people: one line, at most 160 characters."""
    kind = found.get("content-type", "").lower()
    if not body or "html" in kind or not ("json" in kind or kind.startswith("text/")):
        return ""
    return clean(body[:2_000].decode("utf-8", "replace"), limit=160)
