"""Statements: what each source last said of each paper, as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from services.domain.merging import StatementData
from services.storage.sql import chunks
from services.storage.tables import Statement

STATEMENT_COLUMNS = ("as_of", "content_hash", "data", "first_on", "said_at")
"""What a new statement overwrites."""


def load_statements(session: Session, paper_ids: Sequence[int]) -> dict[int, dict[str, StatementData]]:
    """The statements about each paper, by source."""
    found: dict[int, dict[str, StatementData]] = defaultdict(dict)
    for part in chunks(sorted(set(paper_ids))):
        for row in session.execute(
            sa.select(
                col(Statement.paper_id),
                col(Statement.source),
                col(Statement.as_of),
                col(Statement.content_hash),
                col(Statement.data),
                col(Statement.first_on),
            ).where(col(Statement.paper_id).in_(part))
        ):
            found[row.paper_id][row.source] = StatementData(
                source=row.source,
                as_of=row.as_of,
                content_hash=row.content_hash,
                data=row.data,
                first_on=row.first_on,
            )
    return found


def statement_row(paper_id: int, words: StatementData, now: datetime) -> dict[str, Any]:
    """A statement as a row to insert."""
    return {
        "paper_id": paper_id, "source": words.source, "as_of": words.as_of, "content_hash": words.content_hash,
        "data": dict(words.data), "first_on": words.first_on, "said_at": now,
    }  # fmt: skip
