from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from services.channels.posting import failure_of_error
from services.channels.webhook import Webhook
from services.domain.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    InvalidInput,
    UpstreamRejected,
    UpstreamUnavailable,
)

from .samples import MESSAGE, NOW, Answer, FakeHttp, Intent

URL = "https://example.org/in?token=abc"


def webhook(http: FakeHttp) -> Webhook:
    return Webhook(http, "s3cret", clock=lambda: NOW)


def test_the_body_is_signed_and_the_key_is_the_deliverys() -> None:
    http, intent = FakeHttp(Answer(202, b"thanks")), Intent()
    receipt = webhook(http).send(MESSAGE, URL, "delivery-7", commit_intent=intent)
    assert receipt.code == "202"
    assert receipt.detail == "example.org thanks"
    assert intent.calls == 1
    (post,) = http.posts
    headers, body = post["headers"], post["content"]
    assert post["url"] == URL
    assert json.loads(body) == MESSAGE.data
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == headers["X-Broadsheet-Delivery"] == "delivery-7"
    assert headers["X-Broadsheet-Timestamp"] == str(int(NOW.timestamp()))
    expected = hmac.new(b"s3cret", headers["X-Broadsheet-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Broadsheet-Signature"] == f"sha256={expected}"


def test_a_key_cannot_add_a_header() -> None:
    http = FakeHttp(Answer(200, b""))
    webhook(http).send(MESSAGE, URL, "d1\r\nX-Admin: yes\u2028ü")
    assert http.posts[0]["headers"]["Idempotency-Key"] == "d1 X-Admin: yes ?"


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Answer(404, b"nothing here"), DeliveryRefused),
        (Answer(301, b""), DeliveryRefused),
        (Answer(408, b""), DeliveryDeferred),
        (Answer(429, b""), DeliveryDeferred),
        (Answer(500, b"oops"), DeliveryDeferred),
        (UpstreamUnavailable("timed out"), DeliveryUnknown),
        (UpstreamUnavailable("bad gateway", status=502), DeliveryDeferred),
    ],
)
def test_what_each_answer_means(result: Answer | Exception, kind: type[DeliveryError]) -> None:
    with pytest.raises(DeliveryError) as failure:
        webhook(FakeHttp(result)).send(MESSAGE, URL, "d1")
    assert type(failure.value) is kind
    assert "abc" not in str(failure.value)


def test_without_a_secret_or_data_nothing_is_sent() -> None:
    with pytest.raises(InvalidInput):
        Webhook(FakeHttp(Answer(200, b"")), "")
    http = FakeHttp(Answer(200, b""))
    with pytest.raises(DeliveryRefused):
        webhook(http).send(replace(MESSAGE, data=None), URL, "d1")
    assert http.posts == []


@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_receiver_that_throws_back_its_address_does_not_have_it_kept(status: int) -> None:
    url = "https://example.org/hooks/s3cr3t?token=abcdef"
    body = f"POST /hooks/s3cr3t?token=abcdef at {url}, token=abcdef".encode()
    try:
        said = webhook(FakeHttp(Answer(status, body))).send(MESSAGE, url, "d1").detail
    except DeliveryError as error:
        said = str(error)
    assert "example.org" in said
    assert "POST *** at ***, ***" in said


def test_what_a_host_answered_is_told_once() -> None:
    error = UpstreamRejected("lab.example answered 404: gone", status=404)
    assert str(failure_of_error(error, "lab.example")) == "lab.example answered 404: gone"
