"""What the answer to a POST says about a delivery; shared by the channels that post."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from services.domain.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    RateLimited,
    UpstreamError,
    UpstreamRejected,
)
from services.domain.text import clean

# Client errors by their names, so that no HTTP library is needed here: these fail before a byte is written.
_BEFORE_SENDING = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
_TRY_AGAIN = frozenset({408, 425, 429})


def said(body: bytes, *, limit: int = 200) -> str:
    """The start of an answer as one clean line."""
    return clean(body[: limit * 4].decode("utf-8", "replace"), limit=limit)


def unsaid(text: str, to: str) -> str:
    """`text` without what makes the address `to` a secret: a receiver may throw back what it was sent."""
    parts = urlsplit(to)
    for secret in (to, f"{parts.path}?{parts.query}", parts.path, parts.query):
        if len(secret) > 3:
            text = text.replace(secret, "***")
    return text


def failure_of_status(status: int, where: str, word: str) -> DeliveryError:
    """The failure that a status outside 200-299 means. `word` is the service's own reason, or empty."""
    message = f"{where} answered {status}" + (f": {word}" if word else "")
    code = word if word and " " not in word else str(status)
    if status >= 500 or status in _TRY_AGAIN:
        return DeliveryDeferred(message, code=code)
    return DeliveryRefused(message, code=code)


def failure_of_error(error: UpstreamError, where: str) -> DeliveryError:
    """The failure that an HTTP client's error means.

    An error without a status that did not happen while connecting leaves doubt: the request may have arrived.
    """
    word = clean(str(error), limit=200)
    if isinstance(error, RateLimited):
        return DeliveryDeferred(f"{where}: {word}", code=str(error.status or 429), retry_after=error.retry_after)
    if error.status is not None:
        own = word.removeprefix(f"{where} answered {error.status}").removeprefix(":").strip()
        failure = failure_of_status(error.status, where, own)
        failure.code, failure.retry_after = str(error.status), error.retry_after
        return failure
    if isinstance(error, UpstreamRejected):
        return DeliveryRefused(f"{where}: {word}")
    if _before_sending(error):
        return DeliveryDeferred(f"{where}: {word}", retry_after=error.retry_after)
    return DeliveryUnknown(f"{where}: {word}")


def _before_sending(error: BaseException) -> bool:
    seen = error.__cause__
    while seen is not None:
        if isinstance(seen, (ConnectionRefusedError, socket.gaierror)):
            return True
        if any(kind.__name__ in _BEFORE_SENDING for kind in type(seen).__mro__):
            return True
        seen = seen.__cause__
    return False
