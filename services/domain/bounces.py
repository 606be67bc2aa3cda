"""Bounces and complaints: what mailboxes and mail services say of mail that did not arrive, or was unwelcome.

Reports come as mail (delivery status notifications, RFC 3464; abuse reports, RFC 5965) or as a webhook's JSON
(Amazon SES through SNS, Postmark, Mailgun). All become `Bounce`s: who, how bad, and in whose words. Nothing here
says that a report is genuine: whoever receives it checks that (signatures of webhooks, Message-IDs of ours).
"""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.utils import parseaddr
from typing import Any

from services.domain.errors import InvalidInput
from services.domain.text import clean

KINDS = ("hard", "soft", "complaint")
"""hard: this address will never work; soft: not this time; complaint: it works, and is not wanted."""

SOFT_LIMIT = 5
"""So many soft bounces within a month are as good as a hard one."""

MAX_REPORT = 2_000_000
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_ADDRESS = re.compile(r"[^\s@<>\"',;:\\()\[\]]{1,64}@[^\s@<>\"',;:\\()\[\]]{1,253}")
_PASSING_AFTER_ALL = frozenset({"5.2.2", "5.3.4", "5.2.3"})
"""Refusals of this one message, or for now: mailbox full, message too large."""
_OF_THE_MESSAGE = "5.7."
"""Refused for its content or its sender's standing: nothing is wrong with the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """One report about one address."""

    address: str
    kind: str
    """One of `KINDS`."""
    code: str = ""
    """The status as given: `5.1.1`, `abuse`, `Permanent/General`."""
    detail: str = ""
    """What the other side said, in one line."""
    message_id: str = ""
    """The Message-ID of the mail it is about (`<…>`), where the report names it."""


def kind_of_status(status: str) -> str | None:
    """hard or soft for an enhanced status (RFC 3463), `None` for success and for what is none."""
    found = _STATUS.search(status)
    if found is None or found[1] == "2":
        return None
    if found[1] == "4" or found[0] in _PASSING_AFTER_ALL or found[0].startswith(_OF_THE_MESSAGE):
        return "soft"
    return "hard"


def should_suppress(kind: str, soft: int) -> bool:
    """Whether an address is written to no more: after a hard bounce, a complaint, or the `SOFT_LIMIT`th soft one."""
    return kind in {"hard", "complaint"} or soft >= SOFT_LIMIT


# -- mail --------------------------------------------------------------------------------------------------------


def parse_report(raw: bytes) -> tuple[Bounce, ...]:
    """The bounces or complaints a mail reports; empty for any other mail, and for reports of success.

    Raises `InvalidInput` for what is larger than a report can be.
    """
    if len(raw) > MAX_REPORT:
        raise InvalidInput(f"a bounce of more than {MAX_REPORT // 1_000_000} MB is not read")
    # Not `policy.default`: it parses every header that is looked at, and raises whatever goes wrong in that.
    mail = email.message_from_bytes(raw, policy=policy.compat32)
    parts = {part.get_content_type(): part for part in reversed(list(_walk(mail)))}
    original = parts.get("message/rfc822") or parts.get("text/rfc822-headers") or parts.get("message/rfc822-headers")
    message_id = _original_id(original)
    if "message/feedback-report" in parts:
        return _complaint(parts["message/feedback-report"], original, message_id)
    if "message/delivery-status" in parts:
        return tuple(_of_status(parts["message/delivery-status"], message_id))
    return ()


def _walk(mail: Message) -> Iterator[Message]:
    """Its parts, without going into the mail it is about."""
    yield mail
    if mail.get_content_type().startswith("multipart/") and isinstance(mail.get_payload(), list):
        for part in mail.get_payload():
            if isinstance(part, Message):
                yield from _walk(part)


def _blocks(part: Message) -> list[Mapping[str, str]]:
    """The groups of fields of a report: parsed as messages by the email package, or still text."""
    payload = part.get_payload()
    if isinstance(payload, list):
        groups = [block for block in payload if isinstance(block, Message)]
    else:
        raw = part.get_payload(decode=True)
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(payload)
        groups = [
            email.message_from_string(piece, policy=policy.compat32) for piece in re.split(r"\r?\n\s*\r?\n", text)
        ]
    return [{name.lower(): clean(str(value), limit=500) for name, value in block.items()} for block in groups]


def _of_status(part: Message, message_id: str) -> Iterator[Bounce]:
    for fields in _blocks(part):
        address = _typed_address(fields.get("final-recipient", "")) or _typed_address(
            fields.get("original-recipient", "")
        )
        action = fields.get("action", "").lower()
        if not address or action in {"delivered", "relayed", "expanded", "delayed"}:
            continue  # delayed: still being tried, so nothing is known yet
        said = fields.get("diagnostic-code", "").partition(";")[2].strip() or fields.get("diagnostic-code", "")
        status = fields.get("status", "")
        kind = kind_of_status(status) or kind_of_status(said)
        if kind is None:
            kind = "hard" if action == "failed" and re.match(r"5\d\d\b", said) else "soft"
        found = _STATUS.search(status) or _STATUS.search(said)
        yield Bounce(address=address, kind=kind, code=found[0] if found else "", detail=said, message_id=message_id)


def _complaint(part: Message, original: Message | None, message_id: str) -> tuple[Bounce, ...]:
    fields: dict[str, str] = {}
    for block in _blocks(part):
        fields = {**block, **fields}
    named = fields.get("original-rcpt-to", "") or fields.get("removal-recipient", "")
    if not named and original is not None:
        named = _header(original, "To")
    address = _plain_address(named)
    kind = fields.get("feedback-type", "abuse").lower()
    if not address or kind not in {"abuse", "fraud", "opt-out", "opt-out-list", "other"}:
        return ()  # `not-spam`, `virus`, `auth-failure` say nothing about whether mail is wanted
    said = fields.get("user-agent", "")
    return (Bounce(address=address, kind="complaint", code=kind, detail=said, message_id=message_id),)


def _header(part: Message, name: str) -> str:
    payload = part.get_payload()
    inner: Message | None = (
        payload[0] if isinstance(payload, list) and payload and isinstance(payload[0], Message) else None
    )
    if inner is None and isinstance(payload, str):
        raw = part.get_payload(decode=True)
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else payload
        inner = email.message_from_string(text, policy=policy.compat32)
    return clean(str(inner[name]), limit=1000) if inner is not None and inner[name] else ""


def _original_id(part: Message | None) -> str:
    return _message_id(_header(part, "Message-ID")) if part is not None else ""


def _message_id(text: str) -> str:
    found = re.search(r"<[^<>\s]{1,400}@[^<>\s]{1,400}>", text)
    return found[0] if found and found[0].isprintable() else ""


def _typed_address(field: str) -> str:
    """`rfc822; someone@example.org` as an address."""
    kind, semicolon, rest = field.partition(";")
    return _plain_address(rest) if semicolon and kind.strip().lower() in {"rfc822", "utf-8"} else ""


def _plain_address(text: str) -> str:
    address = parseaddr(text.strip())[1] or text.strip()
    # JSON can spell characters that no address holds and no database takes: NUL, half of a pair.
    return address if _ADDRESS.fullmatch(address) and address.isprintable() else ""


# -- webhooks ----------------------------------------------------------------------------------------------------


def parse_ses(body: bytes) -> tuple[Bounce, ...]:
    """Amazon SES, as SNS posts it (or its bare `Message`). Raises `InvalidInput` for what is no JSON of that shape.

    Permanent bounces are hard, all others soft; complaints name those who complained.
    """
    data = _object(body)
    if isinstance(data.get("Message"), str):
        data = _object(data["Message"].encode("utf-8", "replace"))
    what = data.get("notificationType") or data.get("eventType")
    message_id = _ses_id(data.get("mail"))
    if what == "Bounce":
        report = _dict(data.get("bounce"))
        lasting = report.get("bounceType") == "Permanent"
        code = "/".join(str(report.get(name) or "") for name in ("bounceType", "bounceSubType")).strip("/")
        return tuple(
            Bounce(
                address=address, kind="hard" if lasting else "soft", code=_short(one.get("status") or code),
                detail=_line(one.get("diagnosticCode")), message_id=message_id,
            )
            for one in _list(report.get("bouncedRecipients"))
            if (address := _plain_address(str(one.get("emailAddress") or "")))
        )  # fmt: skip
    if what == "Complaint":
        report = _dict(data.get("complaint"))
        code = _short(report.get("complaintFeedbackType") or "abuse")
        return tuple(
            Bounce(address=address, kind="complaint", code=code, message_id=message_id)
            for one in _list(report.get("complainedRecipients"))
            if code != "not-spam" and (address := _plain_address(str(one.get("emailAddress") or "")))
        )
    return ()


def _ses_id(mail: Any) -> str:
    for header in _list(_dict(mail).get("headers")):
        if str(header.get("name")).lower() == "message-id":
            return _message_id(str(header.get("value")))
    return ""


_POSTMARK_HARD = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated", "Unsubscribe", "AddressChange"})
_POSTMARK_COMPLAINTS = frozenset({"SpamComplaint", "SpamNotification"})


def parse_postmark(body: bytes) -> tuple[Bounce, ...]:
    """Postmark's `Bounce` and `SpamComplaint` hooks. Raises `InvalidInput` for what is no JSON object."""
    data = _object(body)
    address = _plain_address(str(data.get("Email") or data.get("Recipient") or ""))
    record, kind = str(data.get("RecordType") or ""), str(data.get("Type") or "")
    if not address or record not in {"Bounce", "SpamComplaint", ""} or not (record or kind):
        return ()
    if record == "SpamComplaint" or kind in _POSTMARK_COMPLAINTS:
        bad = "complaint"
    else:
        bad = "hard" if kind in _POSTMARK_HARD else "soft"
    said = _line(data.get("Details") or data.get("Description"))
    return (Bounce(address=address, kind=bad, code=_short(kind or record), detail=said),)


def parse_mailgun(body: bytes) -> tuple[Bounce, ...]:
    """Mailgun's `failed` and `complained` events. Raises `InvalidInput` for what is no JSON object."""
    event = _dict(_object(body).get("event-data"))
    address = _plain_address(str(event.get("recipient") or ""))
    what, how = event.get("event"), event.get("severity")
    if not address or what not in {"failed", "complained"}:
        return ()
    status = _dict(event.get("delivery-status"))
    code = _short(status.get("enhanced-code") or status.get("code") or event.get("reason") or what)
    kind = "complaint" if what == "complained" else "hard" if how == "permanent" else "soft"
    if kind == "hard" and event.get("reason") in {"suppress-unsubscribe", "suppress-complaint"}:
        kind = "complaint"
    inner = _dict(_dict(event.get("message")).get("headers")).get("message-id")
    given = f"<{str(inner).strip('<>')}>" if inner else ""
    said = _line(status.get("message") or status.get("description"))
    return (Bounce(address=address, kind=kind, code=code, detail=said, message_id=_message_id(given)),)


WEBHOOKS = {"ses": parse_ses, "postmark": parse_postmark, "mailgun": parse_mailgun}
"""Readers by the service's name."""


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_REPORT:
        raise InvalidInput("a report this large is not read")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the report is no JSON") from error
    if not isinstance(data, dict):
        raise InvalidInput("the report is no JSON object")
    return data


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _line(value: Any) -> str:
    return clean(str(value), limit=500) if value else ""


def _short(value: Any) -> str:
    return clean(str(value), limit=60)
