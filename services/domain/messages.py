"""Messages: a rendered edition on its way out, and what the channel answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A rendered edition. One per delivery, the same bytes every time it is tried.

    `message_id` is stable per delivery (RFC 5322 form with angle brackets), `html` and `text` are for mail,
    `slack` is the payload for Slack and `thread` those of the replies below it, `data` that of a signed webhook.
    `date` fixes the Date header.
    """

    message_id: str
    subject: str
    text: str
    html: str | None = None
    slack: Mapping[str, Any] | None = None
    thread: tuple[Mapping[str, Any], ...] = ()
    short: tuple[str, ...] = ()
    """Head, one block a paper, foot: for services that take short messages."""
    data: Mapping[str, Any] | None = None
    date: datetime
    list_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Extra mail headers, such as List-Unsubscribe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A channel's acceptance: its own code and words, and where it went (`smtp.example:25`, a file path)."""

    code: str
    detail: str
    accepted_at: datetime
