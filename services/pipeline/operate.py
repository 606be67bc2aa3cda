"""Operate: what operators do to feeds, editions, the schedule, readers and pairs of papers; the same for pages and API.

Each is one act with its line in the audit (`pipeline.acts`). Errors: `NotFound` for what is not there, `InvalidInput`
for what cannot be done, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from sqlmodel import Session

from services.domain.addresses import parse_address
from services.domain.batches import COMPLETE
from services.domain.errors import InvalidInput, NotFound
from services.domain.jobs import STAGES
from services.domain.users import Actor
from services.pipeline import notices, schedule, send
from services.pipeline.acts import acting, noting
from services.pipeline.bounces import key_of
from services.pipeline.fetch import info
from services.pipeline.subscribe import first_edition_at, pausing, resuming, subscribe
from services.runtime import Runtime
from services.storage import (
    archive,
    batches,
    duplicates,
    feeds,
    folding,
    merges,
    service,
    stages,
    subscribers,
    suppressions,
    title_entries,
)
from services.storage.tables import Batch, Duplicate, Feed, Paper, Slot, Subscriber, Subscription
from services.upstreams import kinds

A_MONTH = timedelta(days=30)
"""How far back failures are looked at that will be tried again by themselves."""

# -- feeds -----------------------------------------------------------------------------------------------------


def fetch_feed(rt: Runtime, actor: Actor, name: str) -> int:
    """Fetch one feed at once; returns how many jobs that made."""
    with noting(rt, actor, "feed.fetch", name) as said:
        hints = schedule.fetch_now(rt, name)
        said.after = {"jobs": len(hints)}
    return len(hints)


def pause_feed(rt: Runtime, actor: Actor, name: str) -> None:
    """Stop polling one feed; what it brought stays."""
    with acting(rt, actor, "feed.pause", name) as (session, said):
        feed = feeds.get(session, name)
        said.before, said.after = {"paused": feed.paused}, {"paused": True}
        feeds.update_feed(session, feed.id or 0, paused=True)


def resume_feed(rt: Runtime, actor: Actor, name: str) -> None:
    """Poll one feed again, beginning now."""
    with acting(rt, actor, "feed.resume", name) as (session, said):
        feed = feeds.get(session, name)
        if feed.retired:
            raise InvalidInput(f"{name} was removed; add it again first")
        kinds.for_kind(feed.kind).request(info(feed), rt.urls)  # a feed of imported files has nothing to ask for
        said.before, said.after = {"paused": feed.paused}, {"paused": False}
        feeds.update_feed(session, feed.id or 0, paused=False, next_check_at=rt.now())


def remove_feed(rt: Runtime, actor: Actor, name: str) -> None:
    """Retire one feed: its papers and history stay."""
    with acting(rt, actor, "feed.remove", name) as (session, said):
        feed = feeds.get(session, name)
        if feed.origin == "catalogue" and not feed.retired:
            path = rt.settings.feeds or rt.settings.home / "feeds.toml"
            how = "take it out there" if path.exists() else f"write your own list into {path} and leave it out there"
            raise InvalidInput(f"{name} is written in the feeds.toml in use: {how}, or `broadsheet feeds pause {name}`")
        said.before = _feed_summary(feed)
        feeds.remove(session, feed)


def mute_feed(rt: Runtime, actor: Actor, name: str, *, muted: bool = True) -> None:
    """Send no alerts about one feed, or again; it stays in the log and on the pages for operators."""
    with acting(rt, actor, "feed.mute" if muted else "feed.unmute", name) as (session, said):
        feed = feeds.get(session, name)
        said.before, said.after = {"muted": feed.mute_alerts}, {"muted": muted}
        feeds.update_feed(session, feed.id or 0, mute_alerts=muted)


def accept_batch(rt: Runtime, actor: Actor, name: str, batch: str, *, accepted: bool = True) -> Batch:
    """Take a batch of a feed (a day, `2026-11-24`) as it is, or take that back.

    Digests wait for it no longer, and it is not asked for beyond what is usual. What comes of it is stored.
    """
    act = "batch.accept" if accepted else "batch.reopen"
    with acting(rt, actor, act, f"{name} {batch}") as (session, said):
        row = batches.find(session, feeds.get(session, name).id or 0, batch)
        if row is None:
            raise NotFound(
                f"nothing is known of {batch[:40]!r} of {name}; its days are at {rt.url('/admin/feeds/')}{name}"
            )
        if accepted and row.state in COMPLETE:
            raise InvalidInput(f"{batch} of {name} is {row.state}; there is nothing to accept")
        said.before = {"state": row.state, "accepted_by": row.accepted_by}
        if accepted != (row.accepted_at is not None):
            row.accepted_at, row.accepted_by = (rt.now(), actor.name) if accepted else (None, None)
        said.after = {"state": row.state, "accepted_by": row.accepted_by}
        session.add(row)
    return row


def _feed_summary(feed: Feed) -> dict[str, Any]:
    return {"kind": feed.kind, "url": feed.url, "params": dict(feed.params), "interval_minutes": feed.interval_minutes}


# -- editions and the schedule ---------------------------------------------------------------------------------


def resend(rt: Runtime, actor: Actor, edition_id: int) -> int:
    """Send an edition again to those who did not get it; returns to how many."""
    with noting(rt, actor, "edition.resend", edition_id) as said:
        count = send.resend(rt, edition_id)
        said.after = {"deliveries": count}
    return count


def pause_stage(rt: Runtime, actor: Actor, stage: str) -> bool:
    """Let nobody take a stage's jobs until it is resumed; `False` when it rested already. What runs is finished."""
    with acting(rt, actor, "stage.pause", stage) as (session, said):
        _known_stage(stage)
        new = stages.pause(session, stage, by=actor.name, now=rt.now())
        said.before, said.after = {"paused": not new}, {"paused": True}
        if new:
            notices.stage_paused(rt, session, stages.paused(session)[stage])
    return new


def resume_stage(rt: Runtime, actor: Actor, stage: str) -> bool:
    """Let a stage's jobs be taken again; `False` when it did not rest."""
    with acting(rt, actor, "stage.resume", stage) as (session, said):
        _known_stage(stage)
        gone = stages.resume(session, stage)
        said.before, said.after = {"paused": gone}, {"paused": False}
    return gone


def _known_stage(stage: str) -> None:
    if stage not in STAGES:
        raise NotFound(f"there is no stage {stage[:80]!r}; there are: {', '.join(STAGES)}")


def pause_slot(rt: Runtime, actor: Actor, name: str) -> Slot:
    """Let one entry of the schedule rest."""
    return _change_slot(rt, actor, "slot.pause", name, lambda _: {"paused": True})


def resume_slot(rt: Runtime, actor: Actor, name: str) -> Slot:
    """Let one entry of the schedule run again."""
    return _change_slot(rt, actor, "slot.resume", name, lambda _: {"paused": False})


def run_slot(rt: Runtime, actor: Actor, name: str) -> Slot:
    """Let one entry of the schedule run at its next tick, whenever it was due."""

    def now(slot: Slot) -> dict[str, Any]:
        if slot.paused:
            raise InvalidInput(f"{name} is paused; resume it first")
        return {"next_at": rt.now()}

    return _change_slot(rt, actor, "slot.run", name, now)


def _change_slot(rt: Runtime, actor: Actor, act: str, name: str, values: Callable[[Slot], Mapping[str, Any]]) -> Slot:
    with acting(rt, actor, act, name) as (session, said):
        service.ensure_slots(session, schedule.SLOTS, now=rt.now())
        slot = session.get(Slot, name)
        if slot is None:
            raise NotFound(f"there is no {name[:80]!r} in the schedule; there are: {', '.join(sorted(schedule.SLOTS))}")
        changes = values(slot)
        said.before, said.after = {key: getattr(slot, key) for key in changes}, dict(changes)
        for key, value in changes.items():
            setattr(slot, key, value)
        session.add(slot)
    return slot


# -- readers ---------------------------------------------------------------------------------------------------

Pair = tuple[Subscription, Subscriber]


def add_subscription(rt: Runtime, actor: Actor, *, to: str, confirmed: bool = False, **wish: Any) -> Pair:
    """Subscribe somebody, or bring the subscription of that address and name up to date (see `subscribe`)."""
    with acting(rt, actor, "subscription.add", to) as (session, said):
        # Whoever has the address of a webhook was given it; there is nobody to ask.
        agreed = confirmed or parse_address(to, allowed_hosts=rt.settings.private_hosts).channel != "email"
        pair = subscribe(rt, session, to=to, confirmed=agreed, **wish)
        said.after = {"id": pair[0].id, "confirmed": agreed, **wish}
    return pair


def pause_subscription(rt: Runtime, actor: Actor, subscription_id: int, *, until: date | None = None) -> Pair:
    """Send nothing for a while; what is missed is gathered for the edition after the pause."""
    return _change_subscription(
        rt, actor, "subscription.pause", subscription_id, lambda _, s, __: pausing(s, until, rt.now())
    )


def resume_subscription(rt: Runtime, actor: Actor, subscription_id: int) -> Pair:
    """End a pause: the next edition comes at its usual hour."""
    return _change_subscription(
        rt, actor, "subscription.resume", subscription_id, lambda _, s, __: resuming(s, rt.now())
    )


def confirm_subscription(rt: Runtime, actor: Actor, subscription_id: int) -> Pair:
    """Record that the owner of the address agreed to receive."""

    def values(session: Session, s: Subscription, p: Subscriber) -> dict[str, Any]:
        if s.state == "pending":
            raise InvalidInput(
                f"subscription {s.id} was asked for on the web and waits for its reader's own click; "
                "`broadsheet subscriptions add --confirmed` adds one without"
            )
        if p.state == "suppressed":
            raise InvalidInput("the address is suppressed: mail to it came back. Lift the suppression first")
        subscribers.set_state(session, p.id or 0, "active", confirmed_at=rt.now())
        return {"next_edition_at": first_edition_at(rt.now(), s.cadence, s.at, s.timezone)}

    return _change_subscription(rt, actor, "subscription.confirm", subscription_id, values)


def remove_subscription(rt: Runtime, actor: Actor, subscription_id: int) -> Pair:
    """Remove a subscription; its editions stay on record."""
    return _change_subscription(rt, actor, "subscription.remove", subscription_id, lambda *_: {"state": "removed"})


def _change_subscription(
    rt: Runtime, actor: Actor, act: str, subscription_id: int,
    values: Callable[[Session, Subscription, Subscriber], dict[str, Any]],
) -> Pair:  # fmt: skip
    with acting(rt, actor, act, subscription_id) as (session, said):
        subscription, subscriber = subscribers.get_subscription(session, subscription_id)
        if subscription.state == "removed":
            raise InvalidInput(f"subscription {subscription_id} was removed; add it again")
        changes = values(session, subscription, subscriber)
        said.before, said.after = {key: getattr(subscription, key) for key in changes}, changes
        subscribers.update_subscription(session, subscription_id, **changes)
        session.expire_all()
        found = subscribers.get_subscription(session, subscription_id)
        for row in found:
            session.refresh(row)
    return found


def suppress(rt: Runtime, actor: Actor, to: str, *, detail: str = "") -> str:
    """Send nothing to an address any more; returns its key."""
    with acting(rt, actor, "suppression.add", to) as (session, said):
        key = key_of(rt, session, to)
        said.after = {
            "added": suppressions.suppress(session, key, reason="by_hand", detail=detail, by=actor.name, now=rt.now())
        }
    return key


def lift(rt: Runtime, actor: Actor, key: str, *, detail: str = "") -> None:
    """Let an address be written to again."""
    with acting(rt, actor, "suppression.lift", key) as (session, said):
        row = suppressions.find(session, key)
        if row is None:
            raise NotFound(f"{key[:200]!r} is not suppressed; nothing was changed")
        said.before = {"reason": row.reason, "at": row.at}
        suppressions.lift(session, key, detail=detail, by=actor.name, now=rt.now())


# -- pairs of papers -------------------------------------------------------------------------------------------


def decide_pair(rt: Runtime, actor: Actor, duplicate_id: int, state: str) -> list[str]:
    """Say of two similar papers that they are the `same` (they are merged), `different`, or `open` again.

    Returns the keys of the two as they were.
    """
    with acting(rt, actor, "pair.decide", duplicate_id) as (session, said):
        row = session.get(Duplicate, duplicate_id)
        if row is None:
            raise NotFound(f"there is no pair {duplicate_id}; it may have been merged")
        keys = [paper.key if (paper := session.get(Paper, i)) else "" for i in (row.paper_id, row.other_id)]
        said.before, said.after = {"state": row.state, "papers": keys}, {"state": state}
        duplicates.decide(session, duplicate_id, state, now=rt.now())
        if state == "same":
            folding.merge(session, keys[0], keys[1], now=rt.now())
        elif state == "different":
            title_entries.settle(session, [row.paper_id, row.other_id], now=rt.now())
    return keys


def merge_papers(rt: Runtime, actor: Actor, one: str, other: str) -> tuple[int, list[str]]:
    """Merge two papers by any of their names, flagged as similar or not.

    Returns the number of the merge and the keys of the two as they were.
    """
    with acting(rt, actor, "pair.merge", one) as (session, said):
        keys = _keys(session, rt, one, other)
        kept = folding.merge(session, *keys, now=rt.now())
        session.flush()
        merge = merges.newest_of(session, kept)
        said.before, said.after = {"papers": keys}, {"merge": merge.id if merge else None}
    return int(said.after["merge"] or 0), keys


def keep_apart(rt: Runtime, actor: Actor, one: str, other: str) -> list[str]:
    """Say of two papers, by any of their names, that they are different, for good; returns their keys."""
    with acting(rt, actor, "pair.keep_apart", one) as (session, said):
        keys = _keys(session, rt, one, other)
        said.after = {"papers": keys, "state": "different"}
        title_entries.settle(session, duplicates.keep_apart(session, *keys, now=rt.now()), now=rt.now())
    return keys


def _keys(session: Session, rt: Runtime, *names: str) -> list[str]:
    return [archive.get(session, name, now=rt.now()).key for name in names]


def unmerge(rt: Runtime, actor: Actor, merge_id: int) -> int:
    """Take a merge back; returns the row of the paper that is by itself again."""
    with acting(rt, actor, "pair.unmerge", merge_id) as (session, said):
        said.after = {"paper_id": folding.unmerge(session, merge_id, now=rt.now())}
        return int(said.after["paper_id"])
