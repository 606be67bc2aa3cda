"""Re-drive: work that was given up is tried again, guarded: first counted, then one of it, then the rest.

A cause that still holds would only bury a thousand jobs once more. So the rest of a group goes when one of it has come
right since it was last given up, or when a person insists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from services.domain.errors import InvalidInput, NotFound
from services.domain.users import Actor
from services.pipeline.acts import acting
from services.runtime import Runtime
from services.storage import jobs, reports, runs
from services.storage.tables import Job

STEPS = ("dry_run", "one", "rest")

APART = timedelta(seconds=1)
"""Many go one by one, so far apart; the first that fails of the same cause again stops those behind it."""


@dataclass(frozen=True, slots=True)
class Redrive:
    """What a step did, or would do."""

    signature: str
    step: str
    dead: tuple[int, ...]
    """Jobs of the group given up before the step, oldest first."""
    retried: tuple[int, ...]
    """Those of them that are tried again."""


def redrive(
    rt: Runtime, actor: Actor, signature: str, step: str, *, proof: int | None = None, force: bool = False
) -> Redrive:
    """Take one step with the jobs given up for one cause.

    `dry_run` counts; `one` tries the oldest again; `rest` tries all that are left, if the job `proof` (which `one`
    named) has come right, or with `force`. Raises `NotFound` where nothing of that cause was given up, `InvalidInput`
    where the rest must wait.
    """
    if step not in STEPS:
        raise InvalidInput(f"there is no step {step[:40]!r}; there are: {', '.join(STEPS)}")
    if step == "dry_run":
        with rt.reading() as session:
            dead = _dead(session, signature)
        return Redrive(signature, step, dead, ())
    with acting(rt, actor, f"run.redrive_{step}", signature) as (session, said):
        dead = _dead(session, signature)
        if step == "rest" and not force:
            _must_be_proved(session, proof)
        chosen = dead[:1] if step == "one" else dead
        said.hints += jobs.revive(session, chosen, now=rt.now(), apart=APART)
        said.after = {"given_up": len(dead), "retried": list(chosen), "proof": proof, "force": force}
    return Redrive(signature, step, dead, tuple(chosen))


def retry(rt: Runtime, actor: Actor, *run_ids: int) -> list[int]:
    """Give finished, given-up or waiting jobs another set of tries, the first now and the others one by one after it;
    returns which, those left out are running."""
    retried: list[int] = []
    with acting(rt, actor, "run.retry", " ".join(map(str, run_ids))) as (session, said):
        before = [jobs.get(session, run_id) for run_id in run_ids]
        said.before = {"states": [job.state for job in before], "attempts": [job.attempts for job in before]}
        waiting = {job.id: job.due_at for job in before if job.state == "ready"}
        now = rt.now()
        for place, run_id in enumerate(run_ids):
            at = now + place * APART
            if run_id in waiting:
                moved = runs.hurry(session, run_id, now=min(at, waiting[run_id]))
            else:
                moved = jobs.revive(session, [run_id], now=at)
            retried += [hint.job_id for hint in moved]
            said.hints += moved if at <= now else []
        said.after = {"retried": retried}
    return retried


def _dead(session: Session, signature: str) -> tuple[int, ...]:
    found = tuple(reports.dead_ids(session, signature))
    if not found:
        raise NotFound("nothing was given up for that cause; `broadsheet runs list --failed` names those there are")
    return found


def _must_be_proved(session: Session, proof: int | None) -> None:
    job = session.get(Job, proof) if proof is not None else None
    if job is None:
        raise InvalidInput("try one of it first (step `one`), and name it as `proof` when it has come right")
    if job.state != "done" or not _was_dead(session, proof or 0):
        raise InvalidInput(
            f"run {job.id} has not come right ({job.state}): wait for it, or mend the cause; `force` tries all the same"
        )


def _was_dead(session: Session, job_id: int) -> bool:
    return any(attempt.outcome == "dead" for attempt in jobs.attempts(session, job_id))
