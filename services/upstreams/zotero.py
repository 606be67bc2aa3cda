"""Zotero's Web API v3: new items into a library, fifty at a time, each with an outcome of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from services.domain.errors import MalformedDocument
from services.domain.text import clean

GATE = "zotero"
INTERVAL_S = 1.0
MOST_ITEMS = 50
"""Of one request."""
_THERE = 412
"""An item of version 0 is sent and the library has one of that key."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the items of one request, by their places in it."""

    added: frozenset[int]
    known: frozenset[int]
    refused: Mapping[int, str]
    """Why, in Zotero's words."""


def items_url(base: str, library: str) -> str:
    """Where new items go."""
    return f"{base.rstrip('/')}/{library}/items"


def headers(key: str) -> dict[str, str]:
    """What each request says."""
    return {"Zotero-API-Key": key, "Zotero-API-Version": "3"}


def parse(body: bytes) -> Outcome:
    """The outcomes. Raises `MalformedDocument` for what is no answer to such a request."""
    try:
        data = json.loads(body)
        failed = {int(place): one for place, one in data.get("failed", {}).items()}
        codes = {place: int(one["code"]) for place, one in failed.items()}
        return Outcome(
            added=frozenset(int(place) for place in data["successful"]),
            known=frozenset(int(place) for place in data.get("unchanged", {}))
            | {place for place, code in codes.items() if code == _THERE},
            refused={
                place: f"{codes[place]}: {clean(str(one.get('message', '')), limit=200)}"
                for place, one in failed.items()
                if codes[place] != _THERE
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedDocument("Zotero's answer is none to items that were sent") from error
