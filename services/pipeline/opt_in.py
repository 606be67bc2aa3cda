"""Opt-in: what somebody asked for by the form is kept as a job, then written down as pending, and confirmed by mail.

    the form → one row, whoever it is for → written as pending, may a mail go out? → the confirmation → its button

The row is there before the form is answered, and adding it is all that the answer waits for: it takes as long for an
address that is known as for one that is not. Its payload is sealed and does not outlive the work.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from sqlmodel import Session

from services.domain.errors import DeliveryDeferred, DeliveryRefused, DeliveryUnknown
from services.domain.jobs import Claim, NewJob
from services.domain.tokens import make_token
from services.pipeline.confirmation import confirmation_message
from services.pipeline.subscribe import subscribe
from services.runtime import Runtime
from services.storage import jobs, service, subscribers
from services.storage.sealed import seals_of
from services.storage.tables import Gate, Subscription

log = structlog.get_logger(__name__)

PENDING = "pending"
"""A subscription that waits for its reader's confirmation; the schedule looks at `active` ones only."""
WAITING = " · to be confirmed"
"""What the name of such a subscription ends with: the one it may become has its own (`name_of`)."""
MAIL_PAUSE = timedelta(hours=24)
"""At most one confirmation in this time to one address, and `MAILS_EVER` in all."""
MAILS_EVER = 3
LEASE_FOR_A_MAIL = timedelta(seconds=60)


def name_of(subscription: Subscription) -> str:
    """The name of a subscription, or of the one it may become."""
    return subscription.name.removesuffix(WAITING)


def opt_in_job(rt: Runtime, address: str, wish: Mapping[str, Any]) -> NewJob:
    """The job that keeps a wish until its confirmation has left; `wish` as `subscribe` takes it."""
    sealed = seals_of(rt.engine.dialect).seal(msgspec.json.encode({"to": address, **wish}).decode())
    return NewJob(
        kind="ask_to_confirm", key=secrets.token_hex(16), payload={"sealed": sealed, "at": rt.now().isoformat()},
        priority=-2,
    )  # fmt: skip


def ask_to_confirm(rt: Runtime, claim: Claim) -> None:
    """Write a wish down as pending, and send the confirmation where one may go out.

    Payload `sealed` until it is written down, then `subscription_id` while a mail is owed; `at` is when it was asked.
    A mail of which nobody knows whether it left is sent again with the same Message-ID.
    """
    payload = claim.payload
    if "sealed" in payload:
        payload = _take_down(rt, claim)
        rt.checkpoint("ask_to_confirm.taken_down")
    if "subscription_id" in payload:
        _send(rt, claim, payload["subscription_id"], datetime.fromisoformat(payload["at"]))
    with rt.step(claim) as step:
        jobs.put_payload(step.session, claim, {})


def _take_down(rt: Runtime, claim: Claim) -> dict[str, Any]:
    """Write the wish as pending; what is left to do, as the job's payload, in the same transaction.

    What the address receives already stays as it is: anybody can type it.
    """
    wish = msgspec.json.decode(seals_of(rt.engine.dialect).open(claim.payload["sealed"]))
    with rt.writing() as session:
        jobs.check(session, claim)
        now = rt.now()
        subscription, subscriber = subscribe(
            rt, session, name=(wish["query"][:150] or "Daily Papers") + WAITING, confirmed=False, origin="web", **wish
        )
        subscription.state = PENDING
        session.flush()
        left: dict[str, Any] = {}
        if subscriber.state == "suppressed":
            log.info("subscribe.suppressed", subscriber=subscriber.id)
        elif _may_mail(rt, session, wish["to"], now):
            left = {"subscription_id": subscription.id, "at": claim.payload["at"]}
        jobs.put_payload(session, claim, left)
    return left


def _may_mail(rt: Runtime, session: Session, address: str, now: datetime) -> bool:
    """Whether a confirmation may go to the address now; if so, it is counted."""
    name = confirmation_gate(rt, address)
    gate = session.get(Gate, name)
    if gate is not None and (gate.free_at > now or gate.calls >= MAILS_EVER):
        return False
    return service.enter_gate(session, name, interval=MAIL_PAUSE, now=now) is None


def confirmation_gate(rt: Runtime, address: str) -> str:
    """The gate that spaces the confirmations to one address; it does not name the address."""
    return "confirm:" + hmac.new(rt.secret.encode(), address.lower().encode(), "sha256").hexdigest()[:24]


def _send(rt: Runtime, claim: Claim, subscription_id: int, at: datetime) -> None:
    with rt.reading() as session:
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
    if subscription.state != PENDING or not subscriber.address:
        return  # confirmed by an earlier mail, or wiped
    version = subscriber.token_version
    url = rt.url(f"/confirm/{quote(make_token(rt.secret, 'confirm', subscription_id, version), safe='')}")
    message = confirmation_message(
        url=url, subscription_id=subscription_id, version=version, mail_from=rt.settings.mail_from, secret=rt.secret,
        now=at,
    )  # fmt: skip
    rt.enough_lease(claim, min(LEASE_FOR_A_MAIL, rt.lease() / 2))
    address = subscriber.address
    try:
        receipt = rt.channel("email", address).send(message, address, f"confirm-{subscription_id}-{at:%Y%m%d%H%M%S}")
    except DeliveryRefused as error:
        log.warning("confirmation.refused", subscription=subscription_id, error=str(error))
        with rt.writing() as session:
            _not_mailed(rt, session, address)
        return
    except DeliveryUnknown as error:
        raise DeliveryDeferred(str(error), code=error.code) from error
    log.info("confirmation.sent", subscription=subscription_id, code=receipt.code)


def _not_mailed(rt: Runtime, session: Session, address: str) -> None:
    """None went out: asking again is allowed at once."""
    gate = session.get(Gate, confirmation_gate(rt, address))
    if gate is not None:
        gate.free_at, gate.calls = rt.now(), max(0, gate.calls - 1)


def opt_in_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """When the job is given up, whoever asked may ask again."""
    owed = jobs.get(session, claim.job_id).payload.get("subscription_id")
    if final and owed is not None:
        _not_mailed(rt, session, subscribers.get_subscription(session, owed)[1].address)
        log.warning("confirmation.failed", subscription=owed, error=str(error))
