"""Votes: what members of teams say of papers; one vote a member, paper and subscription."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import case, delete, func
from sqlmodel import Session, col, select

from services.storage.tables import Vote


def replace(session: Session, subscription_id: int, paper_id: int, votes: Mapping[str, int], *, now: datetime) -> bool:
    """Make `votes` (1 or -1 by voter) those of one paper in one subscription; False when they were so already."""
    own = (col(Vote.subscription_id) == subscription_id, col(Vote.paper_id) == paper_id)
    kept = {row.voter: row.value for row in session.exec(select(Vote).where(*own))}
    if kept == dict(votes):
        return False
    changed = [voter for voter in kept if kept[voter] != votes.get(voter)]
    session.execute(delete(Vote).where(*own, col(Vote.voter).in_(changed)))
    session.add_all(
        Vote(subscription_id=subscription_id, paper_id=paper_id, voter=voter, value=value, at=now)
        for voter, value in votes.items()
        if kept.get(voter) != value
    )
    session.flush()
    return True


def tally(session: Session, paper_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Votes for and against each paper that has any, over all teams; a member of two counts once."""
    found: dict[int, tuple[int, int]] = {}
    for start in range(0, len(paper_ids), 500):
        one = (
            select(Vote.paper_id, Vote.voter, func.sum(Vote.value).label("sum"))
            .where(col(Vote.paper_id).in_(paper_ids[start : start + 500]))
            .group_by(col(Vote.paper_id), col(Vote.voter))
            .subquery()
        )
        for paper_id, ups, downs in session.execute(
            select(
                one.c.paper_id,
                func.sum(case((one.c["sum"] > 0, 1), else_=0)),
                func.sum(case((one.c["sum"] < 0, 1), else_=0)),
            ).group_by(one.c.paper_id)
        ):
            found[int(paper_id)] = (int(ups), int(downs))
    return found
