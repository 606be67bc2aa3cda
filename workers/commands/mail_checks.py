"""Checks of how mail leaves: each mail server answers, and mails are signed for the sender's domain."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator

from config.logging import redact
from config.settings import Settings
from services.channels.dkim import Signature
from services.channels.mime import sender
from services.channels.smtp_url import parse_smtp_url, split_smtp_urls
from services.domain.errors import BroadsheetError
from services.runtime import dkim_signatures
from workers.commands.checks import TIMEOUT_S, Check, failure, ok, warning

STRONG_RSA_BITS = 2048


def smtp_urls(settings: Settings) -> list[str]:
    """The mail servers set; one empty one where there is none."""
    return split_smtp_urls(settings.smtp_url.get_secret_value()) or [""]


def check_smtp(settings: Settings, url: str) -> Check:
    """One mail server greets, encrypts and takes our login. Nothing is sent."""
    if not url:
        return warning(
            "mail", f"no mail server is set: messages go to {settings.outbox}", "set BROADSHEET_SMTP_URL to send them"
        )
    advice = "check BROADSHEET_SMTP_URL: smtp+starttls://user:password@host:587 or smtps://…:465"
    server = parse_smtp_url(url)
    context = ssl.create_default_context()
    try:
        smtp: smtplib.SMTP = (
            smtplib.SMTP_SSL(server.host, server.port, "localhost", timeout=TIMEOUT_S, context=context)
            if server.security == "tls"
            else smtplib.SMTP(server.host, server.port, "localhost", timeout=TIMEOUT_S)
        )
        with smtp:
            smtp.ehlo()
            if server.security == "starttls":
                smtp.starttls(context=context)
                smtp.ehlo()
            if server.user is not None:
                smtp.login(server.user, server.password)
    except (OSError, smtplib.SMTPException) as error:
        said = (
            error.smtp_error.decode("utf-8", "replace")
            if isinstance(error, smtplib.SMTPResponseException) and isinstance(error.smtp_error, bytes)
            else str(error)
        )
        return failure("mail", f"{server}: {redact(said, [server.password])}", advice)
    how = {"none": "not encrypted", "tls": "TLS", "starttls": "STARTTLS"}[server.security]
    if settings.mail_from.rstrip(">").endswith("@localhost"):
        return warning(
            "mail",
            f"{server} answers ({how}), but the sender is {settings.mail_from}",
            "set BROADSHEET_MAIL_FROM to an address of yours",
        )
    return ok("mail", f"{server} answers, {how}{', logged in' if server.user else ''}")


def check_dkim(settings: Settings) -> Iterator[Check]:
    """The keys that sign mails can be read, are strong, and sign for the domain readers see. Nothing is looked up:
    the record to publish is shown."""
    try:
        signatures = dkim_signatures(settings)
    except BroadsheetError as error:
        yield failure("dkim", str(error), "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem")
        return
    for signature in signatures:
        yield _of_signature(signature, sender(settings.mail_from).domain.lower())


def _of_signature(signature: Signature, seen: str) -> Check:
    said = f"signs with {signature.algorithm}; {signature.record_name} has to hold: {signature.record}"
    bits = getattr(signature.key, "key_size", STRONG_RSA_BITS)
    if seen != signature.domain and not seen.endswith(f".{signature.domain}"):
        return warning(
            "dkim", f"{signature.domain} signs, but readers see a sender at {seen}: it does not count for DMARC",
            "set BROADSHEET_DKIM_DOMAIN to the domain of BROADSHEET_MAIL_FROM",
        )  # fmt: skip
    if bits < STRONG_RSA_BITS:
        return warning("dkim", f"the key of {signature.selector} has {bits} bits only", "make one of 2048 bits")
    return ok("dkim", said)
