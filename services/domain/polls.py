"""Polls: which of those under way an edition is worth waiting for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

FEW = 100
"""Of so many feeds each is waited for; of more, those that are still being read once they are fewer than one in `FEW`
are not: among many a few are always late. Of what is known to be missing papers each is waited for."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll of a feed that is not over."""

    slot_at: datetime
    """When it was meant to be."""
    try_at: datetime
    """When it goes on: in the past for what is at work, or waits for its turn."""


@dataclass(frozen=True, slots=True)
class Polls:
    """All polls that are not over, and what is known to be missing, by feed."""

    feeds: int
    """How many feeds are polled at all."""
    under_way: Mapping[str, Sequence[Poll]] = field(default_factory=dict)
    looked_at_again: Mapping[str, datetime] = field(default_factory=dict)
    """Feeds whose newest batch is not complete: when they are asked next."""


def worth_waiting(polls: Polls, names: Collection[str], *, due_at: datetime, until: datetime) -> list[str]:
    """The feeds (of `names`, else all) that may still bring papers to an edition due at `due_at` before `until`.

    A poll that was meant to be by then may, and so may another look at a batch that is not complete; a poll meant to be
    later brings what the next edition holds. What is tried again only after `until` would come too late.
    """
    asked = names or {*polls.under_way, *polls.looked_at_again}
    found = sorted(name for name in asked if _may_bring(polls, name, due_at=due_at, until=until))
    if len(found) * FEW < (len(names) or polls.feeds):
        return [name for name in found if name in polls.looked_at_again]
    return found


def _may_bring(polls: Polls, name: str, *, due_at: datetime, until: datetime) -> bool:
    again_at = polls.looked_at_again.get(name)
    if again_at is not None and again_at < until:
        return True
    in_time = (poll for poll in polls.under_way.get(name, ()) if poll.try_at < until)
    return any(poll.slot_at <= due_at or again_at is not None for poll in in_time)
