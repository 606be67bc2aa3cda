"""Slack, through its Web API with a bot's token: a short list in the channel, the details in its thread.

Every part has a receipt of its own (`CHANNEL:TS`), so that a try that ended midway goes on with the next part and
posts none twice. Slack has no key by which a repeated post would be recognised, so a post without an answer stays
unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from services.channels import HttpPoster, Progress, no_intent
from services.channels.posting import failure_of_error, said
from services.domain.deliveries import Part
from services.domain.errors import DeliveryDeferred, DeliveryRefused, DeliveryUnknown, UpstreamError
from services.domain.messages import Message, Receipt
from services.domain.slack_api import RATE_LIMITED, read_answer

MAIN = "main"
REPLY = "reply:"
"""And the number of the reply, from 1."""

_WHERE = "Slack"
# The operator can mend these, and the message is still good then.
_OURS = {
    "invalid_auth": "BROADSHEET_SLACK_TOKEN is not taken", "not_authed": "BROADSHEET_SLACK_TOKEN is not taken",
    "token_revoked": "BROADSHEET_SLACK_TOKEN was revoked", "token_expired": "BROADSHEET_SLACK_TOKEN has expired",
    "account_inactive": "the token's account is closed", "missing_scope": "the app lacks the scope chat:write",
    "not_in_channel": "the bot is not in the channel: /invite it there",
    "channel_not_found": "there is no such channel, or it is private and the bot not in it: /invite it there",
}  # fmt: skip
_AGAIN = RATE_LIMITED | {"service_unavailable", "message_limit_exceeded"}
# "Some aspect of the operation may have succeeded", says Slack of these.
_DOUBTFUL = frozenset({"fatal_error", "internal_error", "request_timeout"})


class SlackBot:
    """Posts to the channel whose id is given as `to`; `api_url` is where Slack's Web API lives."""

    name = "slack"

    def __init__(
        self, http: HttpPoster, api_url: str, token: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._http = http
        self._url = f"{api_url}/chat.postMessage"
        self._token = token
        self._clock = clock

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """Send all parts, for a caller that keeps no record of them; the intent is committed before the first."""
        return self.send_parts(message, to, key, _Unrecorded(commit_intent))

    def send_parts(self, message: Message, to: str, key: str, progress: Progress) -> Receipt:  # noqa: ARG002
        """Post what is still to be posted of the message and its thread; see `channels.PartedChannel.send_parts`."""
        if message.slack is None:
            raise DeliveryRefused("The message has no Slack form.")
        if not self._token:
            raise DeliveryDeferred("There is no token for Slack; set BROADSHEET_SLACK_TOKEN.", code="no_token")
        main = self._part(MAIN, message.slack, to, progress)
        channel, _, ts = main.partition(":")
        for number, reply in enumerate(message.thread, 1):
            self._part(f"{REPLY}{number}", {**reply, "thread_ts": ts}, channel, progress)
        return Receipt(code="ok", detail=f"slack.com {main}", accepted_at=self._clock())

    def _part(self, name: str, payload: Mapping[str, Any], to: str, progress: Progress) -> str:
        """One part's receipt, from an earlier try or this one."""
        before = progress.parts.get(name)
        if before is not None and before.receipt is not None:
            return before.receipt
        progress.intend(name)
        receipt = self._post({**payload, "channel": to})
        progress.taken(name, receipt)
        return receipt

    def _post(self, payload: Mapping[str, Any]) -> str:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json; charset=utf-8"}
        content = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        try:
            answer = self._http.post(self._url, content=content, headers=headers)
        except UpstreamError as error:
            failure = failure_of_error(error, _WHERE)
            failure.args = (str(failure).replace(self._token, "***"),)
            raise failure from None
        found = read_answer(answer.body)
        if found is None:
            raise DeliveryUnknown(
                f"{_WHERE} answered {answer.status}, but nothing of Slack's: {said(answer.body)}",
                code=str(answer.status),
            )
        ts, channel, word = found.data.get("ts"), found.data.get("channel"), found.word
        if not word and isinstance(ts, str) and isinstance(channel, str):
            return f"{channel}:{ts}"
        if word in _OURS:
            raise DeliveryDeferred(f"{_WHERE}: {_OURS[word]} ({word})", code=word)
        if word in _AGAIN:
            raise DeliveryDeferred(f"{_WHERE}: {word}", code=word)
        if not word or word in _DOUBTFUL:
            word = word or "no receipt"
            raise DeliveryUnknown(f"{_WHERE}: {word}", code=word)
        raise DeliveryRefused(f"{_WHERE}: {word}", code=word)


class _Unrecorded:
    """A `Progress` of one try that nobody remembers."""

    def __init__(self, commit_intent: Callable[[], None]) -> None:
        self._commit_intent = commit_intent
        self._begun = False

    @property
    def parts(self) -> Mapping[str, Part]:
        return {}

    def intend(self, part: str, via: str = "") -> None:  # noqa: ARG002
        if not self._begun:
            self._commit_intent()
            self._begun = True

    def taken(self, part: str, receipt: str) -> None:
        """Nobody remembers."""
