"""Sentences: what a language model said of each version of a paper, and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, update
from sqlmodel import Session, col, select

from services.storage.sql import chunks, insert_ignore
from services.storage.tables import Sentence

ASKED = "asked"
"""`refused` of a row whose answer has not come yet."""
GIVEN_UP_AFTER = timedelta(minutes=10)
"""A question older than that was lost with its worker."""


def find(session: Session, versions: Mapping[int, str], model: str) -> dict[int, str]:
    """The sentences there are for papers (by id) in these versions."""
    found: dict[int, str] = {}
    for part in chunks(sorted(versions)):
        for row in session.exec(select(Sentence).where(col(Sentence.paper_id).in_(part), Sentence.model == model)):
            if row.text and versions[row.paper_id] == row.version:
                found[row.paper_id] = row.text
    return found


def begin(session: Session, paper_id: int, version: str, model: str, *, cost: int, budget: int, now: datetime) -> bool:
    """Set a question's cost aside; False when it has been asked before or the day's (UTC) budget has no room for it."""
    session.execute(delete(Sentence).where(col(Sentence.refused) == ASKED, col(Sentence.at) < now - GIVEN_UP_AFTER))
    if spent(session, now=now) + cost > budget:
        return False
    row = {
        "paper_id": paper_id, "version": version, "model": model, "refused": ASKED, "tokens": cost, "at": now,
    }  # fmt: skip
    return bool(insert_ignore(session, Sentence, [row], ["paper_id", "version", "model"], returning=["id"]))


def spent(session: Session, *, now: datetime) -> int:
    """Tokens used up, or set aside, since midnight UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return session.exec(select(func.coalesce(func.sum(Sentence.tokens), 0)).where(Sentence.at >= midnight)).one()


def record(
    session: Session, paper_id: int, version: str, model: str, *, text: str | None, refused: str, tokens: int | None
) -> None:
    """Write the answer down; `tokens` where it is known what it cost."""
    values = {"text": text, "refused": refused, **({"tokens": tokens} if tokens is not None else {})}
    session.execute(update(Sentence).where(_is(paper_id, version, model)).values(**values))


def forget(session: Session, paper_id: int, version: str, model: str) -> None:
    """The question got no answer: it may be asked again, and cost nothing."""
    session.execute(delete(Sentence).where(_is(paper_id, version, model)))


def _is(paper_id: int, version: str, model: str) -> ColumnElement[bool]:
    return and_(col(Sentence.paper_id) == paper_id, col(Sentence.version) == version, col(Sentence.model) == model)
