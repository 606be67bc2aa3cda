"""One message in all its forms, and the fakes the channels' tests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.domain.messages import Message

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
FROM = "Broadsheet <papers@papers.example.org>"
TO = "ada@example.org"

MESSAGE = Message(
    message_id="<d41d8cd98f00b204@papers.example.org>",
    subject="Spekulative Dekodierung ohne Entwurfsmodell + 11 · Tue 24 Nov",
    text="One.\n.\n..two\n.three — naïve ★\n",
    html="<html><body><p>One</p>\n.\n<p>naïve ★</p></body></html>",
    slack={"text": "One", "blocks": [], "unfurl_links": False, "unfurl_media": False},
    data={"type": "edition", "title": "naïve ★"},
    date=NOW,
    list_id="Papers <papers.example.org>",
    headers={
        "List-Unsubscribe": "<https://papers.example.org/u/" + "a" * 300 + ">, <mailto:leave@example.org>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
    },
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP client gives back."""

    status: int
    body: bytes


@dataclass
class FakeHttp:
    """Records posts and answers each with `result`, or raises it."""

    result: Answer | Exception
    posts: list[dict[str, Any]] = field(default_factory=list)

    def post(
        self,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        self.posts.append({"url": url, "json": json, "content": content, "headers": dict(headers or {})})
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass
class Intent:
    """A `commit_intent` that counts, or fails."""

    error: Exception | None = None
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
