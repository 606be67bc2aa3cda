"""Votes: the thread of an edition is looked at ever more seldom, and what a team thinks of its papers is kept.

Each member's vote is a row; the team's balance becomes feedback of its subscription, which what it gets then follows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

import structlog

from services.channels.slack_bot import REPLY
from services.domain.deliveries import Part, parts_from_json
from services.domain.errors import UpstreamRejected
from services.domain.feedback import OPPOSITE
from services.domain.jobs import Claim, NewJob
from services.domain.votes import LOOKS, act_of, votes_of
from services.runtime import Runtime
from services.storage import deliveries, editions, feedback, votes
from services.upstreams import slack_reactions
from services.upstreams.http import Fetched

log = structlog.get_logger(__name__)


def look_job(delivery_id: int, look: int, sent_at: datetime) -> NewJob | None:
    """The job that looks at a delivery's thread for the `look`-th time, from 0; `None` after the last."""
    if look >= len(LOOKS):
        return None
    return NewJob(
        kind="read_votes", key=f"delivery {delivery_id} look {look}", due_at=sent_at + LOOKS[look], priority=6,
        payload={"delivery_id": delivery_id, "look": look, "sent_at": sent_at.isoformat()},
    )  # fmt: skip


def has_thread(parts: Mapping[str, Part]) -> bool:
    """Whether there is something to vote on."""
    return any(name.startswith(REPLY) and part.receipt for name, part in parts.items())


def read_votes(rt: Runtime, claim: Claim) -> None:
    """Read the reactions to each paper of one delivery: payload `delivery_id`, `look`, `sent_at`.

    A token that may not read them ends it: what is sent does not depend on it.
    """
    with rt.reading() as session:
        delivery, _, edition = deliveries.get(session, claim.payload["delivery_id"])
        by_rank = {item.rank: item.paper_id for item in editions.items(session, edition.id or 0)}
    found: dict[int, dict[str, int]] = {}
    refused = False
    for name, part in parts_from_json(delivery.parts).items():
        number = name.removeprefix(REPLY)
        paper_id = by_rank.get(int(number)) if name.startswith(REPLY) and number.isdecimal() else None
        if paper_id is None or not part.receipt:
            continue
        try:
            found[paper_id] = _read(rt, part.receipt)
        except UpstreamRejected as error:
            log.warning("votes.refused", delivery=delivery.id, error=str(error))
            refused = True
            break
    changed = 0
    with rt.step(claim) as step:
        for paper_id, cast in found.items():
            if not votes.replace(step.session, edition.subscription_id, paper_id, cast, now=step.now):
                continue
            changed += 1
            act = act_of(cast)
            if act is not None:
                feedback.record(
                    step.session, edition.subscription_id, paper_id, act, opposite=OPPOSITE[act], now=step.now
                )
        following = look_job(
            claim.payload["delivery_id"], claim.payload["look"] + 1, datetime.fromisoformat(claim.payload["sent_at"])
        )
        if following is not None and not refused:
            step.add([following])
    log.info("votes.read", delivery=claim.payload["delivery_id"], papers=len(found), changed=changed)


def _read(rt: Runtime, receipt: str) -> dict[str, int]:
    """The votes on one message; members are known by a fingerprint only."""
    channel, _, ts = receipt.partition(":")
    token = rt.settings.slack_token.get_secret_value()
    with rt.gate(slack_reactions.GATE, slack_reactions.INTERVAL_S):
        answer = rt.http.get(
            slack_reactions.request_url(rt.settings.slack_api_url, channel, ts),
            headers={"Authorization": f"Bearer {token}"},
        )
    assert isinstance(answer, Fetched)  # nothing conditional was asked
    cast = votes_of(slack_reactions.parse(answer.body))
    return {_voter(rt.secret, user): value for user, value in cast.items()}


def _voter(secret: str, user: str) -> str:
    return hmac.new(secret.encode(), f"voter:slack:{user}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]
