"""Addresses: where an edition may be sent, as a person types it.

`EMAIL`, `slack:URL`, `slack:CHANNEL`, `slack:outbox`, `webhook:URL` and `apprise:URL` become an `Address`; anything
that could mean two recipients, hide a second header or point a webhook at another host is refused with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.domain.errors import InvalidInput
from services.domain.text import ascii_host, safe_url

SLACK_HOST = "hooks.slack.com"
OUTBOX = "outbox"
CHANNELS = ("email", "slack", "webhook", "apprise")

_MAX_EMAIL = 254
_MAX_LOCAL = 64
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_APPRISE = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s,\"'<>\\\\]+", re.IGNORECASE)
_MAX_APPRISE = 1_000
_SLACK_CHANNEL = re.compile(r"[CGD][A-Z0-9]{8,20}")
_SLACK_PATH = re.compile(r"/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+")
_SECRET = re.compile(r"(://[^/?#@]{0,80})[/?#@].*", re.DOTALL)
# IDNA 2003 and 2008 turn these into different domains, that is into different owners' mailboxes.
_AMBIGUOUS = frozenset("ßς\u200c\u200d")


@dataclass(frozen=True, slots=True)
class Address:
    """A way to a reader. `channel` is `email`, `slack`, `webhook` or `apprise`; `target` what the channel sends to."""

    channel: str
    target: str

    def __str__(self) -> str:
        """The form `parse_address` reads."""
        return self.target if self.channel == "email" else f"{self.channel}:{self.target}"


def parse_address(value: str, *, allowed_hosts: Iterable[str] = ()) -> Address:
    """The address in `value`; raises InvalidInput with what is wrong and what would work.

    `allowed_hosts` are further hosts (`host` or `host:port`) that `slack:` may post to, over http as well,
    for servers that speak Slack's webhook format.
    """
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in value):
        raise InvalidInput("An address holds no line breaks, control or invisible characters.")
    text = value.strip()
    if not text:
        raise InvalidInput(
            "An address is needed: EMAIL, slack:URL, slack:CHANNEL, slack:outbox, webhook:URL or apprise:URL."
        )
    scheme, colon, rest = text.partition(":")
    match scheme.lower() if colon else "":
        case "slack":
            return Address("slack", _slack_target(rest.strip(), frozenset(h.lower() for h in allowed_hosts)))
        case "webhook":
            return Address("webhook", _webhook_target(rest.strip()))
        case "apprise":
            return Address("apprise", _apprise_target(rest.strip()))
        case "http" | "https":
            raise InvalidInput("Say what the URL is: slack: or webhook: before it.")
        case _:
            return Address("email", _email_target(text))


def valid_email(value: str) -> bool:
    """Whether `value` is exactly one plain mail address as `parse_address` returns it."""
    try:
        address = parse_address(value)
    except InvalidInput:
        return False
    return address.channel == "email" and address.target == value


def _email_target(text: str) -> str:
    if any(c in text for c in ',;<>()[]"\\') or re.search(r"\s", text):
        raise InvalidInput(f"{_shown(text)} is not one plain mail address such as ada@example.org; one recipient only.")
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise InvalidInput(
            f"{_shown(text)} is not a mail address such as ada@example.org; "
            "other addresses begin with slack:, webhook: or apprise:."
        )
    if len(local) > _MAX_LOCAL:
        raise InvalidInput(f"The part before the @ has {len(local)} characters; {_MAX_LOCAL} is the most.")
    if not _LOCAL.fullmatch(local):
        raise InvalidInput(
            f"{_shown(local)} before the @ cannot be used: only letters a-z, digits and"
            " .!#$%&'*+/=?^_`{|}~- stand there, and no dot at an end or twice in a row."
        )
    address = f"{local}@{_mail_domain(domain)}"
    if len(address) > _MAX_EMAIL:
        raise InvalidInput(f"The address has {len(address)} characters; {_MAX_EMAIL} is the most.")
    return address


def _mail_domain(domain: str) -> str:
    if _AMBIGUOUS & set(domain):
        raise InvalidInput(f"{_shown(domain)} can mean two domains; write it in its xn-- form.")
    if unicodedata.normalize("NFKC", domain).lower() != unicodedata.normalize("NFC", domain).lower():
        raise InvalidInput(f"{_shown(domain)} holds look-alike characters; write the domain in plain letters.")
    host = ascii_host(domain)
    labels = host.split(".") if host else []
    whole = bool(labels) and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    if host is None or not whole or (len(labels) < 2 and host != "localhost"):
        raise InvalidInput(f"{_shown(domain)} is not a mail domain such as example.org.")
    return host


def _slack_target(text: str, allowed: frozenset[str]) -> str:
    if text.lower() == OUTBOX:
        return OUTBOX
    if _SLACK_CHANNEL.fullmatch(text):
        return text
    if "/" not in text:
        raise InvalidInput(
            f"{_shown(text)} is no Slack channel: use its id, such as C012AB3CD (channel name > About > at the "
            "bottom), with BROADSHEET_SLACK_TOKEN set, or the https address of an incoming webhook."
        )
    url = _url(text, "slack")
    parts = urlsplit(url)
    if parts.netloc in allowed or (parts.hostname or "") in allowed:
        return url
    if parts.scheme != "https":
        raise InvalidInput(f"A Slack webhook is an https address at {SLACK_HOST}.")
    if parts.netloc not in (SLACK_HOST, f"{SLACK_HOST}:443"):
        raise InvalidInput(f"A Slack webhook is at {SLACK_HOST}, not at {_shown(parts.netloc)}.")
    if not _SLACK_PATH.fullmatch(parts.path) or parts.query:
        raise InvalidInput(
            f"A Slack webhook looks like https://{SLACK_HOST}/services/T…/B…/…; copy it from Slack whole."
        )
    return url


def _webhook_target(text: str) -> str:
    return _url(text, "webhook")


def _apprise_target(text: str) -> str:
    # What stands after the scheme is each service's own affair, and mostly its secret: it is not repeated.
    if not _APPRISE.fullmatch(text) or len(text) > _MAX_APPRISE:
        raise InvalidInput(
            "That is no address for Apprise: apprise: and what the service's page in its documentation shows, such as "
            "apprise:tgram://TOKEN/CHAT, without spaces, commas or quotes."
        )
    return text


def _url(text: str, kind: str) -> str:
    url = safe_url(text)
    if url is None or "," in url:
        raise InvalidInput(
            f"{_shown(text)} is not a URL for {kind}: http or https with a host,"
            " no user name, spaces, commas or quotes."
        )
    if urlsplit(url).fragment:
        raise InvalidInput("A webhook URL has no part after '#'.")
    return url


def _shown(text: str) -> str:
    """What was typed, short; of a URL no more than its host: the rest may be a secret."""
    text = _SECRET.sub(r"\1/…", text)
    return repr(text if len(text) <= 60 else text[:59] + "…")
