"""Redaction: texts without the secrets that can be told by how they look, and without those that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.domain.urls import KEY_NAME

_URL_PASSWORD = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)(?P<user>[^/\s:@]*):[^/\s@]+@", re.IGNORECASE)
# Of an Apprise address everything after the service's name may be a secret.
_APPRISE = re.compile(r"(\bapprise:[a-z][a-z0-9+.-]{0,30}://)[^\s\"'<>]+", re.IGNORECASE)
_WEBHOOK = re.compile(r"(\b(?:webhook|slack):[a-z]{3,8}://[^\s\"'<>/?#]+)[/?#][^\s\"'<>]+", re.IGNORECASE)
_SLACK_HOOK = re.compile(r"(hooks\.slack\.com/services/)[^\s\"'<>]+")
_QUERY_KEY = re.compile(rf"({KEY_NAME})(?:(=)[^&#\s\"'<>]+|(%(?:25)*3D)(?:(?!%(?:25)*26)[^&#\s\"'<>])+)", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without passwords and keys in addresses, the paths of Slack's and others' webhooks, and the given secret
    values."""
    text = _URL_PASSWORD.sub(r"\g<scheme>\g<user>:***@", text)
    text = _APPRISE.sub(r"\1***", text)
    text = _WEBHOOK.sub(r"\1/***", text)
    text = _SLACK_HOOK.sub(r"\1***", text)
    text = _QUERY_KEY.sub(r"\1\2\3***", text)
    for secret in secrets:
        if len(secret) >= 6:  # shorter ones would blot out ordinary words
            text = text.replace(secret, "***")
    return text
