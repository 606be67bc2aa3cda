"""Slack's `reactions.get`: who reacted to one message of ours, and how. Needs the scope `reactions:read` only: nothing
that others write is read."""

from __future__ import annotations

from urllib.parse import urlencode

from services.domain.errors import MalformedDocument, RateLimited, UpstreamRejected
from services.domain.slack_api import RATE_LIMITED, read_answer
from services.domain.votes import Reaction

GATE = "slack reactions"
INTERVAL_S = 1.2
"""Slack allows about fifty calls a minute."""

_GONE = frozenset({"message_not_found", "thread_not_found"})
MOST = 200
"""Kinds of reactions, and members of one, that are read."""


def request_url(api_url: str, channel: str, ts: str) -> str:
    """The address to ask for one message's reactions."""
    return f"{api_url}/reactions.get?{urlencode({'channel': channel, 'timestamp': ts, 'full': 'true'})}"


def parse(body: bytes) -> tuple[Reaction, ...]:
    """The reactions; none for a message that is gone. Raises `RateLimited`, `UpstreamRejected` with Slack's word, or
    `MalformedDocument`."""
    answer = read_answer(body)
    if answer is None:
        raise MalformedDocument("Slack's answer is not one of its Web API")
    if answer.word in _GONE:
        return ()
    if answer.word in RATE_LIMITED:
        raise RateLimited(f"Slack: {answer.word}")
    if answer.word:
        raise UpstreamRejected(f"Slack: {answer.word}")
    message = answer.data.get("message")
    listed = message.get("reactions") if isinstance(message, dict) else None
    return tuple(
        Reaction(one["name"], tuple(user for user in users[:MOST] if isinstance(user, str)))
        for one in (listed if isinstance(listed, list) else [])[:MOST]
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(users := one.get("users"), list)
    )
