"""Answers of Slack's Web API: `{"ok": true, …}`, or false and a word that says why, both with status 200."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.domain.text import clean

RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method said. `word` is empty where it worked."""

    data: Mapping[str, Any]
    word: str = ""


def read_answer(body: bytes) -> Answer | None:
    """The answer, or `None` for what is none of Slack's Web API."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("ok"), bool):
        return None
    return Answer(data, "" if data["ok"] else clean(str(data.get("error") or "no reason"), limit=60))
