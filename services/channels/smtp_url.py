"""Where mail is handed in, read from one URL or several; a password never travels unencrypted."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from services.domain.errors import InvalidInput

_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
# What follows says that a URL has ended: a password may hold commas.
_BETWEEN = re.compile(r"[\s,]+(?=(?:smtp|smtps|smtp\+starttls)://)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server. `security` is `none`, `tls` (from the first byte) or `starttls`."""

    host: str
    port: int
    security: str
    user: str | None = None
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def split_smtp_urls(text: str) -> list[str]:
    """The URLs in a setting, parted by spaces or commas, in the order in which they are tried."""
    return [url for url in _BETWEEN.split(text.strip()) if url]


def parse_smtp_url(url: str) -> SmtpServer:
    """The server in `smtp://`, `smtps://` or `smtp+starttls://user:pass@host:port`, credentials
    percent-encoded.

    Raises InvalidInput, without the credentials in its message, when it is none of these or when it would
    send a password in the clear to another machine.
    """
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise InvalidInput("The SMTP URL cannot be read: check its port and host.") from error
    if parts.scheme not in _PORTS:
        raise InvalidInput("An SMTP URL begins with smtp://, smtps:// or smtp+starttls://.")
    if not host or any(c.isspace() for c in host):
        raise InvalidInput("The SMTP URL names no host: smtp+starttls://user:password@mail.example.org:587.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidInput("An SMTP URL ends after the port; percent-encode / ? # in the user or the password.")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password or "")
    if any(c in "\r\n\0" for c in (user or "") + password):
        raise InvalidInput("The SMTP user and password hold no line breaks.")
    security = {"smtp": "none", "smtps": "tls", "smtp+starttls": "starttls"}[parts.scheme]
    if user is not None and security == "none" and not is_loopback(host):
        raise InvalidInput(
            f"A password is never sent to {host} unencrypted: use smtp+starttls:// (port 587) or smtps:// (port 465)."
        )
    return SmtpServer(host, port or _PORTS[parts.scheme], security, user, password)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
