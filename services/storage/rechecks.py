"""Re-checks of papers: which are due, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import update
from sqlmodel import Session, col, select

from services.storage.sql import chunks, insert_ignore
from services.storage.tables import Identifier, Paper, PaperCheck, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCheck:
    """A paper to be read again at its source: by which id, and what the source said last."""

    check: PaperCheck
    value: str
    said: Mapping[str, Any]


def ensure(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Add checks for papers that have none of that source yet."""
    insert_ignore(session, PaperCheck, rows, ["paper_id", "source"])


def announced_on(session: Session, paper_ids: Sequence[int]) -> dict[int, date]:
    """The first day each of these papers was listed."""
    found: dict[int, date] = {}
    for part in chunks(list(paper_ids)):
        rows = session.execute(sa.select(col(Paper.id), col(Paper.announced_on)).where(col(Paper.id).in_(part)))
        found.update({paper_id: day for paper_id, day in rows if day is not None})
    return found


def list_due(session: Session, *, now: datetime, source: str = "hf_papers", limit: int = 500) -> list[int]:
    """Ids of the checks at one source that are due, those waiting longest first."""
    query = (
        select(PaperCheck.id)
        .where(col(PaperCheck.next_check_at) <= now, PaperCheck.source == source)
        .order_by(col(PaperCheck.next_check_at))
    ).limit(limit)
    return [i for i in session.exec(query) if i is not None]


def load(session: Session, ids: Sequence[int], *, now: datetime) -> list[DueCheck]:
    """Of these checks those still due whose paper has an arXiv id, which is the id it goes by there."""
    rows = session.exec(
        select(PaperCheck, Identifier.value)
        .join(Identifier, (col(Identifier.paper_id) == col(PaperCheck.paper_id)) & (col(Identifier.scheme) == "arxiv"))
        .where(col(PaperCheck.id).in_(list(ids)), col(PaperCheck.next_check_at) <= now)
        .order_by(col(PaperCheck.id), col(Identifier.id))
    ).all()
    said = {
        (paper_id, source): data
        for paper_id, source, data in session.exec(
            select(Statement.paper_id, Statement.source, Statement.data).where(
                col(Statement.paper_id).in_([check.paper_id for check, _ in rows])
            )
        )
    }
    found: dict[int, DueCheck] = {}
    for check, value in rows:
        found.setdefault(
            check.id or 0, DueCheck(check=check, value=value, said=said.get((check.paper_id, check.source), {}))
        )
    return list(found.values())


def record(session: Session, check_id: int, **values: Any) -> None:
    """Write what became of one check."""
    session.execute(update(PaperCheck).where(col(PaperCheck.id) == check_id).values(**values))


def end_due(session: Session, ids: Sequence[int], *, now: datetime) -> None:
    """End those of these checks that are due still: their paper is gone, or has no id to ask by."""
    session.execute(
        update(PaperCheck)
        .where(col(PaperCheck.id).in_(list(ids)), col(PaperCheck.next_check_at) <= now)
        .values(next_check_at=None, error="there is no id to ask by")
    )
