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


def load_statements(
    session: Session, paper_ids: Sequence[int], *, whole: bool = True
) -> dict[int, dict[str, StatementData]]:
    """The statements about each paper, by source; unless `whole`, without their `data`, which is most of them."""
    columns = [Statement.paper_id, Statement.source, Statement.as_of, Statement.content_hash, Statement.first_on]
    statement = sa.select(*map(col, columns), *([col(Statement.data)] if whole else []))
    found: dict[int, dict[str, StatementData]] = defaultdict(dict)
    for part in chunks(sorted(set(paper_ids))):
        for row in session.execute(statement.where(col(Statement.paper_id).in_(part))):
            paper_id, source, as_of, content_hash, first_on, *said = row
            found[paper_id][source] = StatementData(
                source=source, as_of=as_of, content_hash=content_hash, first_on=first_on, data=said[0] if said else {}
            )
    return found


def statement_row(paper_id: int, words: StatementData, now: datetime) -> dict[str, Any]:
    """A statement as a row to insert."""
    return {
        "paper_id": paper_id, "source": words.source, "as_of": words.as_of, "content_hash": words.content_hash,
        "data": dict(words.data), "first_on": words.first_on, "said_at": now,
    }  # fmt: skip
