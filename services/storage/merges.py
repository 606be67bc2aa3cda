"""Merges: which rows were folded into which paper, newest first, with what taking them apart needs to be told."""

from __future__ import annotations

from sqlmodel import Session, col, select

from services.storage.tables import Merge, Paper


def page(
    session: Session, *, paper_id: int | None = None, before: int | None = None, limit: int = 50
) -> list[tuple[Merge, Paper | None]]:
    """Merges with the paper that was kept (none where it went into another since), newest first; of one paper alone
    with `paper_id`."""
    query = select(Merge, Paper).outerjoin(Paper, col(Paper.id) == col(Merge.kept_paper_id))
    if paper_id is not None:
        query = query.where(Merge.kept_paper_id == paper_id)
    if before is not None:
        query = query.where(col(Merge.id) < before)
    return [(merge, paper) for merge, paper in session.exec(query.order_by(col(Merge.id).desc()).limit(limit))]


def newest_of(session: Session, paper_id: int) -> Merge | None:
    """The last merge into a paper that stands."""
    return session.exec(
        select(Merge)
        .where(Merge.kept_paper_id == paper_id, col(Merge.undone_at).is_(None))
        .order_by(col(Merge.id).desc())
    ).first()


def merged_title(merge: Merge) -> str:
    """What the paper that is gone was called; empty where nothing was recorded."""
    paper = merge.folded.get("gone", {}).get("paper", {}) if merge.folded else {}
    return str(paper.get("title", ""))


def can_be_undone(merge: Merge) -> bool:
    """Whether `folding.unmerge` has what it needs."""
    return merge.undone_at is None and bool(merge.folded)
