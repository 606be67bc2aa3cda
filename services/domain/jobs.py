"""Jobs: kinds, stages, legal moves, and what to do when one fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

STAGES = ("fetch", "parse", "enrich", "notify")
"""In pipeline order; each is a queue of its own."""

STATES = ("ready", "running", "done", "dead")

STAGE_OF = {
    "fetch_feed": "fetch",
    "parse_document": "parse",
    "enrich_repos": "enrich",
    "compose_edition": "notify",
    "send_deliveries": "notify",
    "send_notice": "notify",
    "ask_to_confirm": "notify",
    "recheck_papers": "enrich",
    "read_votes": "enrich",
    "look_up_papers": "enrich",
    "housekeeping": "enrich",
}
"""Every kind of job and the stage it belongs to."""

UNPAUSED = -3
"""The priority of jobs that go on while their stage is paused: what operators are told, of that pause as well."""

MOVES: Mapping[str, frozenset[str]] = {
    "ready": frozenset({"running", "done"}),
    "running": frozenset({"running", "ready", "done", "dead"}),
    "done": frozenset({"ready"}),
    "dead": frozenset({"ready"}),
}
"""Legal moves. running → running is a takeover after a lease ran out; done or dead → ready is a
person asking for another run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work to be added. The key makes it one, however often it is added."""

    kind: str
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None
    """`None`: now."""
    priority: int = 0

    @property
    def stage(self) -> str:
        """The queue it belongs to."""
        return STAGE_OF[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on a job until `lease_until`. Every write of its result checks `token`."""

    job_id: int
    kind: str
    key: str
    stage: str
    payload: Mapping[str, Any]
    token: str
    attempt: int
    """Number of this try, from 1, over the job's whole life."""
    tries: int
    """Tries that count against the limit, this one included."""
    lease_until: datetime
    due_at: datetime

    @property
    def told(self) -> Mapping[str, Any]:
        """What every line of the log says of it."""
        return {"job": self.job_id, "kind": self.kind, "key": self.key, "attempt": self.attempt}


@dataclass(frozen=True, slots=True)
class Hint:
    """Which job a message points at, and the queue it goes to."""

    job_id: int
    stage: str


def may_move(state: str, to: str) -> bool:
    """Whether a job in `state` may become `to`."""
    return to in MOVES.get(state, frozenset())


REPOS_A_JOB = 50
"""Repositories one job reads: one GraphQL request; GitHub cuts heavier ones short."""
