"""Amazon SNS: whether a message it posts is genuine, by its own signature, and how a subscription is confirmed.

The certificate is only ever taken from SNS's own hosts; the message names it, and could name any.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from services.domain.errors import InvalidInput

_HOST = re.compile(r"sns\.[a-z0-9-]{3,30}\.amazonaws\.com(?:\.cn)?")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,80}\.pem")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What the signature covers, by the message's type, in the order in which it does."""


def parse(body: bytes) -> Mapping[str, str]:
    """An SNS message, its texts only. Raises `InvalidInput` for what is none."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the report is no JSON") from error
    message = {k: v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else {}
    if message.get("Type") not in _SIGNED or not {"MessageId", "TopicArn", "Signature"} <= set(message):
        raise InvalidInput("the report is no message of Amazon SNS")
    return message


def certificate_url(message: Mapping[str, str]) -> str:
    """Where the certificate is that the message was signed with. Raises `InvalidInput` unless SNS itself has it."""
    url = message.get("SigningCertURL", "")
    if not _at_sns(url) or not _CERTIFICATE.fullmatch(urlsplit(url).path) or urlsplit(url).query:
        raise InvalidInput("the report names a certificate that is not one of Amazon SNS")
    return url


def confirmation_url(message: Mapping[str, str]) -> str:
    """What has to be asked for once so that the topic's messages come. Raises `InvalidInput` unless it is SNS's own."""
    url = message.get("SubscribeURL", "")
    if not _at_sns(url):
        raise InvalidInput("the confirmation does not lead to Amazon SNS")
    return url


def is_genuine(message: Mapping[str, str], certificate: bytes, now: datetime) -> bool:
    """Whether the key in `certificate` (PEM) signed the message, and holds `now`."""
    # Here: it takes 9 MB, and few installations are told of bounces by SNS.
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    hash_of = {"1": SHA1(), "2": SHA256()}.get(message.get("SignatureVersion", ""))  # noqa: S303 - SNS's first version
    if hash_of is None:
        return False
    try:
        found = x509.load_pem_x509_certificate(certificate)
        signature = b64decode(message["Signature"], validate=True)
        key = found.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(signature, _covered(message), padding.PKCS1v15(), hash_of)
    except (ValueError, InvalidSignature):
        return False
    return found.not_valid_before_utc <= now <= found.not_valid_after_utc


def _covered(message: Mapping[str, str]) -> bytes:
    names = [name for name in _SIGNED[message["Type"]] if name in message]
    return "".join(f"{name}\n{message[name]}\n" for name in names).encode("utf-8", "surrogatepass")


def _at_sns(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and parts.port is None and _HOST.fullmatch(parts.netloc) is not None
    except ValueError:
        return False
