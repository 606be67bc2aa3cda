from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.channels.slack import SlackWebhook
from services.domain.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    LeaseLost,
    RateLimited,
    UpstreamError,
    UpstreamRejected,
    UpstreamUnavailable,
)

from .samples import MESSAGE, NOW, Answer, FakeHttp, Intent

URL = "https://hooks.slack.com/services/T0001/B0002/topsecret"


def send(http: FakeHttp, intent: Intent | None = None) -> None:
    SlackWebhook(http).send(MESSAGE, URL, "d1", commit_intent=intent or Intent())


def caused(error: UpstreamError, cause: Exception) -> UpstreamError:
    error.__cause__ = cause
    return error


class ConnectError(Exception):
    """As HTTP clients call a connection that never came about."""


class ReadTimeout(Exception):
    """As HTTP clients call an answer that did not come."""


def test_ok_is_a_receipt() -> None:
    http, intent = FakeHttp(Answer(200, b"ok")), Intent()
    receipt = SlackWebhook(http, clock=lambda: NOW).send(MESSAGE, URL, "d1", commit_intent=intent)
    assert receipt.code == "ok"
    assert receipt.accepted_at == NOW
    assert "topsecret" not in receipt.detail
    assert intent.calls == 1
    assert http.posts[0]["url"] == URL
    assert http.posts[0]["json"] == MESSAGE.slack


@pytest.mark.parametrize(
    ("result", "kind", "code"),
    [
        (Answer(404, b"no_service"), DeliveryRefused, "no_service"),
        (Answer(410, b"channel_is_archived"), DeliveryRefused, "channel_is_archived"),
        (Answer(403, b"action_prohibited"), DeliveryRefused, "action_prohibited"),
        (Answer(400, b"invalid_blocks"), DeliveryRefused, "invalid_blocks"),
        (Answer(404, b"<html>nope</html>"), DeliveryRefused, "404"),
        (Answer(302, b""), DeliveryRefused, "302"),
        (Answer(429, b"rate_limited"), DeliveryDeferred, "rate_limited"),
        (Answer(500, b"rollup_error"), DeliveryDeferred, "rollup_error"),
        (Answer(503, b""), DeliveryDeferred, "503"),
        (Answer(200, b"<html>log in</html>"), DeliveryUnknown, "200"),
        (UpstreamRejected("Slack answered 404: no_service", status=404), DeliveryRefused, "no_service"),
        (UpstreamRejected("answered 400", status=400), DeliveryRefused, "400"),
        (UpstreamRejected("refused: a private address"), DeliveryRefused, ""),
        (RateLimited("slow down", status=429), DeliveryDeferred, "429"),
        (UpstreamUnavailable("answered 503", status=503), DeliveryDeferred, "503"),
        (caused(UpstreamUnavailable("no route"), ConnectError()), DeliveryDeferred, ""),
        (caused(UpstreamUnavailable("refused"), ConnectionRefusedError()), DeliveryDeferred, ""),
        (caused(UpstreamUnavailable("no answer"), ReadTimeout()), DeliveryUnknown, ""),
        (UpstreamUnavailable("lost"), DeliveryUnknown, ""),
    ],
)
def test_what_each_answer_means(result: Answer | Exception, kind: type[DeliveryError], code: str) -> None:
    with pytest.raises(DeliveryError) as failure:
        send(FakeHttp(result))
    assert type(failure.value) is kind
    assert failure.value.code == code


def test_the_wait_they_ask_for_is_kept() -> None:
    with pytest.raises(DeliveryDeferred) as failure:
        send(FakeHttp(RateLimited("slow down", status=429, retry_after=timedelta(seconds=30))))
    assert failure.value.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    "said", [f"{URL} answered 404: no_service", "hooks.slack.com/services/T0001/B0002/topsecret: no answer"]
)
def test_the_webhooks_url_is_never_repeated(said: str) -> None:
    with pytest.raises(DeliveryError) as failure:
        send(FakeHttp(UpstreamRejected(said, url=URL, status=404)))
    assert "topsecret" not in str(failure.value)
    assert failure.value.__suppress_context__


def test_an_intent_that_fails_posts_nothing() -> None:
    http = FakeHttp(Answer(200, b"ok"))
    with pytest.raises(LeaseLost):
        send(http, Intent(LeaseLost("gone")))
    assert http.posts == []


def test_a_message_without_a_slack_form_is_refused() -> None:
    http, intent = FakeHttp(Answer(200, b"ok")), Intent()
    with pytest.raises(DeliveryRefused):
        SlackWebhook(http).send(replace(MESSAGE, slack=None), URL, "d1", commit_intent=intent)
    assert intent.calls == 0
