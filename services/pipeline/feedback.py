"""Feedback: what a reader says of a paper is kept, and what they get follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select as columns
from sqlmodel import Session, col

from services.domain.errors import InvalidInput, NotFound
from services.domain.feedback import (
    ACTS,
    OPPOSITE,
    WITH_TARGET,
    Mute,
    Snoozes,
    mutes_of,
    snooze_target,
    snoozes_of,
)
from services.domain.indexed import Indexed
from services.domain.interests import Choice, Space, order_for, taste_of, words_for
from services.domain.papers import PaperFacts
from services.domain.queries import Query, parse_query
from services.domain.ranking import rank, score
from services.pipeline.views import local_day
from services.runtime import Runtime
from services.storage import archive, editions, subscribers
from services.storage import feedback as rows
from services.storage.tables import Paper, Subscription

ARCHIVE_SAMPLE = 2_000
"""Newest papers by which words are known to be rare or common."""
MOST_LIKED = 300
"""Newest saved papers an interest is learned from."""
TASTE = ("save", "more", "less")
"""What a reader's interests are learned from."""

ENOUGH = 200
"""So many papers of before today will do."""

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
    """Record what a reader says of a paper; for `mute`, `target` is what is shut out (`domain.feedback.mute_target`),
    for `snooze` the first day on which it may come again.

    Raises `InvalidInput` for an unknown act or target, `NotFound` for an unknown paper or subscription.
    """
    if act not in ACTS:
        raise InvalidInput(f"there is no act {act[:40]!r}; use one of {', '.join(ACTS)}")
    if (act in WITH_TARGET) != bool(target):
        raise InvalidInput(f"a {act} needs {WITH_TARGET[act]}" if act in WITH_TARGET else f"{act} takes no target")
    if act == "mute":
        parse_query(target, rt.now().date())
    with rt.writing() as session:
        subscription, _ = subscribers.get_subscription(session, subscription_id)
        if act == "snooze":
            target = snooze_target(target, local_day(subscription.timezone, rt.now()))
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


def mutes(session: Session, subscription_id: int, today: date) -> tuple[Mute, ...]:
    """What a subscription's reader has muted, as it is read on the (UTC) day `today`."""
    found = rows.list_all(session, subscription_id, acts=["mute"])
    return mutes_of(list(dict.fromkeys(row.target for row in found)), today)


def snoozes(session: Session, subscription_id: int, today: date) -> Snoozes:
    """What a subscription's reader has put off, and what has come back, as of their `today`."""
    kept = [(row.paper_id, row.target) for row in rows.list_all(session, subscription_id, acts=["snooze"])]
    had = editions.had(session, subscription_id, {paper_id for paper_id, _ in kept}) if kept else []
    return snoozes_of(kept, had, today)


def has_taste(session: Session, subscription: Subscription) -> bool:
    """Whether a subscription's order is its reader's own; all others of one query at one moment have the same."""
    return subscription.ranking == "personal" and rows.said_any(session, subscription.id or 0, acts=TASTE)


def order(
    session: Session, subscription: Subscription, papers: Sequence[Indexed], query: Query, *, now: datetime,
    ageing: bool = True,
) -> list[Choice]:  # fmt: skip
    """`papers` in the order the subscription asks for, with the reasons that are the reader's own.

    The same rows and the same minute give the same order, in whatever process it is asked for. Without `ageing` old
    papers are as good as new ones.
    """
    now = now.replace(second=0, microsecond=0)
    plain = [indexed.paper for indexed in papers]
    if subscription.ranking != "personal":
        ranked = rank(plain, now=now, order=subscription.ranking, ageing=ageing)
        return [Choice(paper=paper, score=score(paper, now, ageing=ageing), why=()) for paper in ranked]
    said = rows.list_all(session, subscription.id or 0, acts=TASTE)
    liked = list(dict.fromkeys(row.paper_id for row in said if row.act != "less"))[:MOST_LIKED]
    unliked = [row.paper_id for row in said if row.act == "less"][:MOST_LIKED]
    space = space_of(session, now=now) if liked or unliked else Space({})
    taste = taste_of(space, archive.load(session, liked, now=now), archive.load(session, unliked, now=now))
    in_title = frozenset(
        one.paper.id for one in papers if any(why.endswith("in the title") for why in query.explain(one))
    )
    trending = {paper.id: score(paper, now, ageing=ageing) for paper in plain}
    return order_for(taste, space, plain, trending=trending, in_title=in_title)


def space_of(session: Session, *, now: datetime) -> Space:
    """How rare words are in the newest papers of before today; worked out once a day for each database.

    That no process sees other papers in it than another makes their orders the same. A young archive counts all it has.
    """
    key = (str(session.get_bind().engine.url), now.date())
    found = _spaces.get(key)
    if found is None:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        newest = columns(col(Paper.title), col(Paper.abstract)).order_by(col(Paper.id).desc()).limit(ARCHIVE_SAMPLE)
        texts = list(session.execute(newest.where(col(Paper.first_seen_at) < midnight)))
        settled = len(texts) >= ENOUGH
        if not settled:
            texts = list(session.execute(newest))
        found = Space.of(words_for(title, abstract) for title, abstract in texts)
        if settled:
            _spaces.clear()
            _spaces[key] = found
    return found
