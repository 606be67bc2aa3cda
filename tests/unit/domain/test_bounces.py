"""Bounces: what a report says of an address, in mail and by webhook."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.bounces import (
    MAX_REPORT,
    WEBHOOKS,
    Bounce,
    kind_of_status,
    parse_mailgun,
    parse_postmark,
    parse_report,
    parse_ses,
    should_suppress,
)
from services.domain.errors import InvalidInput

MESSAGE_ID = "<0f3a@papers.example>"


def dsn(
    *recipients: str, original: str = f"Message-ID: {MESSAGE_ID}\nTo: ada@shore.example\nSubject: Papers\n"
) -> bytes:
    """A delivery status notification as a mail server writes it."""
    blocks = "\n".join(recipients)
    return f"""From: Mail Delivery System <MAILER-DAEMON@relay.example>
To: broadsheet@papers.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="edge"

--edge
Content-Type: text/plain

Your message could not be delivered. <somebody.else@shore.example>

--edge
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example
Arrival-Date: Wed, 25 Nov 2026 09:00:00 +0000

{blocks}
--edge
Content-Type: message/rfc822

{original}
Hello
--edge--
""".encode()


def recipient(
    address: str = "ada@shore.example", action: str = "failed", status: str = "5.1.1", said: str = "550 no"
) -> str:
    return f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {said}\n"


def test_an_unknown_user_is_a_hard_bounce_of_the_message_named() -> None:
    assert parse_report(dsn(recipient(said="550 5.1.1 no such user here"))) == (
        Bounce(address="ada@shore.example", kind="hard", code="5.1.1", detail="550 5.1.1 no such user here",
               message_id=MESSAGE_ID),
    )  # fmt: skip


def test_each_recipient_has_its_own_fate() -> None:
    found = parse_report(
        dsn(
            recipient("a@x.example"), recipient("b@x.example", status="4.2.2", said="452 full"),
            recipient("c@x.example", action="delivered", status="2.0.0", said="250 ok"),
            recipient("d@x.example", action="delayed", status="4.4.1", said="no answer"),
        )
    )  # fmt: skip
    assert [(b.address, b.kind) for b in found] == [("a@x.example", "hard"), ("b@x.example", "soft")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("5.1.1", "hard"), ("5.1.10", "hard"), ("5.4.1", "hard"), ("5.2.1", "hard"), ("5.2.2", "soft"),
        ("5.3.4", "soft"), ("5.7.1", "soft"), ("5.7.26", "soft"), ("4.4.1", "soft"), ("2.0.0", None), ("", None),
        ("550", None),
    ],
)  # fmt: skip
def test_statuses_tell_lasting_from_passing(status: str, kind: str | None) -> None:
    assert kind_of_status(status) == kind


def test_a_status_missing_is_taken_from_the_servers_words() -> None:
    (found,) = parse_report(dsn(recipient(status="", said="550 5.1.2 bad host")))
    assert (found.kind, found.code) == ("hard", "5.1.2")
    (found,) = parse_report(dsn(recipient(status="", said="554 go away")))
    assert (found.kind, found.code) == ("hard", "")
    (found,) = parse_report(dsn(recipient(status="", said="")))
    assert found.kind == "soft"


def test_a_report_is_about_the_recipient_it_names_not_the_one_in_its_prose() -> None:
    assert [b.address for b in parse_report(dsn(recipient()))] == ["ada@shore.example"]


def test_headers_alone_name_the_message_too() -> None:
    raw = dsn(recipient()).replace(b"Content-Type: message/rfc822", b"Content-Type: text/rfc822-headers")
    assert parse_report(raw)[0].message_id == MESSAGE_ID


def complaint(extra: str = "Original-Rcpt-To: ada@shore.example\n", kind: str = "abuse") -> bytes:
    return f"""From: feedback@mailbox.example
To: abuse@papers.example
Subject: FW: Papers
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="edge"

--edge
Content-Type: text/plain

This is an abuse report.
--edge
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Mailbox-Feedback/1.0
Version: 1
{extra}
--edge
Content-Type: message/rfc822

Message-ID: {MESSAGE_ID}
To: Ada Quill <ada@shore.example>
Subject: Papers

Hello
--edge--
""".encode()


@pytest.mark.parametrize("extra", ["Original-Rcpt-To: <ada@shore.example>\n", ""])
def test_a_complaint_names_who_complained_or_the_mail_does(extra: str) -> None:
    (found,) = parse_report(complaint(extra))
    assert (found.address, found.kind, found.code, found.message_id) == (
        "ada@shore.example", "complaint", "abuse", MESSAGE_ID,
    )  # fmt: skip


def test_a_report_that_it_was_no_spam_is_no_complaint() -> None:
    assert parse_report(complaint(kind="not-spam")) == ()


@pytest.mark.parametrize(
    "raw", [b"", b"Subject: holiday\n\nI am away until Monday.", b"\xff\xfe\x00", b"Content-Type: multipart/report\n\n"]
)
def test_other_mail_reports_nothing(raw: bytes) -> None:
    assert parse_report(raw) == ()


def test_a_report_of_any_size_is_not_read() -> None:
    with pytest.raises(InvalidInput, match="MB"):
        parse_report(b"x" * (MAX_REPORT + 1))


@given(raw=st.binary(max_size=400))
def test_whatever_comes_after_the_head_of_a_report_nothing_breaks(raw: bytes) -> None:
    head, _, _ = dsn(recipient()).partition(b"Reporting-MTA")
    for bounce in parse_report(head + raw):
        assert "\n" not in bounce.address + bounce.detail + bounce.code


SES: dict[str, Any] = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent", "bounceSubType": "General",
        "bouncedRecipients": [
            {"emailAddress": "ada@shore.example", "status": "5.1.1", "diagnosticCode": "smtp; 550 no"}
        ],
    },
    "mail": {"headers": [{"name": "Message-ID", "value": MESSAGE_ID}]},
}  # fmt: skip


def test_ses_bare_and_wrapped() -> None:
    bare = json.dumps(SES)
    wanted = (
        Bounce(address="ada@shore.example", kind="hard", code="5.1.1", detail="smtp; 550 no", message_id=MESSAGE_ID),
    )
    assert parse_ses(bare.encode()) == wanted
    assert parse_ses(json.dumps({"Type": "Notification", "Message": bare}).encode()) == wanted
    passing = {**SES, "bounce": {**SES["bounce"], "bounceType": "Transient"}}
    assert parse_ses(json.dumps(passing).encode())[0].kind == "soft"
    unhappy = {"eventType": "Complaint", "complaint": {"complainedRecipients": [{"emailAddress": "a@x.example"}]}}
    assert parse_ses(json.dumps(unhappy).encode()) == (Bounce(address="a@x.example", kind="complaint", code="abuse"),)


def test_postmark() -> None:
    def kind_of(**body: str) -> list[str]:
        return [b.kind for b in parse_postmark(json.dumps({"Email": "a@x.example", **body}).encode())]

    assert kind_of(RecordType="Bounce", Type="HardBounce") == ["hard"]
    assert kind_of(RecordType="Bounce", Type="SoftBounce") == ["soft"]
    assert kind_of(RecordType="Bounce", Type="SpamNotification") == ["complaint"]
    assert kind_of(RecordType="SpamComplaint") == ["complaint"]
    assert kind_of(RecordType="Delivery") == []
    assert kind_of() == []


def test_mailgun() -> None:
    def read(**event: Any) -> tuple[Bounce, ...]:
        return parse_mailgun(
            json.dumps({"signature": {}, "event-data": {"recipient": "a@x.example", **event}}).encode()
        )

    (found,) = read(
        event="failed", severity="permanent", message={"headers": {"message-id": MESSAGE_ID.strip("<>")}},
        **{"delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "no such user"}},
    )  # fmt: skip
    assert (found.kind, found.code, found.detail, found.message_id) == ("hard", "5.1.1", "no such user", MESSAGE_ID)
    assert read(event="failed", severity="temporary")[0].kind == "soft"
    assert read(event="complained")[0].kind == "complaint"
    assert read(event="failed", severity="permanent", reason="suppress-complaint")[0].kind == "complaint"
    assert read(event="delivered") == ()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["Message", "notificationType", "bounce", "bouncedRecipients", "mail", "headers", "Email", "Type", "event-data",
         "recipient", "event", "delivery-status", "message", "complaint", "complainedRecipients"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(WEBHOOKS))
@given(body=st.one_of(st.binary(max_size=50), _json.map(lambda value: json.dumps(value).encode())))
def test_a_hook_of_any_shape_is_read_or_refused(name: str, body: bytes) -> None:
    try:
        found = WEBHOOKS[name](body)
    except InvalidInput:
        return
    assert all("@" in bounce.address for bounce in found)


def test_an_address_is_given_up_after_one_hard_bounce_or_five_soft_ones() -> None:
    assert should_suppress("hard", 0)
    assert should_suppress("complaint", 0)
    assert not should_suppress("soft", 4)
    assert should_suppress("soft", 5)
