"""Split: a batch that fails for a reason of its own is halved until what fails is alone, and the others are done."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from services.domain.errors import BroadsheetError
from services.domain.jobs import Claim, NewJob
from services.storage import jobs

NOBODYS = (BroadsheetError, OperationalError, InterfaceError)
"""A host's or the database's trouble, which halves would share."""


def split(session: Session, claim: Claim, error: BaseException, ids: str, *, now: datetime) -> bool:
    """Add two jobs, each with half of the payload's list `ids`, in place of one that is given up; False where that
    would not help: one alone is left, or the trouble is none of theirs."""
    batch = claim.payload[ids]
    if len(batch) < 2 or isinstance(error, NOBODYS):
        return False
    middle = len(batch) // 2
    whole = claim.key.partition(", part from ")[0]
    halves = [
        NewJob(
            kind=claim.kind, key=f"{whole}, part from {half[0]} of {len(half)}", payload={**claim.payload, ids: half}
        )
        for half in (batch[:middle], batch[middle:])
    ]
    jobs.add(session, halves, now=now, cause_id=claim.job_id)
    return True
