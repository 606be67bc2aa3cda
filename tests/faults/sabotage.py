"""Plan 5: can the harness fail? Rules of the service are broken on purpose, one at a time, in the workers of the
kill plan and in the simulation; each must be noticed by both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any

from sqlalchemy import text, update
from sqlmodel import Session, col

from services.domain.errors import LeaseLost
from services.domain.jobs import Claim
from services.pipeline import send
from services.runtime import Runtime, Step
from services.storage import deliveries, jobs, paper_rows
from services.storage.engine import writing
from services.storage.tables import Job, Sighting
from tests.faults import kill, simulation
from tests.faults.kill import Report


def no_unique_sightings() -> None:
    """A UNIQUE constraint is dropped, nobody looks what is there, and what relied on it writes a second row."""
    upsert, write = vars(paper_rows)["upsert"], vars(paper_rows)["_write_sightings"]

    def write_all(session: Session, groups: Any, _: Any, telling: Any) -> None:
        write(session, groups, (), telling)

    def put(session: Session, model: Any, rows: Sequence[Mapping[str, Any]], key: Sequence[str], **more: Any) -> None:
        if model is not Sighting:
            upsert(session, model, rows, key, **more)
            return
        _drop_unique(session, "sightings")
        session.connection().execute(Sighting.__table__.insert(), list(rows))  # type: ignore[attr-defined]

    vars(paper_rows).update(upsert=put, _write_sightings=write_all)


def _drop_unique(session: Session, table: str) -> None:
    """Make a table without its constraints, once."""
    made = str(session.execute(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table}).scalar_one())
    if "UNIQUE" not in made:
        return
    loose, dropped = re.subn(r",\s*(CONSTRAINT \w+ )?UNIQUE \([^)]*\)", "", made)
    assert dropped, made
    session.execute(text(f"ALTER TABLE {table} RENAME TO strict"))
    session.execute(text(loose))
    session.execute(text(f"INSERT INTO {table} SELECT * FROM strict"))
    session.execute(text("DROP TABLE strict"))


def token_not_checked() -> None:
    """A worker that lost its lease writes all the same."""

    def nobody_asks(session: Session, claim: Claim) -> None:
        """Every claim is taken to hold."""

    finish = jobs.finish

    def finish_whatever(session: Session, claim: Claim, *, now: datetime) -> None:
        with suppress(LeaseLost):
            finish(session, claim, now=now)

    jobs.check = nobody_asks
    jobs.finish = finish_whatever
    Runtime.enough_lease = lambda *_: None  # type: ignore[method-assign]


def finish_before_result() -> None:
    """A job is finished in a transaction of its own, before its result is written in another."""

    @contextmanager
    def step(self: Runtime, claim: Claim) -> Iterator[Step]:
        with writing(self.engine) as session:
            jobs.check(session, claim)
            jobs.finish(session, claim, now=self.now())
        self.checkpoint(f"{claim.kind}.begun")
        with writing(self.engine) as session:
            following = Step(session, self.now(), claim)
            yield following
            self.checkpoint(f"{claim.kind}.written")
        self.checkpoint(f"{claim.kind}.committed")
        self.publish(following.hints)

    Runtime.step = step  # type: ignore[method-assign]


def no_claim_of_expired_leases() -> None:
    """What a dead worker held is never taken over."""
    claim, expire = jobs.claim, jobs.expire_workers

    def for_ever(session: Session, **options: Any) -> Claim | None:
        session.execute(
            update(Job).where(col(Job.state) == "running").values(lease_until=datetime(2999, 1, 1, tzinfo=UTC))
        )
        return claim(session, **options)

    jobs.claim = for_ever
    jobs.expire_workers = lambda *_, **__: 0
    del expire


def outcome_before_send() -> None:
    """A delivery is marked accepted before the dot is sent."""
    move = send._move

    def too_early(rt: Runtime, claim: Claim, delivery_id: int, to: str, **values: Any) -> None:
        if to == "sending":
            move(rt, claim, delivery_id, "sending", **values)
            move(rt, claim, delivery_id, "accepted")
        elif to != "accepted":
            move(rt, claim, delivery_id, to, **values)

    send._move = too_early


def intent_skipped() -> None:
    """The dot is sent without the intent having been committed."""
    move = send._move

    def unprepared(rt: Runtime, claim: Claim, delivery_id: int, to: str, **values: Any) -> None:
        if to != "sending":
            move(rt, claim, delivery_id, to, **values)

    send._move = unprepared
    vars(deliveries)["may_move"] = lambda *_: True


VARIANTS: Mapping[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    "a unique constraint dropped": (no_unique_sightings, ("parse_document.committed", "fetch_feed.answered")),
    "the token not checked": (token_not_checked, ("send_deliveries.answered",)),
    "finish before result": (finish_before_result, ("parse_document.begun", "fetch_feed.begun")),
    "no claim of expired leases": (no_claim_of_expired_leases, ("fetch_feed.asking", "parse_document.read")),
    "outcome before send": (outcome_before_send, ("send_deliveries.intended", "send_deliveries.connected")),
    "intent skipped": (intent_skipped, ("send_deliveries.answered", "send_deliveries.dotted")),
}
"""Each broken rule, and the steps at which workers end: those that the rule protects."""


def one(
    world: Any, name: str, patch: Callable[[], None], points: Sequence[str], *, faults: int, seed: int
) -> Report:  # fmt: skip
    """Run one variant until it is noticed, with at most `faults` faults."""
    late = patch is token_not_checked  # shows in a worker that goes on after another has taken over
    report = kill.run(
        world, faults=faults, seed=seed, ambiguity="hold", patch=patch, points=points, stop_early=True,
        pauses=1.0 if late else 0.0,
    )  # fmt: skip
    report.name = name
    return report


def run(world: Any, *, faults: int, seed: int) -> dict[str, Report]:
    """Run each variant."""
    found = {
        name: one(world, name, patch, points, faults=faults, seed=seed) for name, (patch, points) in VARIANTS.items()
    }
    return found | {
        f"{name} (simulation)": simulated(name, seeds=24 * simulation.SEEDS_A_WORLD, seed=seed) for name in VARIANTS
    }


def simulated(name: str, *, seeds: int, seed: int) -> Report:
    """Run the simulation with one rule broken, in a process of its own, until it is noticed."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(_simulated, name, seeds, seed).result()


def _simulated(name: str, seeds: int, seed: int) -> Report:
    VARIANTS[name][0]()
    report = simulation.run(seeds=seeds, seed=seed, stop_early=True)
    report.name = name
    return report
