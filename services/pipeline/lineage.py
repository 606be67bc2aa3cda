"""Lineage: where a paper came from, and why somebody did, or did not, get it. Answered from rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlmodel import Session, col, select

from services.domain.addresses import CHANNELS
from services.domain.errors import NotFound
from services.domain.feedback import shut_out
from services.domain.indexed import Indexed
from services.domain.papers import PaperFacts
from services.domain.queries import parse_query
from services.domain.schedule import LONG
from services.pipeline import feedback
from services.pipeline.choose import OVERLAP, window
from services.pipeline.views import local_day
from services.storage import archive, deliveries, subscribers
from services.storage.tables import (
    Delivery,
    Edition,
    EditionItem,
    Feed,
    Merge,
    Sighting,
    Statement,
    Subscriber,
    Subscription,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One listing of the paper by a feed."""

    feed: str
    day: date
    rank: int | None
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one source last said of the paper: which fields, as of when."""

    source: str
    said_at: datetime
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Another row that was folded into this paper."""

    key: str
    reason: str
    merged_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A delivery of the edition that holds the paper."""

    id: int
    channel: str
    state: str
    attempts: int
    sent_at: datetime | None
    code: str | None
    detail: str | None
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why one subscription did, or did not, get the paper. `answer` says it in a sentence.

    `state`: delivered, chosen (in an edition, not delivered), next (waits for the next edition), beyond_budget,
    excluded, not_matched, not_considered, inactive.
    """

    subscription: Subscription
    subscriber: Subscriber
    state: str
    answer: str
    matched: bool = False
    why: tuple[str, ...] = ()
    excluded_by: str | None = None
    rank: int | None = None
    of: int | None = None
    """Papers that matched beside it, itself included."""
    edition: Edition | None = None
    deliveries: tuple[Sent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A paper's way through the service."""

    paper: PaperFacts
    sightings: tuple[Seen, ...]
    statements: tuple[Said, ...]
    merges: tuple[Merged, ...]
    verdicts: tuple[Verdict, ...]


Answer = Callable[..., Verdict]


def explain(
    session: Session, key: str, *, now: datetime, to: str | None = None, subscription_id: int | None = None
) -> Lineage:
    """The lineage of a paper, with a verdict for each subscription asked for (of `to`, the one, or all).

    Raises `NotFound` for an unknown paper, subscriber or subscription.
    """
    paper = archive.get(session, key, now=now)
    wanted = _subscriptions(session, to, subscription_id)
    return Lineage(
        paper=paper,
        sightings=tuple(
            Seen(feed=feed, day=day, rank=rank_, seen_at=seen)
            for feed, day, rank_, seen in archive.sightings(session, paper.id)
        ),
        statements=tuple(
            Said(source=row.source, said_at=row.said_at, fields=tuple(sorted(row.data)))
            for row in session.exec(
                select(Statement).where(Statement.paper_id == paper.id).order_by(col(Statement.said_at))
            )
        ),
        merges=tuple(
            Merged(key=row.merged_key, reason=row.reason, merged_at=row.merged_at)
            for row in session.exec(select(Merge).where(Merge.kept_paper_id == paper.id).order_by(col(Merge.id)))
        ),
        verdicts=tuple(verdict(session, paper, s, p, now=now) for s, p in wanted),
    )


def _subscriptions(
    session: Session, to: str | None, subscription_id: int | None
) -> Sequence[tuple[Subscription, Subscriber]]:
    if subscription_id is not None:
        return [subscribers.get_subscription(session, subscription_id)]
    everybody = subscribers.list_subscriptions(session, removed=to is not None)
    if to is None:
        return everybody
    channel, colon, address = to.strip().partition(":")
    if not colon or channel not in CHANNELS:
        channel, address = "email", to.strip()
    fold = str.lower if channel == "email" else str
    mine = [(s, p) for s, p in everybody if p.channel == channel and fold(p.address) == fold(address)]
    if not mine:
        raise NotFound(f"nobody is subscribed as {to!r}; `broadsheet subscriptions list` shows who is")
    return mine


def verdict(
    session: Session, paper: PaperFacts, subscription: Subscription, subscriber: Subscriber, *, now: datetime
) -> Verdict:
    """Why this subscription did, or did not, get this paper."""
    query = parse_query(subscription.query, now.date())
    matched = query.matches(paper)
    why = query.explain(paper) if matched else ()

    def answer(state: str, words: str, **more: Any) -> Verdict:
        return Verdict(
            subscription=subscription,
            subscriber=subscriber,
            state=state,
            answer=words,
            matched=matched,
            why=why,
            **more,
        )

    had = session.exec(
        select(EditionItem, Edition)
        .join(Edition, col(Edition.id) == col(EditionItem.edition_id))
        .where(EditionItem.subscription_id == subscription.id, EditionItem.paper_id == paper.id)
    ).first()
    if had is not None:
        return _chosen(session, had[0], had[1], subscriber, answer)
    if subscription.state == "removed":
        return answer("inactive", "the subscription has been removed")
    held_back = _not_considered(session, paper, subscription)
    if held_back:
        return answer("not_considered", held_back)
    if paper.withdrawn:
        return answer("excluded", "the paper was withdrawn; withdrawn papers are not sent", excluded_by="withdrawn")
    if not matched:
        cut = query.excluded_by(paper)
        if cut:
            return answer("excluded", f"cut by the query: {cut}", excluded_by=cut)
        return answer("not_matched", f"it does not match the query {subscription.query!r}")
    shut = shut_out(Indexed(paper), feedback.mutes(session, subscription.id or 0, now.date()))
    if shut:
        return answer("excluded", f"it matches the query, but is {shut}", excluded_by=shut)
    put_off = feedback.snoozes(session, subscription.id or 0, local_day(subscription.timezone, now))
    if paper.id in put_off.held:
        return answer("excluded", "it matches the query, but the reader put it off", excluded_by="put off")
    passed = _edition_after(session, subscription, paper.first_seen_at)
    place, of = _place(session, paper, subscription, passed, now)
    if passed is not None:
        words = (
            f"it matched, at rank {place} of {of} by today's facts; the edition of {passed.period} had room for "
            f"{subscription.budget}"
        )
        return answer("beyond_budget", words, rank=place, of=of, edition=passed)
    if subscriber.state != "active":
        return answer("inactive", _inactive(subscriber), rank=place, of=of)
    if subscription.state == "paused" or (subscription.paused_until and now.date() < subscription.paused_until):
        until = f" until {subscription.paused_until}" if subscription.paused_until else ""
        return answer("inactive", f"it matches, but the subscription is paused{until}", rank=place, of=of)
    room = "within" if place <= subscription.budget else "beyond"
    budget = f"{room} the budget of {subscription.budget}"
    words = f"it matches and waits for the next edition, at rank {place} of {of}: {budget}"
    return answer("next", words, rank=place, of=of)


def _chosen(session: Session, item: EditionItem, edition: Edition, subscriber: Subscriber, answer: Answer) -> Verdict:
    rows = [d for d, p, _ in deliveries.list_all(session, edition_id=edition.id) if p.id == subscriber.id]
    sent = tuple(_sent(d) for d in rows)
    place = f"rank {item.rank} in the edition of {edition.period}"
    if any(d.state == "accepted" for d in rows):
        state, words = "delivered", f"sent: {place}"
    else:
        states = ", ".join(d.state for d in rows) or "no delivery planned"
        state, words = "chosen", f"chosen ({place}), not delivered: {states}"
    return answer(state, words, rank=item.rank, of=edition.matched, edition=edition, deliveries=sent)


def _sent(row: Delivery) -> Sent:
    return Sent(
        id=row.id or 0, channel=row.channel, state=row.state, attempts=row.attempts, sent_at=row.sent_at, code=row.code,
        detail=row.detail, message_id=row.message_id,
    )  # fmt: skip


def _not_considered(session: Session, paper: PaperFacts, subscription: Subscription) -> str | None:
    if subscription.feeds and not set(subscription.feeds) & set(paper.feeds):
        return (
            f"not considered: it was listed by {', '.join(paper.feeds) or 'no feed'}, and the subscription reads only "
            f"{', '.join(subscription.feeds)}"
        )
    if paper.first_seen_at < subscription.since_at:
        return (
            f"not considered: it was first seen on {paper.first_seen_at:%Y-%m-%d %H:%M} UTC, and the subscription has "
            f"news since {subscription.since_at:%Y-%m-%d %H:%M} UTC"
        )
    if subscription.feeds:
        first = session.exec(
            select(Sighting.seen_at)
            .join(Feed, col(Feed.id) == col(Sighting.feed_id))
            .where(Sighting.paper_id == paper.id, col(Feed.name).in_(subscription.feeds))
            .order_by(col(Sighting.seen_at))
        ).first()
        passed = _edition_after(session, subscription, paper.first_seen_at)
        if first is not None and passed is not None and first > passed.composed_at:
            return (
                f"not considered: {', '.join(subscription.feeds)} listed it on {first:%Y-%m-%d %H:%M} UTC, after the "
                f"edition of {passed.period}, and it was no longer new by then"
            )
    return None


def _edition_after(session: Session, subscription: Subscription, moment: datetime) -> Edition | None:
    """The last edition that could have held a paper first seen at `moment`, if one has been composed."""
    later = session.exec(
        select(Edition)
        .where(Edition.subscription_id == subscription.id, Edition.composed_at >= moment)
        .order_by(col(Edition.composed_at))
    )
    # Each edition looks back a little behind the one before it: a paper seen just then has several chances.
    return next((edition for edition in later if edition.composed_at - OVERLAP >= moment), None)


def _place(
    session: Session, paper: PaperFacts, subscription: Subscription, edition: Edition | None, now: datetime
) -> tuple[int, int]:
    """The paper's rank among those that matched for that edition (the next one, for `None`), and their number."""
    moment = edition.composed_at if edition else now
    before = session.exec(
        select(Edition)
        .where(Edition.subscription_id == subscription.id, Edition.composed_at < moment)
        .order_by(col(Edition.composed_at).desc())
        .limit(1)
    ).first()
    after = window(subscription, before, moment)
    ids = archive.ids(session, first_seen_after=after, feeds=subscription.feeds)
    earlier = set(
        session.exec(
            select(EditionItem.paper_id)
            .join(Edition, col(Edition.id) == col(EditionItem.edition_id))
            .where(EditionItem.subscription_id == subscription.id, Edition.composed_at < moment)
        )
    )
    query = parse_query(subscription.query, moment.date())
    muted = feedback.mutes(session, subscription.id or 0, moment.date())
    near = map(Indexed, archive.load(session, [i for i in ids if i not in earlier], now=moment))
    rivals = [
        one for one in near
        if not one.paper.withdrawn and one.paper.first_seen_at <= moment and query.matches(one)
        and not shut_out(one, muted)
    ]  # fmt: skip
    if all(one.paper.id != paper.id for one in rivals):
        rivals.append(Indexed(paper))
    ordered = feedback.order(session, subscription, rivals, query, now=moment, ageing=moment - after < LONG)
    ranked = [choice.paper.id for choice in ordered]
    return ranked.index(paper.id) + 1, len(ranked)


def _inactive(subscriber: Subscriber) -> str:
    return {
        "pending": "it matches, but the address has not been confirmed",
        "unsubscribed": "it matches, but the reader has unsubscribed",
        "suppressed": "it matches, but the address is suppressed: mail to it was refused",
    }.get(subscriber.state, f"it matches, but the subscriber is {subscriber.state}")
