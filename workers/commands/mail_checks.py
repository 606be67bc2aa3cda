"""Checks of how mail leaves: each mail server answers, and mails are signed for the sender's domain."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator

from config.settings import Settings
from services.channels.dkim import Signature
from services.channels.mime import sender
from services.channels.smtp_url import parse_smtp_url, split_smtp_urls
from services.domain.errors import BroadsheetError
from services.domain.redaction import redact
from services.runtime import dkim_signatures
from workers.commands.checks import TIMEOUT_S, Check, failure, ok, warning

STRONG_RSA_BITS = 2048

TxtRecords = Callable[[str], list[str]]
"""The TXT records of a name, each in one piece. Raises `LookupFailed`."""


class LookupFailed(Exception):
    """It is not known what a name holds."""


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


def check_dkim(settings: Settings, look_up: TxtRecords | None) -> Iterator[Check]:
    """The keys that sign mails can be read, are strong, sign for the domain readers see, and are published; without
    `look_up` the record to publish is only shown."""
    try:
        signatures = dkim_signatures(settings)
    except BroadsheetError as error:
        yield failure("dkim", str(error), "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem")
        return
    for signature in signatures:
        found = _of_signature(signature, sender(settings.mail_from).domain.lower())
        yield _published(signature, look_up) if found.state == "ok" and look_up is not None else found


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


# -- what is published ---------------------------------------------------------------------------------------------


def txt_records(name: str) -> list[str]:
    """The TXT records of a name, by the system's resolvers; none where there are none. Raises `LookupFailed`."""
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=TIMEOUT_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise LookupFailed(str(error)) from error
    return [b"".join(record.strings).decode("ascii", "replace") for record in answer]


def _published(signature: Signature, look_up: TxtRecords) -> Check:
    """Whether the name holds the key that signs (RFC 6376, 3.6.1)."""
    name, wanted = signature.record_name, _tags(signature.record)
    publish = f"publish this TXT record: {signature.record}"
    try:
        records = [_tags(text) for text in look_up(name)]
    except LookupFailed as error:
        return warning("dkim", f"{name} could not be looked up: {error}", f"it has to hold: {signature.record}")
    keys = [tags for tags in records if "p" in tags]
    if not keys:
        return failure("dkim", f"{name} holds no key, so no signature can be believed", publish)
    if len(keys) > 1:
        return failure("dkim", f"{name} holds {len(keys)} keys; verifiers may take either", "leave the one in use")
    (held,) = keys
    if not held["p"]:
        return failure("dkim", f"{name} says that the key was revoked", publish)
    if (held["p"], held.get("k", "rsa")) != (wanted["p"], wanted["k"]):
        return failure("dkim", f"{name} holds another key than the one that signs", publish)
    if "y" in held.get("t", "").split(":"):
        return warning(
            "dkim", f"{name} says t=y: verifiers take the signature for a test", "take t=y out of the record"
        )
    return ok("dkim", f"signs with {signature.algorithm}; {name} holds its key")


def _tags(record: str) -> dict[str, str]:
    """`v=DKIM1; k=rsa; p=…` taken apart; spaces, which may stand anywhere in a key, left out."""
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip(): "".join(value.split()) for name, equals, value in parts if equals}
