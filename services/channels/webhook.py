"""A signed webhook: the edition as JSON, with a signature by which the receiver knows it is ours.

    X-Broadsheet-Delivery: the delivery's key, the same on every attempt (also as Idempotency-Key)
    X-Broadsheet-Timestamp: seconds since 1970 when this attempt was made
    X-Broadsheet-Signature: sha256=HEX, the HMAC-SHA256 of `timestamp.body` under the shared secret

A receiver compares signatures in constant time, refuses old timestamps and drops keys it has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from services.channels import HttpPoster, no_intent
from services.channels.mime import one_line
from services.channels.posting import failure_of_error, failure_of_status, said, unsaid
from services.domain.errors import DeliveryRefused, InvalidInput, UpstreamError
from services.domain.messages import Message, Receipt


class Webhook:
    """Posts a message's data to the URL given as `to`."""

    name = "webhook"

    def __init__(
        self, http: HttpPoster, secret: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if not secret:
            raise InvalidInput("A webhook needs a secret to sign with.")
        self._http = http
        self._secret = secret.encode()
        self._clock = clock

    def send(self, message: Message, to: str, key: str, *, commit_intent: Callable[[], None] = no_intent) -> Receipt:
        """Post; see `channels.Channel.send`. Any 2xx is acceptance."""
        if message.data is None:
            raise DeliveryRefused("The message has no data for webhooks.")
        body = json.dumps(message.data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        delivery = one_line(key, 200).encode("ascii", "replace").decode()
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": delivery,
            "X-Broadsheet-Delivery": delivery,
            "X-Broadsheet-Timestamp": timestamp,
            "X-Broadsheet-Signature": f"sha256={signature(self._secret, timestamp, body)}",
        }
        where = urlsplit(to).hostname or "the webhook"
        commit_intent()
        try:
            answer = self._http.post(to, content=body, headers=headers)
        except UpstreamError as error:
            failure = failure_of_error(error, where)
            failure.args = (unsaid(str(failure), to),)
            raise failure from None
        word = unsaid(said(answer.body), to)
        if 200 <= answer.status < 300:
            detail = " ".join(filter(None, (where, word)))
            return Receipt(code=str(answer.status), detail=detail, accepted_at=self._clock())
        raise failure_of_status(answer.status, where, word)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The hexadecimal HMAC-SHA256 of `timestamp.body`."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
