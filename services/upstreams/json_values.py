"""Values in JSON answers, read with caution. Pure; of a value of another kind nothing is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.domain.errors import MalformedDocument
from services.domain.text import clean


def read_json(body: bytes, *, who: str, url: str = "") -> dict[str, Any]:
    """A body that is a JSON object. Raises `MalformedDocument` for anything else; `who` answered it."""
    value = _load(body, who, url)
    if not isinstance(value, dict):
        raise MalformedDocument(f"{who}'s answer is JSON, but no object", url=url)
    return value


def read_json_list(body: bytes, *, who: str, url: str = "") -> list[Any]:
    """A body that is a JSON array. Raises `MalformedDocument` for anything else; `who` answered it."""
    value = _load(body, who, url)
    if not isinstance(value, list):
        raise MalformedDocument(f"{who}'s answer is JSON, but no list", url=url)
    return value


def _load(body: bytes, who: str, url: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedDocument(f"{who}'s answer is no JSON: {error}", url=url) from error


def inside(value: object, *names: str) -> Any:
    """What lies under these names, one in another; `None` when one of them is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def as_object(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_count(value: object) -> int | None:
    """The value if it is a whole number from 0 to what a database holds."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def as_text(value: object, limit: int) -> str | None:
    """The value if it is text that says something, cleaned."""
    return clean(value, limit=limit) or None if isinstance(value, str) else None


def as_texts(value: object, *, most: int, limit: int) -> tuple[str, ...]:
    """The texts of a list, `most` at most."""
    return tuple(text for raw in as_list(value)[:most] if (text := as_text(raw, limit)))


def as_time(value: object) -> datetime | None:
    """An ISO 8601 time in aware UTC; `None` for years that are slips."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC) if parsed else None
    except (ValueError, OverflowError):
        return None
    # Forgejo says "never" as the year 1.
    return moment if moment is not None and 1970 <= moment.year <= 2100 else None
