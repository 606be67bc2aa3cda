"""Feedback: what a reader says of a paper is kept, and what they get follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select as columns
from sqlmodel import Session, col

from services.domain.errors import InvalidInput, NotFound
from services.domain.feedback import ACTS, OPPOSITE, Mute, mutes_of
from services.domain.interests import Choice, Space, order_for, taste_of, words_for
from services.domain.papers import PaperFacts
from services.domain.queries import Query, parse_query
from services.domain.ranking import rank, score
from services.runtime import Runtime
from services.storage import archive, subscribers
from services.storage import feedback as rows
from services.storage.tables import Paper

ARCHIVE_SAMPLE = 2_000
"""Newest papers by which words are known to be rare or common."""
MOST_LIKED = 300
"""Newest saved papers an interest is learned from."""

ENOUGH_WORDS = 2_000

_spaces: dict[tuple[str, date], Space] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came of an act."""

    paper: PaperFacts
    act: str
    target: str
    known: bool
    """Whether the reader had said so before."""


def give(rt: Runtime, subscription_id: int, key: str, act: str, *, target: str = "") -> Said:
    """Record what a reader says of a paper; for `mute`, `target` is what is shut out (`domain.feedback.mute_target`).

    Raises `InvalidInput` for an unknown act or target, `NotFound` for an unknown paper or subscription.
    """
    if act not in ACTS:
        raise InvalidInput(f"there is no act {act[:40]!r}; use one of {', '.join(ACTS)}")
    if (act == "mute") != bool(target):
        raise InvalidInput("a mute needs what to mute" if act == "mute" else f"{act} takes no target")
    if target:
        parse_query(target)
    with rt.writing() as session:
        subscribers.get_subscription(session, subscription_id)
        paper = archive.get(session, key, now=rt.now())
        fresh = rows.record(
            session, subscription_id, paper.id, act, target=target, opposite=OPPOSITE.get(act, ""), now=rt.now()
        )
    return Said(paper=paper, act=act, target=target, known=not fresh)


def take_back(rt: Runtime, subscription_id: int, key: str, act: str, *, target: str = "") -> bool:
    """Take an act back; False when it had not been said. Raises `NotFound` for an unknown paper."""
    with rt.writing() as session:
        paper_id = archive.find_id(session, key)
        if paper_id is None:
            raise NotFound(f"no paper is known as {key!r}")
        return rows.forget(session, subscription_id, paper_id, act, target=target)


def saved(session: Session, subscription_id: int, *, now: datetime) -> list[PaperFacts]:
    """The papers saved by a subscription's reader, the newest saved first."""
    return archive.load(
        session, [row.paper_id for row in rows.list_all(session, subscription_id, acts=["save"])], now=now
    )


def mutes(session: Session, subscription_id: int) -> tuple[Mute, ...]:
    """What a subscription's reader has muted."""
    found = rows.list_all(session, subscription_id, acts=["mute"])
    return mutes_of(list(dict.fromkeys(row.target for row in found)))


def order(
    session: Session, subscription_id: int, papers: Sequence[PaperFacts], query: Query, *, now: datetime
) -> list[Choice]:
    """`papers` in the reader's order; without feedback that of `trending`, with no reasons of its own."""
    said = rows.list_all(session, subscription_id, acts=["save", "more", "less"])
    liked = list(dict.fromkeys(row.paper_id for row in said if row.act != "less"))[:MOST_LIKED]
    unliked = [row.paper_id for row in said if row.act == "less"][:MOST_LIKED]
    if not liked and not unliked:
        return [Choice(paper=paper, score=score(paper, now), why=()) for paper in rank(papers, now=now)]
    space = space_of(session, now=now)
    taste = taste_of(space, archive.load(session, liked, now=now), archive.load(session, unliked, now=now))
    in_title = frozenset(p.id for p in papers if any(why.endswith("in the title") for why in query.explain(p)))
    return order_for(taste, space, papers, trending={p.id: score(p, now) for p in papers}, in_title=in_title)


def space_of(session: Session, *, now: datetime) -> Space:
    """How rare words are in the newest papers; worked out once a day for each database."""
    key = (str(session.get_bind().engine.url), now.date())
    found = _spaces.get(key)
    if found is None:
        newest = session.execute(
            columns(col(Paper.title), col(Paper.abstract)).order_by(col(Paper.id).desc()).limit(ARCHIVE_SAMPLE)
        )
        found = Space.of(words_for(title, abstract) for title, abstract in newest)
        if len(found.idf) >= ENOUGH_WORDS:  # a young archive still learns by the hour
            _spaces.clear()
            _spaces[key] = found
    return found
