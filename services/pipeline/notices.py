"""Notices: a feed that keeps failing is told of once, and once when it is well again. Failing is not being asked
to wait: a 429 never leads here."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import update
from sqlmodel import Session, col

from services.domain.addresses import parse_address
from services.domain.deliveries import message_id
from services.domain.jobs import Claim
from services.domain.messages import Message
from services.domain.text import clean
from services.domain.urls import without_keys
from services.pipeline.messages import mail_domain
from services.runtime import Runtime
from services.storage import notices, stages
from services.storage.tables import Feed, PausedStage

log = structlog.get_logger(__name__)

ALERT_AFTER = 5
"""Failures in a row before anybody is told."""

REMIND_EVERY = timedelta(days=1)
"""How often a stage that rests is told of, so that nobody forgets it."""

SUBJECTS = {
    "failing": "{} keeps failing", "healed": "{} is well again", "retired": "{} is gone for good",
    "stage_paused": "{} is paused", "host_down": "{} does not answer", "host_up": "{} answers again",
    "template": "one of your own {} cannot be used",
}  # fmt: skip


def stage_paused(rt: Runtime, session: Session, row: PausedStage) -> None:
    """Tell that a stage rests: when it begins to, and every day until it goes on."""
    text = f"{row.by} paused {row.stage} on {row.at:%Y-%m-%d at %H:%M} UTC. What is due there waits, nothing is lost.\n"
    text += f"Let it go on: broadsheet runs resume {row.stage}, or at {rt.url('/admin')}"
    send = bool(rt.settings.alert_to)
    notices.tell(session, kind="stage_paused", subject=row.stage, text=text, now=rt.now(), send=send)


def stages_still_paused(rt: Runtime, session: Session) -> None:
    """Tell again of stages that have rested for `REMIND_EVERY` since they were last told of."""
    for row in stages.to_tell(session, now=rt.now(), every=REMIND_EVERY):
        stage_paused(rt, session, row)


def feed_failed(rt: Runtime, session: Session, feed: Feed, *, failures: int, error: str) -> None:
    """Tell of a feed once it has failed `ALERT_AFTER` times in a row."""
    if failures < ALERT_AFTER or feed.alerted_at is not None:
        return
    now = rt.now()
    first = session.execute(
        update(Feed).where(col(Feed.id) == feed.id, col(Feed.alerted_at).is_(None)).values(alerted_at=now)
    )
    if not first.rowcount:  # type: ignore[attr-defined]
        return
    since = f"It last answered on {feed.last_success_at:%Y-%m-%d at %H:%M} UTC." if feed.last_success_at else ""
    _tell(
        rt, session, "failing", feed,
        f"The feed {feed.title} ({feed.name}) has failed {failures} times in a row: {clean(error, limit=500)}\n"
        f"{since}\nIt is asked again by itself, ever more seldom; you will hear when it is well again.\n"
        f"{rt.url('/admin')}",
    )  # fmt: skip


def feed_healed(rt: Runtime, session: Session, feed: Feed) -> None:
    """Tell that a feed whose failing was told of has answered."""
    alerted_at = feed.alerted_at
    if alerted_at is None:
        return
    first = session.execute(
        update(Feed).where(col(Feed.id) == feed.id, col(Feed.alerted_at).is_not(None)).values(alerted_at=None)
    )
    if first.rowcount:  # type: ignore[attr-defined]
        _tell(
            rt, session, "healed", feed,
            f"The feed {feed.title} ({feed.name}) is well again. It had been failing since before "
            f"{alerted_at:%Y-%m-%d at %H:%M} UTC. Days it missed are made up by themselves where the source "
            "keeps its past.",
        )  # fmt: skip


def feed_retired(rt: Runtime, session: Session, feed: Feed) -> None:
    """Tell that a feed answered 410 Gone and is asked no more."""
    _tell(
        rt, session, "retired", feed,
        f"The feed {feed.title} ({feed.name}) answered 410 Gone: {without_keys(feed.url) or feed.kind}\n"
        "It is not asked any more; its papers and its history stay.",
    )  # fmt: skip


def _tell(rt: Runtime, session: Session, kind: str, feed: Feed, text: str) -> None:
    """Write it down, and send it unless the feed is muted: the pages for operators show it all the same."""
    send = bool(rt.settings.alert_to) and not feed.mute_alerts
    notices.tell(session, kind=kind, subject=feed.name, text=text, now=rt.now(), send=send)


def send_notice(rt: Runtime, claim: Claim) -> None:
    """Send one notice to `BROADSHEET_ALERT_TO`: payload `notice_id`.

    If it is not known whether it left, it is sent again with the same Message-ID: twice is better than not at all.
    """
    with rt.reading() as session:
        notice = notices.get(session, claim.payload["notice_id"])
    to = rt.settings.alert_to
    if notice is None or notice.sent_at is not None or not to:
        with rt.step(claim):
            return
    address = parse_address(to, allowed_hosts=rt.settings.private_hosts)
    subject = "Broadsheet: " + SUBJECTS.get(notice.kind, "{}").format(notice.subject)
    text = notice.text.strip() + "\n"
    message = Message(
        message_id=message_id(f"notice {notice.id}", rt.secret, mail_domain(rt)),
        subject=subject,
        text=text,
        slack={"text": f"{subject}\n{text}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")},
        data={"type": "notice", "kind": notice.kind, "subject": notice.subject, "text": text,
              "made_at": notice.made_at.isoformat()},
        date=notice.made_at,
        list_id=f"Broadsheet notices <notices.{mail_domain(rt)}>",
    )  # fmt: skip
    rt.enough_lease(claim, min(timedelta(seconds=60), rt.lease() / 2))
    rt.channel(address.channel, address.target).send(message, address.target, f"notice-{notice.id}")
    with rt.step(claim) as step:
        notices.mark_sent(step.session, claim.payload["notice_id"], now=step.now)
    log.info("notice.sent", notice=notice.kind, subject=notice.subject)
