"""One request and its answer, as the replayed upstreams see them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

_KEPT_IN_304 = frozenset({"etag", "last-modified", "cache-control", "vary", "ratelimit", "ratelimit-policy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request. `path` starts with a slash and is decoded; `headers` have lower-case names."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    """Where the replay lives, without a trailing slash."""
    now: datetime

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer. `headers` do not include Content-Length: the server counts."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> Answer:
        """The same with more headers; underscores in names stand for hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8"})


def text_answer(text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Answer:
    """An answer with a text body."""
    return Answer(status=status, body=text.encode(), headers={"Content-Type": content_type})


def digest(body: bytes) -> str:
    """64 hexadecimal digits that name these bytes."""
    return hashlib.sha256(body).hexdigest()


def http_date(moment: datetime) -> str:
    """The date format of HTTP headers."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def iso(moment: datetime) -> str:
    """`2026-11-24T08:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditional(ask: Ask, answer: Answer) -> Answer:
    """304 in place of a 200 whose validators the client already holds (RFC 9110, section 13).

    If-None-Match wins over If-Modified-Since. Tags are compared as they stand, since arXiv's have no quotes.
    """
    if ask.method not in ("GET", "HEAD") or answer.status != 200 or not _client_holds(ask, answer):
        return answer
    kept = {name: value for name, value in answer.headers.items() if name.lower() in _KEPT_IN_304}
    rate = {name: value for name, value in answer.headers.items() if name.lower().startswith("x-ratelimit")}
    return Answer(status=304, headers={**kept, **rate})


def _client_holds(ask: Ask, answer: Answer) -> bool:
    held = ask.headers.get("if-none-match")
    etag = answer.headers.get("ETag")
    if held is not None:
        tags = {tag.strip().removeprefix("W/") for tag in held.split(",")}
        return etag is not None and ("*" in tags or etag.removeprefix("W/") in tags)
    since = ask.headers.get("if-modified-since")
    modified = answer.headers.get("Last-Modified")
    if since is None or modified is None:
        return False
    try:
        return parsedate_to_datetime(since) >= parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        # A date nobody can read is no condition (RFC 9110, section 13.1.3).
        return False
