"""Freshness: how long ago each feed was last known to be complete, against the objective set for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from services.domain.batches import COMPLETE
from services.storage import batches, feeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """One feed's freshness. `age` is the time since a batch of it was last found complete (or rightly empty);
    `None` when none ever was. `objective` is `None` where none is set."""

    feed: str
    age: timedelta | None
    objective: timedelta | None

    @property
    def met(self) -> bool:
        """Whether the objective holds; a feed without one holds it always, one never complete does not."""
        return self.objective is None or (self.age is not None and self.age <= self.objective)

    @property
    def burn(self) -> float | None:
        """The age as a multiple of the objective: above 1 it is missed."""
        if self.objective is None or self.age is None:
            return None
        return self.age / self.objective


def list_freshness(session: Session, *, now: datetime) -> list[Freshness]:
    """Every feed that is polled, by name."""
    polled = [feed for feed in feeds.list_all(session) if not feed.paused]
    last = batches.last_complete(session, [feed.id or 0 for feed in polled], COMPLETE)
    return [
        Freshness(
            feed=feed.name,
            age=now - last[feed.id or 0] if feed.id in last else None,
            objective=timedelta(minutes=feed.fresh_minutes) if feed.fresh_minutes else None,
        )
        for feed in polled
    ]
