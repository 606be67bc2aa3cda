"""Reports that mail services post: taken from whom they are, once, and from nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.domain.errors import UpstreamUnavailable
from services.pipeline.bounces import history
from services.storage import suppressions
from services.storage.tables import Bounce
from services.upstreams.http import Fetched
from tests.conftest import MakeRuntime
from tests.factories import all_rows
from tests.fakes import WEDNESDAY
from tests.integration.web_site import Site
from workers.web.security import Limiter

KEY = "key-of-the-test"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"
CONFIRM = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
SIGNING = rsa.generate_private_key(65537, 2048)


def certificate(key: rsa.RSAPrivateKey = SIGNING, until: timedelta = timedelta(days=300)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(WEDNESDAY - timedelta(days=30)).not_valid_after(WEDNESDAY + until)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(Encoding.PEM)


@dataclass
class Web:
    """An HTTP client that has the certificate, and remembers what was asked for."""

    pem: bytes = field(default_factory=certificate)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def get(self, url: str, **_: Any) -> Fetched:
        self.asked.append(url)
        if self.down:
            raise UpstreamUnavailable("no answer")
        return Fetched(url, url, 200, {}, self.pem)

    def close(self) -> None:
        """Nothing is held."""

    __hash__ = object.__hash__


def sns(what: str = "Notification", *, key: rsa.RSAPrivateKey = SIGNING, version: str = "2", **changes: str) -> bytes:
    """A message as SNS signs it; what `changes` names is changed after that, `late_…` before."""
    report = {
        "notificationType": "Bounce", "mail": {},
        "bounce": {"feedbackId": "f-1", "bounceType": "Permanent", "bounceSubType": "General",
                   "bouncedRecipients": [{"emailAddress": "ada@shore.example", "status": "5.1.1"}]},
    }  # fmt: skip
    message = {
        "Type": what, "MessageId": "m-1", "TopicArn": TOPIC, "Message": json.dumps(report),
        "Timestamp": "2026-11-25T09:00:00.000Z", "SignatureVersion": version, "SigningCertURL": CERTIFICATE,
    }  # fmt: skip
    if what != "Notification":
        message |= {"Token": "abc", "SubscribeURL": CONFIRM, "Message": "You have chosen to subscribe"}
    message |= {name[5:]: value for name, value in changes.items() if name.startswith("late_")}
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if what != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    method = hashes.SHA256() if version == "2" else hashes.SHA1()
    message["Signature"] = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), method)).decode()
    message |= {name: value for name, value in changes.items() if not name.startswith("late_")}
    return json.dumps(message).encode()


def mailgun(at: datetime = WEDNESDAY, key: str = KEY, event: str = "e-1") -> bytes:
    stamp, token = str(int(at.timestamp())), "t" * 50
    made = hmac.new(key.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    data = {"id": event, "event": "failed", "severity": "permanent", "recipient": "ada@shore.example"}
    return json.dumps(
        {"signature": {"timestamp": stamp, "token": token, "signature": made}, "event-data": data}
    ).encode()


def postmark(number: int = 42) -> bytes:
    return json.dumps(
        {"RecordType": "SpamComplaint", "ID": number, "Type": "SpamComplaint", "Email": "ada@shore.example"}
    ).encode()


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"hooks:{password}".encode()).decode()}


@pytest.fixture
def site(make_runtime: MakeRuntime) -> Site:
    rt = make_runtime(bounce_mailgun_key=KEY, bounce_postmark_secret=KEY, bounce_ses_topic=f"arn:other, {TOPIC}")
    rt.http.close()
    rt.http = Web()  # type: ignore[assignment]
    return Site(rt)


def post(site: Site, service: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    answer = site.browser.post(f"/hooks/bounces/{service}", content=body, headers=headers or {})
    return int(answer.status_code)


def suppressed(site: Site) -> list[str]:
    with site.rt.reading() as session:
        return [row.address_key for row in suppressions.page(session)]


@pytest.mark.parametrize(
    ("service", "body", "headers"),
    [
        ("mailgun", mailgun(), {}),
        ("postmark", postmark(), basic(KEY)),
        ("postmark", postmark(), {"X-Broadsheet-Secret": KEY}),
        ("ses", sns(), {"content-type": "text/plain; charset=UTF-8"}),
        ("ses", sns(version="1"), {}),
        ("ses", sns(late_Subject="Amazon SES"), {}),
    ],
)
def test_a_genuine_report_suppresses_and_counts_once(
    site: Site, service: str, body: bytes, headers: dict[str, str]
) -> None:
    for _ in range(3):
        assert post(site, service, body, headers) == 200
    assert suppressed(site) == ["email:ada@shore.example"]
    assert len(all_rows(site.rt, Bounce)) == 1
    known = history(site.rt, "Ada@shore.example")
    assert known.suppressed
    assert [(event.act, event.by) for event in known.events] == [("suppressed", service)]


def test_the_same_event_posted_anew_in_other_bytes_counts_once(site: Site) -> None:
    assert post(site, "mailgun", mailgun()) == post(site, "mailgun", mailgun(WEDNESDAY - timedelta(hours=2))) == 200
    assert post(site, "ses", sns()) == post(site, "ses", sns(late_MessageId="m-2")) == 200
    assert len(all_rows(site.rt, Bounce)) == 2
    assert post(site, "mailgun", mailgun(event="e-2")) == 200
    assert len(all_rows(site.rt, Bounce)) == 3


STRANGER = rsa.generate_private_key(65537, 2048)


NOT_PROVEN: list[tuple[str, Callable[[], bytes], dict[str, str], int]] = [
    ("mailgun", lambda: mailgun(key="guess"), {}, 403),
    ("mailgun", lambda: mailgun(WEDNESDAY - timedelta(days=1)), {}, 403),
    ("mailgun", lambda: mailgun(WEDNESDAY + timedelta(days=1)), {}, 403),
    ("mailgun", lambda: b"{}", {}, 403),
    ("mailgun", lambda: b"<xml/>", {}, 403),
    ("mailgun", lambda: b'{"signature": {"timestamp": "\xd9\xa1", "token": 1, "signature": []}}', {}, 403),
    ("postmark", postmark, {}, 403),
    ("postmark", postmark, basic("guess"), 403),
    ("postmark", postmark, {"authorization": "Basic %%%"}, 403),
    ("postmark", postmark, {"authorization": f"Bearer {KEY}"}, 403),
    ("postmark", lambda: b"[]", basic(KEY), 400),
    ("ses", lambda: sns(key=STRANGER), {}, 403),
    ("ses", lambda: sns(Message="{}"), {}, 403),
    ("ses", lambda: sns(Timestamp="2026-11-25T09:00:01.000Z"), {}, 403),
    ("ses", lambda: sns(Signature="%%"), {}, 403),
    ("ses", lambda: sns(SignatureVersion="3"), {}, 403),
    ("ses", lambda: sns(late_TopicArn="arn:aws:sns:eu-west-1:999:bounces"), {}, 403),
    ("ses", lambda: sns(SigningCertURL="https://evil.example/SimpleNotificationService-1.pem"), {}, 400),
    ("ses", lambda: sns(SigningCertURL=CERTIFICATE.replace("https", "http")), {}, 400),
    ("ses", lambda: sns(SigningCertURL=CERTIFICATE.replace(".com/", ".com.evil.example/")), {}, 400),
    ("ses", lambda: sns(SigningCertURL=CERTIFICATE.replace("sns.", "u:p@sns.")), {}, 400),
    ("ses", lambda: sns(SigningCertURL=CERTIFICATE.replace(".com/", ".com:8443/")), {}, 400),
    ("ses", lambda: sns(SigningCertURL=CERTIFICATE.replace("/Simple", "/../Simple")), {}, 400),
    ("ses", lambda: b"nothing", {}, 400),
    ("other", lambda: b"{}", {}, 404),
]


def test_whatever_is_not_proven_changes_nothing(site: Site) -> None:
    for number, (service, body, headers, status) in enumerate(NOT_PROVEN):
        site.app.state.web.false_reports = Limiter(20, 60)
        assert post(site, service, body(), headers) == status, f"number {number}: {service}"
    assert suppressed(site) == []
    assert all_rows(site.rt, Bounce) == []


def test_an_expired_certificate_proves_nothing(site: Site) -> None:
    site.rt.http.pem = certificate(until=timedelta(seconds=-1))  # type: ignore[attr-defined]
    assert post(site, "ses", sns()) == 403


def test_a_certificate_that_cannot_be_had_is_asked_for_again(site: Site) -> None:
    site.rt.http.down = True  # type: ignore[attr-defined]
    assert post(site, "ses", sns()) == 503
    site.rt.http.down = False  # type: ignore[attr-defined]
    assert post(site, "ses", sns()) == 200


def test_a_subscription_is_confirmed_at_sns_only(site: Site) -> None:
    asked = site.rt.http.asked  # type: ignore[attr-defined]
    assert post(site, "ses", sns("SubscriptionConfirmation", key=STRANGER)) == 403
    assert CONFIRM not in asked
    elsewhere = sns("SubscriptionConfirmation", late_SubscribeURL="https://169.254.169.254/latest")
    assert post(site, "ses", elsewhere) == 400
    assert asked == [CERTIFICATE]
    assert post(site, "ses", sns("SubscriptionConfirmation")) == 200
    assert asked == [CERTIFICATE, CONFIRM]
    assert post(site, "ses", sns("UnsubscribeConfirmation")) == 200
    assert asked == [CERTIFICATE, CONFIRM]


def test_each_is_off_without_its_secret(make_runtime: MakeRuntime) -> None:
    site = Site(make_runtime())
    for service, body in (("mailgun", mailgun(key="")), ("postmark", postmark()), ("ses", sns(late_TopicArn=""))):
        assert post(site, service, body, basic("")) == 404
    assert suppressed(site) == []


def test_who_goes_on_guessing_is_not_listened_to(site: Site) -> None:
    assert [post(site, "postmark", postmark(), basic(f"guess {n}")) for n in range(21)] == [403] * 20 + [429]
    assert post(site, "postmark", postmark(), basic(KEY)) == 429
    assert suppressed(site) == []
