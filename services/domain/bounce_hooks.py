"""Reports that mail services post: whether one is genuine, and what makes it one however often it is posted."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

MAILGUN_PATIENCE = timedelta(hours=12)
"""Mailgun posts a report again for about eight hours."""


def mailgun_is_genuine(body: bytes, key: str, now: datetime) -> bool:
    """Whether Mailgun signed the report lately: HMAC-SHA256 of its time and token under the signing key."""
    signed = _dict(_object(body).get("signature"))
    stamp, token, given = (str(signed.get(name) or "") for name in ("timestamp", "token", "signature"))
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 12 and token):
        return False
    if abs(now.timestamp() - int(stamp)) > MAILGUN_PATIENCE.total_seconds():
        return False
    made = hmac.new(key.encode(), (stamp + token).encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    return _same(made, given)


def postmark_is_genuine(headers: Mapping[str, str], secret: str) -> bool:
    """Whether the secret came with it: as the password of basic authentication, or as `x-broadsheet-secret`.

    `headers` have lower-case names.
    """
    own = headers.get("x-broadsheet-secret")
    if own is not None:
        return _same(secret, own)
    scheme, _, coded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        _, colon, password = b64decode(coded.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:
        return False
    return bool(colon) and _same(secret, password)


def event_id(service: str, body: bytes) -> str:
    """What makes a report one: the service's own id of the event, else a hash of its bytes."""
    data = _object(body)
    own: Any = None
    match service:
        case "ses":
            inner = _object(str(data.get("Message") or "").encode("utf-8", "replace"))
            own = _dict(inner.get("bounce") or inner.get("complaint")).get("feedbackId") or data.get("MessageId")
        case "postmark":
            own = data.get("ID") and f"{data.get('RecordType') or ''} {data['ID']}"
        case "mailgun":
            own = _dict(data.get("event-data")).get("id")
    if own and len(str(own)) <= 200:
        return f"{service}:{own}"
    return hashlib.sha256(body).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _object(body: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
