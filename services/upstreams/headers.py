"""What header lines say, as values. Pure; every header is written by a stranger, none may raise.

Dates and validators: RFC 9110. Links: RFC 8288. Rate limits: `Retry-After` (RFC 9110, 10.2.3), GitHub's and
GitLab's `*RateLimit-Reset`, Hugging Face's `RateLimit: "api";r=0;t=123` (an IETF draft's structured field).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from services.domain.repos import Quota

MAX_WAIT = timedelta(days=7)
"""No wait that a header asks for is taken to be longer."""
MAX_AGE = timedelta(days=365)

_MOST = 2**31 - 1
_SECONDS_NOT_EPOCH = 366 * 24 * 3600
"""A reset below this is a count of seconds from now, above it a moment in Unix time."""
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r"""\brel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)
_DIRECTIVE = re.compile(r"""([a-z-]+)(?:\s*=\s*"?([^",\s]*)"?)?""")
_ITEM_T = re.compile(r";\s*t\s*=\s*(\d{1,12})(?![\d.])")
_ITEM_Q = re.compile(r";\s*q\s*=\s*(\d{1,12})(?![\d.])")
_ITEM_R = re.compile(r";\s*r\s*=\s*(\d{1,12})(?![\d.])")


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names to values; repeated ones are joined by a comma (RFC 9110, 5.3).

    Octets stand for themselves (Latin-1), so that a validator can be sent back as it came.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def parse_http_date(value: str | None) -> datetime | None:
    """An HTTP date in aware UTC; `None` for anything else."""
    try:
        parsed = parsedate_to_datetime(value or "")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def parse_quota(headers: Mapping[str, str], *, now: datetime) -> Quota | None:
    """What is left of our allowance, in any of the ways it is told; `None` when it is not told whole.

    Hugging Face: `RateLimit: "api";r=412;t=131` with `RateLimit-Policy: …;q=500;w=300`; GitHub, Forgejo:
    `X-RateLimit-Limit`, `-Remaining`, `-Reset`; GitLab the same without the `X-`.
    """
    item = headers.get("ratelimit", "")
    waiting, left = _ITEM_T.search(item), _ITEM_R.search(item)
    if waiting and left:
        policy = _ITEM_Q.search(headers.get("ratelimit-policy", ""))
        remaining = min(int(left[1]), _MOST)
        limit = min(int(policy[1]), _MOST) if policy else remaining
        return Quota(limit=limit, remaining=remaining, reset_at=now + _clamped(int(waiting[1])))
    for prefix in ("x-ratelimit-", "ratelimit-"):
        told = [_count(headers.get(f"{prefix}{name}")) for name in ("limit", "remaining", "reset")]
        limit_, remaining_, reset = told
        if limit_ is not None and remaining_ is not None and reset is not None:
            wait = reset if reset < _SECONDS_NOT_EPOCH else reset - now.timestamp()
            return Quota(limit=min(limit_, _MOST), remaining=min(remaining_, _MOST), reset_at=now + _clamped(wait))
    return None


def parse_wait(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """How long they ask us to stay away, between nothing and `MAX_WAIT`; `None` when they do not say.

    A date is compared with their own clock where they tell it. A reset counts only when nothing remains.
    """
    told = headers.get("retry-after", "").strip()
    if told:
        if told.isascii() and told.isdigit():
            return _clamped(int(told[:12]))
        when = parse_http_date(told)
        if when is not None:
            return _clamped((when - (parse_http_date(headers.get("date")) or now)).total_seconds())
    limit = headers.get("ratelimit", "")
    waiting, remaining = _ITEM_T.search(limit), _ITEM_R.search(limit)
    if waiting and (remaining is None or int(remaining[1]) == 0):
        return _clamped(int(waiting[1]))
    for prefix in ("x-ratelimit-", "ratelimit-", "x-rate-limit-"):
        reset = _count(headers.get(f"{prefix}reset"))
        if reset is not None and not _count(headers.get(f"{prefix}remaining")):
            return _clamped(reset if reset < _SECONDS_NOT_EPOCH else reset - now.timestamp())
    return None


def parse_max_age(headers: Mapping[str, str]) -> timedelta | None:
    """How long the answer stays fresh: Cache-Control's max-age less Age, nothing for no-cache and no-store.

    `None` when they do not say.
    """
    directives = dict(_DIRECTIVE.findall(headers.get("cache-control", "").lower()))
    if "no-cache" in directives or "no-store" in directives:
        return timedelta(0)
    age = _count(directives.get("max-age"))
    if age is None:
        return None
    fresh = timedelta(seconds=max(0, age - (_count(headers.get("age")) or 0)))
    return min(fresh, MAX_AGE)


def parse_links(headers: Mapping[str, str], *, base: str) -> dict[str, str]:
    """The Link header as relation (`next`, `last`, …) to absolute URL; the first of each relation counts."""
    links: dict[str, str] = {}
    for address, parameters in _LINK.findall(headers.get("link", "")[:16_000]):
        rel = _REL.search(parameters)
        if rel is None:
            continue
        try:
            url = urljoin(base, address.strip())
        except ValueError:
            continue
        for relation in (rel[1] or rel[2] or "").lower().split():
            links.setdefault(relation, url)
    return links


def _count(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _clamped(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), MAX_WAIT.total_seconds()))
