"""Statements: what each source last said of each paper, as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from services.domain.merging import StatementData
from services.storage.sql import among, table_of
from services.storage.tables import Statement

STATEMENT_COLUMNS = ("as_of", "content_hash", "data", "first_on", "said_at")
"""What a new statement overwrites."""


def load_statements(
    session: Session, paper_ids: Collection[int], *, whole: bool = True
) -> dict[int, dict[str, StatementData]]:
    """The statements about each paper, by source; unless `whole`, without their `data`, which is most of them."""
    if not paper_ids:
        return {}
    columns = table_of(Statement).c
    asked = sa.select(
        columns.paper_id, columns.source, columns.as_of, columns.content_hash, columns.first_on,
        columns.data if whole else sa.null(),
    ).where(among(session, columns.paper_id, paper_ids))  # fmt: skip
    found: dict[int, dict[str, StatementData]] = defaultdict(dict)
    for paper_id, source, as_of, content_hash, first_on, data in session.connection().execute(asked).all():
        found[paper_id][source] = StatementData(
            source=source, as_of=as_of, content_hash=content_hash, first_on=first_on, data=data or {}
        )
    return found


def statement_row(paper_id: int, words: StatementData, now: datetime) -> dict[str, Any]:
    """A statement as a row to insert."""
    return {
        "paper_id": paper_id, "source": words.source, "as_of": words.as_of, "content_hash": words.content_hash,
        "data": dict(words.data), "first_on": words.first_on, "said_at": now,
    }  # fmt: skip
