"""Slack, through an incoming webhook: a POST that answers with one word.

A webhook has no key by which a repeated post would be recognised, so a post without an answer stays unknown.
The URL is a secret: whoever has it can post. It appears in no message of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from services.channels import HttpPoster, no_intent
from services.channels.posting import failure_of_error, failure_of_status, said, unsaid
from services.domain.errors import DeliveryRefused, DeliveryUnknown, UpstreamError
from services.domain.messages import Message, Receipt

_WORD = re.compile(r"[a-z][a-z_]{2,60}")
_KNOWN = re.compile(
    r"\b(no_service|no_team|no_active_hooks|channel_is_archived|channel_not_found|invalid_token|action_prohibited"
    r"|posting_to_general_channel_denied|team_disabled|user_not_found|invalid_payload|invalid_blocks(?:_format)?"
    r"|no_text|too_many_attachments|msg_blocks_too_long|rollup_error)\b"
)
_ADDRESS = re.compile(r"\S*/services/\S*")
_WHERE = "Slack"


class SlackWebhook:
    """Posts a message's Slack form to the webhook URL given as `to`."""

    name = "slack"

    def __init__(self, http: HttpPoster, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._http = http
        self._clock = clock

    def send(
        self,
        message: Message,
        to: str,
        key: str,  # noqa: ARG002  (a channel's signature)
        *,
        commit_intent: Callable[[], None] = no_intent,
    ) -> Receipt:
        """Post; see `channels.Channel.send`. A failure's `code` is Slack's own word where it gives one."""
        if message.slack is None:
            raise DeliveryRefused("The message has no Slack form.")
        commit_intent()
        try:
            answer = self._http.post(to, json=dict(message.slack))
        except UpstreamError as error:
            failure = failure_of_error(error, _WHERE)
            word = _KNOWN.search(str(error))
            if word:
                failure.code = word[0]
            # The client's own words may hold the URL, or the part of it that is secret.
            failure.args = (_ADDRESS.sub("its webhook", str(failure).replace(to, "its webhook")),)
            raise failure from None
        text = unsaid(said(answer.body), to)
        if 200 <= answer.status < 300:
            if text == "ok":
                return Receipt(code="ok", detail="hooks.slack.com", accepted_at=self._clock())
            raise DeliveryUnknown(f"{_WHERE} answered {answer.status} but not ok: {text}", code=str(answer.status))
        raise failure_of_status(answer.status, _WHERE, text if _WORD.fullmatch(text) else "")
