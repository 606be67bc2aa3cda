"""Send: each delivery of an edition leaves once, and what became of it is written down.

    render → connect … 354 → the message → commit `sending` and the bytes → the dot → commit outcome and the job's end

Between the commit of `sending` and that of the outcome lies the one window in which nobody can say whether a
message left; the message goes over before it, and only the dot and its answer lie in it. A delivery that a later try
finds `sending` was caught in it: `BROADSHEET_SMTP_AMBIGUITY` decides.

Where mail follows mail, the next job is claimed with the outcome of one: two commits a mail. A third could be saved if
an outcome waited for the next intent; but then nearly every kill would leave a mail in doubt, and now few do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlmodel import Session

from services.channels import Channel, PartedChannel
from services.domain.deliveries import Part, certain_state, parts_from_json, parts_to_json, should_send
from services.domain.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, DeliveryUnknown
from services.domain.jobs import Claim, NewJob
from services.domain.messages import Message, Receipt
from services.pipeline.messages import pack, render_edition, unpack
from services.pipeline.rates import keep_to_rate
from services.pipeline.votes import has_thread, look_job
from services.runtime import Runtime
from services.storage import deliveries, editions, jobs, rates
from services.storage.tables import Delivery, Subscriber

log = structlog.get_logger(__name__)

LEASE_FOR_A_SEND = timedelta(seconds=30)
"""A message is only handed over while at least this much of the lease is left (half of it, for short leases)."""

SLACK_PACE_S = 1.0
"""Slack takes about one message a second in a channel."""

OUTCOMES = {
    "suppress": ("suppressed", "the subscriber is not active"),
    "expire": ("expired", "too late to be of use"),
    "hold": ("unknown", "a worker stopped between handing the message over and hearing the answer"),
}
"""What a verdict other than `send` or `done` makes of a delivery, and the words for it."""

IN_THE_NEXT = "its papers are in the next edition"


def send_job(edition_id: int, again: str = "") -> NewJob:
    """The job that sends an edition's deliveries; `again` makes a further one, as a person asks."""
    key = f"edition {edition_id}" + (f" again {again}" if again else "")
    return NewJob(kind="send_deliveries", key=key, payload={"edition_id": edition_id}, priority=-1)


def send_deliveries(rt: Runtime, claim: Claim) -> None:
    """Send what is left to send of one edition: payload `edition_id`. Each delivery keeps its own state."""
    _send_edition(rt, claim, until=None)


def send_on(rt: Runtime, claim: Claim, until: datetime) -> Claim | None:
    """As `send_deliveries`; the job of the next mail, where it is the most urgent one there is before `until`."""
    return _send_edition(rt, claim, until)


def _send_edition(rt: Runtime, claim: Claim, until: datetime | None) -> Claim | None:
    """Send what is left to send of one edition; the job that is next, where one was claimed with the last outcome."""
    again: list[DeliveryError] = []
    end = _End()
    found = _look(rt, claim)
    while found is not None:
        try:
            end = _send(rt, claim, found, last=not found.more and not again, until=until)
        except DeliveryDeferred as error:
            again.append(error)
        found = _look(rt, claim, after=found.delivery.id or 0) if found.more else None
    if again:
        raise max(again, key=lambda error: error.retry_after or timedelta(0))
    if not end.finished:
        with rt.step(claim):
            pass
    return end.next


@dataclass(frozen=True, slots=True)
class _End:
    """Whether the job has ended with a delivery's outcome, and what was claimed with it."""

    finished: bool = False
    next: Claim | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A delivery, what is to become of it, and the message where that is to be sent."""

    delivery: Delivery
    subscriber: Subscriber
    cadence: str
    parts: dict[str, Part]
    verdict: str
    message: Message | None
    kept: bytes | None
    """The message as it is to be kept, where it was rendered just now."""
    held_to: int | None
    """What an operator holds its channel to."""
    more: bool
    """Whether another delivery of the edition follows."""


def _look(rt: Runtime, claim: Claim, *, after: int = 0) -> _Found | None:
    """The next unsettled delivery of the edition from `after` one on, in one look at the database."""
    message: Message | None = None
    kept: bytes | None = None
    with rt.reading() as session:
        rows = deliveries.unsettled(session, claim.payload["edition_id"], after=after, limit=2)
        if not rows:
            return None
        delivery, subscriber, edition, subscription = rows[0]
        # Whoever has left this digest gets no more of it, though another subscription keeps the address active.
        wanted = subscriber.state if subscription.state in {"active", "paused"} else subscription.state
        parts = parts_from_json(delivery.parts)
        state = certain_state(delivery.state, parts)
        verdict = should_send(state, wanted, rt.now(), delivery.expires_at, rt.settings.smtp_ambiguity)
        held_to = rates.per_hour(session, delivery.channel)
        if verdict == "send" and delivery.message is not None:
            message = unpack(delivery.message)
        elif verdict == "send":
            message = render_edition(rt, session, edition, delivery)
            kept = pack(message)
    if kept is not None:
        rt.checkpoint("send_deliveries.rendered")
    return _Found(
        delivery, subscriber, subscription.cadence, parts, verdict, message, kept, held_to, more=len(rows) > 1
    )


def _send(rt: Runtime, claim: Claim, found: _Found, *, last: bool = False, until: datetime | None = None) -> _End:
    """Send one delivery, or settle it unsent. With `last` its outcome ends the job, in one transaction with it, and
    until `until` the next mail's job is claimed there, too."""
    delivery, subscriber, message = found.delivery, found.subscriber, found.message
    if message is None:
        return _End(_settle(rt, claim, delivery, found.verdict, found.cadence, last))
    delivery_id = delivery.id or 0
    channel = rt.channel(subscriber.channel, subscriber.address)
    if keep_to_rate(rt, channel.name, found.held_to) or channel.name != "email":
        until = None  # it takes its time, and what is urgent does not wait for it
    gate = f"slack {subscriber.address}" if channel.name == "slack" and isinstance(channel, PartedChannel) else ""
    course = _Course(
        rt, claim, delivery_id, delivery.attempts + 1, found.parts, gate=gate, last=last, kept=found.kept, until=until
    )
    following: Claim | None = None
    try:
        receipt = _hand_over(channel, message, subscriber.address, f"{delivery.edition_id}-{delivery_id}", course)
    except DeliveryRefused as error:
        course.end("failed", last=last, code=error.code, detail=str(error)[:1000])
        log.warning("delivery.failed", delivery=delivery_id, code=error.code, error=str(error))
    except DeliveryUnknown as error:
        resend = rt.settings.smtp_ambiguity == "resend"
        last = last and not resend
        _move(rt, claim, delivery_id, "unknown", last=last, code=error.code, detail=str(error)[:1000])
        log.warning("delivery.unknown", delivery=delivery_id, error=str(error))
        if resend:
            raise DeliveryDeferred(str(error), code=error.code) from error
    except DeliveryDeferred as error:
        course.end("deferred", code=error.code, detail=str(error)[:1000])
        log.info("delivery.deferred", delivery=delivery_id, code=error.code, error=str(error))
        raise
    else:
        rt.checkpoint("send_deliveries.answered")
        following = course.accepted(receipt)
        log.info("delivery.accepted", delivery=delivery_id, channel=channel.name, code=receipt.code)
    return _End(last, following)


def _hand_over(channel: Channel, message: Message, to: str, key: str, course: _Course) -> Receipt:
    if isinstance(channel, PartedChannel):
        return channel.send_parts(message, to, key, course)
    return channel.send(message, to, key, commit_intent=course.begin)


@dataclass(slots=True)
class _Course:
    """One try of a delivery as it goes: a `channels.Progress` whose every step is committed."""

    rt: Runtime
    claim: Claim
    delivery_id: int
    attempts: int
    """What the row's count becomes once something leaves."""
    parts: dict[str, Part]
    gate: str = ""
    """What the parts pass through at their pace, where they have one."""
    last: bool = False
    """Whether the job ends with this delivery."""
    kept: bytes | None = None
    """The rendered message, until it is written with the first step there is to write: every later try sends these
    bytes."""
    until: datetime | None = None
    """Until then another mail may follow at once."""
    _begun: list[str] = field(default_factory=list)
    """Parts that this try was the first to begin."""

    def begin(self) -> None:
        """Commit that the message is about to leave."""
        self.rt.checkpoint("send_deliveries.connected")
        self.rt.enough_lease(self.claim, min(LEASE_FOR_A_SEND, self.rt.lease() / 2))
        self._write("sending", attempts=self.attempts)
        self.rt.checkpoint("send_deliveries.intended")

    def intend(self, part: str, via: str = "") -> None:
        """Commit that one part is about to leave."""
        if self.gate:
            with self.rt.gate(self.gate, SLACK_PACE_S):
                pass
        if part not in self.parts:
            self._begun.append(part)
        self.parts[part] = Part(via)
        self.begin()

    def taken(self, part: str, receipt: str) -> None:
        """Commit that one part was taken."""
        self.parts[part] = Part(self.parts[part].via, receipt[:200])
        self._write("sending")
        self.rt.checkpoint("send_deliveries.part_taken")

    def accepted(self, receipt: Receipt) -> Claim | None:
        """Commit that the whole message was taken, and the first look at what its readers say of it; the next job, if
        another mail may follow at once."""
        now = self.rt.now()
        look = look_job(self.delivery_id, 0, now) if has_thread(self.parts) else None
        return _move(
            self.rt, self.claim, self.delivery_id, "accepted", then=[look] if look is not None else [], last=self.last,
            go_on=self.last and self.until is not None and now < self.until, code=receipt.code,
            detail=receipt.detail[:1000], sent_at=now,
        )  # fmt: skip

    def end(self, state: str, **values: Any) -> None:
        """Commit that this try ended without the message, or the rest of it, having been taken.

        What it was the first to begin has certainly not been taken, and is as if never begun.
        """
        for part in self._begun:
            if self.parts[part].receipt is None:
                del self.parts[part]
        self._write(state, **values)

    def _write(self, state: str, **values: Any) -> None:
        if self.parts or self._begun:
            values["parts"] = parts_to_json(self.parts)
        if self.kept is not None:
            values["message"] = self.kept
        _move(self.rt, self.claim, self.delivery_id, state, **values)
        self.kept = None


def _settle(rt: Runtime, claim: Claim, delivery: Delivery, verdict: str, cadence: str, last: bool) -> bool:
    """Write what a verdict other than `send` makes of a delivery; returns whether the job has ended with it."""
    if verdict not in OUTCOMES or delivery.state == OUTCOMES[verdict][0]:
        return False
    state, detail = OUTCOMES[verdict]
    # An alert has no next edition. What may have arrived, or has in part, is not told again.
    untold = delivery.state in {"planned", "deferred"} and not delivery.parts
    give_back = verdict == "expire" and untold and cadence != "instant"
    detail = f"{detail}; {IN_THE_NEXT}" if give_back else detail
    _move(
        rt, claim, delivery.id or 0, state, last=last, given_back=delivery.edition_id if give_back else None,
        detail=detail,
    )  # fmt: skip
    log.info("delivery.settled", delivery=delivery.id, state=state)
    return last


def _move(
    rt: Runtime, claim: Claim, delivery_id: int, to: str, *, then: Sequence[NewJob] = (), last: bool = False,
    given_back: int | None = None, go_on: bool = False, **values: Any,
) -> Claim | None:  # fmt: skip
    """One step of a delivery and what follows from it, in a transaction that holds only while the claim does: jobs,
    the edition that is taken back, with `last` the end of the job that sends, with `go_on` the claim of the next."""
    following: Claim | None = None
    with rt.writing() as session:
        now = rt.now()
        if last:
            jobs.finish(session, claim, now=now)
        else:
            jobs.check(session, claim)
        deliveries.move(session, delivery_id, to, now=now, **values)
        if given_back is not None:
            editions.give_back(session, given_back)
        jobs.add(session, then, now=now, cause_id=claim.job_id)
        if go_on:
            following = jobs.claim_behind(session, claim, now=now, lease=rt.lease(), worker=rt.worker)
        rt.checkpoint(f"send_deliveries.{to}_written")
    rt.checkpoint(f"send_deliveries.{to}_committed")
    return following


def send_failed(session: Session, claim: Claim, error: BaseException, rt: Runtime, final: bool) -> None:
    """When the job is given up, what is still deferred has failed: it is named, and a person may resend it."""
    if not final:
        return
    for delivery, _, _ in deliveries.list_all(session, edition_id=claim.payload["edition_id"]):
        if delivery.state == "sending":
            # The last try ended its worker in the window in which nobody can say.
            deliveries.move(session, delivery.id or 0, "unknown", now=rt.now(), detail=OUTCOMES["hold"][1])
        elif delivery.state in {"planned", "deferred"}:
            deliveries.move(
                session,
                delivery.id or 0,
                "failed",
                now=rt.now(),
                detail=f"given up after {claim.attempt} tries: {error}"[:1000],
            )


def resend(rt: Runtime, edition_id: int) -> int:
    """Send an edition again to those who did not get it; returns how many. Nobody gets it twice.

    Failed, expired, suppressed and unknown deliveries are planned anew with the same message; a person who asks
    this has decided that an unknown one did not arrive. An edition whose papers are in the next one is not sent.
    """
    with rt.writing() as session:
        if editions.get(session, edition_id).skipped == editions.GIVEN_BACK:
            return 0
        now = rt.now()
        count = 0
        for delivery, _, _ in deliveries.list_all(session, edition_id=edition_id):
            if delivery.state in {"failed", "expired", "unknown", "suppressed"}:
                deliveries.move(
                    session,
                    delivery.id or 0,
                    "deferred" if delivery.state == "unknown" else "planned",
                    now=now,
                    expires_at=now + timedelta(days=1),
                    detail=None,
                    code=None,
                    # What has been taken is not sent again; what may have been is, since a person says so.
                    parts={name: part for name, part in delivery.parts.items() if part.get("receipt") is not None},
                )
                count += 1
    if count:
        rt.add_jobs([send_job(edition_id, again=f"{rt.now():%Y-%m-%dT%H:%M:%S.%fZ}")])
    return count
