"""Bounce hooks: reports that a mail service posts, taken only where their sender is certain."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import structlog

from services.domain.bounce_hooks import event_id, mailgun_is_genuine, postmark_is_genuine
from services.domain.bounces import WEBHOOKS
from services.domain.errors import InvalidInput, NotFound
from services.pipeline.bounces import Noted, record_bounce
from services.runtime import Runtime
from services.upstreams import sns
from services.upstreams.http import Fetched, HttpClient

log = structlog.get_logger(__name__)


class NotGenuine(InvalidInput):
    """Nobody knows whom the report is from."""


def take_report(rt: Runtime, service: str, headers: Mapping[str, str], body: bytes) -> list[Noted]:
    """Record what a service (`ses`, `postmark`, `mailgun`) posted; the same event counts once.

    `headers` have lower-case names. Raises `NotFound` for a service whose secret is not set, `NotGenuine` for a report
    that is not proven to be its, `InvalidInput` for one that cannot be read, and `UpstreamError` when a certificate
    cannot be fetched.
    """
    settings = rt.settings
    match service:
        case "mailgun" if settings.bounce_mailgun_key.get_secret_value():
            genuine = mailgun_is_genuine(body, settings.bounce_mailgun_key.get_secret_value(), rt.now())
        case "postmark" if settings.bounce_postmark_secret.get_secret_value():
            genuine = postmark_is_genuine(headers, settings.bounce_postmark_secret.get_secret_value())
        case "ses" if settings.bounce_ses_topic:
            return _from_sns(rt, body)
        case _:
            raise NotFound("no reports of this kind are taken here")
    if not genuine:
        raise NotGenuine("the report is not signed with the secret that is set")
    return _record(rt, service, body)


def _record(rt: Runtime, service: str, body: bytes) -> list[Noted]:
    return record_bounce(rt, WEBHOOKS[service](body), report=body, event=event_id(service, body), by=service)


def _from_sns(rt: Runtime, body: bytes) -> list[Noted]:
    message = sns.parse(body)
    topics = {topic.strip() for topic in rt.settings.bounce_ses_topic.split(",")}
    if message["TopicArn"] not in topics:
        raise NotGenuine("the report is of another topic than BROADSHEET_BOUNCE_SES_TOPIC")
    if not sns.is_genuine(message, _certificate(rt.http, sns.certificate_url(message)), rt.now()):
        raise NotGenuine("the report is not signed by Amazon SNS")
    if message["Type"] == "SubscriptionConfirmation":
        rt.http.get(sns.confirmation_url(message))
        log.info("bounces.subscribed", topic=message["TopicArn"])
    return _record(rt, "ses", body) if message["Type"] == "Notification" else []


@lru_cache(maxsize=16)
def _certificate(http: HttpClient, url: str) -> bytes:
    """SNS uses one for months, under an address of its own."""
    answer = http.get(url)
    assert isinstance(answer, Fetched)  # nothing conditional was asked
    return answer.body
